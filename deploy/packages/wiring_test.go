package packages

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/testdata/peers"
)

// wiring runs postfix-wiring for the main.cf and master.cf of a folder, and
// returns its commands without those that concern this machine's Postfix.
func wiring(t *testing.T, folder, word string) (lines []string) {
	t.Helper()
	cmd := exec.Command("postseal/postfix-wiring", word)
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+folder)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("postfix-wiring %s: %v\n%s", word, err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "usermod ") && line != "postfix reload" {
			lines = append(lines, line)
		}
	}
	return lines
}

// settle dates the files back: Postfix waits until they are two seconds old, lest
// somebody is still writing them.
func settle(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.cf"))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Minute)
	for _, name := range files {
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
}

// The commands that the package prints are right for the main.cf that is there,
// and say nothing once they were run.
func TestWiring(t *testing.T) {
	if _, err := exec.LookPath("postconf"); err != nil {
		peers.Require(t, err)
	}
	const ours = "unix:postseal/postseal.sock"
	tests := []struct {
		name         string
		main, master string
		add, remove  []string
	}{
		{
			"Debian's", "", "smtp inet n - y - - smtpd\n",
			[]string{"postconf -e 'smtpd_milters = " + ours + "'", "postconf -e 'non_smtpd_milters = " + ours + "'"},
			[]string{"postconf -e 'smtpd_milters ='", "postconf -e 'non_smtpd_milters ='"},
		},
		{
			"others stay", "smtpd_milters = inet:localhost:11332,unix:clamav/milter.sock\nnon_smtpd_milters=$smtpd_milters\n", "",
			[]string{"postconf -e 'smtpd_milters = inet:localhost:11332, unix:clamav/milter.sock, " + ours + "'"},
			[]string{"postconf -e 'smtpd_milters = inet:localhost:11332, unix:clamav/milter.sock'"},
		},
		{
			"the value continues on a line", "smtpd_milters =\n\tinet:localhost:11332\n\tinet:localhost:9900\nnon_smtpd_milters = ${smtpd_milters}\n", "",
			[]string{"postconf -e 'smtpd_milters = inet:localhost:11332, inet:localhost:9900, " + ours + "'"},
			[]string{"postconf -e 'smtpd_milters = inet:localhost:11332, inet:localhost:9900'"},
		},
		{
			"OpenDMARC reads our results",
			"smtpd_milters = inet:localhost:11332 local:opendmarc/opendmarc.sock\nnon_smtpd_milters = inet:localhost:8893\n", "",
			[]string{
				"postconf -e 'smtpd_milters = inet:localhost:11332, " + ours + ", local:opendmarc/opendmarc.sock'",
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
				"# in place of local:opendkim/opendkim.sock, which seems to sign, too:",
				"postconf -e 'smtpd_milters = " + ours + ", inet:localhost:8893'",
				"# in place of inet:127.0.0.1:8891, which seems to sign, too:",
				"postconf -e 'non_smtpd_milters = " + ours + "'",
			},
			[]string{"postconf -e 'smtpd_milters = inet:localhost:8893'", "postconf -e 'non_smtpd_milters ='"},
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
				"# in place of opendkim`>ran`;>ran, which seems to sign, too:",
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
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			for name, text := range map[string]string{"main.cf": "compatibility_level = 3.6\n" + test.main, "master.cf": test.master} {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			settle(t, folder)
			obey := func(lines []string) {
				t.Helper()
				cmd := exec.Command("sh", "-e", "-c", strings.Join(lines, "\n"))
				cmd.Dir = folder
				cmd.Env = append(os.Environ(), "MAIL_CONFIG="+folder)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				settle(t, folder)
				if list, _ := filepath.Glob(filepath.Join(folder, "*")); len(list) != 2 {
					t.Errorf("the folder has %q", list)
				}
			}
			add := wiring(t, folder, "add")
			if diff := cmp.Diff(test.add, add); diff != "" {
				t.Error("add:", diff)
			}
			obey(add)
			if again := wiring(t, folder, "add"); again != nil {
				t.Errorf("add once more: %q", again)
			}
			remove := wiring(t, folder, "remove")
			if diff := cmp.Diff(test.remove, remove); diff != "" {
				t.Error("remove:", diff)
			}
			obey(remove)
			if again := wiring(t, folder, "remove"); again != nil {
				t.Errorf("remove once more: %q", again)
			}
		})
	}
}

// Where there is nothing to wire, it says so and what to do, and succeeds: the
// package is installed all the same.
func TestWiringWithoutPlace(t *testing.T) {
	if _, err := exec.LookPath("postconf"); err != nil {
		peers.Require(t, err)
	}
	folder := t.TempDir()
	if lines := wiring(t, folder, "add"); len(lines) != 1 || !strings.HasPrefix(lines[0], "# Postfix has no configuration yet") {
		t.Errorf("no main.cf: %q", lines)
	}
	if err := os.WriteFile(filepath.Join(folder, "main.cf"), []byte("compatibility_level = 3.6\nqueue_directory = /srv/queue\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	settle(t, folder)
	if lines := wiring(t, folder, "add"); len(lines) != 1 || !strings.Contains(lines[0], "/srv/queue") {
		t.Errorf("another queue: %q", lines)
	}
	if out, err := exec.Command("postseal/postfix-wiring").CombinedOutput(); err == nil || !strings.HasPrefix(string(out), "usage: ") {
		t.Errorf("without a word: %v %s", err, out)
	}
}
