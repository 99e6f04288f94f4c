//go:build deploy

package monitor

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/peers"
)

// Prometheus' own tool takes the page, and has nothing to say about it.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		peers.Require(t, err)
	}
	_, text := serve(t, measured).get(t, "/metrics")
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
