package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A volume of Kubernetes changes all of its files at once: the name of each is
// a link through "..data", which is itself a link that is renamed into place.
func TestReplacedBySymlinkSwitch(t *testing.T) {
	dir := t.TempDir()
	old, fresh := writeKey(t, dir+"/v1/k"), writeKey(t, dir+"/v2/k")
	for name, to := range map[string]string{"..data": "v1", "k": "..data/k", "new": "v2"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	c := newTestCache(&prover{}, io.Discard)
	reads := settled(c)
	s := tables{signing: "* k\n", keys: "k a.example:s:@DIR@/k\n"}.mustLoad(t, dir, c)
	if !same(mustSign(t, s, "a.example"), old) || *reads != 1 {
		t.Fatalf("wrong key after %d reads", *reads)
	}
	if err := os.Rename(dir+"/new", dir+"/..data"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !same(mustSign(t, s, "a.example"), fresh) {
			t.Error("the new key is not used")
		}
	}
	if *reads != 2 {
		t.Errorf("%d reads, want one of each file", *reads)
	}
}

// A writer may truncate the file and fill it piece by piece.
func TestHalfWrittenFile(t *testing.T) {
	dir := t.TempDir()
	old, fresh := writeKey(t, dir+"/k"), generate(t, kindEd25519)
	text := base64.StdEncoding.EncodeToString(pkcs8(t, fresh))
	c := newTestCache(&prover{}, io.Discard)
	s := tables{signing: "* k\n", keys: "k a.example:s:@DIR@/k\n"}.mustLoad(t, dir, c)
	for n := range len(text) {
		write(t, dir+"/k", text[:n])
		if !same(mustSign(t, s, "a.example"), old) {
			t.Fatalf("with %d of %d bytes another key signs", n, len(text))
		}
	}
	write(t, dir+"/k", text)
	if !same(mustSign(t, s, "a.example"), fresh) {
		t.Error("the whole file is not used")
	}
}

// With very many keys the load reads none, the first use of each proves it, a
// bad one is logged once, and a reload knows those that were used.
func TestVeryManyKeys(t *testing.T) {
	const many = 1200
	dir := t.TempDir()
	var tt tables
	for i := range many {
		if i != 7 {
			writeKey(t, fmt.Sprintf("%s/keys/k%d", dir, i))
		}
		tt.signing += fmt.Sprintf("*@d%d.example k%d\n", i, i)
		tt.keys += fmt.Sprintf("k%d d%d.example:s:@DIR@/keys/k%d\n", i, i, i)
	}
	write(t, dir+"/keys/k7", "rubbish")
	var log bytes.Buffer
	p := &prover{}
	c := newTestCache(p, &log)
	reads := settled(c)
	s := tt.mustLoad(t, dir, c)
	if p.calls != 0 || *reads != 0 || s.Disabled() != nil {
		t.Fatalf("the load reads %d keys and proves %d; disabled %v", *reads, p.calls, s.Disabled())
	}
	for range 2 {
		for i := range many {
			rs, err := s.Select(Address{"u", fmt.Sprintf("d%d.example", i)})
			if err != nil || len(rs) != 1 {
				t.Fatalf("row %d: %v, %v", i, rs, err)
			}
			if _, err := rs[0].Signer(); (err != nil) != (i == 7) {
				t.Fatalf("key %d: %v", i, err)
			}
		}
	}
	if p.calls != many-1 || len(s.Disabled()) != 1 {
		t.Errorf("%d proofs, disabled %v", p.calls, s.Disabled())
	}
	if n := strings.Count(log.String(), "has no usable key;"); n != 1 {
		t.Errorf("the bad key is logged %d times", n)
	}
	proofs := p.calls
	mustSign(t, tt.mustLoad(t, dir, c), "d8.example")
	if p.calls != proofs {
		t.Errorf("%d keys are proven again after a reload", p.calls-proofs)
	}
}

// What is unsafe is said with its remedy once for each file: at load by
// Disabled, later in the log; messages get the reason alone.
func TestUnsafeFileIsSaidOnce(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/keys/a.example")
	var log bytes.Buffer
	c := newTestCache(&prover{}, &log)
	settled(c)
	c.read = func(path string, _ policy) (*content, error) {
		return nil, &UnsafeError{Path: path, Mode: 0o644, Reason: path + " can be read or written by other users", Fix: "chmod 0600 " + path}
	}
	for _, tt := range []struct {
		name, keys string
		logged     int // those that the load cannot list
	}{
		{"known by name", "k a.example:s:@DIR@/keys/a.example\n", 0},
		{"known by the first message", "k %:s:@DIR@/keys/%\n", 1},
	} {
		log.Reset()
		c.files = newLRU[fileRef, *fileState](10)
		s := tables{signing: "* k\n", keys: tt.keys}.mustLoad(t, dir, c)
		for range 3 {
			rs, err := s.Select(Address{"u", "a.example"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = rs[0].Signer()
			keyErr, ok := err.(*KeyError)
			if !ok || !strings.Contains(err.Error(), "chmod") || strings.Contains(keyErr.Brief(), "chmod") || !strings.Contains(keyErr.Brief(), "other users") {
				t.Fatalf("%s: %v", tt.name, err)
			}
		}
		if n := strings.Count(log.String(), "chmod"); n != tt.logged {
			t.Errorf("%s: logged %d times, want %d:\n%s", tt.name, n, tt.logged, &log)
		}
	}
}

// A key that came with other tables is not used by a store of those from before: it
// goes on with its own, and once that is forgotten with none.
func TestKeyAheadOfTables(t *testing.T) {
	dir := t.TempDir()
	old := writeKey(t, dir+"/k")
	unchanged := true
	var log bytes.Buffer
	c := newTestCache(&prover{}, &log)
	s := tables{signing: "* k\n", keys: "k a.example:s:@DIR@/k\n", options: Options{Unchanged: func() bool { return unchanged }}}.mustLoad(t, dir, c)
	fresh := writeKey(t, dir+"/k")
	unchanged = false
	for range 2 {
		if !same(mustSign(t, s, "a.example"), old) {
			t.Fatal("the new key signs with the old tables")
		}
	}
	if k := s.Keys()[0]; k.State != StateStale || k.Error != errAhead.Error() || strings.Count(log.String(), "with the key from before") != 1 {
		t.Errorf("%+v\n%s", k, &log)
	}
	unchanged = true
	if !same(mustSign(t, s, "a.example"), fresh) {
		t.Error("the new key is not used though the tables are as they were")
	}
	unchanged = false
	if !same(mustSign(t, s, "a.example"), fresh) {
		t.Error("the key that has signed is not used any more")
	}
	writeKey(t, dir+"/k")
	c.contents = newLRU[digest, *proven](10)
	rs, err := s.Select(Address{"u", "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rs[0].Signer(); !errors.Is(err, errAhead) {
		t.Errorf("the key from before is forgotten: %v, want %v", err, errAhead)
	}
}
