package monitor

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics answers scrapes with what a Status tells, and with what the process and
// Go's runtime are like.
func (s *Server) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector(s.status), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError)})
}

// collector makes metrics of a Status for each scrape. Their labels have the values
// that the Status has, which are all that there may be.
type collector func() Status

// Describe implements prometheus.Collector. No description in advance: they come
// with the metrics.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s, x := c(), exposition(ch)
	x.messages(s)
	x.dns(s.DNS)

	x.one(gauge, "connections", "Connections of the MTA that are open.", float64(s.Connections))
	x.one(gauge, "connections_limit", "Connections of the MTA that may be open at once.", float64(s.MaximumConnections))
	each(x, counter, "connections_total", "Connections of the MTA: accepted, of these evicted to make room, and refused for want of room.",
		"outcome", map[string]uint64{"accepted": s.Accepted, "evicted": s.Evicted, "refused": s.Refused})

	each(x, counter, "reloads_total", "Reloads of the configuration.", "outcome",
		map[string]uint64{"success": s.Reloads, "failure": s.FailedReloads})
	x.one(gauge, "last_reload_success", "Whether the last reload took effect; 1 where there was none.", truth(len(s.Problems) == 0))
	last := s.LastReload
	if last.IsZero() {
		last = s.Started
	}
	x.one(gauge, "last_reload_timestamp_seconds", "When the configuration was last read, be it in vain.", float64(last.UnixMilli())/1000)

	each(x, gauge, "keys", "Keys of the configuration by state: ready, unread until they first sign, stale while the file is bad and the key from before signs, disabled.",
		"state", s.KeyStates)
	published := make(map[string]int, len(s.Published))
	for state, n := range s.Published {
		published[string(state)] = n
	}
	each(x, gauge, "keys_published", "Keys of the configuration by what DNS says of them; unknown where it is not asked or does not answer.",
		"state", published)
	each(x, gauge, "keys_rotation", "Keys that postseal rotate has in hand, or had, by state: pending, published, active, retiring, retired.",
		"state", s.Rotation)
	x.one(gauge, "ready", "Whether the daemon is ready, as /readyz has it.", truth(len(s.Unready(false)) == 0))

	info := prometheus.NewDesc(namespace+"build_info", "1, with what the program is.", []string{"version", "goversion"}, nil)
	x <- prometheus.MustNewConstMetric(info, gauge, 1, s.Version, s.GoVersion)
	x.one(gauge, "start_time_seconds", "When the daemon started.", float64(s.Started.UnixMilli())/1000)
}

const (
	namespace = "postseal_"
	counter   = prometheus.CounterValue
	gauge     = prometheus.GaugeValue
)

// exposition takes metrics.
type exposition chan<- prometheus.Metric

func (x exposition) messages(s Status) {
	messages := prometheus.NewDesc(namespace+"messages_total", "Messages by what was decided and what came of it.", []string{"decision", "result"}, nil)
	for o, n := range s.Messages {
		x <- prometheus.MustNewConstMetric(messages, counter, float64(n), o.Decision, o.Result)
	}
	each(x, counter, "actions_total", "Messages by what the MTA was told to do with them.", "action", s.Actions)
	each(x, counter, "reasons_total", "Steps that led to decisions; a message has several.", "reason", s.Reasons)
	each(x, counter, "signatures_total", "Signatures that were made.", "algorithm", s.Signatures)
	each(x, counter, "verified_total", "Signatures that were verified, by result (RFC 8601).", "result", s.Verified)
	x.histogram("message_duration_seconds", "Time from the end of a message to the answer.", s.Duration)
}

func (x exposition) dns(d DNS) {
	each(x, counter, "dns_lookups_total", "Questions to name servers by what they came to.", "outcome", d.Lookups)
	x.histogram("dns_lookup_duration_seconds", "Time that questions to name servers took, with all tries.", d.Duration)
	x.one(counter, "dns_cache_hits_total", "Look-ups that were answered from memory.", float64(d.CacheHits))
	x.one(counter, "dns_cache_misses_total", "Look-ups that were not.", float64(d.CacheMisses))
}

// one is a metric without labels.
func (x exposition) one(kind prometheus.ValueType, name, help string, value float64) {
	x <- prometheus.MustNewConstMetric(prometheus.NewDesc(namespace+name, help, nil, nil), kind, value)
}

// each is a metric with one label.
func each[N int | uint64](x exposition, kind prometheus.ValueType, name, help, label string, values map[string]N) {
	desc := prometheus.NewDesc(namespace+name, help, []string{label}, nil)
	for value, n := range values {
		x <- prometheus.MustNewConstMetric(desc, kind, float64(n), value)
	}
}

// histogram is one of h, whose counts are not cumulative.
func (x exposition) histogram(name, help string, h Histogram) {
	var all uint64
	buckets := make(map[float64]uint64, len(h.Bounds))
	for i, n := range h.Counts {
		all += n
		if i < len(h.Bounds) {
			buckets[h.Bounds[i]] = all
		}
	}
	x <- prometheus.MustNewConstHistogram(prometheus.NewDesc(namespace+name, help, nil, nil), all, h.Sum, buckets)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
