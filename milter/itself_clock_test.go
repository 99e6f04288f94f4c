package milter

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/resolver"
)

// wallClock is a clock that tests put forward and back.
type wallClock struct{ now atomic.Pointer[time.Time] }

func (c *wallClock) set(t time.Time)        { c.now.Store(&t) }
func (c *wallClock) read() time.Time        { return *c.now.Load() }
func (c *wallClock) inject(srv *Server)     { srv.now = c.read }
func startClock(t time.Time) (c *wallClock) { c = new(wallClock); c.set(t); return c }

// signatureTimes are t= and x= of a signature, -1 for none.
func signatureTimes(t testing.TB, signature string) (at, expires int64) {
	t.Helper()
	at, expires = -1, -1
	for tag := range strings.SplitSeq(strings.NewReplacer(" ", "", "\t", "", "\n", "").Replace(signature), ";") {
		name, value, _ := strings.Cut(tag, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case name == "t" && err == nil:
			at = n
		case name == "x" && err == nil:
			expires = n
		}
	}
	return at, expires
}

// The clock jumps between the header of a message and its end, and from one message
// to the next: t= is the time of the header, x= as much later as is configured, and
// the signature verifies for whoever has the right time.
func TestClockJumpsWhileSigning(t *testing.T) {
	inline, record := newKey(t, "ed25519")
	start := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	clock := startClock(start)
	records := resolver.NewRecords(map[string][]string{"s1._domainkey.example.com": {record}})
	srv := startServer(t, loadText(t, fmt.Sprintf("signature_ttl = \"1h\"\nkey_table = [\"k=example.com:s1:%s\"]\nsigning_table = [\"example.com=k\"]\n", inline),
		records), clock.inject)
	verifying := startServer(t, loadText(t, `mode = "v"`, records), clock.inject)
	m := srv.connect(t, "localhost", "127.0.0.1")
	for _, row := range []struct {
		name       string
		begin, end time.Time
	}{
		{"at rest", start, start},
		{"forward by hours", start, start.Add(5 * time.Hour)},
		{"back by hours", start, start.Add(-5 * time.Hour)},
		{"back before 1970", start, time.Unix(-86400, 0)},
		{"1970", time.Unix(5, 0), start},
		{"after 2038", time.Unix(1<<31+5, 0), start},
		{"after 2106", time.Unix(1<<32+5, 0), start},
		{"back from there", start, time.Unix(1<<32+5, 0)},
		{"the year 9000", time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC), start},
	} {
		t.Run(row.name, func(t *testing.T) {
			clock.set(row.begin)
			if got := m.play(stepsOf("MRLN", plainHeader)); got != "c" {
				t.Fatalf("EOH is answered with %q", got)
			}
			clock.set(row.end)
			e := m.finishBody(plainBody)
			signature := e.inserted("DKIM-Signature")
			at, expires := signatureTimes(t, signature)
			if e.code != 'a' || at != row.begin.Unix() || expires != at+3600 {
				t.Fatalf("ended with %q; t=%d x=%d, want t=%d and an hour", e.code, at, expires, row.begin.Unix())
			}
			header := append([]string{"DKIM-Signature:" + signature}, plainHeader...)
			for _, v := range []struct {
				name string
				late time.Duration
				want string
			}{
				{"at the same time", 0, "dkim=pass"},
				{"a little early", -299 * time.Second, "dkim=pass"},
				{"too early", -301 * time.Second, "dkim=permerror"},
				{"an hour and a little later", time.Hour + 299*time.Second, "dkim=pass"},
				{"too late", time.Hour + 301*time.Second, "dkim=permerror"},
				{"years later", 20 * 365 * 24 * time.Hour, "dkim=permerror"},
			} {
				clock.set(row.begin.Add(v.late))
				e := verifying.connect(t, "mail.elsewhere.example", "192.0.2.1").deliver(letter{header: header, body: plainBody})
				if got := e.inserted("Authentication-Results"); !strings.Contains(got, v.want) {
					t.Errorf("%s: %q, want %s", v.name, got, v.want)
				}
			}
			// Verified in the time of the header, whatever comes then.
			clock.set(row.begin)
			mv := verifying.connect(t, "mail.elsewhere.example", "192.0.2.1")
			if got := mv.play(stepsOf("MRLN", header)); got != "c" {
				t.Fatalf("EOH is answered with %q", got)
			}
			clock.set(row.end)
			if got := mv.finishBody(plainBody).inserted("Authentication-Results"); !strings.Contains(got, "dkim=pass") {
				t.Errorf("the clock jumps before the end: %q", got)
			}
		})
	}

	// No time that a signature could have: the mail does not leave unsigned.
	clock.set(time.Unix(-86400, 0))
	if e := m.deliver(letter{header: plainHeader, body: plainBody}); e.code == 'a' || e.code == 'c' || len(e.changes) > 0 {
		t.Errorf("before 1970: ended with %q %q", e.code, e.changes)
	}
	srv.log.wait(t, "is before 1970")
	clock.set(start)
	if e := m.deliver(letter{header: plainHeader, body: plainBody}); e.inserted("DKIM-Signature") == "" {
		t.Errorf("with the right time again: ended with %q %q", e.code, e.changes)
	}
}

// wallClockUses are the places of the daemon that look at the time of day as a
// number. Everywhere else times are compared as time.Now gives them, with the
// monotonic clock in them, which does not jump.
var wallClockUses = map[string]string{
	"config/watch/follow.go":      "whether a file's time is this very moment; either way it is looked at again",
	"keys/file.go":                "the times that the file system gives, compared with one another and with this moment",
	"milter/dkim/sign.go":         "t= and x= are written",
	"milter/dkim/tagvalue.go":     "t= and x= are read",
	"milter/monitor/metrics.go":   "times of day that are shown",
	"milter/resolver/exchange.go": "a deadline that is long over",
	"milter/socket.go":            "a deadline that is long over",
	"config/postfix/mail.go":      "the order of mail in the mailbox of a private Postfix",
	"milter/rotating.go":          "whether a file is still the one that was read",
	"keys/rotation/begin.go":      "the age of a key that nothing else is known of, in days",
	"keys/zone/refusal.go":        "how far the name server's clock is from ours is told",
	"keys/zone/transaction.go":    "a deadline that is long over; the time of a TSIG signature, which the name server judges",
}

// Nothing else of the daemon counts on a clock that goes forward.
func TestWallClock(t *testing.T) {
	used := map[string]bool{}
	for _, room := range []string{"milter", "keys", "config", "cmd/postseal/service"} {
		err := filepath.WalkDir("../"+room, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			name := filepath.ToSlash(path[len("../"):])
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(
					[]string{"Unix", "UnixNano", "UnixMilli", "UnixMicro", "ModTime"}, s.Sel.Name) {
					if used[name] = true; wallClockUses[name] == "" {
						t.Errorf("%s uses %s: does it go wrong when the clock is put back? If not, say why here", name, s.Sel.Name)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range wallClockUses {
		if !used[name] {
			t.Errorf("%s is listed and does not use the time of day", name)
		}
	}
}
