package milter

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/monitor"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/rogue"
)

// zone is what DNS says for now, and what it was asked.
type zone struct {
	*resolver.Records
	asked []string
}

func (z *zone) LookupTXT(ctx context.Context, name string) ([]string, bool, error) {
	z.asked = append(z.asked, name)
	return z.Records.LookupTXT(ctx, name)
}

// publishingTest is a watch over the keys of one configuration after the other, at a
// time of its own.
type publishingTest struct {
	*publishing
	t    *testing.T
	zone *zone
	log  *lockedLog
	s    *Snapshot
	time time.Time
}

func watchPublishing(t *testing.T) *publishingTest {
	p := &publishingTest{t: t, zone: &zone{Records: resolver.NewRecords(nil)}, log: new(lockedLog), time: time.Unix(1e9, 0)}
	p.publishing = newPublishing(slog.New(slog.NewTextHandler(p.log, nil)), func() *Snapshot { return p.s }, func() time.Time { return p.time })
	return p
}

// use puts settings in force.
func (p *publishingTest) use(settings string) {
	p.t.Helper()
	if !strings.Contains(settings, "monitor_keys") {
		settings += "\nmonitor_keys = 100"
	}
	p.s = loadText(p.t, settings, p.zone.Records)
	p.s.resolver = p.zone
}

// publish makes the zone anew, of names and texts by turns.
func (p *publishingTest) publish(pairs ...string) {
	p.t.Helper()
	p.zone.Records = resolver.NewRecords(nil)
	for pair := range slices.Chunk(pairs, 2) {
		if err := p.zone.Add(pair[0], pair[1]); err != nil {
			p.t.Fatal(err)
		}
	}
}

// after lets so much time pass, a step for each second, and returns what DNS was
// asked.
func (p *publishingTest) after(d time.Duration) []string {
	p.t.Helper()
	p.zone.asked = nil
	for range d / time.Second {
		p.time = p.time.Add(time.Second)
		p.step(p.t.Context())
	}
	return p.zone.asked
}

// states are those of the keys by domain.
func (p *publishingTest) states() map[string]monitor.Publication {
	states := map[string]monitor.Publication{}
	for _, k := range p.s.Keys() {
		states[k.Domain], _, _ = p.about(k)
	}
	return states
}

// wantLog wants so many lines with a text.
func (p *publishingTest) wantLog(text string, lines int) {
	p.t.Helper()
	if got := strings.Count(p.log.String(), text); got != lines {
		p.t.Errorf("%d lines with %q, want %d:\n%s", got, text, lines, p.log)
	}
}

const (
	unpublished  = `level=WARN msg="DNS does not publish a key as it signs`
	publishedNow = `level=INFO msg="DNS publishes a key again"`
)

func TestPublishing(t *testing.T) {
	inline, record := newKey(t, "ed25519")
	_, another := newKey(t, "ed25519")
	const name = "s._domainkey.example.com"
	p := watchPublishing(t)
	p.use("key_table = [\"k=example.com:s:" + inline + "\"]\nsigning_table = [\"example.com=k\"]")
	want := func(state monitor.Publication, finding string, warnings, infos int) {
		t.Helper()
		got, text, asked := p.about(p.s.Keys()[0])
		if got != state || !strings.Contains(text, finding) || (finding == "") != (text == "") || asked != p.time {
			t.Errorf("%s %q at %v, want %s with %q at %v", got, text, asked, state, finding, p.time)
		}
		p.wantLog(unpublished, warnings)
		p.wantLog(publishedNow, infos)
	}
	if state, _, asked := p.about(p.s.Keys()[0]); state != monitor.Unknown || !asked.IsZero() {
		t.Errorf("at the start: %s at %v", state, asked)
	}
	p.after(time.Second)
	want(monitor.Missing, "There is no TXT record at "+name+".", 1, 0)
	p.wantLog(`key=k domain=example.com selector=s state=missing finding="There is no TXT record at `+name+`." fix="Publish it.`, 1)

	p.publish("s.example.com", record)
	p.after(time.Minute)
	want(monitor.Missing, "the key stands at s.example.com", 1, 0)

	p.publish(name, another)
	p.after(time.Minute)
	want(monitor.Different, "The record publishes another key", 1, 0)

	p.publish(name, record)
	p.after(time.Minute)
	want(monitor.Published, "", 1, 1)

	if asked := p.after(10*time.Minute - time.Second); len(asked) > 0 {
		t.Errorf("asked again before ten minutes were over: %q", asked)
	}
	p.zone.Fail(name, errors.New("SERVFAIL"))
	p.after(time.Second)
	want(monitor.Unknown, "The record could not be looked up: TXT "+name+": SERVFAIL.", 1, 1)
	p.after(time.Minute)
	want(monitor.Unknown, "could not be looked up", 1, 1)

	p.publish(name, record, name, "other text")
	p.after(time.Minute)
	want(monitor.Published, "Another text stands at the same name", 1, 1)

	p.publish(name, strings.Replace(record, "p=", "t=s; s=web; p=", 1))
	p.after(10 * time.Minute)
	want(monitor.Different, "s=\"web\" does not allow the key for email", 2, 1)

	p.publish(name, record)
	p.after(time.Minute)
	want(monitor.Published, "", 2, 2)
	if lines := strings.Count(p.log.String(), "\n"); lines != 4 {
		t.Errorf("%d lines in the log:\n%s", lines, p.log)
	}
}

