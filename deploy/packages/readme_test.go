//go:build deploy

package packages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/machine"
)

// readmeCommands are the lines of the first block of commands behind a line of the
// README.
func readmeCommands(t *testing.T, line string) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "\n"+line+"\n")
	_, block, _ = strings.Cut(block, "```sh\n")
	block, _, _ = strings.Cut(block, "\n```")
	if block == "" {
		t.Fatalf("the README has no commands behind %q", line)
	}
	return strings.Split(block, "\n")
}

// readme runs the two commands of the README's section "Install", but for the
// building itself, on a machine without a Postfix: from then on mail is signed.
func readme(t *testing.T, b built) {
	lines := readmeCommands(t, "## Install")
	if len(lines) != 2 {
		t.Fatalf("the README has %d commands: %q", len(lines), lines)
	}
	install, ok := strings.CutPrefix(lines[0], "make packages && ")
	if !ok {
		t.Fatalf("the first command is %q", lines[0])
	}
	m := startMailhost(t)
	m.offer("postfix")
	m.dpkg("--force-depends -P postfix")
	m.Shell(machine.PostfixAnswers)
	m.Install(b.deb, "/root/postseal/bin/packages/"+filepath.Base(b.deb), 0o644)
	m.Shell("cd /root/postseal && DEBIAN_FRONTEND=noninteractive " + install)
	m.AwaitPostfix()
	m.setup(lines[1])
	m.signs()
	for _, selector := range m.selectors {
		m.Shell("postseal testkey -d example.com -s " + selector)
	}
}
