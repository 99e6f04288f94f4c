package keys

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// settled makes the cache believe that every file is at rest, and counts how
// often it reads one.
func settled(c *Cache) *int {
	var mu sync.Mutex
	reads, inner := 0, c.read
	c.now = func() time.Time { return time.Now().Add(time.Hour) }
	c.read = func(path string, p policy) (*content, error) {
		mu.Lock()
		reads++
		mu.Unlock()
		return inner(path, p)
	}
	return &reads
}

// replace renames a new file into the place of path.
func replace(t *testing.T, path, content string) {
	t.Helper()
	write(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func mustSign(t *testing.T, s *Store, domain string) crypto.Signer {
	t.Helper()
	rs, err := s.Select(Address{"u", domain})
	if err != nil || len(rs) != 1 {
		t.Fatalf("Select(%s): %v, %v", domain, rs, err)
	}
	key, err := rs[0].Signer()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestReloadProvesWhatChanged(t *testing.T) {
	dir := t.TempDir()
	tt := tables{signing: "* k0\n"}
	for i := range 5 {
		writeKey(t, fmt.Sprintf("%s/k%d", dir, i))
		tt.keys += fmt.Sprintf("k%d a.example:s:@DIR@/k%d\nagain%d a.example:s:@DIR@/k%d\n", i, i, i, i)
	}
	p := &prover{}
	c := newTestCache(p, io.Discard)
	reads := settled(c)
	check := func(what string, wantReads, wantProofs int) {
		t.Helper()
		if *reads != wantReads || p.calls != wantProofs {
			t.Errorf("%s: %d reads, %d proofs; want %d, %d", what, *reads, p.calls, wantReads, wantProofs)
		}
	}
	s := tt.mustLoad(t, dir, c)
	check("load", 5, 5)
	mustSign(t, s, "a.example")
	check("use", 5, 5)
	tt.mustLoad(t, dir, c)
	check("reload", 5, 5)
	replace(t, dir+"/k3", string(pkcs8(t, generate(t, kindEd25519))))
	tt.mustLoad(t, dir, c)
	check("reload with one new key", 6, 6)
	data, err := os.ReadFile(dir + "/k4")
	if err != nil {
		t.Fatal(err)
	}
	replace(t, dir+"/k4", string(data))
	tt.mustLoad(t, dir, c)
	check("reload with the same key in a new file", 7, 6)
}

func TestReplacedInPlace(t *testing.T) {
	dir := t.TempDir()
	old := writeKey(t, dir+"/k")
	var log bytes.Buffer
	c := newTestCache(&prover{}, &log)
	settled(c)
	s := tables{signing: "* k\n", keys: "k a.example:s:@DIR@/k\n"}.mustLoad(t, dir, c)
	if !same(mustSign(t, s, "a.example"), old) {
		t.Fatal("wrong key")
	}
	log.Reset() // it may warn about the folder of temporary files
	const complaint = "no usable key any more"
	for i, bad := range []string{"rubbish", ""} {
		replace(t, dir+"/k", bad)
		for range 3 {
			if !same(mustSign(t, s, "a.example"), old) {
				t.Fatalf("%q: the old key is gone", bad)
			}
		}
		if n := strings.Count(log.String(), complaint); n != i+1 {
			t.Errorf("%q: logged %d times, want %d", bad, n, i+1)
		}
	}
	if k := s.Keys()[0]; k.State != StateStale || k.Error == "" || k.Bits != 256 {
		t.Errorf("state %+v", k)
	}
	if err := os.Remove(dir + "/k"); err != nil {
		t.Fatal(err)
	}
	if !same(mustSign(t, s, "a.example"), old) || strings.Count(log.String(), complaint) != 3 {
		t.Errorf("the file is gone: %s", &log)
	}
	fresh := writeKey(t, dir+"/k")
	if !same(mustSign(t, s, "a.example"), fresh) {
		t.Error("the good replacement is not used")
	}
	if k := s.Keys()[0]; k.State != StateReady || k.Error != "" {
		t.Errorf("state %+v", k)
	}
}

// A file can change twice within one tick of its clock.
func TestRecentFileIsLookedAtAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	writeKey(t, path)
	c := newTestCache(&prover{}, io.Discard)
	reads := settled(c)
	written := time.Now()
	c.now = func() time.Time { return written }
	p := policy{minBits: minRSABits, maxBits: maxRSABits}
	for range 3 {
		if _, _, err := c.signer(source{path: path, policy: p}, "a.example", "s", false); err != nil {
			t.Fatal(err)
		}
	}
	if *reads != 3 {
		t.Errorf("%d reads, want 3", *reads)
	}
}

func TestProofFails(t *testing.T) {
	dir := t.TempDir()
	p := &prover{refuse: writeKey(t, dir+"/k")}
	s := tables{signing: "* k\n", keys: "k a.example:s:@DIR@/k\n"}.mustLoad(t, dir, newTestCache(p, io.Discard))
	for range 3 {
		rs, _ := s.Select(Address{"u", "a.example"})
		if _, err := rs[0].Signer(); !errors.Is(err, ErrNotProven) || !strings.Contains(err.Error(), "refused by the test") {
			t.Fatalf("got %v", err)
		}
	}
	if p.calls != 1 {
		t.Errorf("%d proofs of one content, want 1", p.calls)
	}
}

func TestSizeOfKeys(t *testing.T) {
	dir := t.TempDir()
	key := generate(t, kindRSA)
	if err := WritePrivate(dir+"/k", key); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		min, max int
		want     string
	}{
		{0, 0, ""}, {1024, 1024, ""},
		{2048, 0, "RSA of 1024 bits, at least 2048"},
		{512, 768, "RSA of 1024 bits, at most 768"},
	} {
		p := &prover{}
		s := tables{signing: "* k\n", keys: "k a.example:s:@DIR@/k\n", options: Options{MinBits: tt.min, MaxBits: tt.max}}.
			mustLoad(t, dir, newTestCache(p, io.Discard))
		err := errors.Join(s.Disabled()...)
		if (err == nil) != (tt.want == "") || err != nil && (!errors.Is(err, ErrKeySize) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%d to %d: %v, want %q", tt.min, tt.max, err, tt.want)
		}
		if k := s.Keys()[0]; err == nil && (k.Algorithm != "rsa" || k.Bits != 1024 || p.calls != 1) {
			t.Errorf("%+v after %d proofs", k, p.calls)
		}
	}
}

func TestManyKeysAreReadAtFirstUse(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/k0")
	tt := tables{signing: "* k0\n"}
	for i := range eagerKeys {
		tt.keys += fmt.Sprintf("k%d a.example:s:@DIR@/k%d\n", i, i)
	}
	p := &prover{}
	s := tt.mustLoad(t, dir, newTestCache(p, io.Discard))
	if p.calls != 0 || s.Keys()[0].State != StateUnread || s.Disabled() != nil {
		t.Errorf("%d proofs at load, state %s", p.calls, s.Keys()[0].State)
	}
	mustSign(t, s, "a.example")
	if p.calls != 1 || s.Keys()[0].State != StateReady {
		t.Errorf("%d proofs at use, state %s", p.calls, s.Keys()[0].State)
	}
}

func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/k0")
	tt := tables{signing: "* k0\n"}
	for i := range eagerKeys {
		tt.keys += fmt.Sprintf("k%d a.example:s:@DIR@/k%d\n", i, i)
	}
	p := &prover{}
	c := newTestCache(p, io.Discard)
	s := tt.mustLoad(t, dir, c)
	inline := base64.StdEncoding.EncodeToString(pkcs8(t, generate(t, kindEd25519)))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			rs, err := s.Select(Address{"u", "a.example"})
			if err == nil {
				_, err = rs[0].Signer()
			}
			_, _, err2 := c.signer(source{inline: inline, policy: s.policy}, "a.example", "s", false)
			if err := errors.Join(err, err2); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if p.calls != 2 {
		t.Errorf("%d proofs of two keys", p.calls)
	}
}

