package milter

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/proof"
	"github.com/postseal/postseal/milter/resolver"
)

// newKey makes a private key in the inline form of a key table, and its record.
func newKey(t testing.TB, kind string) (inline, record string) {
	t.Helper()
	key, err := keys.Generate(kind, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der), keys.RecordText(key.Public())
}

// testEnvironment has a cache of its own and no DNS but records.
func testEnvironment(records *resolver.Records) Environment {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	return Environment{Keys: keys.NewCache(100, proof.Prove, log), Log: log, Resolver: records}
}

// loadText loads the TOML text of a configuration.
func loadText(t testing.TB, text string, records *resolver.Records) *Snapshot {
	t.Helper()
	cfg, err := config.Parse([]byte(text), "test.toml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(cfg, testEnvironment(records))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecide(t *testing.T) {
	inline, _ := newKey(t, "ed25519")
	tables := fmt.Sprintf(`
key_table = ["k=example.com:s1:%[1]s", "k2=example.com:s2:%[1]s", "own=%%:s3:%[1]s"]
signing_table = ["example.com=k", ".sub.example.com=k2", "list@lists.example=k", "bücher.example=own"]
`, inline)
	const stranger, here = "192.0.2.1", "127.0.0.1"
	for _, row := range []struct {
		name     string
		settings string
		from     []string // nil: user@example.com
		header   string   // further fields, a line each
		addr     string
		host     string
		macros   map[string]string
		mailFrom string
		rcpt     string
		mode     string
		want     Verdict
		selector string
		codes    []Code
		warn     bool
	}{
		{name: "this machine signs", addr: here, want: Sign, selector: "s1", codes: []Code{ReasonInternal, ReasonRow}},
		{name: "IPv6 loopback signs", addr: "::1", want: Sign, selector: "s1", codes: []Code{ReasonInternal, ReasonRow}},
		{name: "mapped IPv4 loopback signs", addr: "::ffff:127.0.0.1", want: Sign, selector: "s1", codes: []Code{ReasonInternal, ReasonRow}},
		{name: "no address is local submission", want: Sign, selector: "s1", codes: []Code{ReasonInternal, ReasonRow}},
		{name: "login signs", addr: stranger, macros: map[string]string{"auth_type": "PLAIN", "auth_authen": "user"},
			want: Sign, selector: "s1", codes: []Code{ReasonAuthenticated, ReasonRow}},
		{name: "empty login type is none", addr: stranger, macros: map[string]string{"auth_type": "", "auth_authen": "user"},
			want: Verify, codes: []Code{ReasonNotInternal, ReasonNotAuthentic, ReasonStranger}, warn: true},
		{name: "a stranger with our From is verified, with a warning", addr: stranger,
			want: Verify, codes: []Code{ReasonNotInternal, ReasonNotAuthentic, ReasonStranger}, warn: true},
		{name: "a stranger whose host is ignored", settings: `external_ignore_list = ["192.0.2.0/24"]`, addr: stranger,
			want: Verify, codes: []Code{ReasonNotInternal, ReasonNotAuthentic}},
		{name: "a stranger with a foreign From", addr: stranger, from: []string{"a@elsewhere.example"},
			want: Verify, codes: []Code{ReasonNotInternal, ReasonNotAuthentic}},
		{name: "internal network", settings: `internal_hosts = ["192.0.2.0/24"]`, addr: stranger, want: Sign, selector: "s1",
			codes: []Code{ReasonInternal, ReasonRow}},
		{name: "internal network with an exception", settings: `internal_hosts = ["192.0.2.0/24", "!192.0.2.1"]`, addr: stranger,
			want: Verify, codes: []Code{ReasonNotInternal, ReasonNotAuthentic, ReasonStranger}, warn: true},
		{name: "internal by name", settings: `internal_hosts = [".corp.example"]`, addr: stranger, host: "pc.corp.example",
			want: Sign, selector: "s1", codes: []Code{ReasonInternal, ReasonRow}},
		{name: "own list replaces loopback", settings: `internal_hosts = ["192.0.2.1"]`, addr: here,
			want: Verify, codes: []Code{ReasonNotInternal, ReasonNotAuthentic, ReasonStranger}, warn: true},
		{name: "subdomain row", addr: here, from: []string{"u@a.sub.example.com"}, want: Sign, selector: "s2",
			codes: []Code{ReasonInternal, ReasonRow}},
		{name: "no row: verified, and said", addr: here, from: []string{"u@other.example"}, want: Verify,
			codes: []Code{ReasonInternal, ReasonNoRow}},
		{name: "no row, mode s", addr: here, mode: "s", from: []string{"u@other.example"}, want: Pass,
			codes: []Code{ReasonInternal, ReasonNoRow, ReasonModeNoVerify}},
		{name: "mode v does not sign", addr: here, mode: "v", want: Pass, codes: []Code{ReasonInternal, ReasonRow, ReasonModeNoSign}},
		{name: "mode s does not verify", addr: stranger, mode: "s", from: []string{"a@elsewhere.example"}, want: Pass,
			codes: []Code{ReasonNotInternal, ReasonNotAuthentic, ReasonModeNoVerify}},
		{name: "daemon_name", settings: `mta = ["ORIGINATING"]`, addr: stranger, macros: map[string]string{"daemon_name": "ORIGINATING"},
			want: Sign, selector: "s1", codes: []Code{ReasonMTAMatch, ReasonRow}},
		{name: "daemon_name in another case", settings: `mta = ["ORIGINATING"]`, addr: stranger, macros: map[string]string{"daemon_name": "originating"},
			want: Verify, codes: []Code{ReasonNoMTAMatch, ReasonNotInternal, ReasonNotAuthentic, ReasonStranger}, warn: true},
		{name: "macro with a value", settings: `macro_list = ["daemon_name=A|B"]`, addr: stranger, macros: map[string]string{"daemon_name": "B"},
			want: Sign, selector: "s1", codes: []Code{ReasonMacroMatch, ReasonRow}},
		{name: "macro with any value, in braces", settings: `macro_list = ["{verify}"]`, addr: stranger, macros: map[string]string{"verify": "OK"},
			want: Sign, selector: "s1", codes: []Code{ReasonMacroMatch, ReasonRow}},
		{name: "one macro fits, a later one does not", settings: `macro_list = ["daemon_name=A", "verify=OK"]`, addr: stranger,
			macros: map[string]string{"daemon_name": "A", "verify": "NO"}, want: Sign, selector: "s1", codes: []Code{ReasonMacroMatch, ReasonRow}},
		{name: "no macro fits", settings: `macro_list = ["verify=OK"]`, addr: stranger, macros: map[string]string{"verify": "NO"},
			want: Verify, codes: []Code{ReasonNoMacroMatch, ReasonNotInternal, ReasonNotAuthentic, ReasonStranger}, warn: true},
		{name: "exempt domain", settings: `exempt_domains = ["example.com"]`, addr: stranger, want: Pass, codes: []Code{ReasonExemptDomain}},
		{name: "recipient that is not signed for", settings: `dont_sign_mail_to = ["list@lists.example"]`, addr: here, rcpt: "List@lists.example",
			want: Pass, codes: []Code{ReasonInternal, ReasonRow, ReasonRecipient}},
		{name: "no From", addr: here, from: []string{}, want: BadFrom, codes: []Code{ReasonInternal, ReasonNoFrom}, warn: true},
		{name: "two From", addr: here, from: []string{"a@example.com", "b@example.com"}, want: BadFrom,
			codes: []Code{ReasonInternal, ReasonManyFrom}, warn: true},
		{name: "two From of a stranger", addr: stranger, from: []string{"a@example.com", "b@example.com"}, want: BadFrom,
			codes: []Code{ReasonNotInternal, ReasonNotAuthentic, ReasonManyFrom}},
		{name: "two From of a stranger, mode s", addr: stranger, mode: "s", from: []string{"a@example.com", "b@example.com"}, want: Pass,
			codes: []Code{ReasonNotInternal, ReasonNotAuthentic, ReasonManyFrom}},
		{name: "From that cannot be read", addr: here, from: []string{`"a <b@example.com>`}, want: BadFrom,
			codes: []Code{ReasonInternal, ReasonBadFrom}, warn: true},
		{name: "From without an address", addr: here, from: []string{"Undisclosed"}, want: BadFrom,
			codes: []Code{ReasonInternal, ReasonBadFrom}, warn: true},
		{name: "a local name beside the author", addr: here, from: []string{"user@example.com, Cron <root>"}, want: Sign, selector: "s1",
			codes: []Code{ReasonLocalAuthor, ReasonInternal, ReasonRow}},
		{name: "a comma in a name without quotes", addr: here, from: []string{"User, A <user@example.com>"}, want: Sign, selector: "s1",
			codes: []Code{ReasonLocalAuthor, ReasonInternal, ReasonRow}},
		{name: "a local name alone", addr: here, from: []string{"root"}, want: BadFrom, codes: []Code{ReasonInternal, ReasonBadFrom}, warn: true},
		{name: "a group without members", addr: here, from: []string{"undisclosed:;"}, want: BadFrom, codes: []Code{ReasonInternal, ReasonBadFrom}, warn: true},
		{name: "a group", addr: here, from: []string{"All: user@example.com, a@elsewhere.example;"}, want: Sign, selector: "s1",
			codes: []Code{ReasonInternal, ReasonRow}},
		{name: "empty From", addr: here, from: []string{""}, want: BadFrom, codes: []Code{ReasonInternal, ReasonBadFrom}, warn: true},
		{name: "two From in odd case", addr: here, header: "FROM : b@example.com", want: BadFrom, codes: []Code{ReasonInternal, ReasonManyFrom}, warn: true},
		{name: "Resent-From says nothing of the author", addr: here, from: []string{"a@elsewhere.example"}, header: "Resent-From: user@example.com",
			want: Verify, codes: []Code{ReasonInternal, ReasonNoRow}},
		{name: "exempt author among two From fields", settings: `exempt_domains = ["example.com"]`, addr: here,
			from: []string{"a@example.com", "b@other.example"}, want: BadFrom, codes: []Code{ReasonInternal, ReasonManyFrom}, warn: true},
		{name: "sender header wins", settings: `sender_headers = ["List-Post", "From"]`, addr: here, from: []string{"a@elsewhere.example"},
			header: "List-Post: <mailto:list@lists.example>", want: Sign, selector: "s1", codes: []Code{ReasonInternal, ReasonRow}},
		{name: "sender header that cannot be read", settings: `sender_headers = ["List-Post", "From"]`, addr: here,
			header: "List-Post: NO", want: Sign, selector: "s1", codes: []Code{ReasonSenderUnread, ReasonInternal, ReasonRow}},
		{name: "U-label author", addr: here, from: []string{"u@bücher.example"}, want: Sign, selector: "s3", codes: []Code{ReasonInternal, ReasonRow}},
		{name: "A-label author", addr: here, from: []string{"u@xn--bcher-kva.example"}, want: Sign, selector: "s3", codes: []Code{ReasonInternal, ReasonRow}},
		{name: "author is the login", settings: `author_must_match = ["login"]`, addr: stranger,
			macros: map[string]string{"auth_type": "PLAIN", "auth_authen": "User@Example.com"}, want: Sign, selector: "s1",
			codes: []Code{ReasonAuthenticated, ReasonRow}},
		{name: "author is another login", settings: `author_must_match = ["login"]`, addr: stranger,
			macros: map[string]string{"auth_type": "PLAIN", "auth_authen": "other@example.com"}, want: Verify,
			codes: []Code{ReasonAuthenticated, ReasonRow, ReasonAuthorMismatch}, warn: true},
		{name: "a login without a domain is nobody's author", settings: `author_must_match = ["login"]`, addr: stranger,
			macros: map[string]string{"auth_type": "PLAIN", "auth_authen": "user"}, want: Verify,
			codes: []Code{ReasonAuthenticated, ReasonRow, ReasonAuthorMismatch}, warn: true},
		{name: "author is the envelope sender", settings: `author_must_match = ["login", "envelope"]`, addr: here, mailFrom: "user@example.com",
			want: Sign, selector: "s1", codes: []Code{ReasonInternal, ReasonRow}},
		{name: "one of two authors is the login", settings: `author_must_match = ["login"]`, addr: stranger,
			from:   []string{"user@example.com, ceo@example.com"},
			macros: map[string]string{"auth_type": "PLAIN", "auth_authen": "user@example.com"}, want: Verify,
			codes: []Code{ReasonAuthenticated, ReasonRow, ReasonAuthorMismatch}, warn: true},
		{name: "author in U-labels is the login in A-labels", settings: `author_must_match = ["login"]`, addr: stranger, from: []string{"u@bücher.example"},
			macros: map[string]string{"auth_type": "PLAIN", "auth_authen": "U@xn--bcher-kva.example"}, want: Sign, selector: "s3",
			codes: []Code{ReasonAuthenticated, ReasonRow}},
		{name: "a Kelvin sign is no k", settings: `author_must_match = ["login"]`, addr: stranger, from: []string{"\u212aim@example.com"},
			macros: map[string]string{"auth_type": "PLAIN", "auth_authen": "kim@example.com"}, want: Verify,
			codes: []Code{ReasonAuthenticated, ReasonRow, ReasonAuthorMismatch}, warn: true},
		{name: "author of a bounce", settings: `author_must_match = ["envelope"]`, addr: here, mailFrom: "", want: Verify,
			codes: []Code{ReasonInternal, ReasonRow, ReasonAuthorMismatch}, warn: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := loadText(t, row.settings+tables, resolver.NewRecords(nil))
			f := Facts{Host: row.host, MailFrom: row.mailFrom, Macro: func(name string) (string, bool) { v, ok := row.macros[name]; return v, ok }}
			if row.addr != "" {
				f.Addr = netip.MustParseAddr(row.addr).Unmap()
			}
			if row.rcpt != "" {
				f.Recipients = []string{"first@elsewhere.example", row.rcpt}
			}
			from := row.from
			if from == nil {
				from = []string{"A User <user@example.com>"}
			}
			for _, v := range from {
				f.Fields = append(f.Fields, dkim.Field{Name: "From", Value: " " + v})
			}
			if name, value, ok := strings.Cut(row.header, ":"); ok {
				f.Fields = append(f.Fields, dkim.Field{Name: name, Value: value})
			}
			if err := f.Mode.UnmarshalText([]byte(row.mode + map[bool]string{true: "sv"}[row.mode == ""])); err != nil {
				t.Fatal(err)
			}
			d := s.Decide(f)
			var codes []Code
			for _, r := range d.Reasons {
				codes = append(codes, r.Code)
				if w := r.String(); w == "" || strings.Contains(w, "%!") {
					t.Errorf("reason %q has the words %q", r.Code, w)
				}
			}
			if d.Verdict != row.want || !slices.Equal(codes, row.codes) || d.Warn != row.warn {
				t.Errorf("got %s %v warn=%v, want %s %v warn=%v", d.Verdict, codes, d.Warn, row.want, row.codes, row.warn)
			}
			var selectors []string
			for _, r := range d.Requests {
				selectors = append(selectors, r.Selector)
			}
			if got := strings.Join(selectors, " "); got != row.selector {
				t.Errorf("signs with %q, want %q", got, row.selector)
			}
		})
	}
}

