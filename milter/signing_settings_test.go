package milter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// What the settings of the signing side make of a message, and of its answer.
func TestSigningSettings(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(rules, []byte("@old\\.example\t@example.com\nX\tY\nab\tbbaa\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	many := slices.Repeat([]string{"other@x.example"}, 3000)
	many[1] = "L@x.example"
	both := append(slices.Clone(many), "never@x.example")
	endless := strings.Repeat("a", 300) + strings.Repeat("b", 300)
	for _, row := range []struct {
		name, settings string
		macros         []string
		header         []string // nil: plainHeader
		rcpt           []string
		signedHeader   []string // what the signature is over; nil: none is made
		want           []string // in the changes, or the text of the reply
		reason         Code
	}{
		{name: "one of many recipients gets l=", settings: `body_length_db = "l@x.example"`, rcpt: many, signedHeader: plainHeader, want: []string{"l="}, reason: ReasonBodyLength},
		{name: "and one of them no signature", settings: `body_length_db = "l@x.example"` + "\n" + `dont_sign_mail_to = "never@x.example"`, rcpt: both, reason: ReasonRecipient},
		{name: "no recipient of the list", settings: `body_length_db = "l@x.example"`, rcpt: many[2:], signedHeader: plainHeader},
		{name: "a field is missing", settings: "required_headers = true", header: []string{"From: user@example.com"},
			want: []string{"550 5.0.0 message does not have exactly one Date field"}, reason: ReasonRequiredFields},
		{name: "a field too many", settings: "strict_headers = true", header: []string{"From: user@example.com", "Date: x", "To: a", "To: b"},
			want: []string{"dkim=permerror", "message has multiple To fields"}, reason: ReasonStrictFields},
		{name: "a field too many, in silence", settings: "strict_headers = true\nignore_malformed_mail = true",
			header: []string{"From: user@example.com", "Date: x", "To: a", "To: b"}, reason: ReasonStrictFields},
		{name: "the software", settings: "software_header = true", signedHeader: plainHeader,
			want: []string{"i0 DKIM-Filter: postseal 1.2.3 mx.example.org 4XQ1"}},
		{name: "replaced fields", settings: fmt.Sprintf("replace_rules = %q", rules), header: []string{"From: user@old.example", "Subject: X\n X"},
			signedHeader: []string{"From: user@example.com", "Subject: Y\n Y"}},
		{name: "replaced in some fields", settings: fmt.Sprintf("replace_rules = %q\nreplace_headers = \"from\"", rules), header: []string{"From: user@old.example", "Subject: X"},
			signedHeader: []string{"From: user@example.com", "Subject: X"}},
		{name: "replaced without end", settings: fmt.Sprintf("replace_rules = %q", rules), header: []string{"From: user@example.com", "Subject: " + endless},
			signedHeader: []string{"From: user@example.com", "Subject: " + endless}, reason: ReasonReplaceEndless},
		{name: "the sender in a macro", settings: `sender_macro = "{sender}"`, macros: []string{"{sender}", "user@example.com"},
			header: []string{"From: a@elsewhere.example"}, signedHeader: []string{"From: a@elsewhere.example"}, reason: ReasonSenderMacro},
		{name: "a macro that is not set", settings: `sender_macro = "sender"`, signedHeader: plainHeader},
		{name: "a macro that is no address", settings: `sender_macro = "sender"`, macros: []string{"{sender}", "root"},
			want: []string{"dkim=permerror"}, reason: ReasonMacroUnread},
	} {
		t.Run(row.name, func(t *testing.T) {
			inline, record := newKey(t, "ed25519")
			records := resolver.NewRecords(map[string][]string{"s1._domainkey.example.com": {record}})
			s := loadText(t, row.settings+fmt.Sprintf("\nkey_table = [\"k=example.com:s1:%s\"]\nsigning_table = [\"example.com=k\"]\n", inline), records)
			srv := startServer(t, s, func(s *Server) { s.version = "1.2.3" })
			if row.header == nil {
				row.header = plainHeader
			}
			e := srv.connect(t, "localhost", "127.0.0.1").deliver(letter{
				macros: row.macros, from: "user@example.com", rcpt: row.rcpt, header: row.header, body: plainBody})
			answer := e.text + strings.Join(e.changes, "\n")
			if row.signedHeader != nil {
				wantSigned(t, records, e, row.signedHeader, plainBody)
			} else if e.inserted("DKIM-Signature") != "" {
				t.Errorf("it is signed: %q", e.changes)
			}
			for _, want := range row.want {
				if !strings.Contains(answer, want) {
					t.Errorf("no %q in %q", want, answer)
				}
			}
			if len(row.want) == 0 && (strings.Contains(answer, "l=") || strings.Contains(answer, "dkim=")) {
				t.Errorf("got %q", answer)
			}
			if row.reason != "" && srv.Counts().Reasons[row.reason] != 1 {
				t.Errorf("the reasons are %v, without %s", srv.Counts().Reasons, row.reason)
			}
		})
	}
}

// The software's field stands above the signature.
func TestSoftwareHeaderOnTop(t *testing.T) {
	srv, _ := signingServer(t, "software_header = true")
	e := srv.connect(t, "localhost", "127.0.0.1").deliver(letter{from: "user@example.com", header: plainHeader, body: plainBody})
	if n := len(e.changes); n != 2 || !strings.HasPrefix(e.changes[n-1], "i0 DKIM-Filter:") {
		t.Errorf("changes %q; want the filter's field as the last that goes on top", e.changes)
	}
}

func TestSenderMacroIsAskedFor(t *testing.T) {
	s := loadText(t, `sender_macro = "{mail_host}"`, resolver.NewRecords(nil))
	if asked := s.want.Macros[wire.CmdEOH]; !slices.Contains(asked, "mail_host") {
		t.Errorf("the MTA is asked for %q", asked)
	}
}

// A bad file of rules fails the load with its place.
func TestReplaceRulesThatCannotBeUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(path, []byte("a\tb\n\\(a\tb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{path: path + `: line 2: pattern "\\(a": a \( has no \)`, path + ".absent": "no such file"} {
		cfg := parseConfig(t, fmt.Sprintf("replace_rules = %q", file))
		if _, err := Load(cfg, testEnvironment(resolver.NewRecords(nil))); err == nil || !strings.Contains(err.Error(), "replace_rules: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want replace_rules and %q in it", err, want)
		}
	}
}

// Without check_signing_table a row that names a missing key defers its mail alone.
func TestUncheckedTables(t *testing.T) {
	inline, _ := newKey(t, "ed25519")
	text := fmt.Sprintf("key_table = [\"k=example.com:s1:%s\"]\nsigning_table = [\"example.com=k\", \"b.example=absent\"]\n", inline)
	if _, err := Load(parseConfig(t, text), testEnvironment(resolver.NewRecords(nil))); err == nil {
		t.Fatal("a missing key passes the check")
	}
	s := loadText(t, "check_signing_table = false\n"+text, resolver.NewRecords(nil))
	for from, want := range map[string]Verdict{"u@example.com": Sign, "u@b.example": Refuse} {
		d := s.Decide(Facts{Mode: s.cfg.Mode, Macro: func(string) (string, bool) { return "", false },
			Fields: []dkim.Field{{Name: "From", Value: from}, {Name: "X;Y", Value: "z"}}})
		if d.Verdict != want {
			t.Errorf("%s: %s, want %s: %s", from, d.Verdict, want, Words(d.Reasons))
		}
		if last := d.Reasons[len(d.Reasons)-1].Code; want == Refuse && last != ReasonUnknownKey {
			t.Errorf("%s: the reason is %s", from, last)
		}
		if !slices.Equal(d.Ignored, []string{"X;Y"}) {
			t.Errorf("%s: ignored are %q", from, d.Ignored)
		}
	}
	if err := errors.Join(s.Disabled()...); !errors.Is(err, keys.ErrUnknownKey) {
		t.Errorf("disabled: %v", err)
	}
}

func parseConfig(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte(text), "test.toml")
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
