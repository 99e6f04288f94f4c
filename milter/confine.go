package milter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/sandbox"
)

// Confine keeps this process, for good, to what the daemon goes on needing, as
// the settings sandbox and sandbox_read say. It is for a process that is the daemon
// and nothing else, and comes before Run. pidFile is removed by the caller in the
// end; empty for none. A kernel that cannot do this is no reason not to serve: the
// log and the status say so.
func (d *Daemon) Confine(pidFile string) {
	if !d.cfg.Sandbox {
		return
	}
	_, _ = time.Now().Zone() // reads the time zone's file, which is out of reach then
	d.keys.RememberAccounts()
	needs := d.needs(pidFile)
	box, err := sandbox.Enter(needs)
	if err != nil {
		level := slog.LevelWarn
		if errors.Is(err, sandbox.ErrUnsupported) {
			level = slog.LevelInfo
		}
		d.confined = "none: " + err.Error()
		d.o.Log.Log(context.Background(), level, "no sandbox; the daemon can read whatever its user can", "reason", err)
		return
	}
	d.box, d.confined = box, box.String()
	d.unreached = map[string]bool{}
	for _, path := range box.Outside(needs.Files...) {
		d.unreached[path] = true
	}
	for _, path := range d.cfg.SandboxRead {
		if path = d.cfg.Path(path); len(box.Outside(path)) > 0 {
			d.o.Log.Warn("sandbox_read names what is not there; what comes there later cannot be read before a restart", "path", path)
		}
	}
}

// needs are what the daemon reads after its start, and what it removes at its end.
func (d *Daemon) needs(pidFile string) sandbox.Needs {
	n := sandbox.Needs{Config: d.cfg.Sources(), Files: d.cfg.Files(), Keys: keyFiles(d.server.Snapshot())}
	for _, path := range d.cfg.SandboxRead {
		n.Read = append(n.Read, d.cfg.Path(path))
	}
	if pidFile != "" {
		n.Read, n.Remove = append(n.Read, pidFile), append(n.Remove, pidFile)
	}
	var own []net.Listener
	for _, l := range []net.Listener{d.control, d.monitor.listener} {
		if l != nil {
			own = append(own, l)
		}
	}
	for _, l := range d.sockets {
		if !l.inherited {
			own = append(own, l)
		}
	}
	for _, l := range own {
		if addr, ok := l.Addr().(*net.UnixAddr); ok {
			n.Remove = append(n.Remove, addr.Name)
		}
	}
	return n
}

// keyFiles are the key files of s, some with "%" for the domain.
func keyFiles(s *Snapshot) (paths []string) {
	for path := range s.KeyFiles() {
		if path, err := filepath.Abs(path); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// refused puts before the error of a reload, if any, the files that it asks for and
// that are outside of the sandbox. What was outside at the start already, and was
// not needed then, is no reason to refuse it; nor are keys that had their place in
// old.
func (d *Daemon) refused(old *Snapshot, cfg *config.Config, next *Snapshot, err error) error {
	if d.box == nil {
		return err
	}
	var paths []string
	if cfg != nil {
		paths = cfg.Files()
	}
	if err == nil {
		known := keyFiles(old)
		slices.Sort(known)
		for _, path := range keyFiles(next) {
			if _, ok := slices.BinarySearch(known, path); !ok {
				paths = append(paths, path)
			}
		}
	}
	paths = slices.DeleteFunc(paths, func(path string) bool { return d.unreached[path] })
	if err != nil {
		paths = union(paths, filesAtFault(err))
	}
	var problems []error // first, since err may advise about a user's rights
	for _, path := range d.box.Outside(paths...) {
		problems = append(problems, d.outsideError(path))
	}
	return errors.Join(append(problems, err)...)
}

// outside says that the sandbox is why a file cannot be read; nil if it is not.
func (d *Daemon) outside(path string) error {
	if d.box == nil || len(d.box.Outside(path)) == 0 {
		return nil
	}
	return d.outsideError(path)
}

func (d *Daemon) outsideError(path string) error {
	remedy := "restart the daemon"
	if !d.o.WithoutControl { // an opendkim.conf has no such setting
		remedy += "; where sandbox_read names the folder, what comes there later needs no restart"
	}
	return fmt.Errorf("%s is outside of what this process may read since its start (sandbox): %s", path, remedy)
}
