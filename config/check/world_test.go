package check

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/resolver"
)

// world is what DNS has where all is well.
var world = []string{
	"example.com v=spf1 ip4:192.0.2.7 ~all",
	"_dmarc.example.com v=DMARC1; p=none; rua=mailto:postmaster@example.com",
	"mail.example.com v=spf1 a -all",
	"mail.example.com A 192.0.2.7",
	"example.com MX 10 mail.example.com",
	"7.2.0.192.in-addr.arpa PTR mail.example.com",
}

// but is the world with the lines for a name exchanged for others.
func but(name string, lines ...string) []string {
	var list []string
	for _, l := range world {
		if !strings.HasPrefix(l, name+" ") {
			list = append(list, l)
		}
	}
	return append(list, lines...)
}

func TestSPF(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records []string
		change  func(*Checker)
		want    []string
		state   State
		summary string
	}{
		{"all is well", world, nil, nil, OK, "v=spf1 ip4:192.0.2.7 ~all; 0 of 10 look-ups; 192.0.2.7 passes"},
		{"no record", but("example.com"), nil, []string{"problem:no-record"}, Problem, "no record"},
		{"two records", append(but(""), "example.com v=spf1 -all"), nil, []string{"problem:several-records"}, Problem, "2 records"},
		{"this machine is missing", but("example.com", "example.com v=spf1 ip4:192.0.2.8 -all"), nil, []string{"problem:not-allowed"}, Problem, ""},
		{"everybody", but("example.com", "example.com v=spf1 +all"), nil, []string{"problem:pass-all"}, Problem, ""},
		{"no public address", world, func(c *Checker) { c.Addresses = nil }, []string{"note:no-address"}, OK, ""},
		{"private in one family", world, func(c *Checker) { c.Private = []netip.Addr{netip.MustParseAddr("fd00::7")} }, []string{"note:no-address"}, OK, ""},
		{"private address", world, func(c *Checker) { c.Addresses, c.Private = nil, []netip.Addr{netip.MustParseAddr("10.0.0.7")} }, []string{"note:no-address"}, OK, ""},
		{"relayed for some senders", but("example.com", "example.com v=spf1 ip4:192.0.2.8 -all"), func(c *Checker) { c.RelayMaps = "sender_dependent_relayhost_maps" }, []string{"unknown:not-allowed"}, Unknown, ""},
		{"relayed", world, func(c *Checker) { c.Relay = "[smtp.example.net]" }, []string{"note:relayed"}, OK, ""},
		{"name without a record", but("mail.example.com", "mail.example.com A 192.0.2.7"), nil, []string{"note:helo-record"}, OK, ""},
		{"DNS in trouble", world, func(c *Checker) { c.DNS.(*resolver.Records).Fail("example.com", errors.New("SERVFAIL")) }, []string{"unknown:lookup-failed"}, Unknown, "not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := setting{records: tt.records}.checker(t)
			if tt.change != nil {
				tt.change(c)
			}
			s := newSection(SectionSPF)
			c.spf(context.Background(), "example.com", s)
			compare(t, s, tt.want, tt.state, tt.summary)
		})
	}
}

// compare holds a section against what is wanted; "" is any summary.
func compare(t *testing.T, s *Section, want []string, state State, summary string) {
	t.Helper()
	if diff := cmp.Diff(want, found(s)); diff != "" {
		t.Errorf("findings (-want +got):\n%s\n%+v", diff, s.Findings)
	}
	if s.State != state || summary != "" && s.Summary != summary {
		t.Errorf("state %s, summary %q; want %s, %q", s.State, s.Summary, state, summary)
	}
	hasWords(t, s)
}

func TestDMARC(t *testing.T) {
	own := []*Key{{Domain: "example.com", Signs: true}}
	for _, tt := range []struct {
		name    string
		records []string
		keys    []*Key
		want    []string
		state   State
		summary string
	}{
		{"all is well", world, own, []string{"note:policy-none"}, OK, "p=none; DKIM and SPF are aligned"},
		{"nobody looked at DKIM", world, nil, []string{"note:policy-none"}, OK, "p=none"},
		{"no record", but("_dmarc.example.com"), own, []string{"problem:no-record"}, Problem, "no record"},
		{"no record, and another's signature", but("_dmarc.example.com"), []*Key{{Domain: "example.net", Signs: true}}, []string{"problem:no-record", "warning:dkim-unaligned"}, Problem, "no record"},
		{"no record, and the organization's signature", but("_dmarc.example.com"), []*Key{{Domain: "mail.example.com", Signs: true}}, []string{"problem:no-record"}, Problem, "no record"},
		{"a bad policy, and another's signature", but("_dmarc.example.com", "_dmarc.example.com v=DMARC1; p=nothing; rua=mailto:postmaster@example.com"), []*Key{{Domain: "example.net", Signs: true}}, []string{"problem:bad-policy", "warning:dkim-unaligned"}, Problem, ""},
		{"another's signature", world, []*Key{{Domain: "example.net", Signs: true}, {Domain: "example.com"}}, []string{"note:policy-none", "warning:dkim-unaligned"}, Warning, ""},
		{"the organization's", world, []*Key{{Domain: "mail.example.com", Signs: true}}, []string{"note:policy-none"}, OK, ""},
		{"strict", but("_dmarc.example.com", "_dmarc.example.com v=DMARC1; p=none; adkim=s; rua=mailto:postmaster@example.com"), []*Key{{Domain: "mail.example.com", Signs: true}}, []string{"note:policy-none", "warning:dkim-unaligned"}, Warning, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := setting{records: tt.records}.checker(t)
			s := newSection(SectionDMARC)
			c.dmarc(context.Background(), "example.com", tt.keys, s)
			compare(t, s, tt.want, tt.state, tt.summary)
		})
	}
}

