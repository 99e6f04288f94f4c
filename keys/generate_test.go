package keys

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGenerate(t *testing.T) {
	for _, tt := range []struct {
		kind       string
		bits, want int
	}{{"rsa", 0, 2048}, {"rsa", 1024, 1024}, {"ed25519", 0, 256}, {"ed25519", 2048, 256}} {
		key, err := Generate(tt.kind, tt.bits)
		if err != nil {
			t.Fatal(err)
		}
		if kind, bits := kindOf(key.Public()); kind != tt.kind || bits != tt.want {
			t.Errorf("Generate(%s, %d) made %s of %d bits", tt.kind, tt.bits, kind, bits)
		}
	}
	for _, bits := range []int{-1, 512, 1023, 8193} {
		if _, err := Generate("rsa", bits); !errors.Is(err, ErrKeySize) {
			t.Errorf("RSA of %d bits: %v", bits, err)
		}
	}
	if _, err := Generate("ecdsa", 256); err == nil {
		t.Error("an unknown kind is made")
	}
}

func TestWritePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.private")
	key := generate(t, kindEd25519)
	if err := WritePrivate(path, key); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParsePrivate(first); err != nil || !same(again, key) {
		t.Errorf("read again: %v", err)
	}
	if err := WritePrivate(path, generate(t, kindEd25519)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second key: %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, first) {
		t.Errorf("the first key was touched: %v", err)
	}
	if err := WritePrivate(filepath.Join(t.TempDir(), "no", "folder"), key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

func TestRecordOptions(t *testing.T) {
	key := generate(t, kindEd25519).Public()
	plain := RecordText(key)
	p := plain[strings.Index(plain, "p="):]
	for _, tt := range []struct {
		r    Record
		want string
	}{
		{Record{}, "v=DKIM1; h=sha256; k=ed25519; "},
		{Record{Testing: true}, "v=DKIM1; h=sha256; k=ed25519; t=y; "},
		{Record{Testing: true, Strict: true, EmailOnly: true}, "v=DKIM1; h=sha256; k=ed25519; t=y:s; s=email; "},
		{Record{Note: "a b;c=d\n\xc3\xbc "}, "v=DKIM1; n=a b=3Bc=3Dd=0A=C3=BC=20; h=sha256; k=ed25519; "},
	} {
		tt.r.Public = key
		if got := tt.r.Text(); got != tt.want+p {
			t.Errorf("got  %s\nwant %s", got, tt.want+p)
		}
	}
	if got := RecordText("no key"); got != "" {
		t.Errorf("record of no key: %q", got)
	}
}
