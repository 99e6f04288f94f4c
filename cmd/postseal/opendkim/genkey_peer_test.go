package opendkim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/testdata/peers"
)

// outcomeOf is what a run of a tool did: what it printed, how it ended and which
// files of its folder it changed, each with its mode and content.
type outcomeOf struct {
	Out, Err string
	Exit     int
	Files    map[string]string
}

// toolCase is one command line for OpenDKIM's tool and ours. @DIR@ in the words
// stands for the folder of the run. Where why is empty both do the same;
// otherwise it says why they differ, and ours is what ours does.
type toolCase struct {
	name  string
	args  string // words between blanks; '' is an empty one and _ a blank in a word
	input string
	why   string
	ours  outcomeOf // only what is set in it is compared
}

func (c toolCase) words(dir string) []string {
	var words []string
	for _, w := range strings.Fields(c.args) {
		if w == "''" {
			w = ""
		}
		words = append(words, strings.ReplaceAll(strings.ReplaceAll(w, "_", " "), "@DIR@", dir))
	}
	return words
}

// compareTool runs the cases with Debian's tool of that name and with ours, each
// in a folder of its own that prepare fills.
func compareTool(t *testing.T, name string, prepare func(t *testing.T, dir string), cases []toolCase) {
	program, err := lookPath(name)
	peers.Require(t, err)
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			theirDir, ourDir := toolDir(t), toolDir(t)
			for _, dir := range []string{theirDir, ourDir} {
				if prepare != nil {
					prepare(t, dir)
				}
			}
			theirs := playTheirs(t, program, name, theirDir, tt)
			ours := playOurs(t, name, ourDir, tt)
			if tt.why == "" {
				if diff := cmp.Diff(theirs, ours); diff != "" {
					t.Errorf("%s %s (-OpenDKIM +ours):\n%s", name, tt.args, diff)
				}
				return
			}
			if cmp.Equal(theirs, ours) {
				t.Errorf("%s %s: no difference any more, though %s", name, tt.args, tt.why)
			}
			if ours.Exit != tt.ours.Exit {
				t.Errorf("ended with %d, want %d", ours.Exit, tt.ours.Exit)
			}
			if !strings.Contains(ours.Out, tt.ours.Out) || !strings.Contains(ours.Err, tt.ours.Err) {
				t.Errorf("printed %q, %q; want in them %q, %q", ours.Out, ours.Err, tt.ours.Out, tt.ours.Err)
			}
			for file, want := range tt.ours.Files {
				if !strings.Contains(ours.Files[file], want) {
					t.Errorf("%s is %q; want in it %q", file, ours.Files[file], want)
				}
			}
		})
	}
}

// toolDir is a folder whose name can stand in lists: that of t.TempDir may have
// commas.
func toolDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "postseal-tool-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func playTheirs(t *testing.T, program, name, dir string, tt toolCase) outcomeOf {
	t.Helper()
	cmd := exec.Command(program, tt.words(dir)...)
	cmd.Args[0] = name
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(tt.input)
	var out, diagnostics bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	exit := 0
	if err := cmd.Run(); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			t.Fatal(err)
		}
		exit = ended.ExitCode()
	}
	return observe(t, dir, out.String(), diagnostics.String(), exit)
}

func playOurs(t *testing.T, name, dir string, tt toolCase) outcomeOf {
	t.Helper()
	var out, diagnostics bytes.Buffer
	exit := commands()[name](call{name: name, args: tt.words(dir), in: strings.NewReader(tt.input), out: &out, err: &diagnostics})
	return observe(t, dir, out.String(), diagnostics.String(), exit)
}

