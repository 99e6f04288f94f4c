package milter

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/nameserver"
)

// shifting is a DNS whose records a test changes.
type shifting struct {
	mu  sync.Mutex
	now *resolver.Records
}

func (s *shifting) LookupTXT(ctx context.Context, name string) ([]string, bool, error) {
	s.mu.Lock()
	now := s.now
	s.mu.Unlock()
	return now.LookupTXT(ctx, name)
}

// show has DNS say this from now on, names and texts by turns. SERVFAIL as a text is
// trouble.
func (s *shifting) show(t *testing.T, pairs ...string) {
	t.Helper()
	records := resolver.NewRecords(nil)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "SERVFAIL" {
			records.Fail(pairs[i], errors.New("SERVFAIL"))
		} else if err := records.Add(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = records
}

// signedWith are the selectors of the signatures of a message, from the top.
func signedWith(e ended) (selectors []string) {
	for _, c := range e.changes {
		if strings.Contains(c, "DKIM-Signature:") {
			_, rest, _ := strings.Cut(c, "s=")
			selector, _, _ := strings.Cut(rest, ";")
			selectors = append(selectors, selector)
		}
	}
	return selectors
}

func TestUnpublishedKeys(t *testing.T) {
	oldInline, oldRecord := newKey(t, "ed25519")
	newInline, newRecord := newKey(t, "ed25519")
	_, other := newKey(t, "ed25519")
	const oldName, newName = "old._domainkey.example.com", "new._domainkey.example.com"
	tables := fmt.Sprintf("\nkey_table = [\"k1=example.com:new:%s\", \"k2=example.com:old:%s\"]\nsigning_table = [\"user@example.com=k1\", \"example.com=k2\"]\n",
		newInline, oldInline)
	const skip, multiple, tempfail = "unpublished_keys = \"skip\"\n", "unpublished_keys = \"skip\"\nmultiple_signatures = true\n", "unpublished_keys = \"tempfail\"\n"
	both := []string{oldName, oldRecord, newName, newRecord}
	for _, row := range []struct {
		name, settings string
		dns            []string
		code           byte
		signed         string
		log            string // a part of the log, "" for no warning
	}{
		{"sign asks nobody", "", nil, 'a', "new", ""},
		{"skip, both there", skip, both, 'a', "new", ""},
		{"skip, new not there", skip, []string{oldName, oldRecord}, 'a', "old", ""},
		{"skip, new is another", skip, []string{oldName, oldRecord, newName, other}, 'a', "old", ""},
		{"skip, new is revoked", skip, []string{oldName, oldRecord, newName, "v=DKIM1; k=ed25519; p="}, 'a', "old", ""},
		{"skip, new is two records", skip, []string{oldName, oldRecord, newName, newRecord, newName, other}, 'a', "old", ""},
		{"skip, DNS fails for new", skip, []string{oldName, oldRecord, newName, "SERVFAIL"}, 'a', "old", ""},
		{"skip, none there", skip, nil, 'a', "", "There is no TXT record at old._domainkey.example.com."},
		{"skip, none there and DNS fails", skip, []string{newName, "SERVFAIL"}, 't', "", "DNS has not answered yet"},
		{"skip, DNS fails and mail is let through", skip + "on_dns_error = \"accept\"\n", []string{newName, "SERVFAIL", oldName, "SERVFAIL"}, 'a', "", "DNS has not answered yet"},
		{"several, both there", multiple, both, 'a', "new old", ""},
		{"several, new not there", multiple, []string{oldName, oldRecord}, 'a', "old", ""},
		{"several, old not there", multiple, []string{newName, newRecord}, 'a', "new", ""},
		{"several, none there", multiple, nil, 'a', "", "key 'k2' does not sign, as unpublished_keys asks"},
		{"tempfail, there", tempfail, both, 'a', "new", ""},
		{"tempfail, not there", tempfail, []string{oldName, oldRecord}, 't', "", "key 'k1' does not sign, as unpublished_keys asks"},
		{"tempfail, DNS fails", tempfail, []string{newName, "SERVFAIL"}, 't', "", "DNS has not answered yet"},
		{"tempfail, DNS fails, reject", tempfail + "on_dns_error = \"reject\"\n", []string{newName, "SERVFAIL"}, 'y', "", "DNS has not answered yet"},
		{"tempfail, DNS fails and mail is let through", tempfail + "on_dns_error = \"accept\"\nmultiple_signatures = true\n",
			[]string{oldName, oldRecord, newName, "SERVFAIL"}, 'a', "old", "DNS has not answered yet"},
	} {
		t.Run(row.name, func(t *testing.T) {
			zone := new(shifting)
			zone.show(t, row.dns...)
			s := loadText(t, row.settings+tables, resolver.NewRecords(nil))
			s.resolver = zone
			srv := startServer(t, s)
			e := srv.connect(t, "localhost", "127.0.0.1").deliver(letter{header: plainHeader, body: plainBody})
			if e.code != row.code {
				t.Errorf("ended with %q %s", e.code, e.text)
			}
			if got := strings.Join(signedWith(e), " "); got != row.signed {
				t.Errorf("signed with %q, want %q", got, row.signed)
			}
			srv.log.wait(t, "msg=message")
			if warned := strings.Contains(srv.log.String(), "level=WARN msg=message"); warned != (row.log != "") || !strings.Contains(srv.log.String(), row.log) {
				t.Errorf("want a warning with %q:\n%s", row.log, srv.log)
			}
		})
	}
}

// What DNS says changes what signs, without a reload; where it says nothing, what it
// said last counts.
func TestSightingsChange(t *testing.T) {
	inline, record := newKey(t, "ed25519")
	_, other := newKey(t, "ed25519")
	const name = "s1._domainkey.example.com"
	zone := new(shifting)
	zone.show(t)
	s := loadText(t, "unpublished_keys = \"skip\"\n"+fmt.Sprintf("key_table = [\"k=example.com:s1:%s\"]\nsigning_table = [\"example.com=k\"]\n", inline), resolver.NewRecords(nil))
	s.resolver = zone
	srv := startServer(t, s)
	m := srv.connect(t, "localhost", "127.0.0.1")
	for i, step := range []struct {
		record string
		code   byte
		signed bool
	}{
		{"SERVFAIL", 't', false}, {"", 'a', false}, {"SERVFAIL", 'a', false}, {record, 'a', true}, {"SERVFAIL", 'a', true},
		{other, 'a', false}, {"SERVFAIL", 'a', false}, {record, 'a', true}, {"", 'a', false},
	} {
		if step.record == "" {
			zone.show(t)
		} else {
			zone.show(t, name, step.record)
		}
		e := m.deliver(letter{header: plainHeader, body: plainBody})
		if signed := len(signedWith(e)) == 1; e.code != step.code || signed != step.signed {
			t.Errorf("step %d: ended with %q, signed %t", i, e.code, signed)
		}
	}
}

// Many sessions ask about many keys at once, while DNS changes.
func TestSightingsAtOnce(t *testing.T) {
	inline, record := newKey(t, "ed25519")
	zone := new(shifting)
	var rows, signing, pairs []string
	for i := range 20 {
		rows = append(rows, fmt.Sprintf("\"k%d=example.com:s%d:%s\"", i, i, inline))
		signing = append(signing, fmt.Sprintf("\"u%d@example.com=k%d\"", i, i))
		pairs = append(pairs, fmt.Sprintf("s%d._domainkey.example.com", i), record)
	}
	zone.show(t, pairs...)
	s := loadText(t, fmt.Sprintf("unpublished_keys = \"tempfail\"\nkey_table = [%s]\nsigning_table = [%s]\n", strings.Join(rows, ","), strings.Join(signing, ",")), resolver.NewRecords(nil))
	s.resolver = zone
	srv := startServer(t, s)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			m := srv.connect(t, "localhost", "127.0.0.1")
			for i := range 40 {
				header := append([]string{fmt.Sprintf("From: u%d@example.com", i%20)}, plainHeader[1:]...)
				if e := m.deliver(letter{header: header, body: plainBody}); len(signedWith(e)) != 1 {
					t.Errorf("message %d: ended with %q", i, e.code)
				}
			}
		})
	}
	for range 20 {
		zone.show(t, append(pairs, "else.example.com", "x")...)
	}
	wg.Wait()
	if n := len(srv.sightings.known); n != 20 {
		t.Errorf("%d keys are remembered", n)
	}
}

