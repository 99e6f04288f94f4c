package keys

import (
	"crypto"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/config/dataset"
)

// With Later, keys of KeyTable are read once the process is who it will be.
func TestReadKeysLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	o := Options{
		KeyTable: dataset.List("k=example.com:s:" + path), SigningTable: dataset.List("example.com=k"),
		UID: os.Geteuid(), Later: true,
	}
	s, err := Load(o, newTestCache(&prover{}, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if k := s.Keys()[0]; k.State != StateUnread {
		t.Errorf("before: %+v", k)
	}
	writeKey(t, path)
	s.ReadKeys()
	if k := s.Keys()[0]; k.State != StateReady {
		t.Errorf("after: %+v", k)
	}
}

// With Later, KeyFile is read at once. It signs after it has gone out of reach,
// also after a reload, and without a word in the log; a new key is used.
func TestKeyFileOutOfReach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	writeKey(t, path)
	var log strings.Builder
	c := newTestCache(&prover{}, &log)
	o := Options{Domain: dataset.List("example.com"), Selector: "s", KeyFile: path, UID: os.Geteuid(), Later: true}
	load := func() crypto.Signer {
		t.Helper()
		s, err := Load(o, c)
		if err != nil {
			t.Fatal(err)
		}
		requests, err := s.Select(Address{"a", "example.com"})
		if err != nil || len(requests) != 1 {
			t.Fatalf("%v, %v", requests, err)
		}
		key, err := requests[0].Signer()
		if err != nil {
			t.Fatal(err)
		}
		if k := s.Keys()[0]; k.State != StateReady {
			t.Errorf("%+v", k)
		}
		return key
	}
	first := load()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	log.Reset() // that /tmp is not safe
	if !same(load(), first) {
		t.Error("another key")
	}
	if log.Len() > 0 {
		t.Error(log.String())
	}
	writeKey(t, path)
	if same(load(), first) {
		t.Error("the key that was replaced still signs")
	}
}
