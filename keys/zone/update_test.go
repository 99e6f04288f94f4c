package zone

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/nameserver"
	"github.com/postseal/postseal/testdata/peers"
)

// patience is how long a name server may take on a machine that is busy.
const patience = 2 * time.Minute

func updater(t *testing.T, server, keyFile string) *Updater {
	t.Helper()
	key, err := ReadTSIG(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	u := &Updater{Server: server, Key: key, Timeout: patience}
	t.Cleanup(u.Close)
	return u
}

// dig is what dig(1) prints of the records at a name, TXT if no type is given, in order.
func dig(t *testing.T, server, name string, kind ...string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("dig", "+short", "+tries=1", "+timeout=60", "-p", port, "@"+host, name, strings.Join(append(kind, "TXT")[:1], "")).Output()
	peers.Require(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if lines[0] == "" {
		return nil
	}
	slices.Sort(lines)
	return lines
}

const name = "s1._domainkey.example.com"

// A record is added, exchanged and deleted, and each of it twice: the second time
// nothing is sent.
func TestUpdate(t *testing.T) {
	t.Parallel()
	s := nameserver.Start(t, nameserver.Zone{Name: "example.com", Records: `many TXT "a" "b"
many TXT "ours"
s2._domainkey TXT "v=DKIM1; " "p=old"`})
	u := updater(t, s.Addr, s.KeyFile)
	pub, err := keys.Generate("rsa", 4096)
	if err != nil {
		t.Fatal(err)
	}
	long := keys.RecordText(pub.Public())
	odd := "a\"b\\c;\xff\x00" + strings.Repeat("x", 300)
	serial := func() string { return strings.Join(dig(t, s.Addr, "example.com", "SOA"), "") }
	for _, tt := range []struct {
		why    string
		change Change
		want   []string // as dig shows it; nil: not looked at
	}{
		{"a new record", Change{Name: name, After: []string{long}}, nil},
		{"revoked", Change{Name: name, Before: []string{long}, After: []string{"v=DKIM1; p="}}, []string{`"v=DKIM1; p="`}},
		{"deleted", Change{Name: name, Before: []string{"v=DKIM1; p="}}, []string{}},
		{"one of several", Change{Name: "many.example.com", Before: []string{"ours", "ab"}, After: []string{"ab", "new"}}, []string{`"a" "b"`, `"new"`}},
		{"cut otherwise", Change{Name: "s2._domainkey.example.com", Before: []string{"v=DKIM1; p=old"}, After: []string{"x"}}, []string{`"x"`}},
		{"odd octets", Change{Name: "odd.example.com", After: []string{odd}}, []string{`"a\"b\\c;\255\000` + strings.Repeat("x", 247) + `" "` + strings.Repeat("x", 53) + `"`}},
	} {
		before := serial()
		for range 2 {
			if err := u.Update(t.Context(), tt.change); err != nil {
				t.Fatalf("%s: %v", tt.why, err)
			}
		}
		if after := serial(); after == before {
			t.Errorf("%s: the zone is as it was", tt.why)
		} else if err := u.Update(t.Context(), tt.change); err != nil || serial() != after {
			t.Errorf("%s: changed again: %v", tt.why, err)
		}
		if got := dig(t, s.Addr, tt.change.Name); tt.want != nil && !slices.Equal(got, tt.want) {
			t.Errorf("%s: dig shows %q, want %q", tt.why, got, tt.want)
		}
		got, err := u.Look(t.Context(), tt.change.Name)
		if err != nil || !same(got, tt.change.After) {
			t.Errorf("%s: %q, %v", tt.why, got, err)
		}
	}
}

// What would take away other people's records is not done, and what the name server
// refuses is told with what to do.
func TestUpdateRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := nameserver.Start(t,
		nameserver.Zone{Name: "example.com", Records: "alias CNAME other.example.org.\ntheirs TXT \"theirs\"\ndelegated NS ns.example.org."},
		nameserver.Zone{Name: "granted.example", Rules: `update-policy { grant postseal-test name s1._domainkey.granted.example TXT; };`},
		nameserver.Zone{Name: "denied.example", Rules: `allow-update { none; };`},
		nameserver.Zone{Name: "broken.example", Rules: `allow-update { key postseal-test; }; journal "` + dir + `/absent/journal";`},
	)
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	right := updater(t, s.Addr, s.KeyFile)
	wrongName := updater(t, s.Addr, file("name", nameserver.Key("stranger", "hmac-sha256", someSecret)))
	wrongSecret := updater(t, s.Addr, file("secret", nameserver.Key("postseal-test", "hmac-sha256", someSecret)))
	wrongAlgorithm := updater(t, s.Addr, file("algorithm", nameserver.Key("postseal-test", "hmac-sha512", someSecret)))
	late := updater(t, s.Addr, s.KeyFile)
	late.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	for _, tt := range []struct {
		why    string
		u      *Updater
		change Change
		code   int // of a Refusal
		want   string
	}{
		{"wrong key", wrongName, Change{Name: name}, dns.RcodeBadKey, `does not know the key "stranger" for hmac-sha256 (BADKEY): put the key statement`},
		{"wrong algorithm", wrongAlgorithm, Change{Name: name}, dns.RcodeBadKey, "for hmac-sha512 (BADKEY)"},
		{"wrong secret", wrongSecret, Change{Name: name}, dns.RcodeBadSig, "has another secret for the key \"postseal-test\" (BADSIG): copy the key's file from there"},
		{"wrong clock", late, Change{Name: name}, dns.RcodeBadTime, "its clock is 1h0m0s from this machine's"},
		{"granted", right, Change{Name: "s1._domainkey.granted.example", After: []string{"x"}}, 0, ""},
		{"not granted", right, Change{Name: "s2._domainkey.granted.example", After: []string{"x"}}, dns.RcodeRefused,
			`(REFUSED): allow it in the zone granted.example, for BIND with: update-policy { grant postseal-test name s2._domainkey.granted.example TXT; };`},
		{"no updates at all", right, Change{Name: "s1._domainkey.denied.example", After: []string{"x"}}, dns.RcodeRefused, "refuses to change"},
		{"no such zone", right, Change{Name: "s1._domainkey.example.net", After: []string{"x"}}, dns.RcodeRefused, "it has no such zone"},
		{"a zone of somebody else", right, Change{Name: "s1.delegated.example.com", After: []string{"x"}}, 0, "has no zone that s1.delegated.example.com lies in"},
		{"an alias", right, Change{Name: "alias.example.com", After: []string{"x"}}, 0, "is an alias (CNAME) of other.example.org"},
		{"theirs", right, Change{Name: "theirs.example.com", After: []string{"ours"}}, 0, `other records stand there than were expected: "theirs"`},
		{"theirs in place of ours", right, Change{Name: "theirs.example.com", Before: []string{"ours"}}, 0, `expected: "theirs"`},
		{"not there any more", right, Change{Name: "none.example.com", Before: []string{"ours"}, After: []string{"new"}}, 0, `expected: none`},
		{"no journal", right, Change{Name: "s1._domainkey.broken.example", After: []string{"x"}}, dns.RcodeServerFailure, "its log says why"},
		{"no name server", &Updater{Server: "127.0.0.1:1"}, Change{Name: name}, 0, "cannot be reached by TCP"},
		{"no address", &Updater{Server: "ns.example.com"}, Change{Name: name}, 0, "is no address of a name server"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			err := tt.u.Update(t.Context(), tt.change)
			var refusal *Refusal
			if errors.As(err, &refusal) != (tt.code != 0) || refusal != nil && refusal.Rcode != tt.code {
				t.Errorf("%v is not %s", err, rcode(tt.code))
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v\nwant  %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "stand there") != errors.Is(err, ErrChanged) {
				t.Errorf("%v is not ErrChanged", err)
			}
		})
	}
	if got := dig(t, s.Addr, "theirs.example.com"); !slices.Equal(got, []string{`"theirs"`}) {
		t.Errorf("theirs is %q", got)
	}
}

