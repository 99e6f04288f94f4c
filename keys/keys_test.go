package keys

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postseal/postseal/config/dataset"
)

func generate(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	key, err := Generate(kind, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pkcs8(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// prover counts proofs and refuses the keys that it is told to.
type prover struct {
	mu     sync.Mutex
	calls  int
	refuse crypto.Signer
}

func (p *prover) prove(domain, selector string, key crypto.Signer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if domain == "" || domain == ownDomain || selector == "" {
		return errors.New("bad names")
	}
	if p.refuse != nil && bytes.Equal(publicDER(p.refuse), publicDER(key)) {
		return errors.New("refused by the test")
	}
	return nil
}

func publicDER(key crypto.Signer) []byte {
	der, _ := x509.MarshalPKIXPublicKey(key.Public())
	return der
}

func same(a, b crypto.Signer) bool {
	return a != nil && b != nil && bytes.Equal(publicDER(a), publicDER(b))
}

func newTestCache(p *prover, log io.Writer) *Cache {
	return NewCache(0, p.prove, slog.New(slog.NewTextHandler(log, nil)))
}

func write(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeKey(t testing.TB, path string) crypto.Signer {
	t.Helper()
	key := generate(t, kindEd25519)
	write(t, path, base64.StdEncoding.EncodeToString(pkcs8(t, key)))
	return key
}

// tables loads a store from the text of both tables; "@DIR@" in them is a
// folder with the keys that are named.
type tables struct {
	signing, keys string
	kind          string // of the signing table; refile if empty
	options       Options
}

func (tt tables) load(t *testing.T, dir string, c *Cache) (*Store, error) {
	t.Helper()
	if tt.kind == "" {
		tt.kind = "refile"
	}
	o := tt.options
	o.Base = dir
	o.SigningTable = dataset.Text(tt.kind + ":" + write(t, filepath.Join(dir, "signing.table"), tt.signing))
	o.KeyTable = dataset.Text("file:" + write(t, filepath.Join(dir, "key.table"), strings.ReplaceAll(tt.keys, "@DIR@", dir)))
	return Load(o, c)
}

func (tt tables) mustLoad(t *testing.T, dir string, c *Cache) *Store {
	t.Helper()
	s, err := tt.load(t, dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSeedRows(t *testing.T) {
	dir := t.TempDir()
	want := writeKey(t, dir+"/example.com/default.private")
	s := tables{
		signing: "*@example.com default._domainkey.example.com\n*   smtprelay\n",
		keys: "default._domainkey.example.com example.com:default:@DIR@/example.com/default.private\n" +
			"smtprelay example.com:default:@DIR@/example.com/default.private\n",
	}.mustLoad(t, dir, newTestCache(&prover{}, io.Discard))
	for address, name := range map[Address]string{
		{"info", "example.com"}:       "default._domainkey.example.com",
		{"info", "Example.COM"}:       "default._domainkey.example.com",
		{"www-data", "web.internal"}:  "smtprelay",
		{"info", "sub.example.com"}:   "smtprelay",
		{"info", "example.com.local"}: "smtprelay",
	} {
		rs, err := s.Select(address)
		if err != nil || len(rs) != 1 || rs[0].KeyName != name || rs[0].Domain != "example.com" || rs[0].Selector != "default" || rs[0].AUID != "" {
			t.Errorf("Select(%v) = %+v, %v; want key %s", address, rs, err, name)
			continue
		}
		if key, err := rs[0].Signer(); err != nil || !same(key, want) {
			t.Errorf("Signer: %v, %v", key, err)
		}
	}
	if s.Disabled() != nil || s.Notes() != nil {
		t.Errorf("disabled %v, notes %q", s.Disabled(), s.Notes())
	}
}

func TestFatalProblems(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/k")
	tt := tables{
		signing: "*@a.example good\n*@b.example\n*@c.example absent\n*@d.example GOOD\n*@e.example halfrow\n*@f.example %\n",
		keys:    "good a.example:s:@DIR@/k\nhalfrow a.example:s\nempty\nnoselector a.example::/x\n",
	}
	_, err := tt.load(t, dir, newTestCache(&prover{}, io.Discard))
	if err == nil {
		t.Fatal("loaded")
	}
	want := []string{
		dir + "/key.table:2: key \"halfrow\": the row is not complete",
		dir + "/key.table:3: key \"empty\": the row is not complete",
		dir + "/key.table:4: key \"noselector\": the row is not complete",
		dir + "/signing.table:2: \"*@b.example\": the row names no key",
		dir + "/signing.table:3 names the key \"absent\", which key_table (" + dir + "/key.table) does not have",
		dir + "/signing.table:4 names the key \"GOOD\", but " + dir + "/key.table:1 calls it \"good\"",
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Errorf("%d problems, want %d:\n%v", len(lines), len(want), err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in:\n%v", w, err)
		}
	}
}

func TestOptionsThatDoNotFit(t *testing.T) {
	list := dataset.List("x")
	for name, o := range map[string]Options{
		"signing_table needs key_table":      {SigningTable: list},
		"key_table needs signing_table":      {KeyTable: list},
		"domain needs key_file and selector": {Domain: list, Selector: "s"},
		"selector: ":                         {Domain: list, Selector: "a b", KeyFile: "/k"},
		"unknown data set type":              {KeyTable: dataset.Text("dsn:x"), SigningTable: list},
		"no such file":                       {KeyTable: dataset.Text("/does/not/exist"), SigningTable: list},
	} {
		if _, err := Load(o, newTestCache(&prover{}, io.Discard)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v; want %q", o, err, name)
		}
	}
	s, err := Load(Options{}, newTestCache(&prover{}, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if rs, err := s.Select(Address{"a", "b.example"}); rs != nil || err != nil {
		t.Errorf("a store without tables selects %v, %v", rs, err)
	}
}

func TestDisabledRowsStandAlone(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/good")
	write(t, dir+"/rubbish", "hello")
	s := tables{
		signing: "*@a.example good\n*@b.example rubbish\n*@c.example absent\n*@d.example good:nobody\n*@e.example baddomain\n*@f.example inline\n",
		keys: "good a.example:s:@DIR@/good\nrubbish b.example:s:@DIR@/rubbish\nabsent c.example:s:@DIR@/absent\n" +
			"baddomain ../x:s:/etc/%\ninline f.example:s:SECRETsecret\n",
	}.mustLoad(t, dir, newTestCache(&prover{}, io.Discard))
	if rs, err := s.Select(Address{"u", "a.example"}); err != nil || len(rs) != 1 {
		t.Fatalf("good row: %v, %v", rs, err)
	} else if _, err := rs[0].Signer(); err != nil {
		t.Errorf("good row: %v", err)
	}
	for domain, want := range map[string]string{
		"b.example": dir + `/key.table:2: key "rubbish": ` + dir + "/rubbish: no private key",
		"c.example": dir + `/key.table:3: key "absent": open ` + dir + "/absent: no such file or directory: put the key there",
		"d.example": dir + `/signing.table:4: key "good": the signer "nobody" has no @`,
		"e.example": dir + `/key.table:4: key "baddomain": /etc/%: the signing domain is no domain name`,
		"f.example": dir + `/key.table:5: key "inline": no private key: this is neither PEM nor DER`,
	} {
		rs, err := s.Select(Address{"u", domain})
		if err != nil || len(rs) != 1 {
			t.Fatalf("%s: %v, %v", domain, rs, err)
		}
		_, err = rs[0].Signer()
		var keyErr *KeyError
		if !errors.As(err, &keyErr) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", domain, err, want)
		}
		if !strings.Contains(errors.Join(s.Disabled()...).Error(), want) {
			t.Errorf("%s is not listed as disabled", domain)
		}
	}
	if n := len(s.Disabled()); n != 5 {
		t.Errorf("%d disabled, want 5", n)
	}
	if strings.Contains(errors.Join(s.Disabled()...).Error(), "SECRET") {
		t.Error("an inline key is shown")
	}
	states := map[State]int{}
	for _, k := range s.Keys() {
		states[k.State]++
	}
	if states[StateReady] != 1 || states[StateDisabled] != 4 {
		t.Errorf("states %v", states)
	}
	// Mended, the row works without a reload.
	writeKey(t, dir+"/rubbish")
	rs, _ := s.Select(Address{"u", "b.example"})
	if _, err := rs[0].Signer(); err != nil {
		t.Errorf("mended: %v", err)
	}
	if n := len(s.Disabled()); n != 4 {
		t.Errorf("%d disabled after the mending, want 4", n)
	}
}

func TestNotes(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/k")
	keys := "k a.example:s:@DIR@/k\n"
	for _, tt := range []struct {
		name, kind, signing, keys, want string
	}{
		{"pattern in a file", "file", "*@a.example k\n", keys, "signing.table:1: \"*@a.example\" is a pattern"},
		{"domain in a refile", "refile", "a.example k\n", keys, "in a refile a domain is written \"*@a.example\""},
		{"leading blank", "refile", "*@a.example k\n *@b.example k\n", keys, "signing.table:2: the line begins with a blank"},
		{"duplicate", "file", "a.example k\nA.example k\n", keys, "signing.table:2: \"A.example\" stands at " + dir + "/signing.table:1 already"},
		{"duplicate key", "file", "a.example k\n", keys + keys, "key.table:2: \"k\" stands at"},
		{"signer outside", "file", "a.example k:u@b.example\n", keys, "signing.table:1: the signer \"u@b.example\" is left out"},
		{"nothing", "file", "u@* k:@sub.a.example\n* k\n.a.example k:u@%\n", keys, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tables{kind: tt.kind, signing: tt.signing, keys: tt.keys}.mustLoad(t, dir, newTestCache(&prover{}, io.Discard))
			notes := strings.Join(s.Notes(), "\n")
			if !strings.Contains(notes, tt.want) || (notes == "") != (tt.want == "") {
				t.Errorf("notes %q, want %q", notes, tt.want)
			}
		})
	}
}
