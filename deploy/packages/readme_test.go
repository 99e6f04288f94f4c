//go:build deploy

package packages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readme runs the three commands of the README's section "Install", but for the
// building itself, on a machine with Debian's Postfix: from then on mail is signed.
func readme(t *testing.T, b built) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "\n## Install\n")
	_, block, _ = strings.Cut(block, "```sh\n")
	block, _, _ = strings.Cut(block, "```")
	lines := strings.Split(strings.TrimSpace(block), "\n")
	if len(lines) != 3 {
		t.Fatalf("the README has %d commands:\n%s", len(lines), block)
	}
	install, ok := strings.CutPrefix(lines[0], "make packages && ")
	if !ok {
		t.Fatalf("the first command is %q", lines[0])
	}
	m := startMailhost(t)
	m.setUpPostfix()
	m.Install(b.deb, "/root/postseal/bin/packages/"+filepath.Base(b.deb), 0o644)
	m.Shell("cd /root/postseal && echo y | " + install) // it asks whether to go on
	m.Shell("cd /root/postseal && " + lines[1])
	m.genkey(lines[2])
	m.signs()
	testkey := "postseal testkey -d example.com -s " + m.selector
	if !strings.Contains(string(text), "`"+testkey+"`") {
		t.Errorf("the README does not name %s", testkey)
	}
	m.Shell(testkey)
}
