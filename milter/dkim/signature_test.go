package dkim

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	sampleHash  = "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
	sampleValue = " v=1; a=ed25519-sha256; d=example.com; s=s1; h=From:To; " + sampleHash + "; b=YWJj"
)

// with returns sampleValue with one tag replaced or added; "-" takes it out.
func with(name, value string) string {
	var tags []string
	for _, spec := range strings.Split(sampleValue, "; ") {
		if !strings.HasPrefix(strings.TrimSpace(spec), name+"=") {
			tags = append(tags, spec)
		}
	}
	if value != "-" {
		tags = append(tags, name+"="+value)
	}
	return strings.Join(tags, "; ")
}

func TestParseSignature(t *testing.T) {
	got, err := parseSignature(" v=1; a=RSA-SHA256; c=Relaxed; q=http/x : dns/txt;\r\n d=Example.COM; s=a.b;" +
		" i=Joe=20=40=C3=BC@Sub.EXAMPLE.com; h=From : to:\r\n\tSubject; l=42; t=1000; x=2000; z=Subject:b=c|From:x; xb=1; " +
		sampleHash + "; b = YW\r\n Jj ")
	if err != nil {
		t.Fatal(err)
	}
	want := &signature{
		Algorithm: RSASHA256, Header: Relaxed, Body: Simple, Domain: "Example.COM", Selector: "a.b",
		AUID: "Joe @ü@Sub.EXAMPLE.com", Headers: []string{"From", "to", "Subject"}, BodyLength: 42,
		Time: time.Unix(1000, 0), Expiration: time.Unix(2000, 0), Data: []byte("abc"), Text: "YWJj",
		subdomain: true, keyName: "a.b._domainkey.example.com",
	}
	opts := cmp.AllowUnexported(signature{})
	got.BodyHash, got.dataStart, got.dataEnd = nil, 0, 0
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}

	got, err = parseSignature(sampleValue)
	if err != nil {
		t.Fatal(err)
	}
	if got.Header != Simple || got.Body != Simple || got.BodyLength != -1 || got.AUID != "@example.com" ||
		got.subdomain || !got.Time.IsZero() || !got.Expiration.IsZero() {
		t.Errorf("defaults: %+v", got)
	}
}

