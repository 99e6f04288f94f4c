package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync/atomic"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// notifier hears of what happens in folders. Folders are watched rather than
// files: a file that is replaced is another file, and one that is missing cannot
// be watched.
type notifier struct {
	system  *fsnotify.Watcher
	folders map[string]inode // that are watched
	names   atomic.Pointer[map[string]identity]
	ended   chan struct{}
}

// newNotifier pokes stirred whenever something happens to one of the names that
// cover was given last.
func newNotifier(stirred chan<- struct{}) (*notifier, error) {
	system, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	n := &notifier{system: system, folders: map[string]inode{}, ended: make(chan struct{})}
	n.names.Store(&map[string]identity{})
	go n.listen(stirred)
	return n, nil
}

// listen takes no lock: fsnotify may hold one while it waits for us.
func (n *notifier) listen(stirred chan<- struct{}) {
	defer close(n.ended)
	for events, failures := n.system.Events, n.system.Errors; events != nil; {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			if _, ours := (*n.names.Load())[path.Clean(e.Name)]; ours {
				poke(stirred)
			}
		case _, ok := <-failures: // such as too many events: look at everything
			if !ok {
				return
			}
			poke(stirred)
		}
	}
}

// cover watches the folders of s, and no others. It reports whether there are
// new ones among them, and why one that holds a file or link of s cannot be
// watched; one that was watched before it might not be read any more stays so.
func (n *notifier) cover(s *scan) (more bool, failure error) {
	n.names.Store(&s.seen)
	for folder, was := range n.folders {
		if is, ok := s.folders[folder]; !ok || is != was {
			_ = n.system.Remove(folder) // it may be gone by itself
			delete(n.folders, folder)
		}
	}
	for folder, is := range s.folders {
		// Known ones too: fsnotify forgets a folder that is moved, be it back.
		err := n.system.Add(folder)
		_, known := n.folders[folder]
		if err == nil && !known {
			n.folders[folder] = is
			more = true
		}
		if err != nil && s.holders[folder] && !gone(err) && !(known && errors.Is(err, fs.ErrPermission)) {
			failure = fmt.Errorf("%s: %w", folder, err)
		}
	}
	return more, failure
}

// gone reports that a folder is none any more: what is in it is missing.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func (n *notifier) close() {
	_ = n.system.Close()
	<-n.ended
}
