// Package postfix runs a private Postfix: a whole mail server with a
// configuration, a queue and mailboxes of its own in a temporary folder, on a
// loopback port, that no mail leaves. The Postfix that a machine may have
// beside it (its /etc/postfix, its queue, its service) is not touched.
package postfix

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// The accounts of Debian's package; every instance shares them.
const (
	mailOwner   = "postfix"
	setgidGroup = "postdrop"
)

var (
	// ErrNotInstalled says that the machine has no Postfix.
	ErrNotInstalled = errors.New("no Postfix on this machine; on Debian or Ubuntu: apt-get install --no-install-recommends postfix")
	// ErrNotRoot says that this process may not start a Postfix.
	ErrNotRoot = errors.New("a Postfix instance starts as root only; run this with sudo")
)

// Available reports whether Start can work here: nil, or an error that says
// what is missing and how to get it ([ErrNotInstalled], [ErrNotRoot]).
func Available() error {
	_, err := locate()
	return err
}

// programs is where this machine's Postfix lives, and who it runs as.
type programs struct {
	daemons, commands    string // daemon_directory, command_directory
	owner, group, setgid int    // postfix:postfix, postdrop
}

func locate() (programs, error) {
	var p programs
	postconf, err := find("postconf")
	if err != nil {
		return p, ErrNotInstalled
	}
	// -d: the built-in defaults; no main.cf is read, and none needs to exist.
	out, err := exec.Command(postconf, "-dh", "daemon_directory", "command_directory").Output()
	if err != nil {
		return p, fmt.Errorf("%s -dh: %w", postconf, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 {
		return p, fmt.Errorf("%s -dh printed %q", postconf, out)
	}
	p.daemons, p.commands = lines[0], lines[1]
	if _, err := os.Stat(filepath.Join(p.daemons, "master")); err != nil {
		return p, ErrNotInstalled
	}
	if os.Geteuid() != 0 {
		return p, ErrNotRoot
	}
	owner, err := user.Lookup(mailOwner)
	if err != nil {
		return p, fmt.Errorf("the user %s of the Postfix package is missing: %w", mailOwner, err)
	}
	postdrop, err := user.LookupGroup(setgidGroup)
	if err != nil {
		return p, fmt.Errorf("the group %s of the Postfix package is missing: %w", setgidGroup, err)
	}
	for _, id := range []struct {
		to   *int
		from string
	}{{&p.owner, owner.Uid}, {&p.group, owner.Gid}, {&p.setgid, postdrop.Gid}} {
		if *id.to, err = strconv.Atoi(id.from); err != nil {
			return p, fmt.Errorf("account %s: %w", mailOwner, err)
		}
	}
	return p, nil
}

// find looks a program up in PATH and where Debian keeps it: a user's PATH
// often lacks sbin.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}
