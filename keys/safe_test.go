package keys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// node is a file or folder of a made-up file system.
type node struct {
	mode     uint32
	uid, gid uint32
}

const (
	daemon = 112 // opendkim
	group  = 120 // opendkim, with postfix in it
	alone  = 121 // a group that only the daemon is in
	staff  = 50  // the primary group of alice
)

// fakeWalk walks over files; below mount it is read-only, unless mount is empty.
func fakeWalk(t *testing.T, files map[string]node, mount string) walk {
	dir := t.TempDir()
	passwd := write(t, dir+"/passwd", "root:x:0:0:root:/root:/bin/sh\nopendkim:x:112:121::/:\npostfix:x:113:114::/:\nalice:x:1000:50::/:\ntoor:x:0:0::/:\n")
	groups := write(t, dir+"/group", "root:x:0:\nopendkim:x:120:opendkim,root,postfix\nalone:x:121:root,opendkim,toor\nstaff:x:50:\nempty:x:122:\n")
	return walk{
		accounts: accounts{passwd: passwd, group: groups}, uid: daemon,
		resolve: func(path string) (string, error) { return path, nil },
		stat: func(path string, st *unix.Stat_t) error {
			n, ok := files[path]
			if !ok {
				n = node{0o755, 0, 0}
			}
			st.Mode, st.Uid, st.Gid = n.mode, n.uid, n.gid
			return nil
		},
		readOnly: func(path string) bool { return mount != "" && strings.HasPrefix(path, mount) },
	}
}

func TestCheckSafe(t *testing.T) {
	const dir, path = "/etc/keys", "/etc/keys/k"
	for _, tt := range []struct {
		name        string
		files       map[string]node
		reason, fix string
	}{
		{"0600 of the daemon", map[string]node{path: {0o600, daemon, 0}}, "", ""},
		{"0600 of root", map[string]node{path: {0o600, 0, 0}}, "", ""},
		{"0640 with a group of its own", map[string]node{path: {0o640, 0, alone}}, "", ""},
		{"0640 with a group without members", map[string]node{path: {0o640, 0, 122}}, "", ""},
		{"0640 with an unknown group", map[string]node{path: {0o640, 0, 999}}, "", ""},
		{"0640 with postfix in the group", map[string]node{path: {0o640, 0, group}},
			`/etc/keys/k is in group opendkim which has multiple users (e.g., "postfix")`,
			"chown opendkim /etc/keys/k && chmod 0600 /etc/keys/k, or: gpasswd -d postfix opendkim"},
		{"0660 with a primary group", map[string]node{path: {0o660, daemon, staff}},
			`/etc/keys/k is in group staff which has multiple users (e.g., "alice")`, "chmod 0600 /etc/keys/k"},
		{"0644", map[string]node{path: {0o644, daemon, 0}}, "/etc/keys/k can be read or written by other users", "chmod 0600 /etc/keys/k"},
		{"0602", map[string]node{path: {0o602, daemon, 0}}, "/etc/keys/k can be read or written by other users", "chmod 0600 /etc/keys/k"},
		{"0644 of root", map[string]node{path: {0o644, 0, 0}}, "can be read or written by other users", "chown opendkim /etc/keys/k && chmod 0600 /etc/keys/k"},
		{"0601", map[string]node{path: {0o611, daemon, group}}, "", ""},
		{"another owner", map[string]node{path: {0o600, 1000, 0}},
			"/etc/keys/k is not owned by the executing uid (112) or the superuser", "chown opendkim /etc/keys/k && chmod 0600 /etc/keys/k"},
		{"folder open to others", map[string]node{dir: {0o777, 0, 0}, path: {0o600, daemon, 0}}, "/etc/keys can be read or written by other users", "chmod o-w /etc/keys"},
		{"sticky is no excuse", map[string]node{"/etc": {0o1777, 0, 0}, path: {0o600, daemon, 0}}, "/etc can be read or written by other users", "move the key out of /etc"},
		{"the root folder", map[string]node{"/": {0o757, 0, 0}, path: {0o600, daemon, 0}}, "/ can be read or written by other users", "chmod o-w /"},
		{"folder of a group", map[string]node{dir: {0o775, 0, group}, path: {0o600, daemon, 0}},
			`/etc/keys is in group opendkim which has multiple users (e.g., "postfix")`, "chmod g-w /etc/keys, or: gpasswd -d postfix opendkim"},
		{"folder of a group of its own", map[string]node{dir: {0o775, 0, alone}, path: {0o600, daemon, 0}}, "", ""},
		{"folder of another owner", map[string]node{dir: {0o755, 1000, 0}, path: {0o600, daemon, 0}},
			"/etc/keys is writeable and owned by uid 1000 which is not the executing uid (112) or the superuser", "chown root /etc/keys"},
		{"folder of another owner who cannot write", map[string]node{dir: {0o555, 1000, 0}, path: {0o600, daemon, 0}}, "", ""},
		{"group folder of another owner", map[string]node{dir: {0o775, 1000, alone}, path: {0o600, daemon, 0}}, "owned by uid 1000", "chown root /etc/keys"},
		{"private folder ends the walk", map[string]node{dir: {0o700, daemon, 0}, path: {0o644, 1000, 0}}, "", ""},
		{"private folder of another owner", map[string]node{dir: {0o700, 1000, 0}, path: {0o600, daemon, 0}}, "owned by uid 1000", "chown root /etc/keys"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := fakeWalk(t, tt.files, "").check(path)
			if tt.reason == "" {
				if err != nil {
					t.Errorf("got %v, want safe", err)
				}
				return
			}
			var unsafe *UnsafeError
			if !errors.As(err, &unsafe) {
				t.Fatalf("got %v, want *UnsafeError", err)
			}
			if !strings.Contains(unsafe.Reason, tt.reason) || !strings.HasPrefix(unsafe.Fix, tt.fix) || strings.Contains(unsafe.Fix, "gpasswd") != strings.Contains(tt.fix, "gpasswd") {
				t.Errorf("reason %q, fix %q\nwant %q, %q", unsafe.Reason, unsafe.Fix, tt.reason, tt.fix)
			}
		})
	}
}

