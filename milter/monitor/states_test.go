package monitor

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// noon is when the tests look.
var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// bounds are those of a daemon's histograms, in seconds.
var bounds = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// fresh is the Status of a daemon that has just started.
func fresh() Status {
	return Status{
		Version: "1.2.3", GoVersion: "go1.26.8", PID: 4711, Started: noon.Add(-17 * time.Second),
		Listeners: []Listener{
			{Name: "unix:/var/spool/postfix/postseal/postseal.sock", Address: "/var/spool/postfix/postseal/postseal.sock", Inherited: true},
			{Name: "inet:8891@localhost", Address: "127.0.0.1:8891"},
		},
		Sandbox: "landlock, ABI 6", MaximumConnections: 500,
		Messages: map[Outcome]uint64{{"sign", "signed"}: 0, {"verify", "pass"}: 0},
		Actions:  map[string]uint64{"accept": 0, "tempfail": 0, "reject": 0},
		DNS:      DNS{Lookups: map[string]uint64{"found": 0, "absent": 0, "timeout": 0, "failure": 0}},
		Keys: []Key{
			{Name: "main", Domain: "example.com", Selector: "s2026", Algorithm: "rsa", Bits: 2048, State: "ready", Published: Unknown},
			{Name: "main-ed", Domain: "example.com", Selector: "e2026", Algorithm: "ed25519", Bits: 256, State: "ready", Published: Unknown},
		},
		KeyCount: 2, KeyStates: map[string]int{"ready": 2, "unread": 0, "stale": 0, "disabled": 0},
		Published: map[Publication]int{Unknown: 2, Published: 0, Missing: 0, Different: 0},
	}
}

// busy is the Status of a daemon that is well, after so many seconds of work that
// swells and ebbs.
func busy(seconds float64) Status {
	s := fresh()
	s.Started = noon.Add(-49*24*time.Hour - 3*time.Hour)
	n := func(rate float64) uint64 {
		return uint64(1e6*rate + rate*(seconds+300*math.Sin(seconds/400)))
	}
	s.Messages = map[Outcome]uint64{
		{"sign", "signed"}: n(4), {"verify", "pass"}: n(9), {"verify", "none"}: n(2), {"verify", "fail"}: n(0.3), {"pass", "none"}: n(0.1),
	}
	s.Actions = map[string]uint64{"accept": n(15), "reject": n(0.2), "tempfail": n(0.02)}
	s.DNS = DNS{
		Lookups:   map[string]uint64{"found": n(3), "absent": n(0.4), "timeout": n(0.01), "failure": n(0.005)},
		CacheHits: n(7), CacheMisses: n(3.4),
	}
	s.Duration = Histogram{Bounds: bounds, Counts: make([]uint64, len(bounds)+1)}
	for i, share := range []float64{0.1, 2, 7, 4, 1.5, 0.6, 0.1, 0.05, 0.01, 0.002} {
		s.Duration.Counts[i] = n(share)
	}
	s.Connections, s.Accepted, s.Evicted = 23, n(1), 4
	s.Reloads, s.LastReload = 3, noon.Add(-26*time.Hour)
	for i := range s.Keys {
		s.Keys[i].Published, s.Keys[i].Asked = Published, noon.Add(-time.Duration(i+1)*time.Minute)
	}
	s.Published = map[Publication]int{Published: 2}
	s.Troubles = []Trouble{
		{noon.Add(-4 * time.Minute), "4Wz1Qr2GkqzB", 1, "verify", "reject", "example.net", "fail d=example.net s=s1 a=rsa-sha256 'body hash did not verify'"},
		{noon.Add(-9 * time.Minute), "4Wz1Qm0T5yzC", 1234, "verify", "accept", "lists.example.org", "permerror d=lists.example.org s=k a=rsa-sha256 'no key for signature'"},
	}
	return s
}

