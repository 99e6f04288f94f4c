//go:build deploy

package packages

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// postfixLater: the package is there before Postfix, and stays when Postfix goes
// and comes again; each time Postfix can reach the socket.
func postfixLater(t *testing.T, b built) {
	m := startMailhost(t)
	m.Install(b.deb, "/root/1.deb", 0o644)
	m.offer("postfix")
	m.dpkg("--force-depends -P postfix")
	m.Shell("! getent passwd postfix && ! ls /var/spool/postfix 2>/dev/null")
	setup := advice(t, m.dpkg("-i /root/1.deb"))
	for range 2 {
		m.setUpPostfix()
		m.installed()
		if m.selectors == nil {
			m.setup(setup)
		} else {
			m.run([]string{"postseal setup"})
		}
		m.signs()
		// Its purge takes our socket along, which comes back.
		m.dpkg("--force-depends -P postfix")
		m.Shell("test -S /var/spool/postfix/postseal/postseal.sock && postseal status && ls /var/spool/postfix | grep -qx postseal")
	}
}

// withoutSystemd: where no systemd runs, as in a chroot or when an image is made,
// the package is installed without starting anything, and removed again.
func withoutSystemd(t *testing.T, b built) {
	m := startMailhost(t)
	m.Install(b.deb, "/root/1.deb", 0o644)
	// What tells packages that a systemd runs; see sd_booted(3).
	m.Shell("mkdir /run/hidden && mount --bind /run/hidden /run/systemd")
	m.Shell("dpkg -i /root/1.deb")
	want := strings.Join([]string{
		"/etc/systemd/system/multi-user.target.wants/postseal.service",
		"/etc/systemd/system/sockets.target.wants/postseal.socket",
		"drwx------ postseal postseal /etc/postseal/keys",
		"drwxr-x--- postseal postseal /var/spool/postfix/postseal",
	}, "\n")
	if diff := cmp.Diff(want, m.Shell(`find /etc/systemd -name 'postseal*' | sort
stat -c '%A %U %G %n' /etc/postseal/keys /var/spool/postfix/postseal
pgrep -x postseal || true`)); diff != "" {
		t.Error(diff)
	}
	// sysusers.d declares the account that the scripts have made.
	account := m.Shell("getent passwd postseal | cut -d: -f1,5-; getent group postseal | cut -d: -f1")
	if declared := m.Shell(`mkdir -p /root/image/etc && systemd-sysusers --root /root/image /usr/lib/sysusers.d/postseal.conf 2>/dev/null &&
cut -d: -f1,5- /root/image/etc/passwd && cut -d: -f1 /root/image/etc/group`); declared != account {
		t.Errorf("sysusers.d makes %q, the scripts %q", declared, account)
	}
	m.Shell("dpkg -r postseal && dpkg -P postseal")
	if out := m.Shell("find /etc /usr /var/lib/systemd /var/spool/postfix /var/backups -name '*postseal*' ! -path '/usr/local/*' ! -path '/usr/src/*'"); out != "" {
		t.Errorf("a purge leaves:\n%s", out)
	}
}