// The name of a key may have dots, capitals and underscores, and its algorithm be another.
func TestUpdateKeys(t *testing.T) {
	t.Parallel()
	const own = "Some_Key.Example.COM."
	for _, algorithm := range []string{"hmac-sha224", "hmac-sha384", "hmac-sha512"} {
		text := nameserver.Key(own, algorithm, someSecret)
		s := nameserver.Start(t, nameserver.Zone{Name: "example.com", Rules: `allow-update { key "` + own + `"; }; }; ` + strings.TrimSuffix(text, "};\n")})
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := updater(t, s.Addr, path).Update(t.Context(), Change{Name: name, After: []string{"x"}}); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		if got := dig(t, s.Addr, name); !slices.Equal(got, []string{`"x"`}) {
			t.Errorf("%s: %q", algorithm, got)
		}
	}
}

// A change that somebody makes between the look and the update is met by the
// prerequisites, whatever it is.
func TestUpdateRace(t *testing.T) {
	t.Parallel()
	s := nameserver.Start(t, nameserver.Zone{Name: "example.com"})
	u := updater(t, s.Addr, s.KeyFile)
	ours := []*dns.TXT{text(dns.Fqdn(name), 60, []string{"ours"})}
	for _, tt := range []struct {
		why      string
		now      []string
		standing []*dns.TXT // when it was looked
		after    []string
		refused  bool
	}{
		{"as it was", []string{`TXT "ours"`}, ours, nil, false},
		{"added meanwhile", []string{`TXT "theirs"`}, nil, []string{"new"}, true},
		{"one more meanwhile", []string{`TXT "ours"`, `TXT "theirs"`}, ours, nil, true},
		{"another meanwhile", []string{`TXT "theirs"`}, ours, []string{"new"}, true},
		{"gone meanwhile", nil, ours, []string{"new"}, true},
		{"an alias meanwhile", []string{`CNAME elsewhere.example.`}, nil, []string{"new"}, true},
	} {
		t.Run(tt.why, func(t *testing.T) {
			lines := []string{"delete " + name}
			for _, rr := range tt.now {
				lines = append(lines, "add "+name+". 60 "+rr)
			}
			s.Update(t, "example.com", lines...)
			before := dig(t, s.Addr, name)
			at := u.connection(s.Addr)
			defer u.release(at)
			answer, err := at.ask(t.Context(), Change{Name: name, After: tt.after}.message("example.com.", tt.standing))
			if err == nil {
				err = at.refusal(answer, name)
			}
			if errors.Is(err, ErrChanged) != tt.refused || err != nil && !tt.refused {
				t.Errorf("%v", err)
			}
			if after := dig(t, s.Addr, name); tt.refused && !slices.Equal(after, before) {
				t.Errorf("%q became %q", before, after)
			}
		})
	}
	t.Run("not its zone", func(t *testing.T) {
		at := u.connection(s.Addr)
		at.zone = "example.org."
		_, err := at.ask(t.Context(), Change{Name: name}.message(at.zone, nil))
		if err == nil || !strings.Contains(err.Error(), "is not the primary name server of example.org. (NOTAUTH)") {
			t.Errorf("%v", err)
		}
	})
}

