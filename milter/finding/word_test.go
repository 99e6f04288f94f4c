package finding

import (
	"os/exec"
	"testing"
)

// A shell reads the word as it was.
func TestWord(t *testing.T) {
	for _, s := range []string{"plain", "/etc/postfix/main.cf", "", "two words", "it's", "a;b", "$HOME", "`id`", "a\nb", "ü", `\`, "*", "~", "#"} {
		out, err := exec.Command("sh", "-c", "printf %s "+Word(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q: a shell reads %q, %v", s, out, err)
		}
	}
	if got := Word("/etc/postfix"); got != "/etc/postfix" {
		t.Errorf("a plain word is %q", got)
	}
}
