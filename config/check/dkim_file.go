package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/finding"
)

// file looks at the private key.
func (c *Checker) file(k *Key, s *Section) {
	var unsafe *keys.UnsafeError
	switch {
	case k.err == nil && k.File == "":
		return // it stands in the table
	case k.err == nil:
		if errors.As(c.Safe(k.File, c.UID), &unsafe) {
			s.add(k.Name, finding.Finding{
				Code: UnsafeFile, Level: finding.Warning,
				Text:   fmt.Sprintf("Other users may read or replace the private key: %s.", unsafe.Reason),
				Effect: "Whoever reads it can sign as the domain. It is used because require_safe_keys is off.",
				Fix:    "As root:\n  " + unsafe.Fix,
			})
		}
		return
	}
	f := finding.Finding{
		Code: KeyFile, Level: finding.Problem,
		Text:   fmt.Sprintf("The private key cannot sign: %v.", k.err),
		Effect: "Mail that it should sign is deferred (on_internal_error).",
		Fix:    "Put the key in its place again, or make a new one:\n  postseal setup " + k.Domain,
	}
	switch {
	case errors.As(k.err, &unsafe):
		f.Code = UnsafeFile
		f.Text = fmt.Sprintf("Other users may read or replace the private key, so that it is not used: %s.", unsafe.Reason)
		f.Fix = "As root:\n  " + unsafe.Fix
	case errors.Is(k.err, fs.ErrPermission) && c.Stranger:
		f.Level, f.Text = LevelUnknown, "This user may not read the private keys, as it should be."
		f.Effect, f.Fix = "Whether the daemon can, and which keys they are, is not known.", "Run this as root, which asks as the daemon's user does."
		s.add("", f)
		return
	case errors.Is(k.err, fs.ErrPermission):
		c.kept(k, &f)
	}
	if f.Code == KeyFolder {
		s.add("", f)
		return
	}
	s.add(k.Name, f)
}

// kept says what keeps us, who are the daemon's user, from a private key.
func (c *Checker) kept(k *Key, f *finding.Finding) {
	name := strconv.Itoa(c.UID)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	folder := barrier(k.File)
	if folder == "" {
		f.Fix = fmt.Sprintf("As root:\n  chown %s %s\n  chmod 0600 %[2]s\n  postseal reload", name, keys.Quote(k.File))
		return
	}
	f.Code = KeyFolder
	f.Text = fmt.Sprintf("The user %s may not pass the folder %s, and so cannot read the private keys below it.", name, folder)
	f.Effect = "Mail that they should sign is deferred (on_internal_error)."
	f.Fix = "As root:\n  chmod o+x " + keys.Quote(folder) + "\n  postseal reload"
}

// barrier is the folder nearest to the root, of those above a file, that we may not pass;
// "" for none.
func barrier(file string) (folder string) {
	for at := filepath.Dir(file); at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Stat(at + "/."); errors.Is(err, fs.ErrPermission) {
			folder = at
		}
	}
	return folder
}

// taken looks whether the running daemon signs with the key. What the daemon says of a
// file is of the last time that it read it, and it reads it again with the next mail; but
// what keeps it out now will keep it out then.
func (c *Checker) taken(k *Key, s *Section) {
	if c.daemon == nil || len(c.daemon.LastReload.Problems) > 0 {
		return // the daemon's own section says so
	}
	const fix = "Have it read its tables and keys:\n  postseal reload"
	i := slices.IndexFunc(c.daemon.Keys, func(has keys.KeyInfo) bool { return has.Name == k.Key && has.Selector == k.Selector })
	if i < 0 {
		s.add(k.Name, finding.Finding{
			Code: NotTaken, Level: finding.Problem,
			Text:   fmt.Sprintf("The running daemon does not have the key %q: it has other tables.", k.Key),
			Effect: "Mail leaves without its signature until it reads them.", Fix: fix,
		})
		return
	}
	has := c.daemon.Keys[i]
	if has.State != keys.StateDisabled && has.State != keys.StateStale {
		return
	}
	f := finding.Finding{
		Code: NotTaken, Level: finding.Note,
		Text:   fmt.Sprintf("When the daemon last read the key %q it could not use it: %s.", k.Key, has.Error),
		Effect: "It reads it again with the next mail.", Fix: fix,
	}
	if strings.Contains(has.Error, fs.ErrPermission.Error()) {
		f.Level = finding.Problem
		f.Text = fmt.Sprintf("The running daemon cannot read the key %q, which its user can: %s.", k.Key, has.Error)
		f.Effect = "Mail that it should sign is deferred, or signed with the key from before."
		f.Fix = "Have it read the key again; if the file is in a new place, a restart lets the daemon get at it:\n  postseal reload\n  systemctl restart postseal"
	}
	s.add(k.Name, f)
}