// Without Server, DNS names the zone and its primary; a connection that the server
// has closed is opened anew.
func TestPrimary(t *testing.T) {
	t.Parallel()
	s := nameserver.Start(t, nameserver.Zone{Name: "example.com"}, nameserver.Zone{Name: "sub.example.com"}, nameserver.Zone{Name: "_domainkey.example.com"})
	client, err := resolver.New(resolver.Options{Nameservers: []string{s.Addr}, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	u := updater(t, "", s.KeyFile)
	u.DNS = resolver.Lookup{Asker: client, Port: addrPort(t, s.Addr).Port()}
	for i, name := range []string{"a.example.com", "b.c.sub.example.com", "example.com", "b.c.sub.example.com", name} {
		if i == 2 {
			for _, c := range u.idle {
				c.conn.Close()
			}
		}
		if err := u.Update(t.Context(), Change{Name: name, After: []string{"x"}}); err != nil {
			t.Fatal(err)
		}
		if got := dig(t, s.Addr, name); !slices.Equal(got, []string{`"x"`}) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if len(u.idle) != 1 {
		t.Errorf("%d connections", len(u.idle))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := u.Update(ctx, Change{Name: name}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func addrPort(t *testing.T, addr string) netip.AddrPort {
	t.Helper()
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return ap
}
