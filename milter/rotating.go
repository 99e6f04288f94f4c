package milter

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/ledger"
)

// rotationStates knows in which state of its life a key is, from the file that
// `postseal rotate` keeps beside key_table. Where there is none, or none that can be
// read, it knows nothing: no mail depends on it.
type rotationStates struct {
	mu     sync.Mutex
	path   string
	was    fs.FileInfo // as it was read; nil for no file
	states map[string]ledger.State
}

// of are the states of keys by name under a configuration.
func (r *rotationStates) of(s *Snapshot) map[string]ledger.State {
	table := s.cfg.KeyTable.File(s.cfg.BaseDirectory)
	if table == "" {
		return nil
	}
	path := filepath.Join(filepath.Dir(table), ledger.FileName)
	now, err := os.Stat(path)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.was, r.states = nil, nil
	case r.was == nil || r.path != path || !unchanged(r.was, now):
		r.path, r.was, r.states = path, now, map[string]ledger.State{}
		if known, err := ledger.Read(path); err == nil {
			for _, k := range known.Keys {
				r.states[k.Name] = k.State
			}
		}
	}
	return r.states
}

// unchanged: each change makes another file.
func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// mark notes the states of keys, and returns them.
func (r *rotationStates) mark(s *Snapshot, list []keys.KeyInfo) []keys.KeyInfo {
	states := r.of(s)
	for i := range list {
		list[i].Rotation = string(states[list[i].Name])
	}
	return list
}

// count counts keys by state; every state is in it.
func (r *rotationStates) count(s *Snapshot) map[string]int {
	counts := map[string]int{}
	for _, state := range ledger.States() {
		counts[string(state)] = 0
	}
	for _, state := range r.of(s) {
		counts[string(state)]++
	}
	return counts
}
