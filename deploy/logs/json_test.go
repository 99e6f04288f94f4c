//go:build deploy

package logs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/testdata/machine"
	"github.com/postseal/postseal/testdata/peers"
)

// tookJSON reads how long a mail took out of its line.
func tookJSON(t *testing.T, lines map[string]string) func(id string) time.Duration {
	return func(id string) time.Duration {
		t.Helper()
		var line struct{ Duration time.Duration }
		_, object, _ := strings.Cut(lines[id], "{")
		must(t, json.Unmarshal([]byte("{"+object), &line))
		return line.Duration
	}
}

// told are the queue ids that a jq line of the README prints: each answer begins
// with one and has something to say besides.
func told(t *testing.T, printed string) []string {
	t.Helper()
	ids := []string{}
	for line := range strings.Lines(printed) {
		var answer []any
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		facts := 0
		for _, fact := range answer[1:] {
			if fact != nil && fact != "" {
				facts++
			}
		}
		id, _ := answer[0].(string)
		if facts == 0 {
			t.Errorf("%s: nothing but nulls: %s", id, line)
		}
		ids = append(ids, id)
	}
	return ids
}

// Each jq line of the README tells of the mails that its question is about and of
// no other: in what the daemon prints, among lines that are no JSON or not its own,
// and in a mail log.
func TestJSONAnswers(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		peers.Require(t, err)
	}
	log := daemon(t, build(t), "json")
	lines := byID(t, log)
	r := readReadme(t)
	dir := t.TempDir()
	others := "Started postseal.service - DKIM milter.\n12\n[\"msg\"]\nnull\n{\"msg\":\"message\n{\"msg\":\"other\",\"action\":\"reject\",\"from_domain\":\"example.com\"}\n"
	must(t, os.WriteFile(dir+"/log", []byte(others+strings.Join(log, "")+others), 0o600))
	text, _ := mailLog(log)
	must(t, os.WriteFile(dir+"/mail.log", []byte(text), 0o600))
	for name, function := range map[string]string{
		"printed":  "log() { cat '" + dir + "/log'; }",
		"mail log": strings.Replace(r.syslog, "/var/log/mail.log", "'"+dir+"/mail.log'", 1),
	} {
		t.Run(name, func(t *testing.T) {
			for _, q := range r.questions {
				got := told(t, shell(t, function, r.messages, q.json))
				want := answer(t, q.title, tookJSON(t, lines))
				if strings.Join(got, " ") != strings.Join(want, " ") {
					t.Errorf("%s\n%s\ngot  %s\nwant %s", q.title, q.json, got, want)
				}
			}
		})
	}
}

// The same under systemd, out of its journal, text and JSON: there what a unit of
// that name prints, with systemd's own lines about it.
func TestJournalAnswers(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		peers.Require(t, err)
	}
	m, program := machine.Start(t), build(t)
	r := readReadme(t)
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			log := daemon(t, program, format)
			lines := byID(t, log)
			took := tookText(t, lines)
			if format == "json" {
				took = tookJSON(t, lines)
			}
			dir := "/root/" + format
			m.Write(filepath.Join(dir, "log"), strings.Join(log, ""), 0o600)
			m.Write("/etc/systemd/system/postseal.service", "[Service]\nType=oneshot\nStandardError=journal\nLogRateLimitIntervalSec=0\n"+
				"ExecStart=/bin/sh -c 'cat "+dir+"/log >&2'\n", 0o644)
			m.Shell("systemctl daemon-reload && journalctl --rotate --vacuum-time=1us && logger -t postseal '" + strings.TrimSpace(imitation) + "' && " +
				"systemctl start postseal.service && journalctl --sync")
			for _, q := range r.questions {
				want := answer(t, q.title, took)
				command := q.text
				if format == "json" {
					command = r.messages + "\n" + q.json
				}
				m.Write(filepath.Join(dir, "ask"), r.journal+"\n"+command+"\n", 0o600)
				printed := m.Shell("sh "+dir+"/ask") + "\n"
				if format == "json" {
					if got := told(t, printed); strings.Join(got, " ") != strings.Join(want, " ") {
						t.Errorf("%s\n%s\ngot  %s\nwant %s", q.title, command, got, want)
					}
					continue
				}
				var expected strings.Builder
				for _, id := range want {
					expected.WriteString(lines[id])
				}
				if printed != expected.String() {
					t.Errorf("%s\n%s\ngot\n%swant\n%s", q.title, command, printed, expected.String())
				}
			}
		})
	}
}
