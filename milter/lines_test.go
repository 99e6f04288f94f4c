package milter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
)

// What OpenDKIM cannot be made to log in a test, or does not log, is here; the
// rest is compared with it.
func TestMessageLines(t *testing.T) {
	const value = " v=1; a=rsa-sha256; d=example.com; s=s1; h=from; bh=eA==; b=abcdefghij"
	checked := func(status dkim.Status, err error) lineFacts {
		return lineFacts{
			decision: Decision{Verdict: Verify}, fields: []dkim.Field{{Name: "DKIM-Signature", Value: value}},
			outcome: outcome{verified: []dkim.Result{{Status: status, Err: err, Algorithm: dkim.RSASHA256, KeyBits: 2048}}},
		}
	}
	decided := func(v Verdict, reasons ...Reason) lineFacts {
		return lineFacts{decision: Decision{Verdict: v, Reasons: reasons}}
	}
	failed := func(err error) lineFacts {
		return lineFacts{decision: Decision{Verdict: Refuse, failures: []error{err}}}
	}
	rejected := decided(BadFrom, because(ReasonManyFrom, "2"))
	rejected.outcome.disposition.action = config.Reject
	for _, row := range []struct {
		name  string
		facts lineFacts
		set   func(*config.Config)
		want  []string
	}{
		{name: "key not found", facts: checked(dkim.Fail, dkim.ErrNoKey),
			want: []string{"err Q: key retrieval failed (s=s1, d=example.com): 's1._domainkey.example.com' record not found"}},
		{name: "DNS is silent", facts: checked(dkim.TempError, fmt.Errorf("%w: %w", dkim.ErrKeyUnavailable, os.ErrDeadlineExceeded)),
			want: []string{"err Q: key retrieval failed (s=s1, d=example.com): 's1._domainkey.example.com' query timed out"}},
		{name: "DNS takes too long", facts: checked(dkim.TempError, fmt.Errorf("%w: %w", dkim.ErrKeyUnavailable, context.DeadlineExceeded)),
			want: []string{"err Q: key retrieval failed (s=s1, d=example.com): 's1._domainkey.example.com' query timed out"}},
		{name: "DNS fails", facts: checked(dkim.TempError, fmt.Errorf("%w: SERVFAIL", dkim.ErrKeyUnavailable)),
			set:  func(c *config.Config) { c.LogResults = true },
			want: []string{`info Q: signature=abcdefgh domain=example.com selector=s1 result="key DNS query failed"`, "err Q: key retrieval failed (s=s1, d=example.com): 's1._domainkey.example.com' unexpected reply class/type (-1/-1)"}},
		{name: "too little of the body", facts: checked(dkim.Policy, dkim.ErrUnsignedContent), set: func(c *config.Config) { c.LogResults = true },
			want: []string{`info Q: signature=abcdefgh domain=example.com selector=s1 result="content after the signed part of the body"`, "info Q: s=s1 d=example.com a=rsa-sha256 SSL "}},
		{name: "two From, rejected", facts: rejected, want: []string{"info Q: can't determine message sender"}},
		{name: "many fields", facts: decided(Pass, because(ReasonHeaderFields, "5000")), want: []string{"notice too much header data"}},
		{name: "tables broken", facts: failed(errors.New("x")), want: []string{"err Q: error reading signing table"}},
		{name: "no such key", facts: failed(&keys.KeyError{Name: "k9", Err: keys.ErrUnknownKey}), want: []string{"err Q: signing table references unknown key 'k9'"}},
		{name: "no key of the domain", facts: failed(keys.ErrUnknownKey), want: []string{"err Q: signing table references unknown key ''"}},
		{name: "corrupt row", facts: failed(&keys.KeyError{Name: "k", Err: errors.New("x")}), want: []string{"err KeyTable entry for 'k' corrupt", "err Q: error loading key 'k'"}},
		{name: "unreadable key", facts: failed(&keys.KeyError{Name: "k", Path: "/k", Err: &os.PathError{Op: "open", Path: "/k", Err: syscall.EACCES}}),
			want: []string{"err can't load key from /k: Permission denied", "err Q: error loading key 'k'"}},
		{name: "signature fails", facts: decided(Sign, because(ReasonSignError, "example.com", "s1", "no")), want: []string{"err Q: signature generation error: no"}},
		{name: "login is not the author", facts: decided(Verify, because(ReasonAuthorMismatch, "a", "b", "c")), set: func(c *config.Config) { c.LogWhy = true },
			want: []string{"debug Q: no signature data"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := config.Default()
			if row.set != nil {
				row.set(cfg)
			}
			f := row.facts
			f.cfg, f.job, f.addr = cfg, "Q", netip.MustParseAddr("192.0.2.1")
			var got []string
			for _, l := range messageLines(f) {
				got = append(got, severityNames[l.severity]+" "+l.text)
			}
			if strings.Join(got, "\n") != strings.Join(row.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(row.want, "\n"))
			}
		})
	}
}

