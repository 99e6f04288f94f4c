package keys

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-milter"
	"golang.org/x/sys/unix"

	"github.com/postseal/postseal/testdata/peers"
)

// mountedLayouts are what lies on a read-only mount. OpenDKIM judges modes alone:
// it refuses all of them but the first.
var mountedLayouts = []struct {
	name   string
	lay    func(l *layout)
	reason string // empty where the key is safe
}{
	{"0600", func(*layout) {}, ""},
	{"a secret of Kubernetes", func(l *layout) {
		l.mkdir("..1", 0o755)
		l.move("key", "..1/key")
		l.link("..1", "..data")
		l.link("..data/key", "key")
		l.chmod(".", 0o777|os.ModeSticky)
	}, ""},
	{"folder open to all", func(l *layout) { l.chmod(".", 0o777) }, ""},
	{"folder of another user", func(l *layout) { l.chown(".", l.uid, 0) }, ""},
	{"folder of a user's group", func(l *layout) { l.chown(".", 0, l.gid); l.chmod(".", 0o775) }, ""},
	{"0602", func(l *layout) { l.chmod("key", 0o602) }, ""},
	{"0644", func(l *layout) { l.chmod("key", 0o644) }, "can be read or written by other users"},
	{"0640 of a user's group", func(l *layout) { l.chown("key", 0, l.gid); l.chmod("key", 0o640) }, "which has multiple users"},
	{"of another user", func(l *layout) { l.chown("key", l.uid, 0) }, "is not owned by the executing uid (0) or the superuser"},
}

// On a real read-only mount, in a mount namespace of its own, write bits do not
// count, neither of folders nor of the key; everything else does.
func TestReadOnlyMount(t *testing.T) {
	const inside = "POSTSEAL_TEST_MOUNT"
	if os.Getenv(inside) == "" {
		privateFolder(t)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, "-test.run", "^TestReadOnlyMount$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestReadOnlyMount/of_another_user") {
			t.Errorf("in a mount namespace: %v\n%s", err, out)
		}
		return
	}
	root := privateFolder(t)
	uid, gid := someUser(t)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(t, generate(t, kindRSA))})
	var signing, table bytes.Buffer
	for i, c := range mountedLayouts {
		l := &layout{t: t, dir: fmt.Sprintf("%s/%d", root, i), path: "key", uid: uid, gid: gid}
		l.must(os.Mkdir(l.dir, 0o755))
		l.must(os.WriteFile(l.at("key"), text, 0o600))
		c.lay(l)
		fmt.Fprintf(&signing, "*@case%d.test k%d\n", i, i)
		fmt.Fprintf(&table, "k%d case%d.test:s:%s\n", i, i, l.at(l.path))
		if err := CheckSafe(l.at("key"), 0); (err == nil) != (i == 0) {
			t.Errorf("%s, before it is mounted: %v", c.name, err)
		}
	}
	write(t, root+"/signing.table", signing.String())
	write(t, root+"/key.table", table.String())
	for _, err := range []error{
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount(root, root, "", unix.MS_BIND, ""),
		unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	opendkim := peers.StartOpenDKIM(t, nil, "RequireSafeKeys yes", "SigningTable refile:"+root+"/signing.table", "KeyTable file:"+root+"/key.table")
	for i, c := range mountedLayouts {
		t.Run(c.name, func(t *testing.T) {
			changes, action, err := opendkim.Ask(peers.Mail{Host: "localhost", Addr: "127.0.0.1", To: []string{"to@example.net"}, Fields: []string{fmt.Sprintf("From: u@case%d.test", i)}})
			if err != nil {
				t.Fatal(err)
			}
			signed := len(changes) > 0
			if !signed && action != milter.ActTempFail && action != milter.ActReplyCode {
				t.Fatalf("OpenDKIM neither signs nor defers: %c", action)
			}
			if signed != (i == 0) {
				t.Errorf("OpenDKIM signs: %t", signed)
			}
			path := fmt.Sprintf("%s/%d/key", root, i)
			err = CheckSafe(path, 0)
			var unsafe *UnsafeError
			switch {
			case c.reason == "" && err != nil:
				t.Errorf("got %v, want safe", err)
			case c.reason != "" && (!errors.As(err, &unsafe) || !strings.Contains(unsafe.Reason, c.reason)):
				t.Errorf("got %v, want %q", err, c.reason)
			}
			if _, err := readKeyFile(path, policy{safe: true}); (err == nil) != (c.reason == "") {
				t.Errorf("readKeyFile: %v", err)
			}
		})
	}
}
