package check

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/resolver"
)

// One thing is wrong, or nothing, and that is what is found.
func TestDKIM(t *testing.T) {
	withRSA := []string{record("20261122r")}
	for _, tt := range []struct {
		name    string
		setting setting
		want    []string
		state   State
		summary string
	}{
		{"all is well", setting{}, nil, OK, "20261122r RSA 2048, 20261122e Ed25519: published, match"},
		{"RSA alone", setting{signingTable: "*@example.com r\n", keyTable: "r example.com:20261122r:./keys/20261122r.private\n"}, nil, OK, "20261122r RSA 2048: published, match"},
		{"a key for each sender's domain", setting{signingTable: "*@example.com r\n", keyTable: "r %:20261122r:./keys/20261122r.private\n"}, nil, OK, "20261122r RSA 2048: published, match"},
		{"a key that signs for another domain", setting{keyTable: bothKeys + "far example.com:other:./keys/other.private\n", signingTable: bothRows + "*@far.example far\n"}, []string{"note:no-record"}, OK, ""},

		{"no record", setting{records: withRSA}, []string{"problem:no-record"}, Problem, "20261122r RSA 2048, 20261122e Ed25519"},
		{"another key", setting{records: append(withRSA, recordOf("20261122e", "other"))}, []string{"problem:other-type"}, Problem, ""},
		{"revoked", setting{records: append(withRSA, "20261122e._domainkey.example.com v=DKIM1; k=ed25519; p=")}, []string{"problem:revoked"}, Problem, ""},
		{"testing", setting{records: append(withRSA, strings.ReplaceAll(record("20261122e"), "k=ed25519", "t=y; k=ed25519"))}, []string{"warning:testing"}, Warning, ""},

		{"no row", setting{signingTable: "*@example.net r\n"}, []string{"problem:not-signed"}, Problem, "no key signs"},
		{"no row for one of the keys", setting{signingTable: "*@example.com r\n"}, []string{"warning:no-row"}, Warning, ""},
		{"one row counts", setting{one: true}, []string{"warning:no-row"}, Warning, ""},
		{"no row for the RSA key", setting{signingTable: "*@example.com e\n"}, []string{"problem:ed25519-alone"}, Problem, ""},
		{"Ed25519 alone", setting{signingTable: "*@example.com e\n", keyTable: "e example.com:20261122e:./keys/20261122e.private\n"}, []string{"problem:ed25519-alone"}, Problem, ""},
		{"one address alone", setting{signingTable: "joe@example.com r\njoe@example.com e\n"}, []string{"warning:some-signed"}, Warning, ""},
		{"exempt", setting{config: `exempt_domains = "example.com"` + "\n"}, []string{"problem:not-signed"}, Problem, ""},
		{"only verifying", setting{config: `mode = "v"` + "\n"}, []string{"problem:not-signed"}, Problem, ""},
		{"row of a missing key", setting{config: "check_signing_table = false\n", signingTable: "*@example.com r\n*@example.com gone\n", keyTable: "r example.com:20261122r:./keys/20261122r.private\n"}, []string{"problem:table-error"}, Problem, ""},
		{"this machine is not internal", setting{config: `internal_hosts = "192.0.2.0/24"` + "\n"}, []string{"warning:not-ours"}, Warning, ""},
		{"this machine is left alone", setting{config: `peer_list = "127.0.0.1"` + "\n"}, []string{"warning:left-alone"}, Warning, ""},
		{"only verifying, without keys", setting{config: `mode = "v"` + "\n", keyTable: "f far.example:s:./keys/other.private\n", signingTable: "*@far.example f\n"}, nil, Skipped, "not looked at: the daemon only verifies (mode)"},
		{"signing at one socket", setting{config: "mode = \"v\"\n[[listener]]\nsocket = \"inet:8892@localhost\"\nmode = \"s\"\n"}, nil, OK, ""},
		{"everybody's key", setting{signingTable: "* r\n", keyTable: "r example.com:20261122r:./keys/20261122r.private\n"}, nil, OK, "20261122r RSA 2048: published, match"},
		{"one key for several domains", setting{signingTable: "*@example.com r\n*@far.example f\n", keyTable: "r example.com:20261122r:./keys/20261122r.private\nf far.example:20261122r:./keys/20261122r.private\n"}, nil, OK, "20261122r RSA 2048: published, match"},

		{"key file gone", setting{keyTable: strings.ReplaceAll(bothKeys, "keys/20261122r", "keys/gone")}, []string{"problem:key-file"}, Problem, ""},
		{"key file without a key", setting{files: map[string]string{"keys/20261122e.private": "nothing"}}, []string{"problem:key-file"}, Problem, ""},
		{"key file open to all, allowed", setting{unsafe: &keys.UnsafeError{Reason: "it can be read by other users", Fix: "chmod 0600 it"}}, []string{"warning:unsafe-file"}, Warning, ""},

		{"a new key waits", setting{
			keyTable: bothKeys + "new example.com:other:./keys/other.private\n",
			files:    map[string]string{"rotation.json": rotating("pending")},
		}, []string{"note:resting"}, OK, "20261122r RSA 2048, 20261122e Ed25519: published, match"},
		{"an old key rests", setting{
			keyTable: bothKeys + "new example.com:other:./keys/other.private\n",
			files:    map[string]string{"rotation.json": rotating("retiring")},
		}, []string{"note:resting"}, OK, ""},
		{"the first key that DNS shows", setting{
			one: true, config: "unpublished_keys = \"skip\"\n",
			keyTable:     bothKeys + "new example.com:other:./keys/other.private\n",
			signingTable: "*@example.com r\n*@example.com new\n",
		}, []string{"warning:no-row"}, Warning, "20261122r RSA 2048: published, match"},
		{"an old key", setting{
			keyTable: "r example.com:20250101r:./keys/20261122r.private\n", signingTable: "*@example.com r\n",
			records: []string{recordOf("20250101r", "20261122r")},
		}, []string{"note:old-key"}, OK, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.setting.checker(t)
			s := c.look(c.dkim, SectionDKIM)
			if diff := cmp.Diff(tt.want, found(s)); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%+v", diff, s.Findings)
			}
			if s.State != tt.state || tt.summary != "" && s.Summary != tt.summary {
				t.Errorf("state %s, summary %q; want %s, %q", s.State, s.Summary, tt.state, tt.summary)
			}
			hasWords(t, s)
		})
	}
}