// Every code has words with as many places as its uses have arguments; codes
// without words would print nothing.
func TestReasonWords(t *testing.T) {
	for code, words := range reasonWords {
		args := make([]string, strings.Count(words, "%s"))
		if got := because(code, args...).String(); strings.Contains(got, "%!") || got == "" {
			t.Errorf("%s: %q", code, got)
		}
	}
	hostile := because(ReasonNoRow, "a\r\nb\x1b[2J").String()
	if strings.ContainsAny(hostile, "\r\n\x1b") {
		t.Errorf("text from mail stands raw in %q", hostile)
	}
}

// A listener may have a mode of its own.
func TestModeOfListener(t *testing.T) {
	const in, out, other = "inet:8891@127.0.0.1", "inet:8892@127.0.0.1", "inet:8893@127.0.0.1"
	inline, _ := newKey(t, "ed25519")
	keys := fmt.Sprintf("key_table = [\"k=example.com:s:%s\"]\nsigning_table = [\"example.com=k\"]\n", inline)
	s := loadText(t, keys+fmt.Sprintf("mode = \"sv\"\nsocket = %q\n[[listener]]\nsocket = %q\nmode = \"v\"\n[[listener]]\nsocket = %q\nmode = \"s\"\n",
		other, in, out), resolver.NewRecords(nil))
	for socket, want := range map[string]config.Mode{
		in: {Verify: true}, out: {Sign: true}, other: {Sign: true, Verify: true},
	} {
		if got := s.mode(socket); got != want {
			t.Errorf("%s: %+v, want %+v", socket, got, want)
		}
	}
}