func observe(t *testing.T, dir, out, diagnostics string, exit int) outcomeOf {
	t.Helper()
	o := outcomeOf{Out: shape(out, dir), Err: shape(diagnostics, dir), Exit: exit, Files: map[string]string{}}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		o.Files[name] = fmt.Sprintf("%v\n%s", info.Mode(), shape(string(content), dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// shapes are what differs from run to run: keys, times, and where Perl died; and
// the line of our usage for --ed25519, which Debian's opendkim-genkey lacks.
var shapes = []struct{ old, new string }{
	{`p=M[A-Za-z0-9+/]+=*`, `p=KEY`},
	{`(?m)^(\t *")[A-Za-z0-9+/]{30,}=*"`, `${1}MORE"`},
	{`(?m)^(\t *")[A-Za-z0-9+/]+=*" \)`, `${1}END" )`},
	{`(?s)-----BEGIN PRIVATE KEY-----.*?-----END`, `-----BEGIN PRIVATE KEY----- KEY -----END`},
	{` at [A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} [0-9]{4}`, ` at TIME`},
	{`\t[0-9]{10}   ; Serial`, "\tSERIAL   ; Serial"},
	{`\bt=[0-9]{9,}`, `t=TIME`},
	{`(?m)^\t--ed25519 .*\n`, ``},
	{`(?m)^DKIM-Signature:.*\r\n(?:[ \t].*\r\n)*`, "SIGNATURE with CRLF\n"},
	{`(?m)^DKIM-Signature:.*\n(?:[ \t].*\n)*`, "SIGNATURE\n"},
	{` at /usr/sbin/\S+ line [0-9]+\.`, ``},
}

// shape is a text with a word in place of all that differs from run to run.
func shape(text, dir string) string {
	text = strings.ReplaceAll(text, dir, "@DIR@")
	for _, s := range shapes {
		text = regexp.MustCompile(s.old).ReplaceAllString(text, s.new)
	}
	return text
}

// Debian's opendkim-genkey and ours take the same command lines and write the
// same files.
func TestGenkeyAsOpenDKIM(t *testing.T) {
	t.Parallel()
	compareTool(t, "opendkim-genkey", nil, []toolCase{
		{name: "default", args: "-D @DIR@"},
		{name: "how-to", args: "-b 2048 -d example.com -D @DIR@ -s default -v"},
		{name: "attached", args: "-b1024 -dexample.com -D@DIR@ -ssel"},
		{name: "combined", args: "-atrSvb1024d example.com -D @DIR@"},
		{name: "letters behind digits", args: "-b1024vas sel -D @DIR@"},
		{name: "long", args: "--bits=1024 --domain=example.com --selector=sel --directory=@DIR@ --append-domain --testmode --restrict --verbose"},
		{name: "long, value apart", args: "--bits 1024 --domain example.com --selector sel --directory @DIR@"},
		{name: "abbreviated", args: "--bi 1024 --do example.com --sel s --dir @DIR@ --app --tes --res --verb"},
		{name: "case of names", args: "--BITS 1024 --Selector=s --Dir=@DIR@"},
		{name: "a letter behind two dashes", args: "--b 1024 --s=sel --D @DIR@ --directory @DIR@"},
		{name: "no subdomains", args: "-b 1024 --nosubdomains -D @DIR@"},
		{name: "no-subdomains", args: "-b 1024 --no-subd -D @DIR@"},
		{name: "no subdomains, tests", args: "-b 1024 -S -t -D @DIR@"},
		{name: "everything, then off", args: "-b 1024 -a -t -r -S --noa --notestmode --no-r --subdomains -D @DIR@"},
		{name: "hash algorithms", args: "-b 1024 -h sha1:sha256 -D @DIR@"},
		{name: "note", args: "-b 1024 -n made_for_you -D @DIR@"},
		{name: "restricted", args: "-b 1024 -r -s sel -D @DIR@"},
		{name: "operands", args: "one -b 1024 two -D @DIR@ three"},
		{name: "end of options", args: "-b 1024 -D @DIR@ -- -s other"},
		{name: "a value like a flag", args: "-b 1024 -s -v -D @DIR@", why: "a selector is a part of a domain name", ours: outcomeOf{Exit: 1, Err: "selector"}},
		{name: "no domain", args: "-b 1024 -d '' -D @DIR@"},
		{name: "no domain, long", args: "-b 1024 --domain= -D @DIR@"},
		{name: "piece of just 250", args: "-b 4096 -D @DIR@"},
		{name: "version", args: "-V"},
		{name: "version, long", args: "--versio"},
		{name: "help", args: "--help"},
		{name: "unknown letter", args: "-D @DIR@ -q"},
		{name: "unknown letters", args: "-D @DIR@ -aqvx"},
		{name: "unknown name", args: "--nonsense"},
		{name: "ambiguous", args: "--ver"},
		{name: "value missing", args: "-s"},
		{name: "no number", args: "-b many"},
		{name: "value of a flag", args: "--test=1"},
		{name: "missing folder", args: "-D @DIR@/absent"},
		{name: "short key", args: "-b 512 -D @DIR@", why: "no verifier takes such a key (RFC 8301 §3.2)", ours: outcomeOf{Exit: 1, Err: "opendkim-genkey: WARNING: RFC6376 advises minimum 1024-bit keys\n"}},
		{name: "no bits", args: "-b 0 -D @DIR@", why: "Debian's has words of openssl", ours: outcomeOf{Exit: 1, Err: "key size"}},
		{name: "the algorithm of signatures as a hash", args: "-b 1024 -h rsa-sha256 -D @DIR@", why: "no verifier finds its hash in this record", ours: outcomeOf{Err: "WARNING: h=rsa-sha256 allows no signature that passes", Files: map[string]string{"default.txt": "v=DKIM1; h=rsa-sha256; k=rsa; "}}},
		{name: "Ed25519", args: "--ed25519 -D @DIR@", why: "Debian's has no such option", ours: outcomeOf{Files: map[string]string{"default.txt": "default._domainkey\tIN\tTXT\t( \"v=DKIM1; h=sha256; k=ed25519; \"\n\t  \"p="}}},
		{name: "a selector that the shell would run", args: "-b 1024 -s a;echo_b>c -D @DIR@", why: "it is no name", ours: outcomeOf{Exit: 1, Err: "selector"}},
		{name: "note of several tags", args: "-b 1024 -n x;p=y -D @DIR@", why: "the record would have other tags", ours: outcomeOf{Exit: 1, Err: "note"}},
	})
}

// Keys that are there are overwritten by both: the files keep their owners and
// modes, and what a symbolic link leads to is replaced. Only ours says so.
func TestGenkeyOverwrites(t *testing.T) {
	t.Parallel()
	prepare := func(t *testing.T, dir string) {
		t.Helper()
		for name, mode := range map[string]os.FileMode{"real": 0o640, "default.txt": 0o644} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("old"), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("real", filepath.Join(dir, "default.private")); err != nil {
			t.Fatal(err)
		}
	}
	program, err := lookPath("opendkim-genkey")
	peers.Require(t, err)
	theirDir, ourDir := toolDir(t), toolDir(t)
	prepare(t, theirDir)
	prepare(t, ourDir)
	tt := toolCase{args: "-b 1024 -D @DIR@"}
	theirs, ours := playTheirs(t, program, "opendkim-genkey", theirDir, tt), playOurs(t, "opendkim-genkey", ourDir, tt)
	if want := "opendkim-genkey: WARNING: default.private was there already; the key that it held is overwritten\n"; ours.Err != want {
		t.Errorf("printed %q, want %q", ours.Err, want)
	}
	ours.Err = theirs.Err
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Errorf("-OpenDKIM +ours:\n%s", diff)
	}
	if info, err := os.Lstat(filepath.Join(ourDir, "default.private")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
}
