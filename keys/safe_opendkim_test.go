package keys

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-milter"

	"github.com/postseal/postseal/testdata/peers"
)

// privateFolder is a folder that CheckSafe finds no fault with, which no folder
// below /tmp is. It takes root, who alone can give files away.
func privateFolder(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to other users")
	}
	dir, err := os.MkdirTemp("/var/lib", "postseal-test-")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	probe := write(t, dir+"/probe", "x")
	if err := CheckSafe(probe, 0); err != nil {
		t.Skipf("a private folder on this machine is not safe: %v", err)
	}
	return dir
}

// layouts are ways in which a key can lie about.
var layouts = []struct {
	name   string
	lay    func(l *layout)
	reason string // in OpenDKIM's words; empty where the key is safe
	// stricter says that OpenDKIM refuses the key all the same.
	stricter bool
}{
	{"0600", func(*layout) {}, "", false},
	{"0400", func(l *layout) { l.chmod("key", 0o400) }, "", false},
	{"0644", func(l *layout) { l.chmod("key", 0o644) }, "can be read or written by other users", false},
	{"0602", func(l *layout) { l.chmod("key", 0o602) }, "can be read or written by other users", false},
	{"0611", func(l *layout) { l.chmod("key", 0o611) }, "", false},
	{"0640 of root's group", func(l *layout) { l.chmod("key", 0o640) }, "", false},
	{"0640 of a user's group", func(l *layout) { l.chown("key", 0, l.gid); l.chmod("key", 0o640) }, "which has multiple users", false},
	{"0620 of a user's group", func(l *layout) { l.chown("key", 0, l.gid); l.chmod("key", 0o620) }, "which has multiple users", false},
	{"0600 of a user's group", func(l *layout) { l.chown("key", 0, l.gid) }, "", false},
	{"0640 of a group that nobody knows", func(l *layout) { l.chown("key", 0, 54321); l.chmod("key", 0o640) }, "", true},
	{"of another user", func(l *layout) { l.chown("key", l.uid, 0) }, "is not owned by the executing uid (0) or the superuser", false},
	{"folder open to all", func(l *layout) { l.chmod(".", 0o777) }, "can be read or written by other users", false},
	{"sticky folder", func(l *layout) { l.chmod(".", 0o777|os.ModeSticky) }, "can be read or written by other users", false},
	{"folder of a user's group", func(l *layout) { l.chown(".", 0, l.gid); l.chmod(".", 0o775) }, "which has multiple users", false},
	{"folder that the group cannot write", func(l *layout) { l.chown(".", 0, l.gid); l.chmod(".", 0o755) }, "", false},
	{"folder of another user", func(l *layout) { l.chown(".", l.uid, 0) }, "is writeable and owned by uid", false},
	{"folder of another user who cannot write", func(l *layout) { l.chown(".", l.uid, 0); l.chmod(".", 0o555) }, "", false},
	{"closed folder", func(l *layout) { l.chmod("key", 0o644); l.chmod(".", 0o700) }, "", true},
	{"closed folder of another user", func(l *layout) { l.chown(".", l.uid, 0); l.chmod(".", 0o700) }, "is writeable and owned by uid", false},
	{"folder that can be listed and not entered", func(l *layout) { l.chmod("key", 0o644); l.chmod(".", 0o744) }, "", true},
	{"open folder in a closed one", func(l *layout) {
		l.mkdir("open", 0o777)
		l.move("key", "open/key")
		l.path = "open/key"
		l.chmod(".", 0o700)
	}, "", true},
	{"folder of another user in a closed one", func(l *layout) {
		l.mkdir("other", 0o755)
		l.chown("other", l.uid, 0)
		l.move("key", "other/key")
		l.path = "other/key"
		l.chmod(".", 0o700)
	}, "", true},
	{"key of another user in a closed folder", func(l *layout) { l.chown("key", l.uid, 0); l.chmod(".", 0o700) }, "", true},
	{"key of a user's group in a closed folder", func(l *layout) { l.chown("key", 0, l.gid); l.chmod("key", 0o640); l.chmod(".", 0o700) }, "", true},
	{"key that others write in a closed folder", func(l *layout) { l.chmod("key", 0o602); l.chmod(".", 0o700) }, "", true},
	{"closed folder in an open one", func(l *layout) {
		l.mkdir("closed", 0o700)
		l.move("key", "closed/key")
		l.path = "closed/key"
		l.chmod(".", 0o777)
	}, "can be read or written by other users", false},
	{"closed folder in another user's", func(l *layout) {
		l.mkdir("closed", 0o700)
		l.move("key", "closed/key")
		l.path = "closed/key"
		l.chown(".", l.uid, 0)
	}, "is writeable and owned by uid", false},
	{"link to a safe key", func(l *layout) { l.link("key", "link"); l.path = "link" }, "", false},
	{"link to an unsafe key", func(l *layout) { l.chmod("key", 0o644); l.link("key", "link"); l.path = "link" }, "can be read or written by other users", false},
	{"link of another user", func(l *layout) { l.link("key", "link"); l.path = "link"; l.lchown("link", l.uid) }, "", false},
	{"link in an open folder", func(l *layout) { l.mkdir("open", 0o777); l.link("../key", "open/link"); l.path = "open/link" }, "", false},
	{"link to an open folder", func(l *layout) {
		l.mkdir("open", 0o777)
		l.move("key", "open/key")
		l.link("open", "dir")
		l.path = "dir/key"
	}, "can be read or written by other users", false},
	{"link to a folder", func(l *layout) {
		l.mkdir("real", 0o755)
		l.move("key", "real/key")
		l.link("real", "dir")
		l.path = "dir/key"
	}, "", false},
	{"dots in the path", func(l *layout) { l.mkdir("open", 0o777); l.path = "open/../key" }, "", false},
}