// A message with thousands of fields gets a few lines.
func TestLinesAreBounded(t *testing.T) {
	f := lineFacts{cfg: config.Default(), decision: Decision{Verdict: Verify}, unreadResults: 5000}
	for i := range 5000 {
		f.fields = append(f.fields, dkim.Field{Name: "DKIM-Signature", Value: fmt.Sprintf("v=1; a=rsa-sha256; d=d%d.example; s=s; h=from; b=x", i)})
		f.outcome.verified = append(f.outcome.verified, dkim.Result{Status: dkim.Neutral, Err: dkim.ErrUntrusted, Field: i})
	}
	kinds := map[string]int{}
	for _, l := range messageLines(f) {
		text := printable(l.text)
		if len(text) > maxLine+20 {
			t.Errorf("%d octets: %.100s", len(text), text)
		}
		kinds[strings.Join(strings.Fields(text)[1:4], " ")]++
	}
	for kind, want := range map[string]int{
		"failed to parse": maxAlike, "ignoring signature from": maxAlike, "ignoring 4980 signatures": 1, "message has signatures": 1,
	} {
		if kinds[kind] != want {
			t.Errorf("%d lines of %q, want %d: %v", kinds[kind], kind, want, kinds)
		}
	}
}

// Lines go to the given log, bare, whatever text they hold in one line; a nil
// Lines is none.
func TestLines(t *testing.T) {
	var b bytes.Buffer
	cfg := config.Default()
	none, err := NewLines(cfg, &b)
	if err != nil || none != nil {
		t.Fatalf("log_lines = structured: %v, %v", none, err)
	}
	none.Starting(nil)
	none.message(nil)
	cfg.LogLines = "opendkim"
	lines, err := NewLines(cfg, &b)
	if err != nil || !lines.instead() {
		t.Fatalf("log_lines = opendkim: %v, %v", lines, err)
	}
	lines.Starting([]string{"-f", "-x", "/etc/opendkim.conf"})
	lines.Starting(nil)
	lines.Reloaded("/etc/opendkim.conf")
	lines.ReloadFailed("/c", "/c: configuration error at line 3: illegal value", "opendkim: /c: use of SigningTable requires KeyTable", "/etc/keys:7: x")
	lines.Terminating(0)
	lines.say(line{text: "one\nQ: two\x1b[31m\u009b \xff ü"})
	want := `OpenDKIM Filter v2.11.0 starting (args: -f -x /etc/opendkim.conf)
OpenDKIM Filter v2.11.0 starting
configuration reloaded from /etc/opendkim.conf
/c: configuration error at line 3: illegal value
/c: use of SigningTable requires KeyTable
/c: /etc/keys:7: x
OpenDKIM Filter v2.11.0 terminating with status 0, errno = 0
one\nQ: two\x1b[31m\u009b \xff ü
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
}

// log_lines says which lines a message gets, and a reload is told of in both.
func TestLogLines(t *testing.T) {
	for words, want := range map[string][2]bool{"structured": {true, false}, "opendkim": {false, true}, "both": {true, true}} {
		d := startDaemonWith(t, "syslog_success = true\nlog_lines = \""+words+"\"\n")
		e := d.connect(t).deliver(letter{header: header("example.com")})
		if e.inserted("DKIM-Signature") == "" {
			t.Fatalf("%s: not signed: %v", words, e)
		}
		d.reload <- os.Interrupt
		d.log.wait(t, "msg=\"configuration reloaded\"")
		d.settings(t, "no_such = 1")
		d.reload <- os.Interrupt
		d.log.wait(t, "msg=\"reload failed")
		if err := d.stop(); err != nil {
			t.Error(err)
		}
		path := filepath.Join(d.dir, "postseal.toml")
		for text, wanted := range map[string]bool{
			"msg=message": want[0],
			"\n4XQ1: DKIM-Signature field added (s=s1, d=example.com)\n": want[1],
			"\nconfiguration reloaded from " + path + "\n":               want[1],
			"\n" + path + ":7: unknown key \"no_such\"\n":                want[1],
			"level=INFO msg=\"configuration reloaded\"":                  true,
		} {
			if wanted {
				d.log.wait(t, text)
			} else if strings.Contains(d.log.String(), text) {
				t.Errorf("%s: %q wanted: %v\n%s", words, text, wanted, d.log.String())
			}
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"plain", "a\nb", "\x1b[31m", "\u009b", "\xff\xfe", "ü", strings.Repeat("x", 2*maxLine)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := printable(s)
		if !utf8.ValidString(p) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q becomes %q", s, p)
		}
		if len(p) > maxLine+20 {
			t.Errorf("%d octets", len(p))
		}
		if printable(p) != p {
			t.Errorf("%q becomes %q", p, printable(p))
		}
	})
}

func FuzzSignatureTags(f *testing.F) {
	for _, s := range []string{"v=1; a=rsa-sha256; d=x; s=y; h=from; b=z", "foo", "v=1;;", "a b=1", "x=\x1b", " = ", "v=; a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tags, problem := readSignatureTags(s)
		if printable(problem) != problem {
			t.Errorf("%q: %q", s, problem)
		}
		for name, value := range tags {
			if strings.ContainsAny(value, "; \t\r\n") || !strings.Contains(s, name) {
				t.Errorf("%q: tag %q is %q", s, name, value)
			}
		}
		if _, ok := tags["d"]; problem == "" && !ok {
			t.Errorf("%q: no d=", s)
		}
	})
}
