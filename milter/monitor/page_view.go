package monitor

import (
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// view is a Status in words, as the page shows it.
type view struct {
	Style template.CSS
	// Refresh is after how many seconds the page is fetched anew.
	Refresh int
	// Mood is ready, troubled or unready; State says so in words, Short for the title.
	Mood, State, Short string
	Alarms             []alarm
	Now                moment
	Zone               string
	Facts              []fact
	Listeners          []Listener

	Rates, Latency plot
	Watched        string // what the plots have not seen yet

	Messages []row
	Actions  []row
	DNS      []row
	Cache    string
	Sockets  []row // connections

	Reload   string
	Reloaded moment
	Problems []string

	Keys     []keyRow
	MoreKeys string
	Unasked  string

	Troubles []troubleRow
}

// alarm is something to look at now.
type alarm struct {
	// Grave keeps the daemon from being ready.
	Grave bool
	Text  string
	Link  string // to the section that says more; "" for none
}

type fact struct{ Name, Value string }

// row is a line of a table of counters: since the start, and in the last hour.
type row struct{ Name, All, Hour string }

type keyRow struct {
	Key
	Size string
	// The moods say how State and DNS are shown: good, bad or dim.
	StateMood, DNSMood string
	DNS                string
	When               moment
}

type troubleRow struct {
	Trouble
	When   moment
	Mood   string
	Before string // how many others were like it; "" for none
}

const (
	pageRefresh = 15
	// recent is how many minutes back an alarm looks.
	recent = 10
)

func newView(s Status, end time.Time, parts *[minutes]change, now time.Time) view {
	v := view{
		Style: template.CSS(pageStyle), Refresh: pageRefresh,
		Now: when(now, now), Zone: now.Format("2006-01-02, MST"),
		Facts: []fact{
			{"Version", s.Version + " (" + s.GoVersion + ")"}, {"Up for", long(now.Sub(s.Started))}, {"Process", fmt.Sprint(s.PID)},
			{"Connections", fmt.Sprintf("%s of %s", count(uint64(s.Connections)), count(uint64(s.MaximumConnections)))},
			{"Keys", keyWords(s)}, {"Sandbox", s.Sandbox},
		},
		Problems: s.Problems, Reloaded: when(s.LastReload, now), Unasked: s.Unasked,
	}
	var hour, late change
	for i, part := range parts {
		hour.join(part)
		if i >= minutes-recent {
			late.join(part)
		}
	}
	for _, l := range s.Listeners {
		if strings.HasSuffix(l.Name, l.Address) {
			l.Address = ""
		}
		v.Listeners = append(v.Listeners, l)
	}
	v.judge(s, late)
	v.draw(end, parts, hour)
	v.count(s, hour)
	v.reload(s, now)
	v.keys(s, now)
	for _, t := range s.Troubles {
		r := troubleRow{Trouble: t, When: when(t.Time, now), Mood: "bad"}
		if t.Action == "accept" {
			r.Mood = "dim"
		}
		if t.Times > 1 {
			r.Before = "and " + count(uint64(t.Times-1)) + " before"
		}
		v.Troubles = append(v.Troubles, r)
	}
	return v
}

func keyWords(s Status) string {
	var words []string
	for _, state := range []string{"ready", "unread", "stale", "disabled"} {
		if n := s.KeyStates[state]; n > 0 {
			words = append(words, count(uint64(n))+" "+state)
		}
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// judge says how the daemon does, the gravest first. late is what happened lately.
func (v *view) judge(s Status, late change) {
	for _, why := range s.Unready(false) {
		v.Alarms = append(v.Alarms, alarm{Grave: true, Text: sentence(why)})
	}
	grave := len(v.Alarms)
	add := func(there bool, link, format string, args ...any) {
		if there {
			v.Alarms = append(v.Alarms, alarm{Link: link, Text: fmt.Sprintf(format, args...)})
		}
	}
	add(len(s.Problems) > 0, "reload", "The last reload failed: the configuration before it is in force.")
	wrong := s.Published[Missing] + s.Published[Different]
	add(wrong > 0, "keys", "DNS does not publish %s as needed: receivers cannot verify what is signed so.", plural(wrong, "key"))
	add(s.KeyStates["stale"] > 0, "keys", "%s in files cannot be used; what the files had before signs.", plural(s.KeyStates["stale"], "key"))
	unsigned := late.messages[Outcome{"sign", "unsigned"}] + late.messages[Outcome{"refuse", "none"}]
	add(unsigned > 0, "troubles", "%s should have been signed and could not be, in the last %d minutes.", plural(int(unsigned), "message"), recent)
	failed, asked := failedLookups(late.lookups)
	add(failed >= 3 && 10*failed >= asked, "dns", "%s of %s look-ups in DNS failed in the last %d minutes.", count(failed), count(asked), recent)
	add(s.MaximumConnections > 0 && 10*s.Connections >= 9*s.MaximumConnections, "connections",
		"%s of at most %s connections are in use.", count(uint64(s.Connections)), count(uint64(s.MaximumConnections)))
	switch {
	case s.Stopping:
		v.Mood, v.State, v.Short = "unready", "Stopping", "Stopping"
	case grave > 0:
		v.Mood, v.State, v.Short = "unready", "Not ready", "Not ready: "+plural(grave, "reason")
	case len(v.Alarms) > 0:
		v.Mood, v.State, v.Short = "troubled", "Ready, and something to look at", "Ready, look: "+plural(len(v.Alarms), "thing")
	default:
		v.Mood, v.State, v.Short = "ready", "Ready", "Ready"
	}
}

func failedLookups(lookups map[string]uint64) (failed, all uint64) {
	for _, n := range lookups {
		all += n
	}
	return lookups["timeout"] + lookups["failure"], all
}

// draw plots the rate of messages and the time for them.
func (v *view) draw(end time.Time, parts *[minutes]change, hour change) {
	signed := func(c change) uint64 { return c.messages[Outcome{"sign", "signed"}] }
	verified := func(c change) (n uint64) {
		for o, all := range c.messages {
			if o.Decision == "verify" {
				n += all
			}
		}
		return n
	}
	refused := func(c change) (n uint64) {
		for action, all := range c.actions {
			if action != "accept" {
				n += all
			}
		}
		return n
	}
	rates := []line{
		rate("signed", "line-a", parts, hour, signed), rate("verified", "line-b", parts, hour, verified),
		rate("not let through", "line-c", parts, hour, refused),
	}
	latencies := []line{
		latency("median (p50)", "line-a", parts, hour, 0.5), latency("99 of 100 take less (p99)", "line-c", parts, hour, 0.99),
	}
	v.Rates = draw(end, rates, linear(rates), rateWords)
	v.Latency = draw(end, latencies, decades(latencies), latencyWords)
	switch {
	case hour.over == 0:
		v.Watched = "Nothing was seen yet: the first values come soon after the start."
	case hour.over < historyLong-2*time.Minute:
		v.Watched = "Seen so far: " + long(hour.over) + " of the last hour."
	}
}

// rate is how many there are a minute.
func rate(name, class string, parts *[minutes]change, hour change, of func(change) uint64) line {
	l := unknown(name, class)
	for i, part := range parts {
		if part.over > 0 {
			l.values[i] = float64(of(part)) / part.over.Minutes()
		}
	}
	mean := math.NaN()
	if hour.over > 0 {
		mean = float64(of(hour)) / hour.over.Minutes()
	}
	return l.summed(mean, rateWords)
}

// latency is what the share q of messages took at most, in seconds.
func latency(name, class string, parts *[minutes]change, hour change, q float64) line {
	l := unknown(name, class)
	for i, part := range parts {
		if value, ok := part.duration.quantile(q); ok {
			l.values[i] = value
		}
	}
	whole := math.NaN()
	if value, ok := hour.duration.quantile(q); ok {
		whole = value
	}
	return l.summed(whole, latencyWords)
}

// summed is the line with its values in words.
func (l line) summed(hour float64, words func(float64) string) line {
	most := math.NaN()
	for _, value := range l.values {
		if math.IsNaN(most) || value > most {
			most = value
		}
	}
	l.Last, l.Hour, l.Most = words(l.values[minutes-1]), words(hour), words(most)
	return l
}

// count makes the tables of counters.
func (v *view) count(s Status, hour change) {
	outcomes := slices.SortedFunc(maps.Keys(s.Messages), func(a, b Outcome) int {
		return strings.Compare(a.Decision+" "+a.Result, b.Decision+" "+b.Result)
	})
	for _, o := range outcomes {
		if s.Messages[o] > 0 {
			v.Messages = append(v.Messages, row{o.words(), count(s.Messages[o]), count(hour.messages[o])})
		}
	}
	for _, action := range slices.Sorted(maps.Keys(s.Actions)) {
		if s.Actions[action] > 0 {
			v.Actions = append(v.Actions, row{action, count(s.Actions[action]), count(hour.actions[action])})
		}
	}
	for _, outcome := range slices.Sorted(maps.Keys(s.DNS.Lookups)) {
		v.DNS = append(v.DNS, row{outcome, count(s.DNS.Lookups[outcome]), count(hour.lookups[outcome])})
	}
	hits, all := s.DNS.CacheHits, s.DNS.CacheHits+s.DNS.CacheMisses
	v.Cache = "Nobody asked for a key yet."
	if all > 0 {
		v.Cache = fmt.Sprintf("%s of %s questions for keys answered from the cache (%s).", count(hits), count(all), share(hits, all))
	}
	v.Sockets = []row{
		{Name: "open now", All: count(uint64(s.Connections))}, {Name: "taken", All: count(s.Accepted)},
		{Name: "closed to make room", All: count(s.Evicted)}, {Name: "refused, no room", All: count(s.Refused)},
	}
}

func (v *view) reload(s Status, now time.Time) {
	switch {
	case s.LastReload.IsZero():
		v.Reload = "The configuration of the start is in force."
	case len(s.Problems) > 0:
		v.Reload = "The last reload failed " + ago(s.LastReload, now) + ". The configuration before it is in force."
	default:
		v.Reload = "The last reload took effect " + ago(s.LastReload, now) + "."
	}
}

func (v *view) keys(s Status, now time.Time) {
	for _, k := range s.Keys {
		r := keyRow{Key: k, When: when(k.Asked, now), DNS: string(k.Published)}
		switch {
		case k.Algorithm == "":
		case k.Bits > 0 && k.Algorithm == "rsa":
			r.Size = fmt.Sprintf("rsa %d", k.Bits)
		default:
			r.Size = k.Algorithm
		}
		switch k.State {
		case "ready":
			r.StateMood = "good"
		case "unread":
			r.StateMood = "dim"
		default:
			r.StateMood = "bad"
		}
		switch k.Published {
		case Published:
			r.DNSMood = "good"
		case Missing, Different:
			r.DNSMood = "bad"
			if k.Unused && k.Rotation != "retiring" {
				r.DNSMood = "dim" // no mail needs it
			}
		default:
			r.DNSMood = "dim"
		}
		v.Keys = append(v.Keys, r)
	}
	if more := s.KeyCount - len(s.Keys); more > 0 {
		v.MoreKeys = "and " + count(uint64(more)) + " more: postseal status --json"
	}
}
