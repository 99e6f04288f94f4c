package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/testdata/nameserver"
	"github.com/postseal/postseal/testdata/peers"
)

// rotateTest is a mail server whose keys rotate, and the two name servers of its
// domain; the second does not get what the first is told before it is caught up.
type rotateTest struct {
	t             *testing.T
	conf          string
	now           time.Time
	first, second *nameserver.Server
	mails         map[string][]byte // signed, by when
}

// rotate runs the command at the test's time.
func (r *rotateTest) rotate(exit int, args ...string) string {
	r.t.Helper()
	out, _ := command(r.t, exit, append([]string{
		"rotate", "-c", r.conf, "--now", r.now.Format(time.RFC3339), "--nameserver", r.first.Addr, "--nameserver", r.second.Addr,
	}, args...)...)
	return out
}

// texts are the TXT records of a name server, by name; of each name of the zone.
func (r *rotateTest) texts(s *nameserver.Server) map[string]string {
	r.t.Helper()
	m := new(dns.Msg)
	m.SetAxfr("example.com.")
	answers, err := new(dns.Transfer).In(m, s.Addr)
	if err != nil {
		r.t.Fatal(err)
	}
	texts := map[string]string{}
	for a := range answers {
		if a.Error != nil {
			r.t.Fatal(a.Error)
		}
		for _, rr := range a.RR {
			if txt, ok := rr.(*dns.TXT); ok {
				texts[strings.TrimSuffix(txt.Hdr.Name, ".")] = strings.Join(txt.Txt, "")
			}
		}
	}
	return texts
}

// catchUp gives the second name server what the first has.
func (r *rotateTest) catchUp() {
	r.t.Helper()
	lines := []string{}
	for name := range r.texts(r.second) {
		lines = append(lines, "delete "+name+" TXT")
	}
	for name, text := range r.texts(r.first) {
		lines = append(lines, record(name, text))
	}
	r.second.Update(r.t, "example.com", lines...)
}

// record is a line of Update that adds a TXT record.
func record(name, text string) string {
	var parts strings.Builder
	for part := range slices.Chunk([]byte(text), 255) {
		fmt.Fprintf(&parts, " %q", part)
	}
	return "add " + name + ". 60 TXT" + parts.String()
}

// wantMails signs a mail now, and wants that each that was signed so far verifies with
// both name servers, by us and by dkimpy.
func (r *rotateTest) wantMails(stage string, selectors ...string) {
	r.t.Helper()
	mail := filepath.Join(r.t.TempDir(), "mail.eml")
	writeFile(r.t, mail, "From: user@example.com\r\nSubject: "+stage+"\r\n\r\nx\r\n")
	signed, _ := command(r.t, exitOK, "sign", "-c", r.conf, mail)
	for _, s := range selectors {
		if !strings.Contains(signed, "s="+s+";") {
			r.t.Errorf("%s: not signed with %s:\n%s", stage, s, signed)
		}
	}
	r.mails[stage] = []byte(signed)
	for _, server := range []*nameserver.Server{r.first, r.second} {
		dkimpy := peers.StartDkimpy(r.t, r.texts(server))
		for _, when := range slices.Sorted(maps.Keys(r.mails)) {
			writeFile(r.t, mail, string(r.mails[when]))
			out, _ := command(r.t, exitOK, "verify", "--nameserver", server.Addr, "--json", mail)
			var v verification
			if err := json.Unmarshal([]byte(out), &v); err != nil || len(v.Signatures) != 2 || v.Signatures[0].Result != dkim.Pass || v.Signatures[1].Result != dkim.Pass {
				r.t.Errorf("%s: the mail of %q does not verify: %v\n%s", stage, when, err, out)
			}
			verdicts, err := dkimpy.Verify(r.mails[when])
			if err != nil || len(verdicts) != 2 || verdicts[0].Status != "pass" || verdicts[1].Status != "pass" {
				r.t.Errorf("%s: dkimpy says of the mail of %q: %+v, %v", stage, when, verdicts, err)
			}
		}
	}
}