// On a read-only mount it does not count who could write.
func TestCheckSafeReadOnly(t *testing.T) {
	const dir, path = "/etc/keys", "/etc/keys/k"
	secret := map[string]node{dir: {0o1777, 0, 0}, path: {0o400, 0, 0}}
	for _, tt := range []struct {
		name   string
		mount  string
		files  map[string]node
		reason string
	}{
		{"a secret of Kubernetes", dir, secret, ""},
		{"the same, writable", "", secret, "/etc/keys can be read or written by other users"},
		{"the file alone", path, secret, "/etc/keys can be read or written by other users"},
		{"folder of a group", dir, map[string]node{dir: {0o775, 0, group}, path: {0o600, daemon, 0}}, ""},
		{"folder of another owner", dir, map[string]node{dir: {0o755, 1000, 0}, path: {0o600, daemon, 0}}, ""},
		{"0602", dir, map[string]node{path: {0o602, daemon, 0}}, ""},
		{"0620 with postfix in the group", dir, map[string]node{path: {0o620, 0, group}}, ""},
		{"0640 with postfix in the group", dir, map[string]node{path: {0o640, 0, group}}, "which has multiple users"},
		{"0604", dir, map[string]node{path: {0o604, daemon, 0}}, "/etc/keys/k can be read or written by other users"},
		{"another owner of the file", dir, map[string]node{path: {0o600, 1000, 0}}, "/etc/keys/k is not owned by"},
		{"an open folder above", dir, map[string]node{"/etc": {0o777, 0, 0}, path: {0o400, 0, 0}}, "/etc can be read or written by other users"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := fakeWalk(t, tt.files, tt.mount).check(path)
			var unsafe *UnsafeError
			switch {
			case tt.reason == "" && err != nil:
				t.Errorf("got %v, want safe", err)
			case tt.reason != "" && (!errors.As(err, &unsafe) || !strings.Contains(unsafe.Reason, tt.reason)):
				t.Errorf("got %v, want %q", err, tt.reason)
			case unsafe != nil && unsafe.Path == path && !strings.Contains(unsafe.Fix, "defaultMode"):
				t.Errorf("what cannot be changed there is to be changed: %q", unsafe.Fix)
			}
		})
	}
}

func TestUnsafeErrorText(t *testing.T) {
	_, _, err := fakeWalk(t, map[string]node{"/etc/my keys/k": {0o100644, daemon, staff}}, "").check("/etc/my keys/k")
	const want = "key data is not secure: /etc/my keys/k can be read or written by other users " +
		"(/etc/my keys/k has mode 0644, owner opendkim:staff); to mend it: chmod 0600 '/etc/my keys/k'"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestCheckSafeOnDisk(t *testing.T) {
	if err := CheckSafe(filepath.Join(t.TempDir(), "absent"), os.Geteuid()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	dir := t.TempDir()
	path := write(t, dir+"/k", "x")
	// Others get as far as the folder, wherever temporary files are.
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	var unsafe *UnsafeError
	if err := CheckSafe(dir+"/link", os.Geteuid()); !errors.As(err, &unsafe) || unsafe.Mode.Perm()&0o002 == 0 {
		t.Errorf("open folder: %v", err)
	}
}