// The memory for what DNS showed is bounded, whatever domains mail brings.
func TestSightingsBound(t *testing.T) {
	var v Sightings
	v.known = map[sight]sighting{}
	for i := range maxSightings {
		v.known[sight{key: fmt.Sprint(i)}] = sighting{}
	}
	inline, _ := newKey(t, "ed25519")
	s := loadText(t, "unpublished_keys = \"skip\"\n"+fmt.Sprintf("key_table = [\"k=%%:s1:%s\"]\nsigning_table = [\"*=k\"]\n", inline), resolver.NewRecords(nil))
	d := s.Decide(Facts{Host: "localhost", Macro: func(string) (string, bool) { return "", false }, Fields: []dkim.Field{{Name: "From", Value: " a@example.com"}}, Mode: s.cfg.Mode})
	key, err := d.Requests[0].Signer()
	if err != nil {
		t.Fatal(err)
	}
	if why := v.Withhold(t.Context(), s, d.Requests[0], key.Public()); why == nil || why.Code != ReasonKeyUnpublished {
		t.Errorf("withheld: %v", why)
	}
	if len(v.known) != maxSightings {
		t.Errorf("%d are remembered", len(v.known))
	}
}

// A real daemon, a real name server and a real resolver: a new key signs as soon as
// its record is there, and the old one until then, without a reload.
func TestUnpublishedKeysInDNS(t *testing.T) {
	ns := nameserver.Start(t, nameserver.Zone{Name: "example.com", Signed: true})
	dns := ns.Resolver(t)
	d := startDaemonWith(t, fmt.Sprintf("unpublished_keys = \"skip\"\nnameservers = [%q]\ndns_timeout = 60\n", dns.Addr), func(o *DaemonOptions) { o.Resolver = nil })
	_, other := newKey(t, "ed25519")
	oldText := record(t, d, "s1._domainkey.example.com")
	d.key(t, "s2", "example.com")
	newText := record(t, d, "s2._domainkey.example.com")
	d.write(t, "key.table", "k example.com:s1:"+d.dir+"/s1.example.com.private\nnew example.com:s2:"+d.dir+"/s2.example.com.private\n")
	d.write(t, "signing.table", "*@example.com new\n*@example.com k\n")
	if r, err := (Control{Dir: filepath.Join(d.dir, "run")}).Reload(t.Context()); err != nil || len(r.Problems) > 0 {
		t.Fatal(err, r.Problems)
	}
	m := d.connect(t)
	add := func(selector, text string) string {
		return fmt.Sprintf("add %s._domainkey.example.com 0 TXT %q", selector, text)
	}
	for _, step := range []struct {
		name, update, signed string
	}{
		{"nothing is there", "", ""},
		{"the old key is there", add("s1", oldText), "s1"},
		{"the new key, too", add("s2", newText), "s2"},
		{"the new key is gone", "delete s2._domainkey.example.com", "s1"},
		{"another in its place", add("s2", other), "s1"},
		{"both keys at one name", add("s2", newText), "s1"},
		{"all are gone", "delete s1._domainkey.example.com", ""},
	} {
		if step.update != "" {
			ns.Update(t, "example.com", step.update)
		}
		deadline := time.Now().Add(3 * time.Minute)
		for {
			got := strings.Join(signedWith(m.deliver(letter{header: header("example.com"), body: plainBody})), " ")
			if got == step.signed {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: signed with %q, want %q:\n%s", step.name, got, step.signed, d.log)
			}
			time.Sleep(50 * time.Millisecond) // a negative answer holds for as long as the zone says
		}
	}
}

