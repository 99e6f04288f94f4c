package monitor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// measured is a Status with something in each part.
func measured() Status {
	s := whole()
	s.Started = time.Unix(1_700_000_000, 500_000_000)
	s.Connections, s.MaximumConnections, s.Accepted, s.Evicted, s.Refused = 3, 1000, 50, 4, 5
	s.Messages = map[Outcome]uint64{{"sign", "signed"}: 10, {"sign", "unsigned"}: 0, {"verify", "pass"}: 7}
	s.Reasons = map[string]uint64{"internal": 10, "no_from": 0}
	s.Actions = map[string]uint64{"accept": 17, "reject": 0}
	s.Signatures = map[string]uint64{"rsa-sha256": 10, "ed25519-sha256": 6}
	s.Verified = map[string]uint64{"pass": 8, "fail": 1}
	s.Duration = Histogram{Bounds: []float64{0.001, 0.01}, Counts: []uint64{2, 3, 4}, Sum: 1.5}
	s.DNS = DNS{
		Lookups:   map[string]uint64{"found": 3, "absent": 2, "timeout": 1, "failure": 0},
		Duration:  Histogram{Bounds: []float64{0.5}, Counts: []uint64{6, 0}, Sum: 0.25},
		CacheHits: 20, CacheMisses: 6,
	}
	s.Reloads, s.FailedReloads, s.LastReload, s.Problems = 2, 1, time.Unix(1_700_000_100, 0), []string{"x"}
	s.Published = map[Publication]int{Published: 2, Unknown: 1, Missing: 0, Different: 0}
	return s
}

// families parses a page of metrics.
func families(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return all
}

// The names, types and labels are what alerts and dashboards rest on.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	want := map[string]string{ // type and labels
		"postseal_messages_total":                "COUNTER decision result",
		"postseal_actions_total":                 "COUNTER action",
		"postseal_reasons_total":                 "COUNTER reason",
		"postseal_signatures_total":              "COUNTER algorithm",
		"postseal_verified_total":                "COUNTER result",
		"postseal_message_duration_seconds":      "HISTOGRAM",
		"postseal_dns_lookups_total":             "COUNTER outcome",
		"postseal_dns_lookup_duration_seconds":   "HISTOGRAM",
		"postseal_dns_cache_hits_total":          "COUNTER",
		"postseal_dns_cache_misses_total":        "COUNTER",
		"postseal_connections":                   "GAUGE",
		"postseal_connections_limit":             "GAUGE",
		"postseal_connections_total":             "COUNTER outcome",
		"postseal_reloads_total":                 "COUNTER outcome",
		"postseal_last_reload_success":           "GAUGE",
		"postseal_last_reload_timestamp_seconds": "GAUGE",
		"postseal_keys":                          "GAUGE state",
		"postseal_keys_published":                "GAUGE state",
		"postseal_ready":                         "GAUGE",
		"postseal_build_info":                    "GAUGE goversion version",
		"postseal_start_time_seconds":            "GAUGE",
	}
	got := map[string]string{}
	_, text := serve(t, measured).get(t, "/metrics")
	all := families(t, text)
	for name, f := range all {
		if strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "go_") {
			continue
		}
		is := []string{f.GetType().String()}
		for _, l := range f.GetMetric()[0].GetLabel() {
			is = append(is, l.GetName())
		}
		got[name] = strings.Join(is, " ")
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	for _, name := range []string{"process_open_fds", "process_max_fds", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds", "go_goroutines"} {
		if all[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestMetricValues(t *testing.T) {
	t.Parallel()
	_, text := serve(t, measured).get(t, "/metrics")
	lines := strings.Split(text, "\n")
	for _, want := range []string{
		`postseal_messages_total{decision="sign",result="signed"} 10`,
		`postseal_messages_total{decision="sign",result="unsigned"} 0`,
		`postseal_messages_total{decision="verify",result="pass"} 7`,
		`postseal_actions_total{action="accept"} 17`,
		`postseal_actions_total{action="reject"} 0`,
		`postseal_reasons_total{reason="internal"} 10`,
		`postseal_signatures_total{algorithm="ed25519-sha256"} 6`,
		`postseal_verified_total{result="fail"} 1`,
		`postseal_message_duration_seconds_bucket{le="0.001"} 2`,
		`postseal_message_duration_seconds_bucket{le="0.01"} 5`,
		`postseal_message_duration_seconds_bucket{le="+Inf"} 9`,
		`postseal_message_duration_seconds_sum 1.5`,
		`postseal_message_duration_seconds_count 9`,
		`postseal_dns_lookups_total{outcome="timeout"} 1`,
		`postseal_dns_lookup_duration_seconds_bucket{le="0.5"} 6`,
		`postseal_dns_cache_hits_total 20`,
		`postseal_dns_cache_misses_total 6`,
		`postseal_connections 3`,
		`postseal_connections_limit 1000`,
		`postseal_connections_total{outcome="accepted"} 50`,
		`postseal_connections_total{outcome="evicted"} 4`,
		`postseal_connections_total{outcome="refused"} 5`,
		`postseal_reloads_total{outcome="success"} 2`,
		`postseal_reloads_total{outcome="failure"} 1`,
		`postseal_last_reload_success 0`,
		`postseal_last_reload_timestamp_seconds 1.7000001e+09`,
		`postseal_keys{state="ready"} 3`,
		`postseal_keys_published{state="published"} 2`,
		`postseal_ready 1`,
		`postseal_build_info{goversion="go1.26",version="1.2"} 1`,
		`postseal_start_time_seconds 1.7000000005e+09`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s", want)
		}
	}
	// Without a reload the configuration is that of the start.
	_, text = serve(t, func() Status { s := whole(); s.Started = time.Unix(1000, 0); return s }).get(t, "/metrics")
	for _, want := range []string{"postseal_last_reload_success 1", "postseal_last_reload_timestamp_seconds 1000"} {
		if !slices.Contains(strings.Split(text, "\n"), want) {
			t.Errorf("before a reload: no line %s", want)
		}
	}
}

// Prometheus' own rules for names and help texts.
func TestMetricsLint(t *testing.T) {
	t.Parallel()
	_, text := serve(t, measured).get(t, "/metrics")
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", err, problems)
	}
}

// Whatever a version may be called, the page can be read.
func TestMetricsOddVersion(t *testing.T) {
	t.Parallel()
	s := whole()
	s.Version = "1\"\\\n{}"
	_, text := serve(t, func() Status { return s }).get(t, "/metrics")
	for _, l := range families(t, text)["postseal_build_info"].GetMetric()[0].GetLabel() {
		if l.GetName() == "version" && l.GetValue() != s.Version {
			t.Errorf("the version is %q", l.GetValue())
		}
	}
	if n := strings.Count(text, fmt.Sprintf("\n%sready ", namespace)); n != 1 {
		t.Errorf("%d metrics ready", n)
	}
}
