package systemd_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/postseal/postseal/testdata/peers"
)

// The sandbox is as narrow as it can be for what the daemon does. systemd's own
// measure: 10 is none at all.
func TestExposure(t *testing.T) {
	for name, most := range map[string]float64{"postseal.service": 1.5, "postseal-rotate.service": 2.2} {
		t.Run(name, func(t *testing.T) {
			unit, err := filepath.Abs(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := exec.LookPath("systemd-analyze"); err != nil {
				peers.Require(t, err)
			}
			out, err := exec.Command("systemd-analyze", "--no-pager", "security", "--offline=yes", unit).CombinedOutput()
			found := regexp.MustCompile(`Overall exposure level for ` + name + `: ([0-9.]+)`).FindSubmatch(out)
			if err != nil || found == nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if level, err := strconv.ParseFloat(string(found[1]), 64); err != nil || level > most {
				t.Errorf("exposure level %s, want %v at most\n%s", found[1], most, out)
			}
		})
	}
}

// verify has systemd look for faults in the units, sysusers.d and tmpfiles.d.
func (h *host) verify() {
	h.t.Helper()
	const dropIns = "/etc/systemd/system/postseal.service.d"
	h.Install("credentials.conf", dropIns+"/credentials.conf", 0o644)
	if out := h.Shell("systemd-analyze --man=no verify postseal.service postseal.socket 2>&1 | grep postseal || true"); out != "" {
		h.t.Error(out)
	}
	h.Shell("rm -r " + dropIns)
	if out := h.Shell("systemd-tmpfiles --create postseal.conf 2>&1; stat -c '%a %U:%G' /var/spool/postfix/postseal"); out != "750 postseal:postseal" {
		h.t.Error(out)
	}
	h.Shell("systemctl enable postseal.service && systemctl is-enabled postseal.socket")
}
