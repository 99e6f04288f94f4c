//go:build deploy

// Package setup_test runs postseal setup on a machine with systemd and Debian's Postfix.
package setup_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/machine"
	"github.com/postseal/postseal/testdata/program"
)

// host is a machine with Debian's Postfix, chrooted as its package makes it, and our
// binary in /usr/local/bin; no package of ours, no user, no unit.
type host struct {
	*machine.Machine
	t testing.TB
}

func start(t testing.TB) *host {
	t.Helper()
	h := &host{machine.Start(t), t}
	program.Build(t, h.Path("/usr/local/bin/postseal"))
	h.Shell("useradd --create-home alice && rm -rf /var/mail/*")
	h.Shell("ip address add 198.51.100.7/32 dev lo")
	h.Write("/etc/resolv.conf", "nameserver 127.0.0.1\n", 0o644)
	h.Write("/root/records", "", 0o644)
	h.Shell("rm -rf /etc/opendkim /etc/postseal /var/lib/postseal; ! getent passwd postseal")
	h.Postfix()
	h.Shell("cp -a /etc/postfix /srv/postfix")
	return h
}

// reset makes the machine as it was when it started.
func (h *host) reset() {
	h.t.Helper()
	h.Shell(`systemctl disable --now postseal.service postseal.socket postseal-rotate.timer 2>/dev/null || true
rm -rf /etc/systemd/system/postseal* /etc/postseal /var/lib/postseal /var/spool/postfix/postseal /etc/opendkim* /var/spool/postfix/opendkim /etc/postfix
systemctl daemon-reload
userdel postseal 2>/dev/null || true
cp -a /srv/postfix /etc/postfix && systemctl restart postfix && rm -f /var/mail/alice && : >/root/records`)
	h.AwaitPostfix()
}

// setup runs setup, which must succeed, with no record in DNS.
func (h *host) setup(arguments string) string {
	h.t.Helper()
	return h.Shell("postseal setup --records /root/records --address 198.51.100.7 " + arguments)
}

// snapshot is every file below folders that stay: its type, mode, owner, time and text.
// What commands note for themselves is left out: backup copies of accounts, caches, logs
// and what runs.
func (h *host) snapshot(times bool) string {
	h.t.Helper()
	when := ""
	if times {
		when = " %T@"
	}
	return h.Shell(`cd / && find etc usr/local/bin usr/lib/systemd var/lib var/spool -xdev \
		! -path 'var/lib/systemd*' ! -path 'var/lib/apt*' ! -path 'var/lib/dpkg*' ! -path 'var/spool/postfix/*/*' ! -name .pwd.lock \
		! -path etc/passwd- ! -path etc/shadow- ! -path etc/group- ! -path etc/gshadow- -printf '%p %y %m %u %g` + when + `\n' | sort
		find etc -type f ! -name .pwd.lock ! -name '*-' -print0 | sort -z | xargs -0 sha256sum`)
}

// differ fails where two snapshots do.
func (h *host) differ(before, after string) {
	h.t.Helper()
	was := map[string]bool{}
	for l := range strings.Lines(before) {
		was[strings.TrimSpace(l)] = true
	}
	for l := range strings.Lines(after) {
		if l = strings.TrimSpace(l); !was[l] {
			h.t.Errorf("new or different: %s", l)
		}
		delete(was, l)
	}
	for l := range was {
		h.t.Errorf("gone or different: %s", l)
	}
}

// signatures are the selectors of the signatures of a message of an author, sent from
// the machine by SMTP.
func (h *host) signatures(from string) string {
	h.t.Helper()
	h.Shell("rm -f /var/mail/alice; swaks --server 127.0.0.1 --from " + from + " --to alice@mail.example.com --header 'Subject: hello' --body hello")
	text := ""
	h.Await("the mail", func() bool { text, _ = h.Try("cat /var/mail/alice"); return strings.Contains(text, "hello") })
	var list []string
	for _, m := range selectorTag.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return strings.Join(list, " ")
}

var selectorTag = regexp.MustCompile(`(?s)DKIM-Signature:[^:]*?\bs=([^;\s]+)`)

// settled waits until no smtpd from before answers with an old configuration.
func (h *host) settled(old string) {
	h.t.Helper()
	for pid := range strings.FieldsSeq(old) {
		h.Await("the end of smtpd "+pid, func() bool { _, err := h.Try("test -e /proc/" + pid); return err != nil })
	}
}

func (h *host) smtpd() string {
	h.t.Helper()
	return h.Shell("pgrep -x smtpd || true")
}

// want fails where text lacks words.
func (h *host) want(text string, words ...string) {
	h.t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			h.t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

// mode is what stat says of a file: its mode and owners.
func (h *host) mode(path string) string {
	h.t.Helper()
	return h.Shell(fmt.Sprintf("stat -c '%%a %%U:%%G' %s", path))
}