// states are the pages that the tests look at.
func states() map[string]Status {
	troubled := busy(3600)
	troubled.Connections, troubled.Refused, troubled.Evicted = 497, 12, 340
	troubled.KeyStates = map[string]int{"ready": 2, "stale": 1, "disabled": 2}
	troubled.KeyCount = 5
	troubled.Keys = append([]Key{
		{
			Name: "shop", Domain: "shop.example", Selector: "s1", State: "disabled", Published: Unknown,
			Error: "/etc/postseal/key.table:3: key \"shop\": open /etc/postseal/keys/shop.private: permission denied: the user postseal must be able to read it",
		},
		{
			Name: "old", Domain: "old.example", Selector: "s1", State: "disabled", Published: Unknown,
			Error: "/etc/postseal/key.table:4: key \"old\": RSA key has 512 bits; 1024 are the least",
		},
		{
			Name: "news", Domain: "news.example.com", Selector: "n", Algorithm: "rsa", Bits: 1024, State: "stale", Published: Missing,
			Error: "/etc/postseal/keys/news.private: no PEM block", Asked: noon.Add(-20 * time.Second),
			Finding: "There is no TXT record at n._domainkey.news.example.com.",
		},
	}, troubled.Keys...)
	troubled.Keys[4].Published = Different
	troubled.Keys[4].Finding = "The record publishes another key (Ed25519) than the private key's (Ed25519): every signature fails."
	troubled.Published = map[Publication]int{Unknown: 2, Missing: 1, Different: 1, Published: 1}
	troubled.LastReload, troubled.FailedReloads = noon.Add(-3*time.Minute), 2
	troubled.Problems = []string{
		"/etc/postseal/signing.table:17: row \"*@shop.example\": no key \"shopp\" in /etc/postseal/key.table",
		"internal_hosts: /etc/postseal/trusted.hosts:4: \"10.0.0.0/33\" is no network",
	}
	for i := range 48 {
		troubled.Troubles = append([]Trouble{{
			noon.Add(time.Duration(i-48) * 13 * time.Second), fmt.Sprintf("4Wz1Qr%dGkqzB", i), i%2 + 1, []string{"refuse", "sign", "verify"}[i%3],
			[]string{"tempfail", "tempfail", "reject"}[i%3], "shop.example",
			[]string{
				"client 'localhost [127.0.0.1]' is internal ('127.0.0.1'); the tables cannot sign for '…@shop.example': 'signing table references unknown key'",
				"client 'localhost [127.0.0.1]' is internal ('127.0.0.1'); signing table row '/etc/postseal/signing.table:3' names key 'shop'; key 'shop' cannot sign: 'open /etc/postseal/keys/shop.private: permission denied'",
				"temperror d=slow.example s=s1 a=rsa-sha256 'key unavailable'",
			}[i%3],
		}}, troubled.Troubles...)
	}
	many := busy(3600)
	many.Keys, many.KeyCount = nil, 12345
	many.KeyStates = map[string]int{"ready": 345, "unread": 12000}
	many.Unasked = "DNS is not asked about keys: there are more than monitor_keys (100)."
	for i := range MostKeys {
		many.Keys = append(many.Keys, Key{
			Name: fmt.Sprintf("key%05d", i), Domain: fmt.Sprintf("customer%05d.example", i), Selector: "s1", State: "unread", Published: Unknown,
		})
	}
	unsigned := busy(3600)
	unsigned.Messages[Outcome{"refuse", "none"}] += 60
	unsigned.DNS.Lookups["timeout"] += 600
	long := busy(3600)
	label := strings.Repeat("abcdefghi-", 6) + "xyz"
	name := strings.Join([]string{label, label, label, label[:50], "example"}, ".")
	for i := range long.Keys {
		long.Keys[i].Domain, long.Keys[i].Selector, long.Keys[i].Name = name, label, name
	}
	for i := range long.Troubles {
		long.Troubles[i].Domain, long.Troubles[i].QueueID = name, strings.Repeat("A1", 60)
		long.Troubles[i].Reason = "fail d=" + name + " s=" + label + " 'body hash did not verify'"
	}
	long.Version = "0.0.0-20260314115959-abcdef012345+dirty"
	stopping := busy(3600)
	stopping.Stopping, stopping.Listeners = true, nil
	return map[string]Status{
		"fresh": fresh(), "busy": busy(3600), "troubled": troubled, "many-keys": many, "long-names": long, "stopping": stopping, "unsigned": unsigned,
	}
}

// pageOf is a page that shows a Status at noon, after an hour of samples that lead
// there.
func pageOf(t testing.TB, s Status) *Page {
	t.Helper()
	p := NewPage(func() Status { return s })
	p.now = func() time.Time { return noon }
	if s.Connections == 0 {
		p.history.keep(noon.Add(-17*time.Second), s)
		return p
	}
	for ago := historyLong; ago >= 0; ago -= sampleEvery {
		if ago > 20*time.Minute && ago < 24*time.Minute {
			continue // the machine slept
		}
		then := busy((historyLong - ago).Seconds())
		if ago == 0 {
			then = s
		}
		p.history.keep(noon.Add(-ago), then)
	}
	return p
}
