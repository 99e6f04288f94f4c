//go:build deploy

package setup_test

import (
	"strings"
	"testing"
)

// One machine does for all: each test leaves it as it found it, or it is reset.
func TestSetup(t *testing.T) {
	h := start(t)
	for _, tt := range []struct {
		name string
		run  func(*host, *testing.T)
	}{
		{"fresh", (*host).fresh}, {"milters", (*host).milters}, {"undo of a machine that others changed", (*host).changed},
		{"own addresses", (*host).ownAddresses}, {"unwire", (*host).unwire}, {"OpenDKIM", (*host).besideOpenDKIM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.t = t
			tt.run(h, t)
			h.reset()
		})
	}
}

// On a machine that knows nothing of us, one command ends with mail that has both
// signatures; a second changes nothing, and --undo leaves every file as it was.
func (h *host) fresh(t *testing.T) {
	h.Shell("grep -q '^UserID' /etc/opendkim.conf") // as its package has it: it signs nothing, and is in nobody's way
	before, dated := h.snapshot(false), h.snapshot(true)

	out := h.setup("example.com --dry-run")
	h.want(out, "+smtpd_milters = unix:postseal/postseal.sock", "+++ /etc/systemd/system/postseal.service", "+ExecStart=/usr/local/bin/postseal serve",
		"a new private key (RSA, 2048 bits)", "system user postseal", "run systemctl enable --now postseal.socket postseal.service")
	if strings.Contains(out, "PRIVATE") {
		t.Errorf("a key is shown:\n%s", out)
	}
	h.differ(dated, h.snapshot(true))

	// Others than root see the same, and are told how to do it.
	other := h.Shell("cp /root/records /tmp/records && chmod 644 /tmp/records && su alice -c 'postseal setup --records /tmp/records example.com --dry-run'")
	h.want(other, "+smtpd_milters = unix:postseal/postseal.sock", "system user postseal", "run systemctl enable --now")
	if out, err := h.Try("su alice -c 'postseal setup --records /tmp/records example.com'"); err == nil || !strings.Contains(out, "sudo postseal setup --records /tmp/records example.com") {
		t.Errorf("as alice: %v\n%s", err, out)
	}
	h.differ(dated, h.snapshot(true))

	old := h.smtpd()
	out = h.setup("example.com --selector t")
	h.want(out, "v=spf1 ip4:198.51.100.7 ~all", "postseal check example.com", "v=DMARC1; p=none; rua=mailto:postmaster@example.com")
	h.settled(old)
	if got := h.signatures("bob@example.com"); got != "te tr" && got != "tr te" {
		t.Errorf("signed with %q", got)
	}
	for path, want := range map[string]string{
		"/etc/postseal/keys": "700 postseal:postseal", "/etc/postseal/keys/example.com/tr.private": "600 postseal:postseal",
		"/etc/postseal/postseal.toml": "644 root:root", "/var/spool/postfix/postseal": "750 postseal:postseal",
		"/var/lib/postseal/setup.journal": "600 root:root",
	} {
		if got := h.mode(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	h.Shell("systemctl is-enabled postseal.service postseal.socket && id -nG postfix | grep -qw postseal")
	h.Shell("! systemctl is-enabled postseal-rotate.timer && systemctl enable --now postseal-rotate.timer && systemctl cat postseal-rotate.service | grep -q '^ExecStart=/usr/local/bin/postseal rotate '")

	// A second run, and a second domain.
	installed := h.snapshot(true)
	h.want(h.setup("example.com --selector t"), "Nothing was changed")
	h.differ(installed, h.snapshot(true))
	h.setup("example.net --selector t")
	h.Await("signatures of example.net", func() bool { return len(strings.Fields(h.signatures("bob@example.net"))) == 2 })

	h.Shell("postseal setup --undo --all")
	h.differ(before, h.snapshot(false))
	if out, err := h.Try("systemctl status postseal.service postseal.socket; getent passwd postseal; getent group postseal; id -nG postfix | grep -w postseal"); strings.Contains(out, "Active") || err == nil {
		t.Errorf("something is left:\n%s", out)
	}
	h.Shell("postseal setup --undo | grep -q 'nothing to take back'")
	old = h.smtpd()
	h.settled(old)
	if got := h.signatures("bob@example.com"); got != "" {
		t.Errorf("after --undo signed with %q", got)
	}
}

// The milters that are there stay in their order, also those of a service of master.cf.
func (h *host) milters(t *testing.T) {
	h.Shell(`postconf -e 'smtpd_milters = inet:localhost:7357, { inet:localhost:8893, default_action=accept }' 'non_smtpd_milters = inet:localhost:7357' milter_default_action=accept`)
	h.Shell(`postconf -M submission/inet='submission inet n - y - - smtpd' && postconf -P 'submission/inet/smtpd_milters=inet:localhost:7358' && postfix reload`)
	before := h.snapshot(false)
	h.setup("example.com")
	h.want(h.Shell("postconf -h smtpd_milters"), "inet:localhost:7357, ")
	if got := h.Shell("postconf -h smtpd_milters"); strings.Index(got, "7357") > strings.Index(got, "postseal.sock") || strings.Index(got, "postseal.sock") > strings.Index(got, "8893") {
		t.Errorf("smtpd_milters = %s", got)
	}
	h.want(h.Shell("postconf -P submission/inet/smtpd_milters"), "inet:localhost:7358", "postseal.sock")
	if got := h.signatures("bob@example.com"); len(strings.Fields(got)) != 2 {
		t.Errorf("signed with %q", got)
	}
	h.Shell("postseal setup --undo")
	h.differ(before, h.snapshot(false))
}

// Somebody else's changes since stay, and what is left is said in few lines: another
// milter, a unit, a key, keys that were rotated. The service runs and mail is in the queue.
func (h *host) changed(*testing.T) {
	h.setup("example.com --selector t")
	h.Shell("postfix stop && printf 'Subject: hello\n\nhello\n' | sendmail -f bob@example.com alice@mail.example.com && systemctl restart postfix")
	h.AwaitPostfix()
	h.Shell(`postconf -e mydestination=localhost,mail.example.com,other "smtpd_milters = $(postconf -h smtpd_milters), inet:localhost:7357"
echo '# mine' >>/etc/postseal/signing.table && echo '# mine' >>/etc/systemd/system/postseal.service`)
	h.Shell("postseal genkey --add -d example.net -s mine && postseal rotate example.com --records /root/records")
	out := h.Shell("postseal setup --undo")
	h.want(out, "left /etc/postfix/main.cf: it was changed since; only our milter was taken out", "left /etc/systemd/system/postseal.service: it was changed since",
		"left the user postseal: /etc/postseal/keys needs them", "leave the keys' records in DNS for a week")
	if lines := strings.Count("\n"+out, "\nleft "); lines > 5 || strings.Count(out, "key.table") != 1 {
		h.t.Errorf("%d lines on what is left:\n%s", lines, out)
	}
	h.Shell("test -s /etc/postseal/keys/example.net/mine.private && grep -q mine /etc/postseal/key.table && ! systemctl is-active postseal.service")
	h.want(h.Shell("postconf -h mydestination"), "other")
	if got := h.Shell("postconf -h smtpd_milters non_smtpd_milters; cat /etc/postseal/signing.table"); strings.Contains(got, "postseal.sock") || !strings.Contains(got, "7357") ||
		!strings.Contains(got, "# mine") || strings.Contains(got, "example.com") {
		h.t.Errorf("left:\n%s", got)
	}
	h.want(h.Shell("postseal setup --undo"), "nothing to take back")
}

// Where Postfix relays for the machine's own addresses, as it does unless mynetworks is set,
// mail from them is signed.
func (h *host) ownAddresses(*testing.T) {
	h.Shell("postconf -X mynetworks && systemctl restart postfix")
	h.AwaitPostfix()
	h.setup("example.com --selector t")
	h.want(h.Shell("cat /etc/postseal/trusted.hosts"), "\n198.51.100.7")
	h.Shell("swaks --server 198.51.100.7 --from bob@example.com --to alice@mail.example.com --body hello")
	text := ""
	h.Await("the mail", func() bool { text, _ = h.Try("cat /var/mail/alice"); return strings.Contains(text, "hello") })
	h.want(text, "DKIM-Signature")
	// Whether check has anything to say of who may relay:
	out, _ := h.Try("echo >/tmp/records && chmod 644 /tmp/records; postseal check example.com --only postfix --json --records /tmp/records")
	h.want(out, "mail passes through")
	if strings.Contains(out, "relay") {
		h.t.Errorf("check says:\n%s", out)
	}
}

// --unwire takes the milter out where no journal tells how it came there.
func (h *host) unwire(t *testing.T) {
	h.setup("example.com")
	h.Shell("rm /var/lib/postseal/setup.journal")
	h.want(h.Shell("postseal setup --unwire"), "/etc/postfix/main.cf")
	if got := h.Shell("postconf -h smtpd_milters non_smtpd_milters"); strings.Contains(got, "postseal") {
		t.Errorf("left: %s", got)
	}
	h.want(h.Shell("postseal setup --unwire"), "Nothing was changed")
}

// An OpenDKIM's configuration gets the domain in its own form; its own domain goes on
// being signed as it was.
func (h *host) besideOpenDKIM(t *testing.T) {
	h.Shell(`getent passwd opendkim || useradd --system opendkim
install -d -m 755 /etc/opendkim && install -d -m 700 -o opendkim -g opendkim /etc/opendkim/keys
cd /etc/opendkim && postseal genkey -d example.org -s mail -o keys/ && chown opendkim keys/mail.private
printf '%s\n' 'mail._domainkey.example.org example.org:mail:/etc/opendkim/keys/mail.private' >/etc/opendkim/KeyTable
printf '%s' '*@example.org mail._domainkey.example.org' >/etc/opendkim/SigningTable
printf '%s\n' 127.0.0.1 ::1 >/etc/opendkim/TrustedHosts
cat >/etc/opendkim.conf <<'END'
Syslog yes
UserID opendkim
UMask 007
Mode sv
PidFile /run/opendkim/opendkim.pid
Socket local:/var/spool/postfix/opendkim/opendkim.sock
KeyTable file:/etc/opendkim/KeyTable
SigningTable refile:/etc/opendkim/SigningTable
InternalHosts /etc/opendkim/TrustedHosts
END
install -d -m 750 -o opendkim -g opendkim /var/spool/postfix/opendkim
usermod -aG opendkim postfix; rm -rf /etc/postseal
postconf -e smtpd_milters=unix:opendkim/opendkim.sock non_smtpd_milters=unix:opendkim/opendkim.sock && postfix reload`)
	if out, err := h.Try("postseal setup example.com --records /root/records"); err == nil || !strings.Contains(out, "postseal import /etc/opendkim.conf") {
		t.Errorf("beside an OpenDKIM's configuration: %v\n%s", err, out)
	}
	before := h.snapshot(false)
	out := h.setup("example.com --selector t -c /etc/opendkim.conf")
	h.want(out, "MultipleSignatures", "RSA")
	if got := h.signatures("bob@example.com"); got != "tr" {
		t.Errorf("signed with %q", got)
	}
	if got := h.signatures("bob@example.org"); got != "mail" {
		t.Errorf("example.org is signed with %q", got)
	}
	h.want(h.setup("example.com example.org --selector t -c /etc/opendkim.conf"), "Nothing was changed")
	h.Shell("postseal setup --undo")
	h.differ(before, h.snapshot(false))
}
