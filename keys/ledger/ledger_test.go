package ledger

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noon is the time of these tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var sample = Key{
	Name: "20261122r._domainkey.example.com", Domain: "example.com", Selector: "20261122r", File: "/etc/postseal/keys/example.com/20261122r.private",
	Type: "rsa", Bits: 2048, Record: "v=DKIM1; p=x", State: Published, Since: noon, Memory: 300 * time.Second, Keep: 168 * time.Hour, Replaces: []string{"mail"},
}

// What is saved is what is read, by others too; the file is not secret and nothing
// else is left in the folder.
func TestLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	if l, err := Read(path); err != nil || len(l.Keys) != 0 {
		t.Fatalf("%v, %v", l, err)
	}
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Put(sample)
	l.SetUpdate("example.com", &Update{Server: "192.0.2.53", TSIGKey: "/etc/tsig.key"})
	for range 2 {
		if err := l.Save(); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	for name, read := range map[string]func(string) (*Ledger, error){"Read": Read, "Open": Open} {
		got, err := read(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l.Keys, got.Keys); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff(l.Updates, got.Updates); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		got.Close()
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%v", files)
	}
}

// One run waits for another, and sees what that has saved.
func TestLedgerAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			l, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			k := sample
			if old := l.Find(k.Name); old != nil {
				k.Bits = old.Bits + 1
			}
			l.Put(k)
			if err := l.Save(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if l, err := Read(path); err != nil || l.Keys[0].Bits != 2048+19 {
		t.Errorf("%v, %v", l, err)
	}
}

// A file that cannot be right is refused with what is wrong.
func TestLedgerErrors(t *testing.T) {
	good, err := (&Ledger{Keys: []Key{sample}}).encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, new, want string }{
		{"newer", `"version": 1`, `"version": 2`, "use the postseal that wrote it"},
		{"half of it", `"keys"`, `"`, "put back a copy"},
		{"unknown field", `"keys"`, `"kyes"`, "kyes"},
		{"unknown field of a key", `"bits"`, `"bites"`, "bites"},
		{"state", `"published"`, `"forgotten"`, "no state"},
		{"name of a domain", `"domain": "example.com"`, `"domain": "example..com"`, "domain"},
		{"not as DNS has it", `"domain": "example.com"`, `"domain": "Example.com"`, "not as DNS has them"},
		{"control character", `p=x`, `p=\u001b`, "no text"},
		{"relative path", `"/etc/postseal`, `"etc/postseal`, "slash"},
		{"type", `"rsa"`, `"dsa"`, "neither"},
		{"time below zero", `"5m0s"`, `"-5m0s"`, "less than 0"},
		{"no time", `"5m0s"`, `"soon"`, "soon"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(string(good), tt.old, tt.new, 1)
			if bad == string(good) {
				t.Fatal("nothing was replaced")
			}
			if _, err := parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
	twice, err := (&Ledger{Keys: []Key{sample, sample}}).encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(twice); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("%v", err)
	}
	dir := t.TempDir()
	if _, err := Read(dir); err == nil {
		t.Error("a folder was read")
	}
	if err := os.Symlink("/etc/passwd", dir+"/"+FileName); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir + "/" + FileName); err == nil {
		t.Error("a link was followed")
	}
}

// Whatever is read is written so that it is read again.
func FuzzLedger(f *testing.F) {
	good, err := (&Ledger{Keys: []Key{sample}, Updates: map[string]Update{"example.com": {Server: "::1"}}}).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"keys":[]}`))
	f.Add([]byte(`{"version":1,"keys":[{"since":"0001-01-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parse(text)
		if err != nil {
			return
		}
		once, err := l.encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := parse(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, once)
		}
		twice, err := again.encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%v\n%s\n%s", err, once, twice)
		}
	})
}
