package resolver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

func TestParseRecords(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string][]string
		err        string
	}{
		{"empty", "", nil, ""},
		{"comments and blank lines", "# x\n\n  \t\n  # y\n", nil, ""},
		{"plain", "a.example v=DKIM1; k=rsa; p=AA==\n", map[string][]string{"a.example": {"v=DKIM1; k=rsa; p=AA=="}}, ""},
		{"hash and semicolon in a value", "a x # y; z", map[string][]string{"a": {"x # y; z"}}, ""},
		{"CRLF and blanks", "  A.Example. \t x y \r\n", map[string][]string{"a.example": {"x y"}}, ""},
		{"several lines", "a one\nb two\nA. three", map[string][]string{"a": {"one", "three"}, "b": {"two"}}, ""},
		{"quoted strings", `a "v=DKIM1; " "p=\"\\\065"`, map[string][]string{"a": {`v=DKIM1; p="\A`}}, ""},
		{"empty string", `a ""`, map[string][]string{"a": {""}}, ""},
		{"TXT as a type", "a TXT \t\"x \" \"y\"\nb. TXT v=spf1 -all\nc TXT\nd txt e", map[string][]string{"a": {"x y"}, "b": {"v=spf1 -all"}, "c": {"TXT"}, "d": {"txt e"}}, ""},
		{"no value", "a one\nb\n", nil, `line 2: "b" has no value`},
		{"bad name", "a..b x", nil, `line 1: "a..b" is no name`},
		{"open quotation", "\n\na \"x\\\"", nil, "line 3: a quotation mark is not closed"},
		{"text after quotation", `a "x" y`, nil, `line 1: "y" stands outside`},
		{"line too long", "a " + strings.Repeat("x", maxRecordLine), nil, "line 1: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseRecords(strings.NewReader(tt.text))
			if (err != nil) != (tt.err != "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(tt.want, r.txt); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecordsLookup(t *testing.T) {
	trouble := errors.New("SERVFAIL")
	r := NewRecords(map[string][]string{"S.Example.COM.": {"one", "two"}, "not a name": {"x"}})
	r.Fail("Broken.example.", trouble)
	for _, name := range []string{"s.example.com", "S.EXAMPLE.com."} {
		txt, authentic, err := r.LookupTXT(t.Context(), name)
		if diff := cmp.Diff([]string{"one", "two"}, txt); diff != "" || err != nil || authentic {
			t.Errorf("%s: %q, %t, %v", name, txt, authentic, err)
		}
	}
	for _, name := range []string{"other.example.com", "not a name", ""} {
		if txt, _, err := r.LookupTXT(t.Context(), name); txt != nil || err != nil {
			t.Errorf("%q: %q, %v", name, txt, err)
		}
	}
	if _, _, err := r.LookupTXT(t.Context(), "broken.example"); !errors.Is(err, trouble) {
		t.Errorf("got %v", err)
	}
	var zero Records
	if txt, _, err := zero.LookupTXT(t.Context(), "a"); txt != nil || err != nil {
		t.Errorf("zero value: %q, %v", txt, err)
	}
}

func TestRecordsAsZone(t *testing.T) {
	r := NewRecords(map[string][]string{"a.example": {"x"}})
	r.Fail("b.example", errors.New("down"))
	s := serve(t, r.Answer)
	c := client(t, Options{Nameservers: []string{s.Addr()}})
	if txt, _, err := c.LookupTXT(t.Context(), "A.example"); err != nil || len(txt) != 1 {
		t.Errorf("a: %q, %v", txt, err)
	}
	if _, _, err := c.LookupTXT(t.Context(), "b.example"); err == nil {
		t.Error("b: no error")
	}
	if txt, _, err := c.LookupTXT(t.Context(), "c.example"); err != nil || txt != nil {
		t.Errorf("c: %q, %v", txt, err)
	}
}

func TestNameservers(t *testing.T) {
	tests := []struct {
		in, want string // want "" is an error
	}{
		{"127.0.0.1", "127.0.0.1:53"},
		{"127.0.0.1:5353", "127.0.0.1:5353"},
		{"::1", "[::1]:53"},
		{"[::1]", "[::1]:53"},
		{"[::1]:5353", "[::1]:5353"},
		{"fe80::1%eth0", "[fe80::1%eth0]:53"},
		{"localhost", ""},
		{"[::1", ""},
		{"127.0.0.1:0", ""},
		{"127.0.0.1:70000", ""},
		{"", ""},
	}
	for _, tt := range tests {
		got, err := parseNameserver(tt.in)
		if (err != nil) != (tt.want == "") || err == nil && got.String() != tt.want {
			t.Errorf("%q: %v, %v; want %q", tt.in, got, err, tt.want)
		}
	}
	if _, err := New(Options{Nameservers: make([]string, MaxNameservers+1)}); err == nil {
		t.Error("too many nameservers are accepted")
	}
}

func TestSystemNameservers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	check := func(want string) {
		t.Helper()
		servers, err := systemNameservers(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&Client{servers: servers}).serverNames(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	check("127.0.0.1:53") // no file
	if err := os.WriteFile(path, []byte("search example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("127.0.0.1:53")
	if err := os.WriteFile(path, []byte("# x\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("192.0.2.1:53, [2001:db8::1]:53")
}

func TestServeRefusesOtherAddresses(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:0", "localhost:0", ":0", ""} {
		if s, err := Serve(addr, nil); err == nil {
			s.Close()
			t.Errorf("%q is accepted", addr)
		}
	}
}

func TestServePanicAndClose(t *testing.T) {
	s := serve(t, func(name string) Answer {
		if name == "slow.example" {
			return Answer{Delay: time.Hour}
		}
		panic("handler")
	})
	c := client(t, Options{Nameservers: []string{s.Addr()}})
	if _, _, err := c.LookupTXT(t.Context(), key); err == nil || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("got %v", err)
	}
	c.timeout = 50 * time.Millisecond
	if _, _, err := c.LookupTXT(t.Context(), "slow.example"); err == nil {
		t.Error("no error from a slow server")
	}
	if err := s.Close(); err != nil { // returns although an answer is still to come
		t.Error(err)
	}
}

func FuzzParseRecords(f *testing.F) {
	for _, seed := range []string{"a b", "# c\na \"x\" \"y\"", "a \"\\", "a..b c", "a\tb\r\n", typedZone, "a CNAME a", "A AAAA ::1", "a\\.b MX 1 \"x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecords(strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("error without a line: %v", err)
			}
			return
		}
		for name := range r.typed {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeNS, dns.TypePTR, dns.TypeCNAME, dns.TypeSOA, dns.TypeTXT} {
				reply, err := r.Ask(t.Context(), plain(name), qtype)
				if err != nil && !errors.Is(err, errChain) || err == nil && !reply.Exists {
					t.Errorf("%q %s: %+v, %v", name, dns.Type(qtype), reply, err)
				}
				for _, rr := range reply.Records {
					if _, err := dns.PackRR(rr, make([]byte, 1<<20), 0, nil, false); err != nil || rr.Header().Rrtype != qtype {
						t.Errorf("%q %s: %s: %v", name, dns.Type(qtype), rr, err)
					}
				}
			}
		}
		for name, want := range r.txt {
			if _, chain, err := r.follow(name); err != nil || len(chain) > 0 {
				continue // a CNAME goes before
			}
			got, _, err := r.LookupTXT(t.Context(), strings.ToUpper(name)+".")
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%q is not found again: %v %s", name, err, diff)
			}
		}
	})
}

// plain is a name in which each octet stands for itself.
func plain(escaped string) string {
	var b strings.Builder
	unescape(&b, escaped)
	return b.String()
}

func FuzzEscape(f *testing.F) {
	f.Add(`a\b"c`)
	f.Add("\x00\xff\\065")
	f.Fuzz(func(t *testing.T, s string) {
		if got := joinStrings(splitStrings(s)); got != s {
			t.Errorf("%q came back as %q", s, got)
		}
	})
}

// Files for OpenDKIM hold records of other kinds too, which nobody asks for.
func TestParseRecordsLeavesOddNamesOut(t *testing.T) {
	r, err := ParseRecords(strings.NewReader("AB==._atps.example.net v=ATPS1\ns1._domainkey.example.com p=x\n"))
	if err != nil {
		t.Fatal(err)
	}
	if txt, _, err := r.LookupTXT(t.Context(), "s1._domainkey.example.com"); err != nil || len(txt) != 1 {
		t.Errorf("%q, %v", txt, err)
	}
	if len(r.txt) != 1 {
		t.Errorf("%d names", len(r.txt))
	}
}
