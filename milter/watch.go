package milter

import (
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/watch"
)

// watchedKeys is up to how many key files are watched. A key is read anew by the
// message that needs it, watched or not; that a new one is bad is said earlier
// where it is.
const watchedKeys = 100

// loadConfig reads the configuration, and watches what it names before that is
// read. What is new to the watcher may have changed just after it was read: the
// configuration is read again then. It also returns what its files were like before
// it was read.
func (d *Daemon) loadConfig() (cfg *config.Config, before watch.Look, err error) {
	d.files.Mark()
	for range 3 {
		before = watch.LookAt(d.named)
		seen := d.named
		if cfg, err = d.o.Load(); err == nil {
			d.watched, d.named = watchedFiles(cfg), withoutKey(cfg)
		} else if len(d.watched) > 0 {
			// The next attempt may come with a change of what was wrong.
			d.watched = union(d.watched, filesAtFault(err))
		}
		if !d.watch() && slices.Equal(seen, d.named) {
			break
		}
	}
	return cfg, before, err
}

// watch watches d.watched and the key files. It reports whether there are files
// that were not watched before.
func (d *Daemon) watch() (fresh bool) {
	if len(d.watched) == 0 {
		return d.files.Set(nil)
	}
	return d.files.Set(union(d.watched, d.watchedKeys))
}

// watchedFiles are the files of a configuration that are to be watched. A process
// that gave up its view of the file system for a part of it finds others under
// their paths: it watches none.
func watchedFiles(cfg *config.Config) []string {
	if !cfg.WatchFiles || cfg.ChangeRootDirectory != "" {
		return nil
	}
	return cfg.Files()
}

// withoutKey are the files of a configuration but for its key: another key alone is
// no other configuration.
func withoutKey(cfg *config.Config) []string {
	key := cfg.Path(cfg.KeyFile)
	return slices.DeleteFunc(cfg.Files(), func(path string) bool { return path == key })
}

// watchKeys watches the key files of s, unless they are many.
func (d *Daemon) watchKeys(s *Snapshot) {
	var paths []string
	seen := map[string]bool{}
	for path := range s.KeyFiles() {
		if strings.Contains(path, "%") || seen[path] {
			continue
		}
		if len(paths) == watchedKeys {
			paths = nil
			break
		}
		seen[path] = true
		paths = append(paths, path)
	}
	d.watchedKeys = paths
	d.watch()
}

func union(a, b []string) []string {
	both := slices.Clone(a)
	for _, path := range b {
		if !slices.Contains(both, path) {
			both = append(both, path)
		}
	}
	return both
}

// lineNumber is the end of a place in a file.
var lineNumber = regexp.MustCompile(`(:\d+)+$`)

// filesAtFault are the files that an error of the configuration names: one that
// another includes is known only from there.
func filesAtFault(err error) (paths []string) {
	switch err := err.(type) {
	case config.Problems:
		for _, p := range err {
			if path := lineNumber.ReplaceAllString(p.Where, ""); path != "" {
				paths = append(paths, path)
			}
		}
	case *fs.PathError:
		paths = append(paths, err.Path)
	case interface{ Unwrap() []error }:
		for _, e := range err.Unwrap() {
			paths = append(paths, filesAtFault(e)...)
		}
	default:
		if inner := errors.Unwrap(err); inner != nil {
			paths = filesAtFault(inner)
		}
	}
	return paths
}
