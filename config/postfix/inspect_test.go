package postfix

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/testdata/peers"
)

// site is a Postfix that is configured well, with a milter at queue/p/s. Its user is
// whoever runs the test.
type site struct {
	folder, queue string
	milter        *milter
	expect        Expect
}

func newSite(t *testing.T) *site {
	t.Helper()
	if _, err := find("postconf"); err != nil {
		peers.Require(t, ErrNotInstalled)
	}
	root, err := os.MkdirTemp("", "ps-") // short: it gets sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	s := &site{folder: filepath.Join(root, "c"), queue: filepath.Join(root, "q")}
	for _, dir := range []string{s.folder, filepath.Join(s.queue, "p")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.milter = listen(t, "unix", filepath.Join(s.queue, "p/s"), 0o660)
	s.expect = Expect{Sockets: []Socket{s.milter.socket}, Internal: func(a netip.Addr) bool { return a.IsLoopback() },
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}}
	return s
}

// read writes the configuration, with more than what is right, and reads it.
func (s *site) read(t *testing.T, main, master string) *Config {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.folder, "main.cf"), fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %s
mail_owner = %s
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
smtpd_milters = unix:p/s
non_smtpd_milters = $smtpd_milters
internal_mail_filter_classes = bounce
`, s.queue, me.Username)+main)
	write(t, filepath.Join(s.folder, "master.cf"), `smtp inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
