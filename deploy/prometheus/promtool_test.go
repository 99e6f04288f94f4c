//go:build deploy

package prometheus_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/peers"
)

func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	peers.Require(t, err)
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Each alert fires when it should, and none without a reason.
func TestAlerts(t *testing.T) {
	promtool(t, "", "check", "rules", "alerts.yml")
	promtool(t, "", "test", "rules", "alerts.test.yml")
	rules, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("alerts.test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(rules)) {
		if _, name, ok := strings.Cut(line, "- alert: "); ok && !strings.Contains(string(tests), `alertname="`+strings.TrimSpace(name)+`"`) {
			t.Errorf("nothing in alerts.test.yml fires %s", name)
		}
	}
}

// Prometheus can read what the dashboard asks it, and the metrics of a daemon.
func TestPromtoolReads(t *testing.T) {
	promtool(t, scrape(t), "check", "metrics")
	filled := strings.NewReplacer("$job", "postseal", "$instance", "mx1", "$__rate_interval", "1m")
	var rules strings.Builder
	fmt.Fprintln(&rules, "groups:\n  - name: dashboard\n    rules:")
	asked := 0
	for _, expression := range dashboard(t) {
		if strings.HasPrefix(expression, "label_values(") || expression == "prometheus" {
			continue // Grafana's own
		}
		asked++
		fmt.Fprintf(&rules, "      - record: panel_%d\n        expr: %q\n", asked, filled.Replace(expression))
	}
	if asked < 15 {
		t.Errorf("%d expressions", asked)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", path)
}
