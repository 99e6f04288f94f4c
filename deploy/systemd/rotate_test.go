//go:build deploy

package systemd_test

import (
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/nameserver"
)

// The timer's service leads a key through its life, in its sandbox, with a daemon that
// reads its tables only when told, and a name server that takes updates.
func TestRotate(t *testing.T) {
	t.Parallel()
	h := install(t)
	for _, unit := range []string{"postseal-rotate.service", "postseal-rotate.timer"} {
		h.Install(unit, "/lib/systemd/system/"+unit, 0o644)
	}
	if out := h.Shell("systemd-analyze --man=no verify postseal-rotate.service postseal-rotate.timer 2>&1 | grep postseal || true"); out != "" {
		t.Error(out)
	}
	for name, text := range nameserver.Files("/etc/named.test", "127.0.0.1", 53, nameserver.Zone{Name: "example.com"}) {
		h.Write("/etc/named.test/"+name, text, 0o600)
	}
	h.Shell("rm -f /etc/resolv.conf && echo nameserver 127.0.0.1 >/etc/resolv.conf && chmod 644 /etc/resolv.conf")
	h.Shell("install -m 600 /etc/named.test/tsig.key /etc/postseal/tsig.key")
	h.Shell("systemd-run --unit=dns named -g -n 1 -c /etc/named.test/named.conf")
	h.Await("the name server", func() bool {
		_, err := h.Try("dig +short +time=1 +tries=1 SOA example.com | grep -q hostmaster")
		return err == nil
	})
	update := " --update --server 127.0.0.1 --tsig-key /etc/postseal/tsig.key"
	h.Shell("postseal genzone" + update)
	h.Shell("systemctl start postseal.service")
	h.wantSigned("example.com")

	// The timer alone begins nothing with keys so young.
	h.Shell("systemctl enable --now postseal-rotate.timer && systemctl start postseal-rotate.service")
	if state := h.property("postseal-rotate.timer", "ActiveState"); state != "active" {
		t.Errorf("the timer is %s", state)
	}
	if out := h.Shell("postseal rotate --json | jq -r '.keys[].state'"); out != "active" {
		t.Errorf("the keys are %s", out)
	}

	h.Shell("postseal rotate example.com" + update)
	selector := h.Shell("jq -r '.keys[1].selector' /etc/postseal/rotation.json")
	h.Await("the new key to sign", func() bool {
		h.Shell("systemctl start postseal-rotate.service")
		return h.mail("--want 'DKIM-Signature: s="+selector+"' --from user@example.com unix:postseal/postseal.sock") == nil
	})
	if out := h.Shell("postseal status"); !strings.Contains(out, "rotation: active") || !strings.Contains(out, "rotation: retiring") {
		t.Errorf("the status:\n%s", out)
	}
	if out := h.Shell("stat -c '%a %U' /etc/postseal/keys/example.com/" + selector + ".private /etc/postseal/signing.table /etc/postseal/rotation.json"); out != "600 postseal\n644 root\n644 root" {
		t.Errorf("the files are\n%s", out)
	}

	// A week passes.
	h.Shell(`sed -i 's/"keep": ".*"/"keep": "1s"/' /etc/postseal/rotation.json`)
	h.Await("the old key to be revoked", func() bool {
		h.Shell("systemctl start postseal-rotate.service")
		return h.Shell("dig +short TXT mail2026._domainkey.example.com") == `"v=DKIM1; p="`
	})
	if out := h.Shell("ls /etc/postseal/keys/example.com && cut -d ' ' -f 1 /etc/postseal/key.table"); out != selector+".private\nmail2026.private.retired\n"+selector+"._domainkey.example.com" {
		t.Errorf("left are\n%s", out)
	}
	h.Shell("systemctl reload postseal.service")
	h.wantSigned("example.com")

	// No update was signed wrongly, and sent again.
	if out := h.Shell("journalctl -u dns -o cat | grep -i badsig || true"); out != "" {
		t.Errorf("the name server's log:\n%s", out)
	}

	// A record that mail needs disappears.
	h.Shell("printf 'server 127.0.0.1\nupdate delete " + selector + "._domainkey.example.com TXT\nsend\n' | nsupdate -k /etc/postseal/tsig.key")
	if out, err := h.Try("systemctl start postseal-rotate.service"); err == nil {
		t.Errorf("the service has not failed: %s", out)
	}
	if out := h.Shell("journalctl -u postseal-rotate.service -o cat"); !strings.Contains(out, "DNS lacks the record of "+selector) {
		t.Errorf("the log:\n%s", out)
	}
}