// What does not sign until DNS shows it is told of as such.
func TestPublishingWithheld(t *testing.T) {
	inline, _ := newKey(t, "ed25519")
	for _, value := range []string{"skip", "tempfail"} {
		p := watchPublishing(t)
		p.use("unpublished_keys = \"" + value + "\"\nkey_table = [\"k=example.com:s:" + inline + "\"]\nsigning_table = [\"example.com=k\"]")
		p.after(time.Second)
		p.wantLog(unpublished, 0)
		p.wantLog(`level=WARN msg="DNS does not publish a key, and unpublished_keys keeps it from signing" key=k`, 1)
	}
}

// A configuration that comes into force brings its new keys to the front, forgets
// those that are gone, and tells the log nothing twice.
func TestPublishingReloads(t *testing.T) {
	inline, record := newKey(t, "ed25519")
	next, nextRecord := newKey(t, "ed25519")
	table := func(rows ...string) string {
		return `key_table = ["` + strings.Join(rows, `", "`) + "\"]\nsigning_table = [\"example.com=a\"]"
	}
	a, b, c := "a=example.com:s:"+inline, "b=example.net:s:"+inline, "c=example.org:s:"+inline
	p := watchPublishing(t)
	p.publish("s._domainkey.example.net", record, "s._domainkey.example.org", record)
	p.use(table(a, b))
	p.after(10 * time.Second)
	want := func(states map[string]monitor.Publication, warnings int) {
		t.Helper()
		if got := p.states(); !maps.Equal(got, states) {
			t.Errorf("%v, want %v", got, states)
		}
		p.wantLog(unpublished, warnings)
	}
	want(map[string]monitor.Publication{"example.com": monitor.Missing, "example.net": monitor.Published}, 1)

	p.use(table(a, b, c))
	if asked := p.after(time.Second); !slices.Equal(asked, []string{"s._domainkey.example.org"}) {
		t.Errorf("asked after the reload: %q", asked)
	}
	want(map[string]monitor.Publication{"example.com": monitor.Missing, "example.net": monitor.Published, "example.org": monitor.Published}, 1)
	if got := p.count(4); !maps.Equal(got, map[monitor.Publication]int{monitor.Unknown: 1, monitor.Missing: 1, monitor.Published: 2, monitor.Different: 0}) {
		t.Errorf("counted %v", got)
	}

	p.use(table(a))
	p.after(time.Second)
	if len(p.order) != 1 || len(p.known) != 1 {
		t.Errorf("%d keys are kept", len(p.order))
	}
	p.publish("s._domainkey.example.com", nextRecord)
	p.use(table("a=example.com:s:" + next)) // another key in its place
	p.after(time.Second)
	want(map[string]monitor.Publication{"example.com": monitor.Published}, 1)
	p.use(table(a)) // and back
	p.after(time.Second)
	want(map[string]monitor.Publication{"example.com": monitor.Different}, 2)
}

// What is asked about, and what not.
func TestPublishingAsks(t *testing.T) {
	inline, _ := newKey(t, "ed25519")
	file := t.TempDir() + "/key"
	key, err := keys.Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.WritePrivate(file, key); err != nil {
		t.Fatal(err)
	}
	rows := func(n int) string {
		var list, signing []string
		for i := range n {
			list = append(list, "\"k"+strings.Repeat("x", i)+"=d"+strings.Repeat("x", i)+".example:s:"+inline+"\"")
			signing = append(signing, "\"d"+strings.Repeat("x", i)+".example=k"+strings.Repeat("x", i)+"\"")
		}
		return "key_table = [" + strings.Join(list, ", ") + "]\nsigning_table = [" + strings.Join(signing, ", ") + "]"
	}
	single := "key_file = \"" + file + "\"\nselector = \"s\"\nrequire_safe_keys = false\n"
	for _, row := range []struct {
		name, settings string
		domains        int // that DNS is asked about
		unasked        string
	}{
		{"tables", rows(3), 3, ""},
		{"as many as may be", rows(3) + "\nmonitor_keys = 3", 3, ""},
		{"more than may be", rows(4) + "\nmonitor_keys = 3", 0, "there are 4, more than monitor_keys = 3"},
		{"none", rows(1) + "\nmonitor_keys = 0", 0, "monitor_keys = 0"},
		{"each sender's domain", "key_table = [\"k=%:s:" + inline + "\"]\nsigning_table = [\"*=k\"]", 0, ""},
		{"a key that cannot be read", "key_table = [\"k=example.com:s:/nowhere\"]\nsigning_table = [\"*=k\"]", 0, ""},
		{"two rows with one key", "key_table = [\"k=example.com:s:" + inline + "\", \"l=example.com:s:" + inline + "\"]\nsigning_table = [\"*=k\"]", 1, ""},
		{"one key for listed domains", single + `domain = ["example.com", "example.net"]`, 2, ""},
		{"one key for each domain", single + `domain = ["*"]`, 0, ""},
		{"one key for too many domains", single + "domain = [\"example.com\", \"example.net\"]\nmonitor_keys = 1", 0, "there are 2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := watchPublishing(t)
			p.use(row.settings)
			names := map[string]bool{}
			for _, name := range p.after(30 * time.Second) {
				if strings.HasPrefix(name, "s._domainkey.") && strings.Count(name, ".") == 3 {
					names[name] = true
				}
			}
			if len(names) != row.domains {
				t.Errorf("asked for %v, want %d", slices.Sorted(maps.Keys(names)), row.domains)
			}
			if got := unasked(p.s); !strings.Contains(got, row.unasked) || (got == "") != (row.unasked == "") {
				t.Errorf("not asked: %q", got)
			}
			counts := p.count(p.s.KeyCount())
			if counts[monitor.Unknown]+counts[monitor.Missing] != p.s.KeyCount() || counts[monitor.Missing] < row.domains {
				t.Errorf("counted %v of %d", counts, p.s.KeyCount())
			}
		})
	}
}