func TestUnsafeKeys(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		writeKey(t, fmt.Sprintf("%s/k%d", dir, i))
	}
	tt := tables{signing: "* k0\n", keys: "k0 a.example:s:@DIR@/k0\nk1 a.example:s:@DIR@/k1\n"}
	var log bytes.Buffer
	c := newTestCache(&prover{}, &log)
	settled(c)
	inner := c.read
	c.read = func(path string, p policy) (*content, error) {
		unsafe := &UnsafeError{Path: path, Mode: 0o644, Reason: path + " can be read or written by other users", Fix: "chmod 0600 " + path}
		if p.safe {
			return nil, unsafe
		}
		found, err := inner(path, p)
		if err == nil {
			found.unsafe = unsafe
		}
		return found, err
	}
	s := tt.mustLoad(t, dir, c)
	for range 3 {
		mustSign(t, s, "a.example")
	}
	tt.mustLoad(t, dir, c)
	if n := strings.Count(log.String(), "key data is not secure"); n < 2 || strings.Count(log.String(), "level=WARN") != 2 {
		t.Errorf("want one warning for each of two files:\n%s", &log)
	}
	tt.options.RequireSafeKeys = true
	s = tt.mustLoad(t, dir, c)
	var unsafe *UnsafeError
	if d := s.Disabled(); len(d) != 2 || !errors.As(d[0], &unsafe) || !strings.Contains(d[0].Error(), "0644") {
		t.Errorf("with RequireSafeKeys: %v", d)
	}
}

func TestReadKeyFile(t *testing.T) {
	dir := t.TempDir()
	lax := policy{uid: os.Geteuid()}
	if _, err := readKeyFile(dir, lax); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: %v", err)
	}
	if _, err := readKeyFile("/dev/zero", lax); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("device: %v", err)
	}
	if _, err := readKeyFile(write(t, dir+"/big", strings.Repeat("x", maxKeyFile+1)), lax); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("big: %v", err)
	}
	path := write(t, dir+"/k", "content")
	if err := os.Symlink(path, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	found, err := readKeyFile(dir+"/link", lax)
	if err != nil || string(found.data) != "content" {
		t.Errorf("link: %v, %v", found, err)
	}
	// What CheckSafe says decides, with and without the link.
	strict := policy{uid: os.Geteuid(), safe: true}
	for _, path := range []string{path, dir + "/link"} {
		want := CheckSafe(path, strict.uid)
		if _, err := readKeyFile(path, strict); (err == nil) != (want == nil) {
			t.Errorf("%s: %v, CheckSafe says %v", path, err, want)
		}
	}
}

func TestKeysInMemoryAreBounded(t *testing.T) {
	c := NewCache(3, (&prover{}).prove, nil)
	p := policy{minBits: minRSABits, maxBits: maxRSABits}
	for range 10 {
		der := pkcs8(t, generate(t, kindEd25519))
		if _, err := c.fromBytes(der, p, "a.example", "s"); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(der, make([]byte, len(der))) {
			t.Fatal("the bytes of the key are not zeroed")
		}
	}
	if n := len(c.contents.byKey); n != 3 || c.contents.order.Len() != 3 {
		t.Errorf("%d keys kept, want 3", n)
	}
}
