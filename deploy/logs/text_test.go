package logs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// question is one of the README's with its two commands.
type question struct{ title, text, json string }

// readme is what it has about the log: the functions that the commands use, and
// the questions.
type readme struct {
	journal, syslog, messages string
	questions                 []question
}

// readReadme takes it out of README.md.
func readReadme(t *testing.T) readme {
	t.Helper()
	file, err := os.ReadFile("../../README.md")
	must(t, err)
	_, section, ok := strings.Cut(string(file), "\n### Questions to the log\n")
	_, block, fenced := strings.Cut(section, "\n```sh\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !ok || !fenced || !closed {
		t.Fatal("README.md has no commands below Questions to the log")
	}
	parts := strings.Split(block, "\n\n")
	functions := strings.Split(parts[0], "\n")
	if len(functions) != 3 {
		t.Fatalf("functions: %q", functions)
	}
	r := readme{journal: functions[1], syslog: functions[0], messages: functions[2]}
	for _, part := range parts[1:] {
		lines := strings.Split(part, "\n")
		if len(lines) != 3 {
			t.Fatalf("want a question and two commands, found %q", part)
		}
		r.questions = append(r.questions, question{strings.TrimPrefix(lines[0], "# "), lines[1], lines[2]})
	}
	var titles []string
	for _, q := range r.questions {
		titles = append(titles, q.title)
	}
	if want := []string{unsigned, failed, signedBy, tookLong, refused}; !slices.Equal(titles, want) {
		t.Fatalf("questions %q, want %q", titles, want)
	}
	return r
}

// shell runs lines of it and returns what they print.
func shell(t *testing.T, lines ...string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", strings.Join(lines, "\n"))
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Errorf("%q: %v\n%s", lines, err, complaints.String())
	}
	return string(out)
}

// answer are the queue ids of the mails that a question is about. How long a mail
// took is in its line alone: the machine may have been busy.
func answer(t *testing.T, title string, took func(id string) time.Duration) []string {
	t.Helper()
	var ids []string
	for _, l := range letters() {
		in := slices.Contains(l.answers, title)
		if title == tookLong {
			long := took(l.id) >= time.Second
			if in && !long {
				t.Errorf("%s took %v", l.id, took(l.id))
			}
			in = long
		}
		if in {
			ids = append(ids, l.id)
		}
	}
	return ids
}

var textDuration = regexp.MustCompile(` duration=(\S+) `)

// tookText reads how long a mail took out of its line.
func tookText(t *testing.T, lines map[string]string) func(id string) time.Duration {
	return func(id string) time.Duration {
		t.Helper()
		m := textDuration.FindStringSubmatch(lines[id])
		if m == nil {
			t.Fatalf("no duration in %s", lines[id])
		}
		took, err := time.ParseDuration(m[1])
		must(t, err)
		return took
	}
}

// Each grep of the README prints the lines of the mails that its question is about
// and no other, whatever text those have from mail, in what the daemon prints and
// in a mail log where others write, too.
func TestTextAnswers(t *testing.T) {
	log := daemon(t, build(t), "text")
	lines := byID(t, log)
	r := readReadme(t)

	t.Run("printed", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "log")
		must(t, os.WriteFile(file, []byte(strings.Join(log, "")), 0o600))
		for _, q := range r.questions {
			var want []string
			for _, id := range answer(t, q.title, tookText(t, lines)) {
				want = append(want, lines[id])
			}
			got := shell(t, "log() { cat '"+file+"'; }", q.text)
			if got != strings.Join(want, "") {
				t.Errorf("%s\n%s\ngot\n%swant\n%s", q.title, q.text, got, strings.Join(want, ""))
			}
		}
	})
	t.Run("mail log", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "mail.log")
		text, sent := mailLog(log)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		lines := byID(t, sent)
		for _, q := range r.questions {
			var want []string
			for _, id := range answer(t, q.title, tookText(t, lines)) {
				want = append(want, lines[id])
			}
			got := shell(t, strings.Replace(r.syslog, "/var/log/mail.log", "'"+file+"'", 1), q.text)
			if got != strings.Join(want, "") {
				t.Errorf("%s\n%s\ngot\n%swant\n%s", q.title, q.text, got, strings.Join(want, ""))
			}
		}
	})
}

// mailLog is a log as syslog daemons write it, in their old and their new form:
// that of the daemon, whose lines are sent, and that of others.
func mailLog(log []string) (text string, sent []string) {
	const before, now = "Nov  2 10:00:00 mx ", "2026-11-12T10:00:00.123456+00:00 mx "
	own := regexp.MustCompile(`^(?:time=\S+ level=\S+ |\{"time":"[^"]*","level":"[^"]*",)`)
	var b strings.Builder
	for i, line := range log {
		line = own.ReplaceAllStringFunc(line, func(s string) string {
			if strings.HasPrefix(s, "{") {
				return "{"
			}
			return ""
		})
		line = []string{before, now}[i%2] + "postseal[4711]: " + line
		sent = append(sent, line)
		b.WriteString(line)
	}
	for _, prefix := range []string{before, now} {
		for _, other := range []string{
			"postfix/cleanup[9]: F1: warning: header Subject: " + prefix + "postseal[4711]:" + imitation + "; from=<a@evil.test>",
			"postfix/cleanup[9]: F1: warning: header Subject: \xff\x00" + imitation,
			"postfix/smtpd[9]: postseal[4711]:" + imitation,
			"postfix/smtpd[9]: " + `{"msg":"message","queue_id":"FAKE","decision":"bad_from","duration":9e9,"from_domain":"example.com","signed":"x","action":"reject"}`,
			"notpostseal[4711]:" + imitation,
			"postseal-other[4711]:" + imitation,
			"postseal:" + imitation,
		} {
			fmt.Fprintf(&b, "%s%s\n", prefix, other)
		}
	}
	return b.String(), sent
}