func TestHost(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records []string
		helo    string
		want    []string
		state   State
		summary string
	}{
		{"all is well", world, "mail.example.com", nil, OK, "192.0.2.7 is mail.example.com"},
		{"no reverse record", but("7.2.0.192.in-addr.arpa"), "mail.example.com", []string{"note:no-reverse"}, OK, ""},
		{"a name that leads elsewhere", but("mail.example.com", "mail.example.com A 192.0.2.9"), "mail.example.com", []string{"note:reverse-differs"}, OK, ""},
		{"another name", world, "localhost.localdomain", []string{"note:helo-differs"}, OK, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := setting{records: tt.records}.checker(t)
			c.HELO = tt.helo
			compare(t, c.Host(context.Background()), tt.want, tt.state, tt.summary)
		})
	}
	t.Run("no address", func(t *testing.T) {
		c := setting{}.checker(t)
		c.Addresses = nil
		compare(t, c.Host(context.Background()), nil, Skipped, "")
	})
}

func TestDaemonSection(t *testing.T) {
	compare(t, daemonSection(milter.Status{Version: "1.0", PID: 7}, "", false, nil), nil, OK, "postseal 1.0, process 7, keys: 0")
	compare(t, daemonSection(milter.Status{LastReload: milter.Reloaded{Problems: []string{"no", "nor"}}}, "", false, nil), []string{"problem:not-reloaded"}, Problem, "")
	compare(t, daemonSection(milter.Status{}, "", false, &fs.PathError{Err: fs.ErrPermission}), []string{"unknown:not-asked"}, Unknown, "")
}

// Nobody answers at the control socket: the daemon does not run, unless a milter answers
// where postseal is to listen.
func TestAskDaemon(t *testing.T) {
	dir, err := os.MkdirTemp("", "ps-") // short: it gets a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cfg := &config.Config{RuntimeDirectory: filepath.Join(dir, "none"), Socket: []string{"unix:" + socket}}
	compare(t, new(Checker).AskDaemon(context.Background(), cfg), []string{"problem:not-running"}, Problem, "not running")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, tt := range []struct{ says, want, summary string }{
		{"220 mail.example.com ESMTP\r\n", "problem:not-running", "not running"},
		{"\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00", "unknown:not-asked", "could not be asked"},
	} {
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.ReadFull(conn, make([]byte, 17))
			_, _ = conn.Write([]byte(tt.says))
			_, _ = io.Copy(io.Discard, conn)
		}()
		s := new(Checker).AskDaemon(context.Background(), cfg)
		if diff := cmp.Diff([]string{tt.want}, found(s)); diff != "" || s.Summary != tt.summary {
			t.Errorf("%q: %s, findings (-want +got):\n%s", tt.says, s.Summary, diff)
		}
	}
}

// A machine without Postfix is no problem.
func TestNoPostfix(t *testing.T) {
	c := setting{}.checker(t)
	c.ReadPostfix(context.Background(), "none")
	compare(t, c.Postfix(context.Background(), c.Config), []string{"note:no-postfix"}, Skipped, "")
	c.mailErr = errors.New("postconf does not understand it")
	compare(t, c.Postfix(context.Background(), c.Config), []string{"unknown:postfix-unread"}, Unknown, "")
}