// record is the record of a key that the daemon's folder has.
func record(t *testing.T, d *runningDaemon, name string) string {
	t.Helper()
	txt, _, err := d.records.LookupTXT(t.Context(), name)
	if err != nil || len(txt) != 1 {
		t.Fatalf("%s: %q, %v", name, txt, err)
	}
	return txt[0]
}

// BenchmarkSightings is what a message more costs where a thousand keys must be seen
// in DNS before they sign, with answers that the resolver remembers.
func BenchmarkSightings(b *testing.B) {
	inline, record := newKey(b, "rsa")
	records := resolver.NewRecords(nil)
	var rows, signing []string
	for i := range 1000 {
		rows = append(rows, fmt.Sprintf("\"k%d=example.com:s%d:%s\"", i, i, inline))
		signing = append(signing, fmt.Sprintf("\"u%d@example.com=k%d\"", i, i))
		if err := records.Add(fmt.Sprintf("s%d._domainkey.example.com", i), record); err != nil {
			b.Fatal(err)
		}
	}
	s := loadText(b, fmt.Sprintf("unpublished_keys = \"skip\"\nkey_table = [%s]\nsigning_table = [%s]\n", strings.Join(rows, ","), strings.Join(signing, ",")), records)
	var v Sightings
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		requests, err := s.keys.Select(keys.Address{Local: fmt.Sprintf("u%d", i%1000), Domain: "example.com"})
		if err != nil {
			b.Fatal(err)
		}
		key, err := requests[0].Signer()
		if err != nil {
			b.Fatal(err)
		}
		if why := v.Withhold(context.Background(), s, requests[0], key.Public()); why != nil {
			b.Fatal(why)
		}
		i++
	}
}
