package check

import (
	"cmp"
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/resolver"
)

// The keys of all tests, by their selectors; another is of nobody.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	made := map[string]crypto.Signer{}
	for selector, kind := range map[string]string{"20261122r": "rsa", "20261122e": "ed25519", "other": "rsa"} {
		key, err := keys.Generate(kind, 0)
		if err != nil {
			panic(err)
		}
		made[selector] = key
	}
	return made
})

// record is the line of a key's record, as genkey prints it.
func record(selector string) string { return recordOf(selector, selector) }

// recordOf is the line of a record at a selector that publishes the key of another.
func recordOf(selector, key string) string {
	return fmt.Sprintf("%s._domainkey.example.com %s", selector, keys.RecordText(testKeys()[key].Public()))
}

// setting is a set-up of example.com. The zero setting is one in which all is well.
type setting struct {
	config       string // more lines of the configuration
	one          bool   // without multiple_signatures
	keyTable     string
	signingTable string
	unsafe       error // what is said of the RSA key's file
	files        map[string]string
	records      []string // in place of the two keys'
}

const (
	bothKeys = `r example.com:20261122r:./keys/20261122r.private
e example.com:20261122e:./keys/20261122e.private
`
	bothRows = `*@example.com r
*@example.com e
`
)

// checker lays the files of a setting and reads them.
func (s setting) checker(t *testing.T) *Checker {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	for selector, key := range testKeys() {
		path := filepath.Join(dir, "keys", selector+".private")
		if err := keys.WritePrivate(path, key); err != nil {
			t.Fatal(err)
		}
	}
	write("postseal.toml", `socket = "inet:8891@localhost"
key_table = "file:key.table"
signing_table = "refile:signing.table"
require_safe_keys = false
multiple_signatures = `+strconv.FormatBool(!s.one)+"\n"+s.config)
	write("key.table", cmp.Or(s.keyTable, bothKeys))
	write("signing.table", cmp.Or(s.signingTable, bothRows))
	for name, text := range s.files {
		write(name, text)
	}
	cfg, err := config.Load(filepath.Join(dir, "postseal.toml"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	c := &Checker{
		Config: cfg, UID: os.Geteuid(), FromFile: true, DNS: s.dns(t), HELO: "mail.example.com",
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")},
		Now:       time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		Wants:     func(string) bool { return true },
		Safe: func(path string, uid int) error {
			if strings.HasSuffix(path, "20261122r.private") {
				return s.unsafe
			}
			return nil
		},
	}
	c.Snapshot, err = milter.Load(cfg, milter.Environment{
		Keys: keys.NewCache(100, func(string, string, crypto.Signer) error { return nil }, log), Log: log, Resolver: noDNS{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// noDNS is for what asks nobody.
type noDNS struct{ dkim.Resolver }

func (s setting) dns(t *testing.T) *resolver.Records {
	t.Helper()
	lines := s.records
	if lines == nil {
		lines = []string{record("20261122r"), record("20261122e")}
	}
	r, err := resolver.ParseRecords(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// found is what a section found, a word LEVEL:CODE for each finding.
func found(s *Section) []string {
	var list []string
	for _, f := range s.Findings {
		list = append(list, string(f.Level)+":"+string(f.Code))
	}
	return list
}

// hasWords fails the test for findings that do not say what is wrong, what that causes
// and what to do.
func hasWords(t *testing.T, s *Section) {
	t.Helper()
	for _, f := range s.Findings {
		if len(f.Text) < 8 || len(f.Effect) < 8 || len(f.Fix) < 8 {
			t.Errorf("%s: %s: text %q, effect %q, fix %q", s.Name, f.Code, f.Text, f.Effect, f.Fix)
		}
		if f.Level != finding.Problem && f.Level != finding.Warning && f.Level != finding.Note && f.Level != LevelUnknown {
			t.Errorf("%s: %s: level %q", s.Name, f.Code, f.Level)
		}
	}
}

// look is one section about example.com.
func (c *Checker) look(section func(context.Context, string, *Section), name string) *Section {
	s := newSection(name)
	section(context.Background(), "example.com", s)
	return s
}
