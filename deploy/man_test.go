//go:build deploy

package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/cmd/postseal/roff"
	"github.com/postseal/postseal/testdata/peers"
)

// render shows a page as a program does, as plain text of that many columns.
type render func(t *testing.T, file string) string

// renderers are the two programs that systems show pages with.
func renderers(t *testing.T) map[string]render {
	t.Helper()
	for _, program := range []string{"man", "mandoc", "col"} {
		if _, err := exec.LookPath(program); err != nil {
			peers.Require(t, err)
		}
	}
	run := func(t *testing.T, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "MANWIDTH=72", "LC_ALL=C.UTF-8", "MANROFFOPT=-ww", "MANOPT=")
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil || complaints.Len() > 0 {
			t.Errorf("%s %q: %v\n%s", name, args, err, complaints.String())
		}
		plain := exec.Command("col", "-bx")
		plain.Stdin = bytes.NewReader(out)
		plain.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		if out, err = plain.Output(); err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	return map[string]render{
		"groff":  func(t *testing.T, file string) string { t.Helper(); return run(t, "man", "--warnings", "-l", file) },
		"mandoc": func(t *testing.T, file string) string { t.Helper(); return run(t, "mandoc", "-T", "utf8", file) },
	}
}

// lint is what mandoc has against a page.
func lint(t *testing.T, file string) {
	t.Helper()
	if out, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}

// furniture are the lines of --help that are not about the command.
var furniture = []string{"Usage:", "Examples:", "Flags:", "Available Commands:", "Use \"postseal", "  help ", "  postseal [command]"}

// helpWords are the words of what --help prints.
func helpWords(t *testing.T, program string, command ...string) []string {
	t.Helper()
	out, err := exec.Command(program, append(command, "--help")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var words []string
lines:
	for line := range strings.SplitSeq(string(out), "\n") {
		for _, f := range furniture {
			if strings.HasPrefix(line, f) {
				continue lines
			}
		}
		words = append(words, strings.Fields(line)...)
	}
	return words
}

// usageWords are the words of what a command under OpenDKIM's name prints of its
// flags.
func usageWords(t *testing.T, program, name string) []string {
	t.Helper()
	link := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(link, "--help").CombinedOutput() // the exit status is OpenDKIM's
	_, usage, ok := strings.Cut(string(out), ": usage: ")
	if !ok {
		t.Fatalf("%s --help prints %q", name, out)
	}
	return strings.Fields(usage)
}

// bare is a word without what stands around it in a list or a title.
func bare(word string) string { return strings.ToLower(strings.Trim(word, ".,;:")) }

// Every page pleases mandoc, and what groff and mandoc show of it has each word
// that --help prints, none of them hyphenated.
func TestManPages(t *testing.T) {
	shows := renderers(t)
	dir := build(t)
	program := filepath.Join(dir, "postseal.real")
	for _, args := range [][]string{{"man", dir}, {"man", "--opendkim", dir}} {
		write := exec.Command(program, args...)
		write.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1793000000")
		if out, err := write.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	files, err := filepath.Glob(dir + "/man?/*")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d pages, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			lint(t, file)
			name, _, _ := strings.Cut(filepath.Base(file), ".")
			var words []string
			switch command, ok := strings.CutPrefix(name, "postseal-"); {
			case strings.HasSuffix(file, ".5"):
				words = exampleWords(t)
			case strings.HasSuffix(file, ".8"):
				words = usageWords(t, program, name)
			case ok:
				words = helpWords(t, program, command)
			default:
				words = helpWords(t, program)
			}
			for renderer, show := range shows {
				text := show(t, file)
				shown := make(map[string]int)
				for word := range strings.FieldsSeq(text) {
					shown[bare(word)]++
					// The list of commands has the pages' names.
					if page, ok := strings.CutSuffix(word, "(1)"); ok {
						shown[strings.TrimPrefix(page, "postseal-")]++
					}
				}
				for _, word := range words {
					if word = bare(word); word != "" && shown[word] == 0 {
						t.Errorf("%s does not show %q", renderer, word)
					}
					shown[word]--
				}
				if strings.Contains(text, "\u2010") {
					t.Errorf("%s hyphenates:\n%s", renderer, text)
				}
				if !strings.Contains(text, "2026-10-26") {
					t.Errorf("%s shows no date", renderer)
				}
			}
		})
	}
}

// exampleWords are those of the example configuration: of the comments, the
// settings and their values.
func exampleWords(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("postseal.toml")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, "# The five lines") || strings.HasPrefix(line, "# the hosts whose mail is signed. Every") || strings.HasPrefix(line, "# behind one") {
			continue // about the marks of the file
		}
		line = strings.TrimRight(strings.TrimLeft(line, "#"), "-")
		words = append(words, strings.Fields(strings.Replace(line, " = ", " ", 1))...)
	}
	return words
}

// Text that is nothing but traps for groff, mandoc and Markdown is shown as it is.
func TestManHostile(t *testing.T) {
	const text = `.so /etc/passwd
'so /etc/passwd
.\" a comment
\fBbold\fP \n(.z \*(lq \[u0041] \e \\ \ \c
.TH EVIL 9
" ' ` + "`" + ` ^ ~ - -- --- | ! # $ % & * _ < > ( ) [ ] { } @ = +
*@example.com <tag> _under_ **bold** [a](b) &amp; %i
..
é … 😀`
	p := roff.New(roff.Head{Name: `a"b\c.d`, Section: 1, Source: `x "y" \z`, Manual: "-"})
	p.Section(`.SH "A" \fB`)
	for line := range strings.SplitSeq(text, "\n") {
		p.Text(line)
		p.Text("    " + line)
		p.Item([]roff.Term{roff.Bold(line), roff.Italic(line)}, line)
	}
	file := filepath.Join(t.TempDir(), "hostile.1")
	write(t, file, p.String())
	for name, show := range renderers(t) {
		t.Run(name, func(t *testing.T) {
			shown := show(t, file)
			for line := range strings.SplitSeq(text, "\n") {
				if n := strings.Count(shown, line); n < 5 {
					t.Errorf("%q is shown %d times", line, n)
				}
			}
			if strings.Contains(shown, "root:") {
				t.Error("a file is included")
			}
			if t.Failed() {
				t.Log(shown)
			}
		})
	}
}
