package published

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/milter/resolver"
)

const name = "mail2026._domainkey.example.com"

// rsaKey is a public key of that size; nobody signs with it.
func rsaKey(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits)-1)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(12345)), E: 65537}
}

func ed25519Key() ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
}

// data is p= for a key, in the form that everybody publishes.
func data(t *testing.T, pub crypto.PublicKey) string {
	t.Helper()
	if key, ok := pub.(ed25519.PublicKey); ok {
		return base64.StdEncoding.EncodeToString(key)
	}
	return base64.StdEncoding.EncodeToString(pkix(t, pub))
}

func pkix(t *testing.T, pub crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func zone(t *testing.T, records map[string][]string) *resolver.Records {
	t.Helper()
	return resolver.NewRecords(records)
}

func codes(r *Report) []Code {
	var list []Code
	for _, f := range r.Findings {
		list = append(list, f.Code)
	}
	return list
}

// hasWords fails the test for findings that do not say what is wrong, what that
// causes and what to do, in sentences.
func hasWords(t *testing.T, r *Report) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Level != Problem && f.Level != Warning && f.Level != Note {
			t.Errorf("%s: level %q", f.Code, f.Level)
		}
		for _, s := range []string{f.Text, f.Effect, f.Fix} {
			if len(s) < 8 || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
				t.Errorf("%s: %q is no sentence for people", f.Code, s)
			}
		}
	}
}