// A tick is a question, and nothing is asked without one; a key that is missing takes
// three.
func TestPublishingRate(t *testing.T) {
	inline, _ := newKey(t, "ed25519")
	p := watchPublishing(t)
	p.use("key_table = [\"a=example.com:s:" + inline + "\", \"b=example.net:s:" + inline + "\", \"c=example.org:s:" + inline + "\"]\nsigning_table = [\"*=a\"]")
	ctx, cancel := context.WithCancel(t.Context())
	ticks, ended := make(chan time.Time), make(chan struct{})
	go func() { p.run(ctx, ticks); close(ended) }()
	const number = 8
	for range number {
		ticks <- time.Time{}
	}
	cancel()
	<-ended
	if n := len(p.zone.asked); n != 9 { // with ticks 1, 4 and 7
		t.Errorf("%d questions for %d ticks: %q", n, number, p.zone.asked)
	}
}

// A record is published whatever happens on the way to it, and nothing but a clear
// answer makes it missing.
func TestPublishingHostile(t *testing.T) {
	key := testKey()
	s := rogueServer(t, key)
	for _, b := range rogue.Behaviours() {
		t.Run(b.Label, func(t *testing.T) {
			t.Parallel()
			o := resolver.Options{Nameservers: []string{s.Addr()}, Timeout: time.Minute}
			if b.Waits {
				o.Timeout = 200 * time.Millisecond
			}
			client, err := resolver.New(o)
			if err != nil {
				t.Fatal(err)
			}
			p := watchPublishing(t)
			one := &publication{key: keys.KeyInfo{Domain: "example.com", Selector: b.Label, Public: key.Public()}}
			state, finding := ask(t.Context(), resolver.Anew{Client: client}, one.key)
			p.note(one, state, finding)
			want := map[rogue.Outcome]monitor.Publication{
				rogue.Found: monitor.Published, rogue.Absent: monitor.Missing, rogue.Temporary: monitor.Unknown,
			}[b.Outcome]
			if b.Label == "beside-60-kib" {
				want = monitor.Different // the text beside it looks like the rest of a key
			}
			if state != want {
				t.Errorf("%s: %+v, want %s", state, finding, want)
			}
			p.wantLog(unpublished, map[bool]int{true: 1}[want == monitor.Missing || want == monitor.Different])
		})
	}
}

// panics stands for an answer that nobody has thought of.
type panics struct{ dkim.Resolver }

func (panics) LookupTXT(context.Context, string) ([]string, bool, error) { panic("x") }

func TestPublishingPanic(t *testing.T) {
	state, finding := ask(t.Context(), panics{}, keys.KeyInfo{Domain: "example.com", Selector: "s", Public: testKey().Public()})
	if state != monitor.Unknown || !strings.Contains(finding.Text, "panic") {
		t.Errorf("%s: %+v", state, finding)
	}
}

// A daemon with a monitor knows, and tells both who asks it for its status and the
// page; one without does not ask.
func TestDaemonPublishing(t *testing.T) {
	t.Parallel()
	with := startDaemonWith(t, "monitor_socket = \"local:"+t.TempDir()+"/m\"")
	without := startDaemon(t)
	for end := time.Now().Add(time.Minute); with.Status().Keys[0].Published != "published"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not know: %+v\n%s", with.Status().Keys, with.log)
		}
	}
	st := with.monitorStatus()
	if k := st.Keys[0]; k.Published != monitor.Published || k.Asked.IsZero() || st.Published[monitor.Published] != 1 || st.Unasked != "" {
		t.Errorf("%+v, %v, %q", k, st.Published, st.Unasked)
	}
	if without.monitor.publishing != nil || without.Status().Keys[0].Published != "" {
		t.Error("one without a monitor asks")
	}
}
