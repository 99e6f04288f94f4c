package postfix

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/testdata/peers"
)

// configuration makes a configuration folder and reads it.
func configuration(t *testing.T, main, master string) *Config {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "main.cf"), "compatibility_level = 3.6\n"+main)
	write(t, filepath.Join(folder, "master.cf"), master)
	return reread(t, folder)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := settle(path); err != nil {
		t.Fatal(err)
	}
}

func reread(t *testing.T, folder string) *Config {
	t.Helper()
	c, err := Read(t.Context(), folder)
	if errors.Is(err, ErrNotInstalled) {
		peers.Require(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// told is what edits say, without the folder, and their reasons where these are not
// the usual ones.
func told(c *Config, edits []Edit) (list []string) {
	for _, e := range edits {
		if strings.HasPrefix(e.Reason, "in place of ") || strings.HasPrefix(e.Reason, "before ") {
			list = append(list, "# "+e.Reason)
		}
		list = append(list, strings.Replace(e.String(), " -c "+c.Dir, "", 1))
	}
	return list
}

// obey runs edits, and holds what they do against what was foreseen.
func obey(t *testing.T, c *Config, edits []Edit) *Config {
	t.Helper()
	files, err := c.Preview(t.Context(), edits)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		cmd := exec.Command(e.Argv[0], e.Argv[1:]...)
		cmd.Dir = c.Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", e, err, out)
		}
		for _, name := range []string{"main.cf", "master.cf"} {
			if err := settle(filepath.Join(c.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range files {
		after, err := os.ReadFile(f.Path)
		if err != nil || !bytes.Equal(after, f.After) {
			t.Errorf("%s: %v: became\n%s\nwas foreseen as\n%s", f.Path, err, after, f.After)
		}
	}
	if list, _ := filepath.Glob(filepath.Join(c.Dir, "*")); len(list) != 2 {
		t.Errorf("the folder has %q", list)
	}
	return reread(t, c.Dir)
}

const (
	packaged = "/var/spool/postfix/postseal/postseal.sock"
	ours     = "unix:postseal/postseal.sock"
	debian   = "smtp inet n - y - - smtpd\ncleanup unix n - y - 0 cleanup\n"
)

// The edits are right for the main.cf that is there, and none once they were done.
func TestWire(t *testing.T) {
	tests := []struct {
		name         string
		main, master string
		add, remove  []string
	}{
		{
			"Debian's", "", debian,
			[]string{"postconf -e 'smtpd_milters = " + ours + "'", "postconf -e 'non_smtpd_milters = " + ours + "'"},
			[]string{"postconf -e 'smtpd_milters ='", "postconf -e 'non_smtpd_milters ='"},
		},
		{
			"others stay", "smtpd_milters = inet:localhost:11332,unix:clamav/milter.sock\nnon_smtpd_milters=$smtpd_milters\n", "",
			[]string{"postconf -e 'smtpd_milters = inet:localhost:11332, unix:clamav/milter.sock, " + ours + "'"},
			[]string{"postconf -e 'smtpd_milters = inet:localhost:11332, unix:clamav/milter.sock'"},
		},
		{
			"the value continues on a line", "smtpd_milters =\n\tinet:localhost:11332\n# a remark\n\tinet:localhost:9900\nnon_smtpd_milters = ${smtpd_milters}\n", "",
			[]string{"postconf -e 'smtpd_milters = inet:localhost:11332, inet:localhost:9900, " + ours + "'"},
			[]string{"postconf -e 'smtpd_milters = inet:localhost:11332, inet:localhost:9900'"},
		},
		{
			"OpenDMARC reads our results",
			"smtpd_milters = inet:localhost:11332 local:opendmarc/opendmarc.sock\nnon_smtpd_milters = inet:localhost:8893\n", "",
			[]string{
				"# before local:opendmarc/opendmarc.sock, which reads what it writes",
				"postconf -e 'smtpd_milters = inet:localhost:11332, " + ours + ", local:opendmarc/opendmarc.sock'",
				"# before inet:localhost:8893, which reads what it writes",
				"postconf -e 'non_smtpd_milters = " + ours + ", inet:localhost:8893'",
			},
			[]string{
				"postconf -e 'smtpd_milters = inet:localhost:11332, local:opendmarc/opendmarc.sock'",
				"postconf -e 'non_smtpd_milters = inet:localhost:8893'",
			},
		},
		{
			"in OpenDKIM's place", "smtpd_milters = local:opendkim/opendkim.sock, inet:localhost:8893\nnon_smtpd_milters = inet:127.0.0.1:8891\n", "",
			[]string{
				"# in place of local:opendkim/opendkim.sock, which seems to sign, too",
				"postconf -e 'smtpd_milters = " + ours + ", inet:localhost:8893'",
				"# in place of inet:127.0.0.1:8891, which seems to sign, too",
				"postconf -e 'non_smtpd_milters = " + ours + "'",
			},
			[]string{"postconf -e 'smtpd_milters = inet:localhost:8893'", "postconf -e 'non_smtpd_milters ='"},
		},
		{
			"in the place of two signers, behind a reader", "smtpd_milters = inet:localhost:8893, { unix:opendkim/a.sock, default_action=accept }, unix:opendkim/b.sock\nnon_smtpd_milters = $smtpd_milters\n", "",
			[]string{
				"# in place of { unix:opendkim/a.sock, default_action=accept }, which seems to sign, too; in place of unix:opendkim/b.sock, which seems to sign, too",
				"postconf -e 'smtpd_milters = inet:localhost:8893, " + ours + "'",
			},
			[]string{"postconf -e 'smtpd_milters = inet:localhost:8893'"},
		},
		{
			"mail must not leave unsigned", "milter_default_action = accept\nsmtpd_milters = { inet:localhost:11332, connect_timeout=5s }\nnon_smtpd_milters = inet:localhost:11332\n", "",
			[]string{
				"postconf -e 'smtpd_milters = { inet:localhost:11332, connect_timeout=5s }, {" + ours + ",default_action=tempfail}'",
				"postconf -e 'non_smtpd_milters = inet:localhost:11332, {" + ours + ",default_action=tempfail}'",
			},
			[]string{
				"postconf -e 'smtpd_milters = { inet:localhost:11332, connect_timeout=5s }'",
				"postconf -e 'non_smtpd_milters = inet:localhost:11332'",
			},
		},
		{
			"nothing that is there is run", "smtpd_milters = x';>ran;'\nnon_smtpd_milters = opendkim`>ran`;>ran\n",
			"25';>ran;' inet n - y - - smtpd\n  -o smtpd_milters=x|tee>ran\n",
			[]string{
				`postconf -e 'smtpd_milters = x'\'';>ran;'\'', ` + ours + "'",
				"# in place of opendkim`>ran`;>ran, which seems to sign, too",
				"postconf -e 'non_smtpd_milters = " + ours + "'",
				`postconf -P '25'\'';>ran;'\''/inet/smtpd_milters = x|tee>ran,` + ours + "'",
			},
			[]string{
				`postconf -e 'smtpd_milters = x'\'';>ran;'\'''`,
				"postconf -e 'non_smtpd_milters ='",
				`postconf -P '25'\'';>ran;'\''/inet/smtpd_milters = x|tee>ran'`,
			},
		},
		{
			"services with milters of their own, and with none on purpose", "smtpd_milters = " + ours + "\nnon_smtpd_milters = $smtpd_milters\n",
			"submission inet n - y - - smtpd\n  -o { smtpd_milters = inet:localhost:9900 { inet:localhost:9901 connect_timeout = 5s } }\n" +
				"127.0.0.1:10025 inet n - y - - smtpd\n  -o smtpd_milters=\n",
			[]string{"postconf -P 'submission/inet/smtpd_milters = inet:localhost:9900,{inet:localhost:9901,connect_timeout=5s}," + ours + "'"},
			[]string{
				"postconf -e 'smtpd_milters ='",
				"postconf -P 'submission/inet/smtpd_milters = inet:localhost:9900,{inet:localhost:9901,connect_timeout=5s}'",
			},
		},
		{
			"a service's own default action", "smtpd_milters = " + ours + "\nnon_smtpd_milters = $smtpd_milters\n",
			"submission inet n - y - - smtpd\n  -o smtpd_milters=inet:localhost:9900 -o milter_default_action=accept\n",
			[]string{"postconf -P 'submission/inet/smtpd_milters = inet:localhost:9900,{" + ours + ",default_action=tempfail}'"},
			[]string{"postconf -e 'smtpd_milters ='", "postconf -P 'submission/inet/smtpd_milters = inet:localhost:9900'"},
		},
		{
			"macros of one's own", "mine = inet:localhost:11332\nsmtpd_milters = $mine\nnon_smtpd_milters = ${mine}\n", "",
			[]string{"postconf -e 'mine = inet:localhost:11332, " + ours + "'"},
			[]string{"postconf -e 'mine = inet:localhost:11332'"},
		},
		{
			"a macro among others", "mine = inet:localhost:11332\nsmtpd_milters = $mine, inet:localhost:9900\nnon_smtpd_milters = $(mine)\n", "",
			[]string{
				"postconf -e 'smtpd_milters = $mine, inet:localhost:9900, " + ours + "'",
				"postconf -e 'mine = inet:localhost:11332, " + ours + "'",
			},
			[]string{"postconf -e 'mine = inet:localhost:11332'", "postconf -e 'smtpd_milters = $mine, inet:localhost:9900'"},
		},
		{
			"OpenDKIM within a macro", "dkim = inet:localhost:8891\ndmarc = inet:localhost:8893\nsmtpd_milters = $dkim, $dmarc\nnon_smtpd_milters = $smtpd_milters\n", "",
			[]string{"# in place of inet:localhost:8891, which seems to sign, too", "postconf -e 'dkim = " + ours + "'"},
			[]string{"postconf -e 'dkim ='"},
		},
		{
			"OpenDMARC within a macro", "dmarc = inet:localhost:8893\nsmtpd_milters = inet:localhost:11332, $dmarc\nnon_smtpd_milters = $smtpd_milters\n", "",
			[]string{"# before inet:localhost:8893, which reads what it writes", "postconf -e 'dmarc = " + ours + ", inet:localhost:8893'"},
			[]string{"postconf -e 'dmarc = inet:localhost:8893'"},
		},
		{
			"the other way round", "smtpd_milters = inet:localhost:11332, $non_smtpd_milters\nnon_smtpd_milters = inet:localhost:9900\n", "",
			[]string{"postconf -e 'non_smtpd_milters = inet:localhost:9900, " + ours + "'"},
			[]string{"postconf -e 'non_smtpd_milters = inet:localhost:9900'"},
		},
		{
			"a macro of a service's own", "", "submission inet n - y - - smtpd\n  -o mine=inet:localhost:9900 -o smtpd_milters=$mine\n",
			[]string{
				"postconf -e 'smtpd_milters = " + ours + "'", "postconf -e 'non_smtpd_milters = " + ours + "'",
				"postconf -P 'submission/inet/mine = inet:localhost:9900," + ours + "'",
			},
			[]string{"postconf -e 'smtpd_milters ='", "postconf -e 'non_smtpd_milters ='", "postconf -P 'submission/inet/mine = inet:localhost:9900'"},
		},
		{
			"where postseal listened before", "smtpd_milters = inet:localhost:11332, {unix:/run/postseal/postseal.sock, default_action=accept}, inet:localhost:9900\nnon_smtpd_milters = $smtpd_milters\n", "",
			[]string{
				"# in place of {unix:/run/postseal/postseal.sock, default_action=accept}, where postseal is not",
				"postconf -e 'smtpd_milters = inet:localhost:11332, " + ours + ", inet:localhost:9900'",
			},
			[]string{"postconf -e 'smtpd_milters = inet:localhost:11332, inet:localhost:9900'"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := configuration(t, test.main, test.master)
			socket := Socket{Network: "unix", Address: packaged}
			add, err := c.Wire(socket)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.add, told(c, add)); diff != "" {
				t.Error("add:", diff)
			}
			c = obey(t, c, add)
			if again, err := c.Wire(socket); err != nil || again != nil {
				t.Errorf("once more: %v, %v", again, err)
			}
			remove, err := c.Unwire(socket)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.remove, told(c, remove)); diff != "" {
				t.Error("remove:", diff)
			}
			c = obey(t, c, remove)
			if again, err := c.Unwire(socket); err != nil || again != nil {
				t.Errorf("remove once more: %v, %v", again, err)
			}
		})
	}
}

// An element that a condition chooses counts as wired, and is left to people.
func TestWireCondition(t *testing.T) {
	c := configuration(t, "smtpd_milters = ${mail_name?{"+ours+"}:{inet:localhost:9900}}\nnon_smtpd_milters = $smtpd_milters\n", "")
	socket := Socket{Network: "unix", Address: packaged}
	if edits, err := c.Wire(socket); edits != nil || err != nil {
		t.Errorf("add: %v, %v", edits, err)
	}
	if edits, err := c.Unwire(socket); err == nil || !strings.Contains(err.Error(), "by hand") {
		t.Errorf("remove: %v, %v", edits, err)
	}
}

// From the daemon's socket to its name in main.cf.
func TestWireSocket(t *testing.T) {
	tests := []struct {
		name, main, master string
		socket             Socket
		want, problem      string
	}{
		{name: "in the queue", socket: Socket{Network: "unix", Address: packaged}, want: ours},
		{name: "in another queue", main: "queue_directory = /srv/queue\n", socket: Socket{Network: "unix", Address: "/srv/queue/p/s"}, want: "unix:p/s"},
		{name: "elsewhere, no chroot", master: "smtp inet n - n - - smtpd\n", socket: Socket{Network: "unix", Address: "/run/postseal/postseal.sock"}, want: "unix:/run/postseal/postseal.sock"},
		{name: "elsewhere, chroot by default", master: "smtp inet n - - - - smtpd\n", socket: Socket{Network: "unix", Address: "/run/p/s"}, want: "unix:/run/p/s"},
		{name: "elsewhere, chroot by old default", main: "compatibility_level = 0\n", master: "smtp inet n - - - - smtpd\n", socket: Socket{Network: "unix", Address: "/run/p/s"},
			problem: `smtp/inet has /var/spool/postfix as its root folder and does not see /run/p/s: let socket in postseal.toml name a path below that folder, "local:/var/spool/postfix/postseal/postseal.sock" for instance`},
		{name: "cleanup in a chroot", master: "smtp inet n - n - - smtpd\ncleanup unix n - y - 0 cleanup\n", socket: Socket{Network: "unix", Address: "/run/p/s"}, problem: "cleanup/unix has"},
		{name: "another in a chroot", master: "smtp inet n - n - - smtpd\nlmtp unix - - y - - lmtp\n", socket: Socket{Network: "unix", Address: "/run/p/s"}, want: "unix:/run/p/s"},
		{name: "port of localhost", socket: Socket{Network: "tcp4", Address: "localhost:8891"}, want: "inet:127.0.0.1:8891"},
		{name: "port everywhere", socket: Socket{Network: "tcp4", Address: ":8891"}, want: "inet:127.0.0.1:8891"},
		{name: "port of an address", socket: Socket{Network: "tcp4", Address: "192.0.2.1:8891"}, want: "inet:192.0.2.1:8891"},
		{name: "port of IPv6", socket: Socket{Network: "tcp6", Address: "localhost:8891"}, want: "inet:[::1]:8891"},
		{name: "IPv6 that Postfix does without", main: "inet_protocols = ipv4\n", socket: Socket{Network: "tcp6", Address: "[::1]:8891"}, problem: "inet_protocols"},
		{name: "port of a name", socket: Socket{Network: "tcp4", Address: "dkim.example.com:8891"}, want: "inet:dkim.example.com:8891"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := configuration(t, test.main, test.master)
			edits, err := c.Wire(test.socket)
			if test.problem != "" {
				var unreachable *UnreachableError
				if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"postconf -e 'smtpd_milters = " + test.want + "'", "postconf -e 'non_smtpd_milters = " + test.want + "'"}, told(c, edits)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A port that is written as in postseal.toml, which Postfix does not understand, becomes one.
func TestWireMisnamed(t *testing.T) {
	c := configuration(t, "smtpd_milters = inet:9900@localhost inet:8889@localhost\nnon_smtpd_milters = inet6:8889@[127.0.0.1]\n", "")
	edits, err := c.Wire(Socket{Network: "tcp4", Address: "127.0.0.1:8889"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"# in place of inet:8889@localhost, where postseal is not", "postconf -e 'smtpd_milters = inet:9900@localhost, inet:127.0.0.1:8889'",
		"# in place of inet6:8889@[127.0.0.1], where postseal is not", "postconf -e 'non_smtpd_milters = inet:127.0.0.1:8889'",
	}, told(c, edits)); diff != "" {
		t.Error(diff)
	}
}

// A socket is known again in whatever way main.cf names it.
func TestReaches(t *testing.T) {
	queue := t.TempDir()
	if err := os.Symlink(filepath.Join(queue, "a"), filepath.Join(queue, "b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(queue, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := &Config{expanded: map[string]string{"queue_directory": queue, "myhostname": "mail.example.com"}}
	unix := Socket{Network: "unix", Address: filepath.Join(queue, "a/s")}
	tests := []struct {
		address string
		socket  Socket
		want    bool
	}{
		{"unix:a/s", unix, true},
		{"local:a/s", unix, true},
		{"unix:/a/s", unix, true}, // as a chrooted service sees it
		{"unix:" + queue + "/a/s", unix, true},
		{"unix:b/../b/s", unix, true},
		{"unix:" + queue + "/b/s", unix, true},
		{"unix:a/t", unix, false},
		{"unix:s", unix, false},
		{"inet:a/s", unix, false},
		{"inet:localhost:8891", unix, false},
		{"unix:a/s", Socket{Network: "tcp4", Address: "localhost:8891"}, false},
		{"inet:localhost:8891", Socket{Network: "tcp4", Address: "localhost:8891"}, true},
		{"inet:8891", Socket{Network: "tcp4", Address: "localhost:8891"}, true},
		{"inet:localhost.localdomain:8891", Socket{Network: "tcp4", Address: "127.0.0.1:8891"}, true},
		{"inet:mail.example.com:8891", Socket{Network: "tcp4", Address: ":8891"}, true},
		{"inet:other.example.com:8891", Socket{Network: "tcp4", Address: ":8891"}, false},
		{"inet:127.0.0.1:8891", Socket{Network: "tcp4", Address: "localhost:8891"}, true},
		{"inet:localhost:8891", Socket{Network: "tcp4", Address: "127.0.0.1:8891"}, true},
		{"inet:[127.0.0.1]:8891", Socket{Network: "tcp4", Address: ":8891"}, true},
		{"inet:[::1]:8891", Socket{Network: "tcp6", Address: "[::]:8891"}, true},
		{"inet:dkim.example.com:8891", Socket{Network: "tcp4", Address: "DKIM.example.com:8891"}, true},
		{"inet:192.0.2.1:8891", Socket{Network: "tcp4", Address: "192.0.2.1:8891"}, true},
		{"inet:203.0.113.2:8891", Socket{Network: "tcp4", Address: "192.0.2.1:8891"}, false},
		{"inet:203.0.113.2:8891", Socket{Network: "tcp4", Address: ":8891"}, false},
		{"inet:127.0.0.2:8891", Socket{Network: "tcp4", Address: "127.0.0.1:8891"}, false},
		{"inet:localhost:8892", Socket{Network: "tcp4", Address: "localhost:8891"}, false},
		{"", unix, false},
		{"inet:", Socket{Network: "tcp4", Address: ":8891"}, false},
	}
	for _, test := range tests {
		if got := c.reaches(test.address, test.socket); got != test.want {
			t.Errorf("%q, %v: %v", test.address, test.socket, got)
		}
	}
}

// What was before the edits comes back byte for byte.
func TestPreview(t *testing.T) {
	c := configuration(t, "# mine\nsmtpd_milters =\n  inet:localhost:11332 ,\n\tinet:localhost:9900\n\n#non_smtpd_milters = x\n", "# theirs\nsmtp  inet n - y - - smtpd\n  -o smtpd_milters=inet:localhost:9900\n")
	edits, err := c.Wire(Socket{Network: "unix", Address: packaged})
	if err != nil {
		t.Fatal(err)
	}
	before, err := c.Preview(t.Context(), edits)
	if err != nil || len(before) != 2 {
		t.Fatalf("%d files, %v", len(before), err)
	}
	obey(t, c, edits)
	for _, f := range before {
		if bytes.Equal(f.Before, f.After) {
			t.Errorf("%s stays the same", f.Path)
		}
		write(t, f.Path, string(f.Before))
	}
	again, err := reread(t, c.Dir).Preview(t.Context(), edits)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, again); diff != "" {
		t.Error(diff)
	}
	if none, err := c.Preview(t.Context(), nil); none != nil || err != nil {
		t.Errorf("without edits: %v, %v", none, err)
	}
}

func TestReadErrors(t *testing.T) {
	folder := t.TempDir()
	if _, err := Read(t.Context(), folder); errors.Is(err, ErrNotInstalled) {
		peers.Require(t, err)
	} else if !errors.Is(err, ErrNotConfigured) {
		t.Errorf("no main.cf: %v", err)
	}
	write(t, filepath.Join(folder, "main.cf"), "compatibility_level = 3.6\n")
	if _, err := Read(t.Context(), folder); !errors.Is(err, ErrNotConfigured) {
		t.Errorf("no master.cf: %v", err)
	}
	write(t, filepath.Join(folder, "master.cf"), "what is this\n")
	if _, err := Read(t.Context(), folder); err == nil || !strings.Contains(err.Error(), "line 1: bad field count") {
		t.Errorf("a master.cf that is none: %v", err)
	}
	write(t, filepath.Join(folder, "master.cf"), "")
	write(t, filepath.Join(folder, "main.cf"), "compatibility_level = 3.6\nsmtpd_milters = $smtpd_milters\n")
	if _, err := Read(t.Context(), folder); err == nil || !strings.Contains(err.Error(), "macro") {
		t.Errorf("a loop: %v", err)
	}
}