// What follows from another finding is left out.
func TestRelate(t *testing.T) {
	section := func(name string, codes ...finding.Code) *Section {
		s := newSection(name)
		for _, c := range codes {
			s.add("", finding.Finding{Code: c, Level: finding.Problem, Text: "Not internal: 127.0.0.0/8."})
		}
		return s
	}
	for _, tt := range []struct {
		name string
		in   []*Section
		want []string
	}{
		{"the daemon is away, and so its socket", []*Section{section(SectionDaemon, NotRunning), section(SectionPostfix, postfix.SocketMissing)}, []string{"daemon:not-running"}},
		{"a socket that is missing although the daemon runs", []*Section{section(SectionDaemon), section(SectionPostfix, postfix.SocketMissing)}, []string{"postfix:socket-missing"}},
		{"stopped, with a bad configuration", []*Section{section(SectionConfig, badConfig), section(SectionDaemon, NotRunning), section(SectionPostfix, postfix.SocketMissing, postfix.MilterMissing)},
			[]string{"config:configuration", "daemon:not-running", "postfix:milter-missing"}},
		{"a bad configuration, and a socket that is gone", []*Section{section(SectionConfig, badConfig), section(SectionDaemon), section(SectionPostfix, postfix.SocketMissing)},
			[]string{"config:configuration", "postfix:socket-missing"}},
		{"nor does it read it", []*Section{section(SectionConfig, badConfig), section(SectionDaemon, NotReloaded)}, []string{"config:configuration"}},
		{"this machine is not internal", []*Section{section(SectionDKIM, NotOurs), section(SectionPostfix, postfix.RelayUnsigned)}, []string{"postfix:relay-unsigned"}},
		{"this machine is left alone, and others are not internal", []*Section{section(SectionDKIM, LeftAlone), section(SectionPostfix, postfix.RelayUnsigned)}, []string{"dkim:left-alone", "postfix:relay-unsigned"}},
		{"nobody asked Postfix", []*Section{section(SectionDKIM, NotOurs)}, []string{"dkim:not-ours"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Report{Machine: tt.in}
			r.Sum()
			var got []string
			for _, s := range r.Machine {
				for _, f := range s.Findings {
					got = append(got, s.Name+":"+string(f.Code))
				}
				if (len(s.Findings) == 0) != (s.State == OK) {
					t.Errorf("%s is %s with %+v", s.Name, s.State, s.Findings)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// States from the best to the worst, and whether they are fit for exit status 0.
func TestSum(t *testing.T) {
	for _, tt := range []struct {
		states []State
		want   State
		ok     bool
	}{
		{nil, Skipped, true},
		{[]State{OK, Skipped}, OK, true},
		{[]State{OK, Warning}, Warning, true},
		{[]State{Warning, Unknown, OK}, Unknown, false},
		{[]State{Problem, Unknown}, Problem, false},
	} {
		r := Report{Domains: []*Domain{{}}}
		for _, state := range tt.states {
			r.Domains[0].Sections = append(r.Domains[0].Sections, &Section{State: state})
		}
		if r.Sum(); r.State != tt.want || r.OK != tt.ok || r.Domains[0].State != tt.want {
			t.Errorf("%v: %s, %v; want %s, %v", tt.states, r.State, r.OK, tt.want, tt.ok)
		}
	}
}

// What DNS says becomes a line of a fix only in a form that a person can copy: no text
// of a stranger makes a command.
func FuzzForeignText(f *testing.F) {
	for _, seed := range []string{
		"v=spf1 \n  rm -rf / -all", "v=DMARC1; p=none; rua=mailto:a@b.example\n  rm -rf /", "v=DMARC1; p=none; x=\"\n  postconf -e x=y", "v=spf1 include:\x1b[2J.example ~all",
		"v=DMARC1; p=\n  reboot", "v=DKIM1; p=\n  reboot", "v=spf1 ip5:\n  reboot +all", "v=DMARC1; p=none; rua=mailto:x\n@y.example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := &Checker{DNS: everywhere{resolver.NewRecords(nil), text}, FromFile: true, Wants: func(string) bool { return true }}
		for name, look := range map[string]func(context.Context, string, *Section){
			SectionSPF:   c.spf,
			SectionDMARC: func(ctx context.Context, domain string, s *Section) { c.dmarc(ctx, domain, nil, s) },
		} {
			for _, f := range c.look(look, name).Findings {
				if strings.ContainsFunc(f.Fix, func(r rune) bool { return r < ' ' }) {
					t.Errorf("%s: %s: %q", name, f.Code, f.Fix)
				}
			}
		}
	})
}

// everywhere has one text at every name.
type everywhere struct {
	*resolver.Records
	text string
}

func (e everywhere) LookupTXT(context.Context, string) ([]string, bool, error) {
	return []string{e.text}, false, nil
}

// Whose key file it is decides what is said of one that cannot be read.
func TestKeyFile(t *testing.T) {
	denied := &keys.KeyError{Name: "r", Path: "/k/r.private", Err: &fs.PathError{Op: "open", Path: "/k/r.private", Err: fs.ErrPermission}}
	for _, tt := range []struct {
		name     string
		err      error
		stranger bool
		want     []string
	}{
		{"the daemon's user may not read it", denied, false, []string{"problem:key-file"}},
		{"somebody else may not", denied, true, []string{"unknown:key-file"}},
		{"it is not safe", &keys.KeyError{Err: &keys.UnsafeError{Reason: "open to all", Fix: "chmod 0600 /k/r.private"}}, true, []string{"problem:unsafe-file"}},
		{"it is gone", &keys.KeyError{Err: fs.ErrNotExist}, true, []string{"problem:key-file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSection(SectionDKIM)
			(&Checker{Stranger: tt.stranger}).file(&Key{File: "/k/r.private", Domain: "example.com", err: tt.err}, s)
			if diff := cmp.Diff(tt.want, found(s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			hasWords(t, s)
		})
	}
}