func TestOneRecord(t *testing.T) {
	rsa2048, ed := rsaKey(2048), ed25519Key()
	p, pEd := data(t, rsa2048), data(t, ed)
	private := base64.StdEncoding.EncodeToString(privateDER(t))
	for _, tt := range []struct {
		name   string
		record string
		pub    crypto.PublicKey
		want   []Code
		usable bool
		same   bool
	}{
		{"RSA", "v=DKIM1; k=rsa; p=" + p, rsa2048, nil, true, true},
		{"Ed25519", "v=DKIM1; k=ed25519; p=" + pEd, ed, nil, true, true},
		{"nothing to compare with", "v=DKIM1; p=" + p, nil, nil, true, false},
		{"h and s that allow mail", "v=DKIM1; h=sha1:sha256; s=email; p=" + p, rsa2048, nil, true, true},
		{"any service", "v=DKIM1; s=*; n=fünf; p=" + p, rsa2048, nil, true, true},

		{"another RSA key", "v=DKIM1; p=" + data(t, rsaKey(2056)), rsa2048, []Code{OtherKey}, false, false},
		{"RSA published, Ed25519 signs", "v=DKIM1; k=rsa; p=" + p, ed, []Code{OtherType}, false, false},
		{"Ed25519 published, RSA signs", "v=DKIM1; k=ed25519; p=" + pEd, rsa2048, []Code{OtherType}, false, false},
		{"key of no use for DKIM", "v=DKIM1; p=" + p, "no key", []Code{OtherType}, false, false},
		{"revoked", "v=DKIM1; k=rsa; p=", rsa2048, []Code{Revoked}, false, false},
		{"revoked, final semicolon", "v=DKIM1; p=;", nil, []Code{Revoked}, false, false},

		{"no version", "k=rsa; p=" + p, rsa2048, []Code{NoVersion}, true, true},
		{"version in small letters", "v=dkim1; p=" + p, rsa2048, []Code{Version}, false, false},
		{"version not first", "k=rsa; v=DKIM1; p=" + p, rsa2048, []Code{Version}, false, false},
		{"semicolon missing after v", "v=DKIM1 k=rsa; p=" + p, rsa2048, []Code{NoSemicolon}, false, false},
		{"semicolon missing after k", "v=DKIM1; k=rsa p=" + p, rsa2048, []Code{NoSemicolon}, false, false},
		{"unknown k", "v=DKIM1; k=dsa; p=" + p, rsa2048, []Code{UnknownType}, false, false},
		{"tag twice", "v=DKIM1; p=" + p + "; p=" + p, rsa2048, []Code{Syntax}, false, false},
		{"part without =", "v=DKIM1; rsa; p=" + p, rsa2048, []Code{Syntax}, false, false},

		{"quotation marks", `"v=DKIM1; p=` + p[:200] + `" "` + p[200:] + `"`, rsa2048, []Code{Quotes}, false, false},
		{"backslashes", `v=DKIM1\; k=rsa\; p=` + p, rsa2048, []Code{Backslashes}, false, false},
		{"no-break space", "v=DKIM1;\u00a0k=rsa; p=" + p, rsa2048, []Code{NotASCII}, false, false},

		{"no p", "v=DKIM1; k=rsa", rsa2048, []Code{NoKeyData}, false, false},
		{"PEM", "v=DKIM1; p=-----BEGIN PUBLIC KEY-----" + p + "-----END PUBLIC KEY-----", rsa2048, []Code{PEM}, false, false},
		{"PEM without hyphens", "v=DKIM1; p=BEGIN PUBLIC KEY " + p, rsa2048, []Code{PEM}, false, false},
		{"private PEM", "v=DKIM1; p=-----BEGIN PRIVATE KEY-----" + private, rsa2048, []Code{PrivateKey}, false, false},
		{"private DER", "v=DKIM1; p=" + private, rsa2048, []Code{PrivateKey}, false, false},
		{"cut in base64", "v=DKIM1; p=" + p[:201], rsa2048, []Code{Truncated}, false, false},
		{"cut between groups", "v=DKIM1; p=" + p[:200], rsa2048, []Code{Truncated}, false, false},
		{"character outside base64", "v=DKIM1; p=" + p[:100] + "*" + p[101:], rsa2048, []Code{KeyData}, false, false},
		{"k missing for Ed25519", "v=DKIM1; p=" + pEd, ed, []Code{KeyData}, false, false},
		{"k=ed25519 with RSA", "v=DKIM1; k=ed25519; p=" + p, rsa2048, []Code{KeyData}, false, false},
		{"no key", "v=DKIM1; p=aGVsbG8=", rsa2048, []Code{KeyData}, false, false},
		{"blanks in p", "v=DKIM1; p=" + p[:200] + " " + p[200:], rsa2048, []Code{KeySpaces}, true, true},
		{"bare RSA", "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(rsa2048)), rsa2048, []Code{KeyForm}, true, true},
		{"wrapped Ed25519", "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pkix(t, ed)), ed, []Code{KeyForm}, false, false},
		{"wrapped Ed25519 without its type", "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(pkix(t, ed)), ed, []Code{KeyForm}, false, false},

		{"768 bits", "v=DKIM1; p=" + data(t, rsaKey(768)), nil, []Code{ShortKey}, false, false},
		{"1024 bits", "v=DKIM1; p=" + data(t, rsaKey(1024)), rsaKey(1024), []Code{ShortKey}, true, true},
		{"8192 bits", "v=DKIM1; p=" + data(t, rsaKey(8192)), rsaKey(8192), []Code{LongKey}, true, true},
		{"h without sha256", "v=DKIM1; h=sha1; p=" + p, rsa2048, []Code{NoSHA256}, false, true},
		{"s without email", "v=DKIM1; s=tlsrpt; p=" + p, rsa2048, []Code{NotForEmail}, false, true},
		{"t=y", "v=DKIM1; t=y; p=" + p, rsa2048, []Code{Testing}, true, true},
		{"t=s", "v=DKIM1; t=s; p=" + p, rsa2048, []Code{Strict}, true, true},
		{"several at once", "t=y:s; h=sha1; p=" + data(t, rsaKey(1024)), rsa2048, []Code{NoVersion, OtherKey, ShortKey, NoSHA256, Testing, Strict}, false, false},

		{"an SPF policy", "v=spf1 -all", rsa2048, []Code{NotAKey}, false, false},
		{"a DMARC policy", "v=DMARC1; p=reject", rsa2048, []Code{NotAKey}, false, false},
		{"an empty text", "", rsa2048, []Code{NotAKey}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Check(context.Background(), zone(t, map[string][]string{name: {tt.record}}), "example.com", "mail2026", tt.pub)
			if diff := cmp.Diff(tt.want, codes(r)); diff != "" {
				t.Errorf("codes (-want +got):\n%s\n%+v", diff, r.Findings)
			}
			if r.Usable() != tt.usable || r.Same != tt.same {
				t.Errorf("Usable = %v, Same = %v; want %v, %v", r.Usable(), r.Same, tt.usable, tt.same)
			}
			hasWords(t, r)
		})
	}
}

func TestSeveralRecords(t *testing.T) {
	rsa2048, ed := rsaKey(2048), ed25519Key()
	p := data(t, rsa2048)
	good := "v=DKIM1; p=" + p
	for _, tt := range []struct {
		name    string
		records []string
		want    []Code
		same    bool
	}{
		{"two keys, ours second", []string{"v=DKIM1; k=ed25519; p=" + data(t, ed), good}, []Code{SeveralRecords}, true},
		{"two keys, neither ours", []string{"v=DKIM1; p=" + data(t, rsaKey(3072)), "v=DKIM1; p=" + data(t, rsaKey(4096))}, []Code{SeveralRecords, OtherKey}, false},
		{"key cut into two records", []string{"v=DKIM1; p=" + p[:200], p[200:]}, []Code{SplitRecord}, false},
		{"record cut between two tags", []string{"p=" + p, "v=DKIM1; k=rsa; "}, []Code{SplitRecord}, false},
		{"rest of the key first", []string{p[200:], "v=DKIM1; p=" + p[:200]}, []Code{SplitRecord}, false},
		{"another text beside it", []string{"v=spf1 -all", good}, []Code{OtherText}, true},
		{"only other texts", []string{"v=spf1 -all", "hello"}, []Code{NotAKey}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Check(context.Background(), zone(t, map[string][]string{name: tt.records}), "example.com", "mail2026", rsa2048)
			if diff := cmp.Diff(tt.want, codes(r)); diff != "" {
				t.Errorf("codes (-want +got):\n%s\n%+v", diff, r.Findings)
			}
			if r.Same != tt.same {
				t.Errorf("Same = %v", r.Same)
			}
			hasWords(t, r)
		})
	}
}

func TestNoRecord(t *testing.T) {
	good := []string{"v=DKIM1; p=" + data(t, rsaKey(2048))}
	broken := resolver.NewRecords(nil)
	broken.Fail(name, errors.New("SERVFAIL"))
	for _, tt := range []struct {
		name             string
		zone             *resolver.Records
		domain, selector string
		want             Code
		text             string
	}{
		{"none", zone(t, nil), "example.com", "mail2026", NoRecord, name},
		{"domain appended twice", zone(t, map[string][]string{name + ".example.com": good}), "example.com", "mail2026", Misplaced, name + ".example.com"},
		{"no _domainkey", zone(t, map[string][]string{"mail2026.example.com": good}), "example.com", "mail2026", Misplaced, "mail2026.example.com"},
		{"another text where it might be", zone(t, map[string][]string{"mail2026.example.com": {"v=spf1 -all"}}), "example.com", "mail2026", NoRecord, name},
		{"name server in trouble", broken, "example.com", "mail2026", LookupFailed, "SERVFAIL"},
		{"no domain", zone(t, nil), "", "mail2026", BadName, "empty"},
		{"domain with a control character", zone(t, nil), "exam\x1bple.com", "mail2026", BadName, `\x1b`},
		{"empty label", zone(t, nil), "example..com", "mail2026", BadName, "dots"},
		{"long selector", zone(t, nil), "example.com", strings.Repeat("s", 64), BadName, "63"},
		{"long name", zone(t, nil), "example.com", strings.Repeat("s.", 120) + "s", BadName, "octets"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Check(context.Background(), tt.zone, tt.domain, tt.selector, nil)
			if got := codes(r); len(got) != 1 || got[0] != tt.want || r.Usable() {
				t.Fatalf("codes = %v, Usable = %v; want %s and false", got, r.Usable(), tt.want)
			}
			if !strings.Contains(r.Findings[0].Text, tt.text) {
				t.Errorf("%q does not contain %q", r.Findings[0].Text, tt.text)
			}
			hasWords(t, r)
		})
	}
}

