// Package systemd_test runs the units under a systemd of their own.
package systemd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postseal/postseal/testdata/machine"
)

// Where things are on the machine.
const (
	socketPath = "/var/spool/postfix/postseal/postseal.sock"
	configFile = "/etc/postseal/postseal.toml"
	record     = "/etc/postseal/record"
)

var programs struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	exit := m.Run()
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(exit)
}

// build makes postseal and milterload, once.
func build(t testing.TB) (dir string) {
	t.Helper()
	programs.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "postseal-program-"); programs.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", programs.dir, "../../cmd/postseal", "../../cmd/milterload")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") // as it is installed
		if out, err := cmd.CombinedOutput(); err != nil {
			programs.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return programs.dir
}

// host is a machine on which postseal is installed and not started. It signs for
// example.com, and its Postfix may use the socket.
type host struct {
	*machine.Machine
	t testing.TB
}

func install(t testing.TB) *host {
	t.Helper()
	bin := build(t)
	h := &host{machine.Start(t), t}
	h.Install(filepath.Join(bin, "postseal"), "/usr/bin/postseal", 0o755)
	// In the folder that smtpd has for its root on Debian.
	h.Install(filepath.Join(bin, "milterload"), "/var/spool/postfix/milterload", 0o755)
	for from, to := range map[string]string{
		"postseal.service": "/lib/systemd/system/", "postseal.socket": "/lib/systemd/system/",
		"sysusers.conf": "/usr/lib/sysusers.d/postseal.conf", "tmpfiles.conf": "/usr/lib/tmpfiles.d/postseal.conf",
	} {
		if strings.HasSuffix(to, "/") {
			to += from
		}
		h.Install(from, to, 0o644)
	}
	h.Shell("systemd-sysusers postseal.conf && systemd-tmpfiles --create postseal.conf && usermod --append --groups postseal postfix")
	h.Shell("install -d -m 755 /etc/postseal && install -d -m 750 -g postseal /etc/postseal/keys")
	h.table("key.table", "")
	h.table("signing.table", "")
	h.config("")
	h.Shell("postseal genkey -d example.com -s mail2026 --add --user postseal --json >" + record)
	return h
}

// config writes the configuration, with more lines.
func (h *host) config(lines string) {
	h.t.Helper()
	h.Write(configFile, fmt.Sprintf(`socket         = "local:%s"
key_table      = "file:/etc/postseal/key.table"
signing_table  = "refile:/etc/postseal/signing.table"
internal_hosts = ["127.0.0.1", "::1"]
watch_files    = false
%s`, socketPath, lines), 0o644)
}

func (h *host) table(name, text string) {
	h.t.Helper()
	h.Write("/etc/postseal/"+name, text, 0o644)
}

// dropIn adds lines to a unit, as "systemctl edit" does.
func (h *host) dropIn(unit, lines string) {
	h.t.Helper()
	h.Write("/etc/systemd/system/"+unit+".d/test.conf", lines, 0o644)
	h.Shell("chmod 755 /etc/systemd/system/" + unit + ".d; systemctl daemon-reload")
}

// signed sends mail of a domain as Postfix's smtpd does, which is chrooted, and
// reports whether it gets a signature.
func (h *host) signed(domain string) error {
	return h.mail("--want DKIM-Signature --from user@" + domain + " unix:postseal/postseal.sock")
}

// mail runs milterload as smtpd.
func (h *host) mail(arguments string) error {
	out, err := h.Try("chroot --userspec=$(id -u postfix):$(id -g postfix) --groups=$(id -G postfix | tr ' ' ,) /var/spool/postfix /milterload -n 3 -c 1 " + arguments)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (h *host) wantSigned(domain string) {
	h.t.Helper()
	if err := h.signed(domain); err != nil {
		h.t.Fatalf("mail of %s is not signed: %v", domain, err)
	}
}

// property is one of a unit's.
func (h *host) property(unit, name string) string {
	h.t.Helper()
	return h.Shell("systemctl show --value -p " + name + " " + unit)
}

// await waits until a property of a unit has a value.
func (h *host) await(unit, name, value string) {
	h.t.Helper()
	h.Await(unit+"'s "+name+" "+value, func() bool { return h.property(unit, name) == value })
}

func (h *host) pid() string { return h.property("postseal.service", "MainPID") }

// says waits for words in the journal of the service.
func (h *host) says(words string) {
	h.t.Helper()
	h.Await("the journal to say "+words, func() bool {
		_, err := h.Try("journalctl -u postseal.service -o cat | grep -qF -- '" + words + "'")
		return err == nil
	})
}