`+master)
	return reread(t, s.folder)
}

func inspect(t *testing.T, c *Config, e Expect) finding.List {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return slices.DeleteFunc(c.Inspect(ctx, e), func(f finding.Finding) bool { return f.Code == NotRunning })
}

// codes are findings in short.
func codes(list finding.List) (words []string) {
	for _, f := range list {
		words = append(words, string(f.Level)+" "+string(f.Code))
	}
	return words
}

// mend runs the commands of a finding that change the configuration.
func mend(t *testing.T, c *Config, fix string) *Config {
	t.Helper()
	n := 0
	for line := range strings.Lines(fix) {
		if !strings.HasPrefix(line, "postconf ") {
			continue
		}
		n++
		if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
		for _, name := range []string{"main.cf", "master.cf"} {
			if err := settle(filepath.Join(c.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n == 0 {
		t.Fatalf("no command in %q", fix)
	}
	return reread(t, c.Dir)
}

// One thing is wrong at a time, and that alone is found. Where a command mends it, it
// does.
func TestInspect(t *testing.T) {
	const (
		amavis  = "amavis unix - - n - 2 smtp\n"
		back    = "127.0.0.1:10025 inet n - n - - smtpd -o content_filter= -o mynetworks=127.0.0.0/8"
		backOut = back + " -o smtpd_milters=\n"
		filter  = "content_filter = amavis:[127.0.0.1]:10024\n"
	)
	tests := []struct {
		name         string
		main, master string
		change       func(*site)
		want         []string
		text, fix    string // within the first finding
		mends        bool
	}{
		{name: "all is well"},
		{name: "all is well, in braces", main: "smtpd_milters = {unix:p/s, default_action=tempfail}\nmilter_default_action = accept\n"},
		{name: "missing everywhere", main: "smtpd_milters =\nnon_smtpd_milters =\n", want: []string{"problem milter-missing"},
			text: "postseal is not in smtpd_milters and non_smtpd_milters of", fix: "'smtpd_milters = unix:p/s'", mends: true},
		{name: "missing for SMTP", main: "smtpd_milters = inet:localhost:11332\nnon_smtpd_milters = unix:p/s\n", want: []string{"problem milter-missing"},
			text: "not in smtpd_milters of", fix: "'smtpd_milters = inet:localhost:11332, unix:p/s'", mends: true},
		{name: "missing for programs", main: "non_smtpd_milters =\n", want: []string{"problem milter-missing"},
			text: "not in non_smtpd_milters of", fix: "'non_smtpd_milters = unix:p/s'", mends: true},
		{name: "missing for programs, but nothing is signed", main: "non_smtpd_milters =\n", change: func(s *site) { s.expect.Sockets[0].VerifyOnly = true }},
		{name: "missing for SMTP, on purpose", main: "smtpd_milters =\nnon_smtpd_milters = unix:p/s\n", master: "submission inet n - n - - smtpd -o smtpd_milters=unix:p/s\n",
			want: []string{"warning milter-missing"}, mends: true},
		{name: "missing in braces", main: "smtpd_milters = { unix:p/other, default_action=accept }\nnon_smtpd_milters = unix:p/s\n", want: []string{"problem milter-missing"}, mends: true},
		{name: "another socket of ours", main: "smtpd_milters = inet:localhost:8891\nnon_smtpd_milters = unix:p/s\n",
			change: func(s *site) {
				s.expect.Sockets = append(s.expect.Sockets, Socket{Network: "tcp4", Address: "127.0.0.1:8891"})
			}, want: []string{"problem socket-missing"}, text: "Nobody answers at inet:localhost:8891, which Postfix asks: connection refused."},
		{name: "submission without milters", master: "submission inet n - n - - smtpd -o smtpd_milters=\n", want: []string{"problem milter-overridden"},
			text: `The service submission in `, fix: " -PX submission/inet/smtpd_milters\n", mends: true},
		{name: "a port of its own without milters", master: "588 inet n - n - - smtpd -o smtpd_milters=\n", want: []string{"warning milter-overridden"}, mends: true},
		{name: "postscreen", master: "smtpd pass - - n - - smtpd -o smtpd_milters=\n", want: []string{"problem milter-overridden"}, fix: " -PX smtpd/pass/smtpd_milters\n", mends: true},
		{name: "submission with others", master: "submission inet n - n - - smtpd -o smtpd_milters=inet:localhost:11332\n", want: []string{"problem milter-overridden"},
			fix: "-P 'submission/inet/smtpd_milters = inet:localhost:11332,unix:p/s'", mends: true},
		{name: "cleanup without milters", master: "cleanup2 unix n - n - 0 cleanup -o non_smtpd_milters=\n", main: "cleanup_service_name = cleanup2\n", want: []string{"problem milter-overridden"}, mends: true},
		{name: "no_milters for submission", master: "submission inet n - n - - smtpd -o receive_override_options=no_milters,no_address_mappings\n", want: []string{"problem no-milters"},
			fix: "-P 'submission/inet/receive_override_options = no_address_mappings'", mends: true},
		{name: "no_milters alone", master: "465 inet n - n - - smtpd -o receive_override_options=no_milters\n", want: []string{"problem no-milters"},
			fix: "-PX 465/inet/receive_override_options", mends: true},
		{name: "no_milters for all", main: "receive_override_options = no_milters\n", want: []string{"problem no-milters"}, text: "/main.cf has no_milters", mends: true},
		{name: "milters by client", main: "smtpd_milter_maps = static:DISABLE\n", want: []string{"note milters-by-client"}},
		{name: "twice in a list", main: "smtpd_milters = unix:p/s, {unix:" + "p/s,default_action=tempfail}\n", want: []string{"problem milter-twice"}, mends: true},
		{name: "twice in a list, signed once", main: "smtpd_milters = unix:p/s, unix:p/s\n", change: func(s *site) { s.expect.SignOnce = true }},
		{name: "OpenDKIM beside us", main: "smtpd_milters = unix:opendkim/opendkim.sock, unix:p/s\n", want: []string{"problem other-signer"}, text: "unix:opendkim/opendkim.sock", mends: true},
		{name: "an address as in opendkim.conf", main: "smtpd_milters = { inet:9900@localhost, default_action=accept }, unix:p/s\n", want: []string{"problem milter-malformed"},
			fix: "'smtpd_milters = { inet:localhost:9900, default_action=accept }, unix:p/s'", mends: true},
		{name: "an address of no kind", main: "smtpd_milters = tcp:localhost:9900, unix:p/s\n", want: []string{"problem milter-malformed"}, fix: "take it out"},
		{name: "OpenDMARC before us", main: "smtpd_milters = inet:localhost:8893, unix:p/s\n", want: []string{"warning reader-first"},
			fix: "'smtpd_milters = unix:p/s, inet:localhost:8893'", mends: true},
		{name: "OpenDMARC after us", main: "smtpd_milters = unix:p/s, inet:localhost:8893\n"},
		{name: "others after us", main: "smtpd_milters = unix:p/s, inet:localhost:11332\n", want: []string{"note milter-after"}, text: "inet:localhost:11332 comes after"},
		{name: "accept while we are away", main: "milter_default_action = accept\n", want: []string{"warning default-action"}, text: "milter_default_action is accept",
			fix: "'smtpd_milters = {unix:p/s,default_action=tempfail}'", mends: true},
		{name: "accept while we are away, in two lists", main: "milter_default_action = accept\nnon_smtpd_milters = unix:p/s\n", want: []string{"warning default-action"}, text: "in smtpd_milters and non_smtpd_milters, milter_default_action is accept", mends: true},
		{name: "accept in braces", main: "smtpd_milters = { unix:p/s, default_action=accept, connect_timeout=5s }\n", want: []string{"warning default-action"},
			fix: "'smtpd_milters = {unix:p/s,connect_timeout=5s,default_action=tempfail}'", mends: true},
		{name: "reject while we are away", main: "milter_default_action = reject\n", want: []string{"warning default-action"}, mends: true},
		{name: "accept while we are away, for one service", master: "submission inet n - n - - smtpd -o milter_default_action=accept\n", want: []string{"warning default-action"},
			text: "milter_default_action of the service submission is accept", fix: "'smtpd_milters = {unix:p/s,default_action=tempfail}'", mends: true},
		{name: "accept, for a service that has others", main: "milter_default_action = accept\nsmtpd_milters = {unix:p/s,default_action=tempfail}\n", master: "submission inet n - n - - smtpd -o milter_default_action=tempfail\n"},
		{name: "hold while we are away", main: "milter_default_action = quarantine\n", want: []string{"warning default-action"}, mends: true},
		{name: "an old protocol", main: "milter_protocol = 4\n", want: []string{"warning milter-protocol"}, mends: true},
		{name: "the oldest, without macros", main: "milter_protocol = 2\nmilter_mail_macros = i\n", want: []string{"problem milter-protocol"}, text: "milter_protocol is 2.", mends: true},
		{name: "macros are asked for", main: "milter_mail_macros = i\n"},

		{name: "content filter, milter before it", main: filter, master: amavis + backOut, want: []string{"note filter-after"}},
		{name: "content filter, milter twice", main: filter, master: amavis + back + "\n", want: []string{"problem filter-twice"},
			text: "at smtp, pickup on its way to the content filter, and at 127.0.0.1:10025 when it comes back", fix: "-P '127.0.0.1:10025/inet/smtpd_milters ='"},
		{name: "content filter, milter twice, with no_milters", main: filter, master: amavis + back + " -o receive_override_options=no_milters\n", want: []string{"note filter-after"}},
		{name: "content filter, signed once, strangers inside", main: filter, master: amavis + back + "\n", change: func(s *site) { s.expect.SignOnce = true },
			want: []string{"problem filter-strangers"}},
		{name: "content filter, verified only", main: filter, master: amavis + back + "\n", change: func(s *site) { s.expect.Sockets[0].VerifyOnly = true }},
		{name: "content filter of submission alone, without -o content_filter=", master: amavis + "submission inet n - n - - smtpd -o content_filter=amavis:[127.0.0.1]:10026\nlocalhost:10025 inet n - n - - smtpd\n",
			want: []string{"problem filter-twice"}, text: "at submission on its way"},
		{name: "content filter by FILTER", main: "smtpd_client_restrictions = check_client_access static:{FILTER amavis:[127.0.0.1]:10024}\n", master: amavis + "localhost:10025 inet n - n - - smtpd\n",
			want: []string{"problem filter-strangers"}},
		{name: "content filter that is a command", master: "filter unix - n n - 10 pipe user=nobody argv=/bin/true\nsubmission inet n - n - - smtpd -o content_filter=filter:dummy\n",
			want: []string{"warning filter-twice"}, text: "a command, filter;"},
		{name: "proxy filter", main: "smtpd_proxy_filter = 127.0.0.1:10024\n", master: "127.0.0.1:10025 inet n - n - - smtpd -o smtpd_proxy_filter= -o smtpd_milters=\n",
			want: []string{"problem filter-unseen"}},
		{name: "proxy filter, milter behind it", main: "smtpd_proxy_filter = 127.0.0.1:10024\n", master: "127.0.0.1:10025 inet n - n - - smtpd -o smtpd_proxy_filter=\n",
			want: []string{"problem filter-strangers"}},
		{name: "a filter's port, and no filter to be seen", master: back + "\n", want: []string{"warning filter-strangers"}},
		{name: "a port where clients log in", main: filter, master: amavis + backOut + "2525 inet n - n - - smtpd -o content_filter= -o smtpd_sasl_auth_enable=yes\n", want: []string{"note filter-after"}},
		{name: "a second port without a filter", master: "127.0.0.1:2525 inet n - n - - smtpd\n"},

		{name: "clients that are not internal", main: "mynetworks = 127.0.0.0/8 [::1]/128 192.0.2.0/24\n", want: []string{"warning relay-unsigned"}, text: "192.0.2.0/24"},
		{name: "half a network", main: "mynetworks = 127.0.0.0/8 [::1] 192.0.2.0/24\n", want: []string{"warning relay-unsigned"},
			change: func(s *site) { s.internal("192.0.2.0/25") }},
		{name: "the same in other words", main: "mynetworks = 127.0.0.0/8 [::1]/128 192.0.2.0/25 192.0.2.128/25 !198.51.100.7 198.51.100.0/24 [2001:db8::]/32\n",
			change: func(s *site) { s.internal("192.0.2.0/24", "198.51.100.0/24", "!198.51.100.7/32", "2001:db8::/32") }},
		{name: "internal, without leave to relay", want: []string{"warning internal-no-relay"}, text: "192.0.2.0/24",
			change: func(s *site) { s.internal("192.0.2.0/24") }},
		{name: "internal but for one", main: "mynetworks = 127.0.0.0/8 [::1] 192.0.2.0/24\n", want: []string{"warning relay-unsigned"},
			change: func(s *site) { s.internal("192.0.2.0/24", "!192.0.2.9/32") }},
		{name: "a table of networks", main: "mynetworks = 127.0.0.0/8 [::1] cidr:/nowhere\n", change: func(s *site) { s.internal("192.0.2.0/24") }},
		{name: "this machine is not internal", want: []string{"warning relay-unsigned"}, text: "127.0.0.0/8", change: func(s *site) { s.expect.Internal = func(netip.Addr) bool { return false } }},

		{name: "no daemon", change: func(s *site) { s.silence() }, want: []string{"problem socket-missing"}, text: "no such file or directory"},
		{name: "another path", main: "smtpd_milters = unix:/p/s\nnon_smtpd_milters = unix:p/s\n", want: []string{"problem socket-outside"}, text: "The service smtp looks for unix:/p/s at /p/s; postseal listens at ",
			fix: "'smtpd_milters = unix:p/s'", mends: true},
		{name: "IPv6 that Postfix does without", main: "inet_protocols = ipv4\nsmtpd_milters = inet:[::1]:8891\nnon_smtpd_milters = $smtpd_milters\n",
			change: func(s *site) { s.expect.Sockets = []Socket{{Network: "tcp6", Address: "[::1]:8891"}} },
			want:   []string{"problem socket-outside"}, text: "inet_protocols is ipv4", fix: "an address of the other family"},
		{name: "other instances", main: "multi_instance_directories = /etc/postfix-out\n", want: []string{"note postfix-instances"}},
		{name: "bounces", main: "internal_mail_filter_classes =\n", want: []string{"note bounces-unsigned"}, mends: true},
		{name: "changes on the way out", main: "smtp_generic_maps = static:x@example.com\nsmtp_header_checks = static:IGNORE\n", want: []string{"note changed-after"},
			text: "smtp_generic_maps, smtp_header_checks"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			if test.change != nil {
				test.change(s)
			}
			c := s.read(t, test.main, test.master)
			list := inspect(t, c, s.expect)
			if diff := cmp.Diff(test.want, codes(list)); diff != "" {
				t.Fatalf("%s\n%+v", diff, list)
			}
			for _, f := range list {
				if f.Text == "" || f.Effect == "" || f.Fix == "" {
					t.Errorf("%+v", f)
				}
			}
			if len(list) > 0 && (!strings.Contains(list[0].Text, test.text) || !strings.Contains(list[0].Fix, test.fix)) {
				t.Errorf("%+v", list[0])
			}
			if !test.mends {
				return
			}
			if left := inspect(t, mend(t, c, list[0].Fix), s.expect); len(left) > 0 {
				t.Errorf("mended by\n%s\nthere is left %+v", list[0].Fix, left)
			}
		})
	}
}

// internal makes further networks internal; "!" excepts.
func (s *site) internal(texts ...string) {
	var in, out []netip.Prefix
	for _, text := range texts {
		text, except := strings.CutPrefix(text, "!")
		p := netip.MustParsePrefix(text)
		s.expect.Networks = append(s.expect.Networks, p)
		if except {
			out = append(out, p)
		} else {
			in = append(in, p)
		}
	}
	s.expect.Internal = func(a netip.Addr) bool {
		has := func(p netip.Prefix) bool { return p.Contains(a) }
		return a.IsLoopback() || slices.ContainsFunc(in, has) && !slices.ContainsFunc(out, has)
	}
}

// silence takes the milter's socket away.
func (s *site) silence() { os.Remove(s.milter.socket.Address) }