func TestAuthentic(t *testing.T) {
	records := zone(t, map[string][]string{name: {"v=DKIM1; p=" + data(t, rsaKey(2048))}})
	for _, want := range []bool{false, true} {
		if r := Check(context.Background(), vouching{records, want}, "example.com", "mail2026", nil); r.Authentic != want || !r.Usable() {
			t.Errorf("Authentic = %v, Usable = %v; want %v and true", r.Authentic, r.Usable(), want)
		}
	}
}

// vouching answers with the AD bit set or not.
type vouching struct {
	*resolver.Records
	authentic bool
}

func (v vouching) LookupTXT(ctx context.Context, name string) ([]string, bool, error) {
	txt, _, err := v.Records.LookupTXT(ctx, name)
	return txt, v.authentic, err
}

func privateDER(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestRecordName(t *testing.T) {
	for _, tt := range []struct{ selector, domain, want string }{
		{"mail2026", "example.com", name},
		{"Mail2026", "Example.COM.", name},
		{"a.b", "example.com", "a.b._domainkey.example.com"},
		{"under_score", "example.com", "under_score._domainkey.example.com"},
		{"post", "bücher.example", "post._domainkey.xn--bcher-kva.example"},
	} {
		if got, err := RecordName(tt.selector, tt.domain); got != tt.want || err != nil {
			t.Errorf("RecordName(%q, %q) = %q, %v; want %q", tt.selector, tt.domain, got, err, tt.want)
		}
	}
}

// FuzzCheck: no text makes a report that cannot be shown, and a record that the
// verifier could not read is never usable.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		"v=DKIM1; k=rsa; p=MIGf", `"v=DKIM1\; p="`, "p=;;=", "v=DKIM1; k=ed25519; p=" + strings.Repeat("A", 43) + "=", "\x1b[2J", "v=DKIM1;k= k=;p=MAAA", "p=----- PRIVATE",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, txt string) {
		r := Check(context.Background(), fixed(txt), "example.com", "mail2026", rsaKey(2048))
		if r.Usable() && (r.Key == nil || !r.Same) {
			t.Errorf("%q is called usable", txt)
		}
		hasWords(t, r)
	})
}

// fixed answers every question with one text, which DNS may not hold.
type fixed string

func (f fixed) LookupTXT(context.Context, string) ([]string, bool, error) {
	return []string{string(f)}, false, nil
}