// rotating is what rotation keeps of the key "new".
func rotating(state string) string {
	return `{"version": 1, "keys": [{"name": "new", "domain": "example.com", "selector": "other", "type": "rsa", "state": "` + state +
		`", "since": "2026-11-22T10:00:00Z"}]}`
}

// DNS that does not answer is neither good nor bad.
func TestDKIMUnknown(t *testing.T) {
	c := setting{}.checker(t)
	c.DNS.(*resolver.Records).Fail("20261122e._domainkey.example.com", errors.New("SERVFAIL"))
	s := c.look(c.dkim, SectionDKIM)
	if diff := cmp.Diff([]string{"unknown:lookup-failed"}, found(s)); diff != "" || s.State != Unknown {
		t.Errorf("state %s, findings (-want +got):\n%s", s.State, diff)
	}
}

// The record to be published comes with what is wrong with it, once.
func TestDKIMFix(t *testing.T) {
	c := setting{records: []string{record("20261122e")}}.checker(t)
	s := c.look(c.dkim, SectionDKIM)
	want := "20261122r._domainkey.example.com.\tIN\tTXT\t( \"v=DKIM1; h=sha256; k=rsa; \""
	if len(s.Findings) != 1 || !strings.Contains(s.Findings[0].Fix, want) {
		t.Fatalf("%q is not in %+v", want, s.Findings)
	}
	for line := range strings.Lines(s.Findings[0].Fix) {
		if from, to := strings.IndexByte(line, '"'), strings.LastIndexByte(line, '"'); strings.Contains(line, "\t") && to-from-1 > 255 {
			t.Errorf("a string of %d octets: %q", to-from-1, line)
		}
	}
}

// A domain whose keys wait for DNS is not told to sign with them before that.
func TestDKIMWaits(t *testing.T) {
	for _, tt := range []struct{ name, keyTable, want string }{
		{"keys in key_table", bothKeys, "postseal setup --wait example.com"},
		{"none", "far example.net:other:./keys/other.private\n", "postseal setup example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := setting{keyTable: tt.keyTable, signingTable: "# none yet\n"}.checker(t)
			s := c.look(c.dkim, SectionDKIM)
			if len(s.Findings) != 1 || s.Findings[0].Code != NotSigned || !strings.Contains(s.Findings[0].Fix, tt.want) {
				t.Errorf("%q is not in %+v", tt.want, s.Findings)
			}
		})
	}
}

// What the running daemon has of the keys.
func TestDKIMDaemon(t *testing.T) {
	r := keys.KeyInfo{Name: "r", Selector: "20261122r", State: keys.StateReady}
	e := keys.KeyInfo{Name: "e", Selector: "20261122e", State: keys.StateUnread}
	stale, kept := e, e
	stale.State, stale.Error = keys.StateStale, "no PEM block"
	kept.State, kept.Error = keys.StateDisabled, "open e.private: permission denied"
	for _, tt := range []struct {
		name   string
		daemon milter.Status
		want   []string
	}{
		{"both", milter.Status{Keys: []keys.KeyInfo{r, e}}, nil},
		{"one is missing", milter.Status{Keys: []keys.KeyInfo{r}}, []string{"problem:not-taken"}},
		{"one was bad", milter.Status{Keys: []keys.KeyInfo{r, stale}}, []string{"note:not-taken"}},
		{"one is kept from it", milter.Status{Keys: []keys.KeyInfo{r, kept}}, []string{"problem:not-taken"}},
		{"a reload failed", milter.Status{Keys: []keys.KeyInfo{r}, LastReload: milter.Reloaded{Time: time.Unix(1, 0), Problems: []string{"key_table: no"}}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := setting{}.checker(t)
			c.daemon = &tt.daemon
			s := c.look(c.dkim, SectionDKIM)
			if diff := cmp.Diff(tt.want, found(s)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			hasWords(t, s)
		})
	}
}

// Mail of a subdomain is signed with its parent's key.
func TestParentsKey(t *testing.T) {
	c := setting{signingTable: "*@mail.example.com r\n", keyTable: "r example.com:20261122r:./keys/20261122r.private\n"}.checker(t)
	s := newSection(SectionDKIM)
	c.dkim(context.Background(), "mail.example.com", s)
	compare(t, s, nil, OK, "20261122r RSA 2048: published, match")
}

func TestDomains(t *testing.T) {
	c := setting{keyTable: bothKeys + "far far.example:s:./keys/other.private\nany %:s:./keys/other.private\n"}.checker(t)
	if diff := cmp.Diff([]string{"example.com", "far.example"}, c.Domains()); diff != "" {
		t.Error(diff)
	}
	d := c.Domain(context.Background(), "example.com")
	if len(d.Sections) == 0 || d.Sections[0].Name != SectionDKIM {
		t.Errorf("%+v", d)
	}
}
