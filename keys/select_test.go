package keys

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/postseal/postseal/config/dataset"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// line is what a request says, in short.
func line(r Request) string {
	text := r.KeyName + " d=" + r.Domain + " s=" + r.Selector
	if r.AUID != "" {
		text += " i=" + r.AUID
	}
	if r.Note != "" {
		text += " noted"
	}
	return text
}

func selected(t *testing.T, s *Store, a Address) []string {
	t.Helper()
	rs, err := s.Select(a)
	if err != nil {
		t.Fatalf("Select(%v): %v", a, err)
	}
	var all []string
	for _, r := range rs {
		all = append(all, line(r))
	}
	return all
}

// numbered is a KeyTable with the keys k1 to k9 for example.com.
var numbered = func() string {
	var b strings.Builder
	for _, n := range "123456789" {
		b.WriteString("k" + string(n) + " example.com:s" + string(n) + ":@DIR@/k\n")
	}
	return b.String()
}()

func TestLookupOrder(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/k")
	const file = "* k8\n" +
		"u@* k7\n" +
		".example.com k6\n" +
		"u@.example.com k5\n" +
		".b.example.com k4\n" +
		"u@.b.example.com k3\n" +
		"a.b.example.com k2\n" +
		"u@a.b.example.com k1\n"
	u := Address{"u", "a.b.example.com"}
	for _, tt := range []struct {
		name, kind, signing string
		multiple            bool
		sender              Address
		want                string // digits of the keys
	}{
		{"file, all", "file", file, true, u, "12345678"},
		{"file, first", "file", file, false, u, "1"},
		{"file, other user", "file", file, true, Address{"v", "a.b.example.com"}, "2468"},
		{"file, letter case", "file", file, false, Address{"U", "A.b.EXAMPLE.com"}, "1"},
		{"file, apex is not below itself", "file", file, true, Address{"v", "example.com"}, "8"},
		{"file, user at any host", "file", file, true, Address{"u", "other.example"}, "78"},
		{"file, duplicate key", "file", "a k1\na k2\n", true, Address{"u", "a"}, "1"},
		{"file, no match", "file", "a k1\n", true, Address{"u", "b"}, ""},
		{"refile, file order", "refile", "* k8\n*@example.com k1\nu@* k2\n", true, Address{"u", "example.com"}, "812"},
		{"refile, first", "refile", "*@example.com k1\n* k8\n", false, Address{"u", "example.com"}, "1"},
		{"refile, same pattern twice", "refile", "*@x k1\n*@x k2\n*@x k3\n", true, Address{"u", "x"}, "123"},
		{"refile, same key twice", "refile", "*@x k1\n* k1\n* k2\n", true, Address{"u", "x"}, "12"},
		{"refile, subdomains", "refile", "*@example.com k1\n*@*.example.com k2\n", true, Address{"u", "a.b.example.com"}, "2"},
		{"refile, apex", "refile", "*@example.com k1\n*@*.example.com k2\n", true, Address{"u", "example.com"}, "1"},
		{"refile, bare domain", "refile", "example.com k1\n", true, Address{"u", "example.com"}, ""},
		{"U-label row as it is", "file", "bücher.example k1\nxn--bcher-kva.example k2\n", true, Address{"u", "bücher.example"}, "12"},
		{"A-label row", "file", "xn--bcher-kva.example k2\n", false, Address{"u", "BÜCHER.example"}, "2"},
		{"A-label row before the catch-all", "refile", "*@xn--bcher-kva.example k2\n* k1\n", false, Address{"u", "bücher.example"}, "2"},
		{"parent of a U-label domain", "file", ".xn--bcher-kva.example k2\n", false, Address{"u", "a.bücher.example"}, "2"},
		{"no domain", "refile", "* k1\n", false, Address{"u", ""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tables{kind: tt.kind, signing: tt.signing, keys: numbered, options: Options{MultipleSignatures: tt.multiple}}.
				mustLoad(t, dir, newTestCache(&prover{}, io.Discard))
			got := ""
			for _, l := range selected(t, s, tt.sender) {
				got += l[1:2]
			}
			if got != tt.want {
				t.Errorf("keys %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOwnDomain(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/k")
	s := tables{
		signing: "name@* %:%@%\n" + "signer@* any:news@sub.%\n" + "fixed@* fixed:@%\n" + "other@* fixed:@other.example\n" + "at@* any:a%b@%\n" + "* any\n",
		keys:    "any %:s:@DIR@/k\nfixed example.com:s:@DIR@/k\nexample.com Example.com:t:@DIR@/k\nxn--bcher-kva.example %:t:@DIR@/k\n",
	}.mustLoad(t, dir, newTestCache(&prover{}, io.Discard))
	for _, tt := range []struct {
		sender Address
		want   string
	}{
		{Address{"u", "Any.Example"}, "any d=any.example s=s"},
		{Address{"u", "bücher.example"}, "any d=xn--bcher-kva.example s=s"},
		{Address{"signer", "a.example"}, "any d=a.example s=s i=news@sub.a.example"},
		{Address{"at", "a.example"}, "any d=a.example s=s i=aa.exampleb@a.example"},
		{Address{"name", "example.com"}, "example.com d=Example.com s=t i=example.com@example.com"},
		{Address{"name", "bücher.example"}, "xn--bcher-kva.example d=xn--bcher-kva.example s=t i=xn--bcher-kva.example@xn--bcher-kva.example"},
		{Address{"fixed", "sub.example.com"}, "fixed d=example.com s=s i=@sub.example.com"},
		{Address{"fixed", "notexample.com"}, "fixed d=example.com s=s noted"},
		{Address{"other", "example.com"}, "fixed d=example.com s=s noted"},
	} {
		if diff := cmp.Diff([]string{tt.want}, selected(t, s, tt.sender)); diff != "" {
			t.Errorf("%v:\n%s", tt.sender, diff)
		}
	}
	for _, tt := range []struct {
		sender Address
		want   error
	}{
		{Address{"name", "unknown.example"}, ErrUnknownKey},
		{Address{"u", "a/b"}, ErrSender},
		{Address{"u", ".."}, ErrSender},
		{Address{"u", "a..b"}, ErrSender},
		{Address{"u", "a\x00b"}, ErrSender},
		{Address{"u", "a b"}, ErrSender},
		{Address{"u", "\xff.example"}, ErrSender},
		{Address{"u", strings.Repeat("a.", 400) + "b"}, ErrSender},
		{Address{strings.Repeat("u", 2000), "a.example"}, ErrSender},
	} {
		if rs, err := s.Select(tt.sender); !errors.Is(err, tt.want) {
			t.Errorf("Select(%.40v) = %v, %v; want %v", tt.sender, rs, err, tt.want)
		}
	}
}

// Whose domain is ours, for the notice about strangers: a row for everybody
// makes no domain ours, a row or key that names it does.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/k")
	const keys = "k example.com:s:@DIR@/k\nany %:s:@DIR@/k\nown.example %:s:@DIR@/k\n"
	for _, tt := range []struct {
		name, kind, signing, domain string
		want                        bool
	}{
		{"row of the domain", "refile", "*@a.example any\n", "a.example", true},
		{"no row", "refile", "*@a.example any\n", "b.example", false},
		{"row for all", "refile", "* any\n", "a.example", false},
		{"row for all addresses", "refile", "*@* any\n", "a.example", false},
		{"row for all of a user", "file", "u@* any\n", "a.example", false},
		{"row for all, key of the domain", "refile", "* k\n", "example.com", true},
		{"row for all, key of a parent", "refile", "* k\n", "sub.example.com", true},
		{"row for all, key of another", "refile", "* k\n", "a.example", false},
		{"row for a top level", "refile", "*.example any\n", "a.example", true},
		{"percent with a key of the name", "refile", "* %\n", "own.example", true},
		{"percent without", "refile", "* %\n", "a.example", false},
		{"domain that is none", "refile", "* any\n", "a..b", false},
		{"no domain", "refile", "*@a.example any\n", "", false},
		{"domain too long", "refile", "*.example any\n", strings.Repeat("a.", 600) + "example", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tables{kind: tt.kind, signing: tt.signing, keys: keys}.mustLoad(t, dir, newTestCache(&prover{}, io.Discard))
			if got := s.Names(Address{"u", tt.domain}); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		listed, domain string
		want           bool
	}{
		{"example.com", "example.com", true}, {"example.com", "sub.example.com", true}, {"example.com", "a.example", false}, {"*", "a.example", false},
	} {
		s, err := Load(Options{Domain: dataset.List(tt.listed), SubDomains: true, Selector: "s", KeyFile: dir + "/k"}, newTestCache(&prover{}, io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Names(Address{"u", tt.domain}); got != tt.want {
			t.Errorf("domain = %q: %s: got %t, want %t", tt.listed, tt.domain, got, tt.want)
		}
	}
	if s, err := Load(Options{}, newTestCache(&prover{}, io.Discard)); err != nil || s.Names(Address{"u", "a.example"}) {
		t.Errorf("a store without tables: %v", err)
	}
}

func TestPathPerDomain(t *testing.T) {
	dir := t.TempDir()
	a := writeKey(t, dir+"/a.example/s")
	b := writeKey(t, dir+"/b.example/s")
	percent := writeKey(t, dir+"/%")
	p := &prover{}
	s := tables{
		signing: "rel@* rel\nfixed@* fixed\n* own\n",
		keys:    "own %:s:@DIR@/%/s\nfixed b.example:s:@DIR@/%/s\nrel a.example:s:./%\n",
	}.mustLoad(t, dir, newTestCache(p, io.Discard))
	if p.calls != 2 {
		t.Errorf("%d keys read at load, want those of fixed and rel", p.calls)
	}
	for _, tt := range []struct {
		sender Address
		want   []byte
	}{
		{Address{"u", "A.example"}, publicDER(a)},
		{Address{"u", "b.example"}, publicDER(b)},
		{Address{"fixed", "a.example"}, publicDER(b)},
		{Address{"rel", "a.example"}, publicDER(percent)},
	} {
		rs, err := s.Select(tt.sender)
		if err != nil || len(rs) != 1 {
			t.Fatalf("%v: %v, %v", tt.sender, rs, err)
		}
		key, err := rs[0].Signer()
		if err != nil || string(publicDER(key)) != string(tt.want) {
			t.Errorf("%v: wrong key, %v", tt.sender, err)
		}
	}
	rs, err := s.Select(Address{"u", "c.example"})
	if err != nil {
		t.Fatal(err)
	}
	var keyErr *KeyError
	if _, err := rs[0].Signer(); !errors.As(err, &keyErr) || keyErr.Path != dir+"/c.example/s" {
		t.Errorf("no folder: %v", err)
	}
	if s.Disabled() != nil {
		t.Errorf("one domain's missing key disables the row of all: %v", s.Disabled())
	}
}

func TestDomainMode(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/k")
	for _, tt := range []struct {
		name      string
		domains   []string
		parents   bool
		sender    string
		want, err string
	}{
		{"exact", []string{"example.com"}, false, "Example.com", "key_file d=example.com s=s", ""},
		{"other", []string{"example.com"}, true, "example.org", "", ""},
		{"subdomain, off", []string{"example.com"}, false, "a.example.com", "", ""},
		{"subdomain, on", []string{"example.com"}, true, "a.b.example.com", "key_file d=example.com s=s i=@example.com", ""},
		{"nearest parent", []string{"example.com", "b.example.com"}, true, "a.b.example.com", "key_file d=b.example.com s=s i=@b.example.com", ""},
		{"star", []string{"*"}, true, "any.example", "key_file d=any.example s=s", ""},
		{"star, no name", []string{"*"}, false, "a/b", "", "cannot be used"},
		{"A-label in the list", []string{"xn--bcher-kva.example"}, true, "a.bücher.example", "key_file d=xn--bcher-kva.example s=s i=@xn--bcher-kva.example", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Load(Options{Domain: dataset.List(tt.domains...), Selector: "s", KeyFile: "k", Base: dir, SubDomains: tt.parents},
				newTestCache(&prover{}, io.Discard))
			if err != nil {
				t.Fatal(err)
			}
			rs, err := s.Select(Address{"u", tt.sender})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v, want %q", err, tt.err)
				}
				return
			}
			var want, got []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			for _, r := range rs {
				got = append(got, line(r))
				if _, err := r.Signer(); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Error(err, diff)
			}
		})
	}
}

func TestTablesWinOverDomain(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/k")
	s := tables{signing: "*@a.example k1\n", keys: numbered, options: Options{Domain: dataset.List("*"), Selector: "x", KeyFile: "/absent"}}.
		mustLoad(t, dir, newTestCache(&prover{}, io.Discard))
	if got := selected(t, s, Address{"u", "b.example"}); got != nil {
		t.Errorf("Domain was used: %v", got)
	}
}

func TestKeyTableAsRefile(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/k")
	o := Options{
		SigningTable: dataset.List("a.example=key1", "b.example=Key2"),
		KeyTable:     dataset.Text("refile:" + write(t, dir+"/key.table", "key* example.com:s:"+dir+"/k\n")),
	}
	_, err := Load(o, newTestCache(&prover{}, io.Discard))
	if err == nil || !strings.Contains(err.Error(), `csl element 2 names the key "Key2"`) || strings.Contains(err.Error(), "key1") {
		t.Errorf("got %v; want only Key2 missing", err)
	}
	o.SigningTable = dataset.List("a.example=key1")
	s, err := Load(o, newTestCache(&prover{}, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if got := selected(t, s, Address{"u", "a.example"}); len(got) != 1 || got[0] != "key1 d=example.com s=s" {
		t.Errorf("%v", got)
	}
}
