package setup

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/keys"
)

// standing makes a configuration in a folder: files by name, with DIR for the folder.
func standing(t *testing.T, files map[string]string) *Site {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"old.private", "other.private"} {
		key, err := keys.Generate("ed25519", 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := keys.WritePrivate(filepath.Join(dir, name), key); err != nil {
			t.Fatal(err)
		}
	}
	s := &Site{Path: dir + "/postseal.toml"}
	if _, ok := files["opendkim.conf"]; ok {
		s.Path, s.OpenDKIM = dir+"/opendkim.conf", true
	}
	var err error
	if s.Config, err = opendkim.LoadConfig(s.Path, config.Environment{}); err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	settings = "socket = \"inet:8891@localhost\"\nkey_table = \"file:DIR/key.table\"\nsigning_table = \"refile:DIR/signing.table\"\n"
	conf     = "Socket inet:8891@localhost\nKeyTable file:DIR/key.table\nSigningTable refile:DIR/signing.table\n"
	oldKey   = "old._domainkey.example.com example.com:old:DIR/old.private\n"
	otherKey = "other._domainkey.example.org example.org:other:DIR/other.private\n"
)

// What is planned for example.com: which lines come into which file, which keys are
// made, and what is left for a person.
func TestRequest(t *testing.T) {
	newRows := []string{
		"key.table: t1r._domainkey.example.com example.com:t1r:DIR/keys/example.com/t1r.private",
		"key.table: t1e._domainkey.example.com example.com:t1e:DIR/keys/example.com/t1e.private",
	}
	both := append(slices.Clone(newRows), "signing.table: *@example.com t1r._domainkey.example.com", "signing.table: *@example.com t1e._domainkey.example.com")
	for _, tt := range []struct {
		name   string
		files  map[string]string
		taken  []string
		begun  []string // key files that a set-up has made which was cut off
		want   []string
		advice string
	}{
		{"empty tables", map[string]string{"postseal.toml": settings, "key.table": "", "signing.table": "# none\n"}, nil, nil,
			append([]string{"postseal.toml: multiple_signatures = true"}, both...), ""},
		{"empty tables, and tables of TOML", map[string]string{"postseal.toml": settings + "[[listener]]\nsocket = \"inet:8892\"\nmode = \"s\"\n", "key.table": "", "signing.table": ""}, nil, nil,
			append([]string{"postseal.toml: multiple_signatures = true"}, both...), ""},
		{"empty tables of OpenDKIM", map[string]string{"opendkim.conf": conf, "key.table": "", "signing.table": ""}, nil, nil,
			append([]string{"opendkim.conf: MultipleSignatures yes"}, both...), ""},
		{"the file has decided", map[string]string{"postseal.toml": settings + "multiple_signatures = false\n", "key.table": "", "signing.table": ""}, nil, nil, both[:3],
			"only the RSA key signs"},
		{"OpenDKIM's file has decided", map[string]string{"opendkim.conf": conf + "MultipleSignatures no\n", "key.table": "", "signing.table": ""}, nil, nil, both[:3],
			`"MultipleSignatures yes" into DIR/opendkim.conf`},
		{"several signatures", map[string]string{"postseal.toml": settings + "multiple_signatures = true\n", "key.table": otherKey, "signing.table": "*@example.org other._domainkey.example.org\n"}, nil, nil, both, ""},
		{"one signature, and rows", map[string]string{"postseal.toml": settings, "key.table": otherKey, "signing.table": "*@example.org other._domainkey.example.org\n"}, nil, nil, both[:3],
			"add this row to DIR/signing.table: *@example.com t1e._domainkey.example.com"},
		{"exact addresses", map[string]string{"postseal.toml": strings.Replace(settings, "refile", "file", 1) + "multiple_signatures = true\n", "key.table": "", "signing.table": ""}, nil, nil,
			append(slices.Clone(newRows), "signing.table: example.com t1r._domainkey.example.com", "signing.table: example.com t1e._domainkey.example.com"), ""},
		{"signed already", map[string]string{"postseal.toml": settings, "key.table": oldKey, "signing.table": "*@example.com old._domainkey.example.com\n"}, nil, nil, nil, ""},
		{"signed already with each domain's own key", map[string]string{"postseal.toml": settings, "key.table": "all %:s:DIR/old.private\n", "signing.table": "* all\n"}, nil, nil, nil, ""},
		{"signed by another domain first", map[string]string{"postseal.toml": settings, "key.table": otherKey, "signing.table": "* other._domainkey.example.org\n"}, nil, nil, both[:3],
			"has mail of example.com signed by example.org"},
		{"a row without its key", map[string]string{"postseal.toml": settings + "check_signing_table = false\n", "key.table": "", "signing.table": "*@example.com gone\n"}, nil, nil, nil,
			"is signed by a row that cannot be used"},
		{"taken names", map[string]string{"postseal.toml": settings, "key.table": strings.ReplaceAll(otherKey, "other._domainkey.example.org", "t1e._domainkey.example.com"), "signing.table": ""},
			[]string{"t1r._domainkey.example.com"}, nil, []string{
				"postseal.toml: multiple_signatures = true",
				"key.table: t1r2._domainkey.example.com example.com:t1r2:DIR/keys/example.com/t1r2.private",
				"key.table: t1e2._domainkey.example.com example.com:t1e2:DIR/keys/example.com/t1e2.private",
				"signing.table: *@example.com t1r2._domainkey.example.com",
				"signing.table: *@example.com t1e2._domainkey.example.com",
			}, ""},
		{"a set-up that was cut off", map[string]string{"postseal.toml": settings + "multiple_signatures = true\n",
			"key.table": "t1r._domainkey.example.com example.com:t1r:DIR/keys/example.com/t1r.private\n", "signing.table": ""}, nil, []string{"t1r"}, both[1:], ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := standing(t, tt.files)
			dir := filepath.Dir(s.Path)
			r := &Request{Site: s, Domains: []string{"example.com"}, Selector: "t1",
				Taken: func(name string) bool { return slices.Contains(tt.taken, name) }}
			for _, selector := range tt.begun {
				k := &PrivateKey{Path: dir + "/keys/example.com/" + selector + ".private", Type: "ed25519"}
				if err := os.MkdirAll(filepath.Dir(k.Path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := k.do(t.Context(), System{}, func(Change) error { return nil }); err != nil {
					t.Fatal(err)
				}
				r.Begun = append(r.Begun, k)
			}
			var plan Plan
			domains, err := r.Plan(&plan)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range plan.Changes {
				switch c := c.(type) {
				case *File:
					for _, l := range c.Added {
						got = append(got, filepath.Base(c.Path)+": "+l)
					}
				case *Rows:
					for _, l := range c.Rows {
						got = append(got, filepath.Base(c.Path)+": "+strings.ReplaceAll(l, dir, "DIR"))
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			advice := strings.ReplaceAll(strings.Join(domains[0].Advice, "\n"), dir, "DIR")
			if tt.advice == "" && advice != "" || !strings.Contains(advice, tt.advice) {
				t.Errorf("advice %q, want %q", advice, tt.advice)
			}
			runTwice(t, s, r, &plan, tt.name == "a row without its key")
		})
	}
}

// runTwice does what is planned: the configuration is good then, each domain has keys,
// and a second run has nothing to do.
func runTwice(t *testing.T, s *Site, r *Request, plan *Plan, broken bool) {
	t.Helper()
	if err := plan.Apply(t.Context(), System{}, nil, "", nil); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.Config, err = opendkim.LoadConfig(s.Path, config.Environment{}); err != nil {
		t.Fatal(err)
	}
	r.Begun = nil
	var second Plan
	domains, err := r.Plan(&second)
	if err != nil {
		t.Fatal(err)
	}
	if !second.Empty() {
		t.Errorf("a second run would change %q", second.Changes[0].Line())
	}
	for _, k := range domains[0].Keys {
		if !broken && !k.New() && (k.Err != nil || k.Record() == "") {
			t.Errorf("%s: %v, record %q", k.Name, k.Err, k.Record())
		}
	}
}

// A table that no row can be added to is an error that says which.
func TestRequestErrors(t *testing.T) {
	for _, tt := range []struct {
		name, config, want string
	}{
		{"no tables", "socket = \"inet:8891@localhost\"\n", "it has no key_table and signing_table"},
		{"a key file", "socket = \"inet:8891@localhost\"\ndomain = \"example.com\"\nselector = \"old\"\nkey_file = \"DIR/old.private\"\n", "signs with key_file alone"},
		{"a list", "socket = \"inet:8891@localhost\"\nkey_table = \"file:DIR/key.table\"\nsigning_table = \"csl:*@example.org=old\"\n", "signing_table is no file that a row can be added to"},
		{"a missing table", strings.Replace(settings, "key.table", "no.table", 1), "key_table: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := standing(t, map[string]string{"postseal.toml": tt.config, "key.table": "", "signing.table": ""})
			var plan Plan
			if _, err := (&Request{Site: s, Domains: []string{"example.com"}, Selector: "t1"}).Plan(&plan); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// Many domains are few changes of the tables, and rows can be left for later.
func TestRequestMany(t *testing.T) {
	s := standing(t, map[string]string{"postseal.toml": settings + "multiple_signatures = true\n", "key.table": "", "signing.table": ""})
	r := &Request{Site: s, Selector: "t1", SignLater: true, Domains: []string{"a.example", "b.example", "c.example"}}
	var plan Plan
	domains, err := r.Plan(&plan)
	if err != nil {
		t.Fatal(err)
	}
	count := func(plan *Plan) (made, rows int) {
		for _, c := range plan.Changes {
			switch c := c.(type) {
			case *PrivateKey:
				made++
			case *Rows:
				rows += len(c.Rows)
			}
		}
		return made, rows
	}
	if made, rows := count(&plan); made != 6 || rows != 6 {
		t.Errorf("%d keys, %d rows", made, rows)
	}
	if _, ok := plan.Changes[len(plan.Changes)-1].(*Rows); !ok {
		t.Errorf("rows come before %v", plan.Changes[len(plan.Changes)-1])
	}
	var later Plan
	r.Sign(&later, domains[:2])
	if _, rows := count(&later); rows != 4 || len(later.Changes) != 1 {
		t.Errorf("later: %d rows in %d changes", rows, len(later.Changes))
	}
}

// A new list of hosts has this machine's own addresses that it is given.
func TestHosts(t *testing.T) {
	for _, hosts := range [][]netip.Addr{nil, {netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}} {
		dir := t.TempDir()
		s, err := NewSite(dir+"/postseal.toml", "inet:8891@localhost", Owner{})
		if err != nil {
			t.Fatal(err)
		}
		s.Hosts = hosts
		var plan Plan
		if err := plan.AddFiles(s); err != nil {
			t.Fatal(err)
		}
		if err := plan.Apply(t.Context(), System{}, nil, "", nil); err != nil {
			t.Fatal(err)
		}
		set, err := dataset.Open(s.Config.InternalHosts, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, row := range set.Rows() {
			got = append(got, row.Key)
		}
		want := []string{"127.0.0.1", "::1"}
		for _, a := range hosts {
			want = append(want, a.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}
