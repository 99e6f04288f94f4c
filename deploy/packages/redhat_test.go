//go:build deploy

package packages

import (
	"strings"
	"testing"
)

// redHat takes the .rpm through its life, on a Debian: rpm runs the scripts with
// the arguments that it would give them anywhere.
func redHat(t *testing.T, first, second built) {
	m := startMailhost(t)
	m.setUpPostfix()
	m.Install(first.rpm, "/root/1.rpm", 0o644)
	m.Install(second.rpm, "/root/2.rpm", 0o644)
	// Debian has no shadow-utils, and warns of rpm.
	rpm := func(arguments string) string {
		t.Helper()
		return m.Shell("rpm --force-debian --nodeps " + arguments)
	}
	setup := advice(t, rpm("-i /root/1.rpm"))
	// Enabled and not started, as it is the custom there.
	if out := m.Shell("systemctl is-enabled postseal.socket postseal.service; systemctl is-active postseal.socket postseal.service || true"); out != "enabled\nenabled\ninactive\ninactive" {
		t.Errorf("installed: %q", out)
	}
	if out := m.Shell("rpm -V --nodeps postseal"); out != "" {
		t.Errorf("not as in the package:\n%s", out)
	}
	m.setup(setup)
	m.installed()
	m.signs()

	kept := m.edit()
	m.underLoad(func() string { return rpm("-U /root/2.rpm") }, kept)
	if out := m.Shell("rpm -q --qf '%{VERSION}' postseal"); out != "1.1.0" {
		t.Errorf("upgraded to %s", out)
	}
	m.signs()

	undo := m.undo(rpm("-e postseal"))
	m.removed()
	m.run(undo)
	if unsigned := m.send(false, message); field(unsigned, "DKIM-Signature") != "" {
		t.Errorf("after the removal:\n%s", unsigned)
	}
	for path, want := range kept {
		if !strings.HasPrefix(path, "/etc/postseal/keys/") {
			path += ".rpmsave"
		}
		if got := m.state(path); got != want {
			t.Errorf("%s: %s, was %s", path, got, want)
		}
	}
}