// A whole life of two keys, with real name servers, one of which is behind: whatever is
// signed verifies everywhere, at once and for a week.
func TestRotateLife(t *testing.T) {
	t.Parallel()
	zone := nameserver.Zone{Name: "example.com"}
	r := &rotateTest{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), first: nameserver.Start(t, zone), mails: map[string][]byte{}}
	r.second = r.first.Second(t, zone)
	r.conf = keyTable(t, "example.com")
	dir := filepath.Dir(r.conf)
	for _, kind := range []string{"rsa", "ed25519"} {
		f, err := os.ReadFile(filepath.Join(dir, "signing.table"))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "signing.table"), string(f)+"*@example.com "+kind+"0\n")
	}
	f, err := os.ReadFile(r.conf)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, r.conf, "multiple_signatures = true\n"+string(f))
	command(t, exitOK, "genzone", "-c", r.conf, "--update", "--server", r.first.Addr, "--tsig-key", r.first.KeyFile)
	r.catchUp()
	want := func(out string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Fatalf("%q is not in\n%s", w, out)
			}
		}
	}
	r.wantMails("before", "rsa", "ed25519")

	want(r.rotate(exitOK, "example.com", "--update", "--server", r.first.Addr, "--tsig-key", r.first.KeyFile),
		"Handed the record of 20261122r._domainkey.example.com to the name server", "waits for the other name servers")
	r.wantMails("one server has the new keys", "rsa", "ed25519")
	r.now = r.now.Add(time.Hour)
	want(r.rotate(exitOK, "--auto", "90d"), "waits for the other name servers")
	r.catchUp()
	want(r.rotate(exitOK, "--auto", "90d"), "20261122r._domainkey.example.com: pending → published", "20261122e._domainkey.example.com: pending → published")
	r.wantMails("published", "rsa", "ed25519")
	r.now = r.now.Add(5 * time.Second) // the SOA record's time for negative answers
	want(r.rotate(exitOK, "--auto", "90d"), "signs after")

	// One record disappears at one server: both keys wait.
	r.second.Update(t, "example.com", "delete 20261122e._domainkey.example.com TXT")
	r.now = r.now.Add(time.Hour)
	want(r.rotate(exitOK, "--auto", "90d"), "published → pending")
	r.wantMails("waiting", "rsa", "ed25519")
	r.catchUp()
	r.rotate(exitOK, "--auto", "90d")
	r.now = r.now.Add(2 * time.Minute)
	want(r.rotate(exitOK, "--auto", "90d"), "20261122r._domainkey.example.com: published → active", "20261122e._domainkey.example.com: published → active",
		"rsa._domainkey.example.com: active → retiring")
	r.wantMails("active", "20261122r", "20261122e")

	// An active key's record disappears: told with each run, in words and by the exit status.
	r.second.Update(t, "example.com", "delete 20261122r._domainkey.example.com TXT")
	r.rotate(exitFailed, "--auto", "90d")
	r.catchUp()
	r.now = r.now.Add(6 * 24 * time.Hour)
	r.rotate(exitOK, "--auto", "90d")
	r.wantMails("nearly a week later", "20261122r", "20261122e")

	r.now = r.now.Add(2 * 24 * time.Hour)
	want(r.rotate(exitOK, "--auto", "90d"), "Had the name server revoke rsa._domainkey.example.com", "retiring → retired")
	for _, kind := range []string{"rsa", "ed25519"} {
		if text := r.texts(r.first)[kind+"._domainkey.example.com"]; text != "v=DKIM1; p=" {
			t.Errorf("%s: %q stands in DNS", kind, text)
		}
	}
	r.catchUp()
	old := filepath.Join(dir, "old.eml")
	writeFile(t, old, string(r.mails["before"]))
	command(t, exitFailed, "verify", "--nameserver", r.first.Addr, old) // under way for too long
	for _, stage := range slices.Sorted(maps.Keys(r.mails)) {
		if stage != "active" && stage != "nearly a week later" {
			delete(r.mails, stage)
		}
	}
	r.wantMails("retired", "20261122r", "20261122e")
	r.now = r.now.Add(8 * 24 * time.Hour)
	r.rotate(exitOK, "--auto", "90d")
	if out := r.rotate(exitOK); strings.Contains(out, "retired") || strings.Count(out, "active") != 2 {
		t.Errorf("in the end:\n%s", out)
	}
}

// With --wait one command does it all up to the new signature; it asks by itself
// whether the record is there.
func TestRotateWait(t *testing.T) {
	t.Parallel()
	s := nameserver.Start(t, nameserver.Zone{Name: "example.com"})
	conf := keyTable(t, "example.com")
	signing := filepath.Join(filepath.Dir(conf), "signing.table")
	writeFile(t, signing, "*@example.com rsa0\n*@example.com ed255190\n")
	command(t, exitOK, "genzone", "-c", conf, "--update", "--server", s.Addr, "--tsig-key", s.KeyFile)
	out, _ := command(t, exitOK, "rotate", "example.com", "-c", conf, "--type", "ed25519", "--wait", "--nameserver", s.Addr,
		"--update", "--server", s.Addr, "--tsig-key", s.KeyFile)
	if !strings.Contains(out, "published → active") {
		t.Error(out)
	}
	text, err := os.ReadFile(signing)
	if err != nil || !strings.HasPrefix(string(text), "*@example.com rsa0\n") || strings.Contains(string(text), "ed255190") {
		t.Errorf("%s, %v", text, err)
	}
}

// Times of Postfix are in days unless they have a letter.
func TestQueueTime(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"5d": 5 * aDay, "5": 5 * aDay, "36h": 36 * time.Hour, "90m": 90 * time.Minute, "30s": 30 * time.Second, "2w": 14 * aDay, "0": 0,
		"2147483647w": 3660 / 7 * 7 * aDay,
	} {
		if d, ok := queueTime(s); d != want || !ok {
			t.Errorf("%q is %v, %t; want %v", s, d, ok, want)
		}
	}
	for _, s := range []string{"", "d", "-1d", "5x", "$other", "1.5d", "99999999999"} {
		if d, ok := queueTime(s); ok {
			t.Errorf("%q is %v", s, d)
		}
	}
}
