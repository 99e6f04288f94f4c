// Package prometheus_test holds the alerts and the dashboard against the metrics
// of a daemon.
package prometheus_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/testdata/program"
)

// series are the metrics of a page in Prometheus' text form: the values of each
// label of each name.
type series map[string]map[string][]string

var (
	sample = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? `)
	// metric is one in an expression, with what is asked of its labels.
	metric  = regexp.MustCompile(`\b((?:postseal|process|go)_[a-z_]+)\b(?:\{([^}]*)\})?`)
	matcher = regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)"([^"]*)"`)
)

func parse(page string) series {
	s := series{}
	for _, m := range sample.FindAllStringSubmatch(page, -1) {
		if s[m[1]] == nil {
			s[m[1]] = map[string][]string{}
		}
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			s[m[1]][l[1]] = append(s[m[1]][l[1]], l[2])
		}
	}
	return s
}

// scrape starts a daemon and returns its page of metrics.
func scrape(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ps")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "postseal")
	program.Build(t, path)
	conf, socket := filepath.Join(dir, "postseal.toml"), filepath.Join(dir, "monitor")
	text := `socket = "local:` + dir + `/socket"
monitor_socket = "local:` + socket + `"
runtime_directory = "` + dir + `"
mode = "v"
`
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command(path, "serve", "-c", conf)
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that times out cleans nothing up
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log.String())
		}
	}()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		res, err := client.Get("http://localhost/metrics")
		if err == nil {
			defer res.Body.Close()
			page, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s: %v\n%s", res.Status, err, page)
			}
			return string(page)
		}
		if time.Now().After(end) {
			t.Fatalf("no metrics: %v", err)
		}
	}
}

// expressions are all texts of a dashboard that are asked of Prometheus.
func expressions(v any) (list []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			list = append(list, expressions(e)...)
		}
	case map[string]any:
		for name, e := range v {
			if text, ok := e.(string); ok && (name == "expr" || name == "query") {
				list = append(list, text)
			} else {
				list = append(list, expressions(e)...)
			}
		}
	}
	return list
}

func dashboard(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("../grafana/postseal.json")
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return expressions(v)
}

// Every metric and every value of a label that alerts and dashboard name exists,
// from the start of a daemon on.
func TestNames(t *testing.T) {
	have := parse(scrape(t))
	ask := map[string]string{"postseal.json": strings.Join(dashboard(t), "\n")}
	for _, name := range []string{"alerts.yml", "alerts.test.yml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		ask[name] = string(data)
	}
	for file, text := range ask {
		metrics := metric.FindAllStringSubmatch(text, -1)
		if len(metrics) < 10 {
			t.Errorf("%s: %d metrics", file, len(metrics))
		}
		for _, m := range metrics {
			labels, ok := have[m[1]]
			if !ok {
				t.Errorf("%s: there is no metric %s", file, m[1])
			}
			for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
				if l[1] == "job" || l[1] == "instance" || l[1] == "le" {
					continue
				}
				for value := range strings.SplitSeq(l[2], "|") {
					if !slices.Contains(labels[l[1]], value) {
						t.Errorf("%s: %s has no %s=%q, only %q", file, m[1], l[1], value, labels[l[1]])
					}
				}
			}
		}
	}
}