// layout is a folder of root's with the file "key" in it. path is where the key
// table has the key; uid and gid are another user and that user's group.
type layout struct {
	t         *testing.T
	dir, path string
	uid, gid  int
}

func (l *layout) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *layout) at(name string) string               { return l.dir + "/" + name }
func (l *layout) chmod(name string, mode os.FileMode) { l.must(os.Chmod(l.at(name), mode)) }
func (l *layout) chown(name string, uid, gid int)     { l.must(os.Chown(l.at(name), uid, gid)) }
func (l *layout) lchown(name string, uid int)         { l.must(os.Lchown(l.at(name), uid, 0)) }
func (l *layout) link(to, name string)                { l.must(os.Symlink(to, l.at(name))) }
func (l *layout) move(from, to string)                { l.must(os.Rename(l.at(from), l.at(to))) }
func (l *layout) mkdir(name string, mode os.FileMode) {
	l.must(os.Mkdir(l.at(name), 0o700))
	l.chmod(name, mode)
}

// someUser is a user besides root and the user's own group.
func someUser(t *testing.T) (uid, gid int) {
	t.Helper()
	users, err := systemAccounts().lines(systemAccounts().passwd, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		uid, err1 := strconv.Atoi(u[2])
		gid, err2 := strconv.Atoi(u[3])
		if err1 == nil && err2 == nil && uid > 0 && gid > 0 {
			return uid, gid
		}
	}
	t.Skip("there is no user but root")
	return 0, 0
}

// mend does what the message says and looks again.
func mend(t *testing.T, unsafe *UnsafeError, path string) {
	t.Helper()
	command, _, _ := strings.Cut(unsafe.Fix, ", or: ")
	if out, err := exec.Command("/bin/sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	if err := CheckSafe(path, 0); err != nil {
		t.Errorf("after %q: %v", command, err)
	}
}

// CheckSafe and OpenDKIM agree on real files, but where nobody else can get to
// the key: OpenDKIM looks at what lies in a folder that only its owner can
// enter, and does not trust a group that the system has no name for, as the
// volumes of a container have.
func TestCheckSafeAsOpenDKIM(t *testing.T) {
	root := privateFolder(t)
	uid, gid := someUser(t)
	key := generate(t, kindRSA)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(t, key)})
	var signing, table bytes.Buffer
	paths := make([]string, len(layouts))
	for i, c := range layouts {
		l := &layout{t: t, dir: fmt.Sprintf("%s/%d", root, i), path: "key", uid: uid, gid: gid}
		l.must(os.Mkdir(l.dir, 0o755))
		l.must(os.WriteFile(l.at("key"), text, 0o600))
		c.lay(l)
		paths[i] = l.at(l.path)
		fmt.Fprintf(&signing, "*@case%d.test k%d\n", i, i)
		fmt.Fprintf(&table, "k%d case%d.test:s:%s\n", i, i, paths[i])
	}
	write(t, root+"/signing.table", signing.String())
	write(t, root+"/key.table", table.String())
	opendkim := peers.StartOpenDKIM(t, nil, "RequireSafeKeys yes", "SigningTable refile:"+root+"/signing.table", "KeyTable file:"+root+"/key.table")
	for i, c := range layouts {
		t.Run(c.name, func(t *testing.T) {
			changes, action, err := opendkim.Ask(peers.Mail{Host: "localhost", Addr: "127.0.0.1", To: []string{"to@example.net"}, Fields: []string{fmt.Sprintf("From: u@case%d.test", i)}})
			if err != nil {
				t.Fatal(err)
			}
			signed := len(changes) > 0
			if !signed && action != milter.ActTempFail && action != milter.ActReplyCode {
				t.Fatalf("OpenDKIM neither signs nor defers: %c", action)
			}
			if want := c.reason == "" && !c.stricter; signed != want {
				t.Errorf("OpenDKIM signs: %t, want %t", signed, want)
			}
			err = CheckSafe(paths[i], 0)
			var unsafe *UnsafeError
			switch {
			case c.reason == "" && err != nil:
				t.Errorf("got %v, want safe", err)
			case c.reason != "" && (!errors.As(err, &unsafe) || !strings.Contains(unsafe.Reason, c.reason)):
				t.Errorf("got %v, want %q", err, c.reason)
			}
			_, err = readKeyFile(paths[i], policy{safe: true})
			if (err == nil) != (c.reason == "") {
				t.Errorf("readKeyFile: %v", err)
			}
			if unsafe != nil && !strings.HasPrefix(unsafe.Fix, "move") {
				mend(t, unsafe, paths[i])
			}
		})
	}
}