func TestParseSignatureErrors(t *testing.T) {
	tests := []struct {
		name, value string
		want        error // nil: none
	}{
		{"sound", sampleValue, nil},
		{"not a tag list", "foo", ErrSyntax},
		{"empty", "", ErrSyntax},
		{"duplicate tag", sampleValue + "; d=example.com", ErrSyntax},
		{"version 2", with("v", "2"), ErrVersion},
		{"version 1.0", with("v", "1.0"), ErrVersion},
		{"version 01", with("v", "01"), ErrVersion},
		{"no v", with("v", "-"), ErrMissingTag},
		{"no a", with("a", "-"), ErrMissingTag},
		{"no b", with("b", "-"), ErrMissingTag},
		{"no bh", with("bh", "-"), ErrMissingTag},
		{"no d", with("d", "-"), ErrMissingTag},
		{"no h", with("h", "-"), ErrMissingTag},
		{"no s", with("s", "-"), ErrMissingTag},
		{"empty b", with("b", ""), ErrMissingTag},
		{"empty d", with("d", ""), ErrMissingTag},
		{"tags have a case", with("V", "1"), nil},

		{"unknown algorithm", with("a", "rsa-sha512"), ErrAlgorithm},
		{"SHA-1", with("a", "rsa-sha1"), ErrAlgorithm},
		{"algorithm in capitals", with("a", "Ed25519-SHA256"), nil},
		{"unknown canonicalization", with("c", "nowsp"), ErrSyntax},
		{"unknown body canonicalization", with("c", "relaxed/nowsp"), ErrSyntax},
		{"empty canonicalization", with("c", ""), ErrSyntax},
		{"other query method", with("q", "http/x"), ErrQueryMethod},
		{"query method among others", with("q", "http/x:DNS/TXT"), nil},
		{"empty query method", with("q", ""), ErrQueryMethod},

		{"one-label domain", with("d", "localhost"), nil},
		{"final dot", with("d", "example.com."), ErrSyntax},
		{"comment in d=", with("d", "legit.com(.example.com"), ErrSyntax},
		{"fold in d=", with("d", "exam\r\n ple.com"), ErrSyntax},
		{"selector with a slash", with("s", "a/b"), ErrSyntax},
		{"empty selector", with("s", ""), ErrMissingTag},
		{"key name too long", with("s", strings.Repeat("a123456789.", 22)+"a"), ErrSyntax},

		{"i= of the domain", with("i", "joe@example.com"), nil},
		{"i= in a subdomain", with("i", "@a.b.example.com"), nil},
		{"i= in other letters", with("i", "@EXAMPLE.com"), nil},
		{"i= quoted-printable", with("i", "=40example.com"), nil},
		{"i= with two @", with("i", `"a@b"@example.com`), nil},
		{"i= elsewhere", with("i", "joe@example.org"), ErrDomainMismatch},
		{"i= ends alike", with("i", "joe@badexample.com"), ErrDomainMismatch},
		{"i= above", with("i", "joe@com"), ErrDomainMismatch},
		{"i= without @", with("i", "sub.example.com"), ErrSyntax},
		{"i= empty", with("i", ""), ErrSyntax},
		{"i= with an encoded line end", with("i", "=0D=0A@example.com"), ErrSyntax},
		{"i= with half an octet", with("i", "joe=4@example.com"), ErrSyntax},
		{"i= ends in =", with("i", "joe@example.com="), ErrSyntax},
		{"i= in a U-label of an A-label", strings.Replace(with("i", "joe@bücher.example"), "d=example.com", "d=xn--bcher-kva.example", 1), nil},

		{"From in capitals", with("h", "FROM"), nil},
		{"no From", with("h", "To:Subject"), ErrFromNotSigned},
		{"From with a long s", with("h", "From\u017f"), ErrSyntax},
		{"empty name in h=", with("h", "From::To"), ErrSyntax},
		{"colon at the end of h=", with("h", "From:"), ErrSyntax},
		{"blank inside a name", with("h", "From:Mess age"), ErrSyntax},
		{"as many names as allowed", with("h", "From"+strings.Repeat(":a", maxSignedNames-1)), nil},
		{"too many names", with("h", "From"+strings.Repeat(":a", maxSignedNames)), ErrSyntax},

		{"t= with a sign", with("t", "+5"), ErrSyntax},
		{"t= negative", with("t", "-5"), ErrSyntax},
		{"t= empty", with("t", ""), ErrSyntax},
		{"t= in hexadecimal", with("t", "0x5"), ErrSyntax},
		{"t= of 12 digits", with("t", "999999999999"), nil},
		{"t= of 13 digits", with("t", "1000000000000"), ErrSyntax},
		{"x= before t=", with("t", "6") + "; x=5", ErrSyntax},
		{"x= equal t=", with("t", "6") + "; x=6", ErrSyntax},
		{"x= after t=", with("t", "6") + "; x=7", nil},
		{"x= with a sign", with("x", "+5"), ErrSyntax},

		{"l= of 76 digits", with("l", strings.Repeat("9", 76)), nil},
		{"l= of 77 digits", with("l", strings.Repeat("9", 77)), ErrSyntax},
		{"l= negative", with("l", "-1"), ErrSyntax},

		{"b= not base64", with("b", "a*b="), ErrSyntax},
		{"b= in the URL alphabet", with("b", "ab_-"), ErrSyntax},
		{"b= folded", with("b", "YW\r\n\tJj"), nil},
		{"bh= of SHA-1", with("bh", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="), ErrSyntax},
		{"bh= not base64", with("bh", "!"), ErrSyntax},
		{"z= is ignored", with("z", "From:=GG|x"), nil},
		{"unknown tag", with("foo", "bar"), nil},
		{"z= with b= inside", with("z", "Subject:web b =1"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseSignature(tt.value)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v; want %v", err, tt.want)
			}
			if s == nil {
				t.Fatal("no signature beside the error")
			}
		})
	}
}

// What could be read is there together with an error, and a name that is none is not.
func TestParseSignatureNamesItself(t *testing.T) {
	s, err := parseSignature(with("a", "foo"))
	if err == nil || s.Domain != "example.com" || s.Selector != "s1" || s.Text != "YWJj" {
		t.Errorf("unknown algorithm: %+v, %v", s, err)
	}
	s, err = parseSignature(with("d", "a(b.example"))
	if err == nil || s.Domain != "" || s.AUID != "" || s.Selector != "s1" {
		t.Errorf("bad domain: %+v, %v", s, err)
	}
	s, err = parseSignature(sampleValue + "; broken")
	if err == nil || s.Domain != "example.com" {
		t.Errorf("tags before the broken one: %+v, %v", s, err)
	}
	s, err = parseSignature(with("l", "99999999999999999999"))
	if err != nil || s.BodyLength != math.MaxInt64 {
		t.Errorf("l= beyond int64: %d, %v", s.BodyLength, err)
	}
}

func TestUnsigned(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"last", " v=1; b=abc", " v=1; b="},
		{"middle", " v=1; b=abc; d=x", " v=1; b=; d=x"},
		{"white space around", " v=1; b = \r\n a b \r\n c ; d=x", " v=1; b =; d=x"},
		{"white space to the end", " v=1; b=abc\r\n ", " v=1; b="},
		{"bh before", " bh=xyz; b=abc", " bh=xyz; b="},
		{"z= with b=", " z=Subject:b=c; b=abc; x=1", " z=Subject:b=c; b=; x=1"},
		{"z= with b before a blank", " b=abc; z=Subject:web b =c", " b=; z=Subject:web b =c"},
		{"tag ending in b", " fob=1; b=abc", " fob=1; b="},
		{"already empty", " b=; v=1", " b=; v=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := parseSignature(tt.value)
			if got := s.unsigned(Field{Name: "DKIM-Signature", Value: tt.value}).Value; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A signature without error is complete, and b= is found where it stands.
func FuzzSignature(f *testing.F) {
	f.Add(sampleValue)
	f.Add(with("i", "=40example.com"))
	f.Add(with("z", "b=c|b = d"))
	f.Add(with("l", "18446744073709551616"))
	f.Add(with("d", "b\u00fccher.example"))
	f.Fuzz(func(t *testing.T, value string) {
		s, err := parseSignature(value)
		rest := s.unsigned(Field{Value: value}).Value
		if removed := value[s.dataStart:s.dataEnd]; stripFWS(removed) != s.Text || len(rest)+len(removed) != len(value) {
			t.Fatalf("%q: removed %q, b= is %q", value, removed, s.Text)
		}
		if s.Domain != "" && !strings.Contains(s.AUID, "@") {
			t.Fatalf("%q: AUID %q", value, s.AUID)
		}
		if strings.ContainsAny(s.Domain+s.Selector, "\r\n\x00 \t;()\"") || strings.ContainsAny(s.AUID, "\r\n\x00") {
			t.Fatalf("%q: names %q %q %q", value, s.Domain, s.Selector, s.AUID)
		}
		if err != nil {
			return
		}
		if s.keyName == "" || len(s.keyName) > maxNameBytes || len(s.Headers) == 0 || len(s.BodyHash) != 32 || s.BodyLength < -1 {
			t.Fatalf("%q: incomplete: %+v", value, s)
		}
		if _, err := parseSignature(rest); !errors.Is(err, ErrMissingTag) {
			t.Fatalf("%q: without its b= it is %q, error %v", value, rest, err)
		}
	})
}
