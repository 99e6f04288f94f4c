package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/deploy"
	"github.com/spf13/pflag"
)

// unescaped is the text of a page: what the escapes stand for.
var unescaped = strings.NewReplacer(
	`\e`, `\`, `\-`, "-", `\(dq`, `"`, `\(aq`, "'", `\(ga`, "`", `\(ha`, "^", `\(ti`, "~", `\[u2026]`, "…",
	`\fB`, "", `\fI`, "", `\fP`, "", `\&`, "")

// lost are the words of a text that a page has less often.
func lost(text, page string) (missing []string) {
	count := make(map[string]int)
	for word := range strings.FieldsSeq(page) {
		count[bareWord(word)]++
	}
	for word := range strings.FieldsSeq(text) {
		if word = bareWord(word); word == "" {
			continue
		}
		if count[word]--; count[word] < 0 {
			missing = append(missing, word)
		}
	}
	return missing
}

// bareWord is a word without what stands around it in a list or a title.
func bareWord(word string) string { return strings.ToLower(strings.Trim(word, `.,;:"`)) }

// Each command and each of its flags has its place, and no word of the help is
// lost.
func TestManCommands(t *testing.T) {
	root := newRoot()
	dir := t.TempDir()
	m := manual{date: time.Unix(1_793_000_000, 0), version: "v1"}
	if err := writePages(dir, m.pages(root)); err != nil {
		t.Fatal(err)
	}
	main := manPage(t, dir, "man1/postseal.1")
	for _, c := range documented(root) {
		name := pageName(c)
		page := manPage(t, dir, "man1/"+name+".1")
		if !strings.HasPrefix(page, `.TH "`+strings.ToUpper(name)+`" "1" "2026-10-26" "postseal v1"`) {
			t.Errorf("%s begins with %.80q", name, page)
		}
		text := c.Short + " " + c.Long + " " + c.Example
		c.Flags().VisitAll(func(f *pflag.Flag) {
			_, usage := pflag.UnquoteUsage(f)
			text += " " + usage
			if !strings.Contains(page, "\n.TP\n") || !strings.Contains(page, "--"+f.Name+"\n") && !strings.Contains(page, "--"+f.Name+" ") {
				t.Errorf("%s: no item for --%s", name, f.Name)
			}
		})
		if missing := lost(text, page); len(missing) > 0 {
			t.Errorf("%s lacks %q", name, missing)
		}
		if c.HasParent() && !strings.Contains(main, name+"(1)\n"+c.Short) {
			t.Errorf("postseal(1) does not list %s", name)
		}
	}
	for _, name := range []string{"man1/postseal.1", "man1/postseal-serve.1", "man5/postseal.toml.5"} {
		_, words, _ := strings.Cut(manPage(t, dir, name), `.SH "ENVIRONMENT"`)
		if missing := lost(environmentWords(root), words); len(missing) > 0 || !strings.Contains(words, "POSTSEAL_") {
			t.Errorf("%s does not say what the environment sets: it lacks %q", name, missing)
		}
	}
	pages, err := filepath.Glob(dir + "/man*/*")
	if err != nil || len(pages) != len(documented(root))+1 {
		t.Errorf("pages: %q, %v", pages, err)
	}
}

func manPage(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return unescaped.Replace(string(text))
}

// Each setting has its place with its default, and no word of the example's
// comments is lost, but for those about the marks of the file.
func TestManSettings(t *testing.T) {
	page := unescaped.Replace(manual{}.settings(deploy.Example, "The environment too."))
	for key := range tomlKeys(reflect.TypeFor[config.Config]()) {
		if !strings.Contains(page, "\n.TP\n"+key+"\n") && !strings.Contains(page, "\n.TQ\n"+key+"\n") && !strings.Contains(page, "\n.TP\n[["+key+"]]\n") {
			t.Errorf("no item for %s", key)
		}
	}
	for key := range tomlKeys(reflect.TypeFor[config.Listener]()) {
		if !strings.Contains(page, "\n    "+key+" = ") {
			t.Errorf("no line for %s of [[listener]]", key)
		}
	}
	var text strings.Builder
	skipped := 0
	for paragraph := range strings.SplitSeq(deploy.Example, "\n#\n") {
		if strings.HasPrefix(paragraph, "# "+aboutMarks) {
			skipped++
			continue
		}
		for line := range strings.SplitSeq(paragraph, "\n") {
			text.WriteString(strings.TrimRight(strings.TrimLeft(line, "#"), "-") + "\n")
		}
	}
	if skipped != 1 {
		t.Errorf("%d paragraphs begin with %q", skipped, aboutMarks)
	}
	// Where a setting stands alone, its name is not repeated before its default.
	if missing := lost(strings.ReplaceAll(text.String(), " = ", " "), strings.ReplaceAll(page, " = ", " ")); len(missing) > 0 {
		t.Errorf("the page lacks %q", missing)
	}
}

// tomlKeys are the keys of a struct.
func tomlKeys(of reflect.Type) map[string]bool {
	keys := make(map[string]bool)
	for i := range of.NumField() {
		if key := of.Field(i).Tag.Get("toml"); key != "" {
			keys[key] = true
		}
	}
	return keys
}

// The house's form of help: every command that is not for packages alone has a
// long help, examples, and --json except where a shell reads the output.
func TestHelp(t *testing.T) {
	root := newRoot()
	for _, c := range documented(root) {
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s lacks help", c.CommandPath())
		}
		if c.Flags().Lookup("json") == nil && c.HasParent() && c.Name() != "completion" {
			t.Errorf("%s has no --json", c.CommandPath())
		}
	}
	if hidden, _, err := root.Find([]string{"man"}); err != nil || !hidden.Hidden {
		t.Errorf("man is not hidden: %v", err)
	}
	if strings.Contains(root.UsageString(), "\n  man ") {
		t.Error("--help lists man")
	}
}
