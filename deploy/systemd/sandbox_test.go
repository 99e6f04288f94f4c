//go:build deploy

package systemd_test

import (
	"strings"
	"testing"
)

// The daemon can do in its sandbox what takes more than signing: it asks DNS, takes
// the group of a socket, and opens one by TCP.
func TestVerifyInSandbox(t *testing.T) {
	t.Parallel()
	h := install(t)
	h.config(`socket_group = "adm"
nameservers = ["127.0.0.1:5353"]
[[listener]]
socket = "inet:8891@localhost"
mode = "sv"
`)
	h.Shell("usermod --append --groups adm postseal")
	h.Write("/etc/unbound.test", `server:
	interface: 127.0.0.1@5353
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	local-zone: "." static
	include: /etc/unbound.data
remote-control:
	control-enable: no
`, 0o644)
	h.Shell(`jq -r '"local-data: '"'"'" + .zone + "'"'"'"' ` + record + ` | tr '\n\t' '  ' >/etc/unbound.data`)
	h.Shell("systemd-run --unit=dns unbound -d -c /etc/unbound.test")
	h.Shell("systemctl start postseal.service")
	if out := h.Shell("stat -c '%a %U:%G' " + socketPath); out != "660 postseal:adm" {
		t.Errorf("the socket is %s", out)
	}
	h.Shell("printf 'From: user@example.com\\r\\nSubject: x\\r\\n\\r\\nx\\r\\n' | postseal sign >/var/spool/postfix/signed.eml && chmod 644 /var/spool/postfix/signed.eml")
	h.Await("the name server", func() bool {
		return h.mail("--client 192.0.2.7 --want 'Authentication-Results: dkim=pass' inet:8891@127.0.0.1 /signed.eml") == nil
	})
}

// Keys may be root's alone, and come as credentials.
func TestCredentials(t *testing.T) {
	t.Parallel()
	h := install(t)
	h.Shell("mv /etc/postseal/keys/example.com/mail2026.private /etc/postseal/keys/ && chown -R root:root /etc/postseal/keys && chmod -R go= /etc/postseal/keys")
	h.Shell("sed -i s:/etc/postseal/keys/example.com/:/run/credentials/postseal.service/: /etc/postseal/key.table")
	h.Shell("install -d -m 755 /etc/systemd/system/postseal.service.d")
	h.Install("credentials.conf", "/etc/systemd/system/postseal.service.d/credentials.conf", 0o644)
	h.Shell("systemctl daemon-reload && systemctl start postseal.service")
	h.wantSigned("example.com")
	if out := h.Shell("postseal status"); strings.Contains(out, "DISABLED") || !strings.Contains(out, "/run/credentials/postseal.service/mail2026.private") {
		t.Errorf("the key of the credential:\n%s", out)
	}
	h.Shell("systemctl reload postseal.service")
	h.wantSigned("example.com")
}
