package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTypeOfAValue(t *testing.T) {
	for _, tt := range []struct {
		name, text, kind, rest string
	}{
		{"bare path", "/etc/mail/hosts", "file", "/etc/mail/hosts"},
		{"file", "file:/etc/mail/hosts", "file", "/etc/mail/hosts"},
		{"file ending in .db", "file:/etc/mail/hosts.db", "file", "/etc/mail/hosts.db"},
		{"case of the type", "RefILE:table", "refile", "table"},
		{"list", "a, b", "csl", "a, b"},
		{"empty", "", "csl", ""},
		{"comma before the colon", "1.2.3.4,fe80::1", "csl", "1.2.3.4,fe80::1"},
		{"explicit list", "csl:::1", "csl", "::1"},
		{"relative path is a list", "./table", "csl", "./table"},
		{"blanks around", " \tfile:/x ", "file", "/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kind, rest, err := detect(tt.text)
			if err != nil || kind != tt.kind || rest != tt.rest {
				t.Errorf("detect(%q) = %q, %q, %v; want %q, %q", tt.text, kind, rest, err, tt.kind, tt.rest)
			}
		})
	}
}

func TestUnknownType(t *testing.T) {
	for _, tt := range []struct {
		name, text, hint string
	}{
		{"bare IPv6 address", "::1", `write "csl:::1"`},
		{"IPv6 list", "fe80::1,10.0.0.1", `write "csl:fe80::1,10.0.0.1"`},
		{"IPv6 network", "!2001:db8::/32", `write "csl:!2001:db8::/32"`},
		{"Berkeley DB", "/etc/mail/table.db", "Berkeley DB; this build reads the types file, refile and csl"},
		{"SQL", "dsn:mysql://u:secret@h/d", "this build reads the types file, refile and csl"},
		{"anything else", "k1=example.com:s1:/p", "put csl: before a list"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(Text(tt.text), Options{})
			if !errors.Is(err, ErrType) || !strings.Contains(err.Error(), tt.hint) {
				t.Errorf("Open(%q): %v; want ErrType with %q", tt.text, err, tt.hint)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestList(t *testing.T) {
	set, err := Open(Text("csl: a ,, b=c:d=e,A ,"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Row{{"a", "", 1}, {"b", "c:d=e", 2}, {"A", "", 3}}
	if diff := cmp.Diff(want, set.Rows()); diff != "" {
		t.Error(diff)
	}
	if row, ok := set.Get("B"); !ok || row.Value != "c:d=e" {
		t.Errorf("Get(B) = %v, %v", row, ok)
	}
	if diff := cmp.Diff([]Row{want[0], want[2]}, set.All("a")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "A"}, set.Values()); diff != "" {
		t.Error(diff)
	}
	if set.Source() != "csl" || set.Where(want[1]) != "csl element 2" || !set.Walkable() {
		t.Errorf("source %q, where %q, walkable %v", set.Source(), set.Where(want[1]), set.Walkable())
	}
}

func TestArray(t *testing.T) {
	set, err := Open(List("::1", "a,b", " name=v "), Options{ExactCase: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Row{{"::1", "", 1}, {"a,b", "", 2}, {"name", "v", 3}}, set.Rows()); diff != "" {
		t.Error(diff)
	}
	if _, ok := set.Get("NAME"); ok {
		t.Error("ExactCase found NAME for name")
	}
	for _, bad := range []string{"=x", "file:/etc/hosts"} {
		if _, err := Open(List("ok", bad), Options{}); err == nil || !strings.Contains(err.Error(), "element 2") {
			t.Errorf("List(ok, %s): %v; want an error that names element 2", bad, err)
		}
	}
	if set, err := Open(Spec{}, Options{}); err != nil || len(set.Rows()) != 0 {
		t.Errorf("unset: %v, %v", set, err)
	}
}

const table = "\xef\xbb\xbf# comment\r\n" +
	"  key1 \t value one # comment\r\n" +
	"\n" +
	"key2#joined\n" +
	"KEY1 second\n" +
	"  # only a comment\n" +
	"key3\tlast without newline"

func TestFile(t *testing.T) {
	path := write(t, "table", table)
	set, err := Open(Text("file:table"), Options{Base: filepath.Dir(path)})
	if err != nil {
		t.Fatal(err)
	}
	want := []Row{{"key1", "value one", 2}, {"key2", "", 4}, {"KEY1", "second", 5}, {"key3", "last without newline", 7}}
	if diff := cmp.Diff(want, set.Rows()); diff != "" {
		t.Error(diff)
	}
	if row, _ := set.Get("Key1"); row != want[0] {
		t.Errorf("Get(Key1) = %v; the first of two must win", row)
	}
	if set.Where(want[2]) != path+":5" || set.Kind() != "file" {
		t.Errorf("where %q, kind %q", set.Where(want[2]), set.Kind())
	}
}

func TestFileLongLine(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	set, err := Open(Text(write(t, "t", "k "+long+"\n")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if row, _ := set.Get("k"); row.Value != long {
		t.Errorf("value has %d bytes, want %d", len(row.Value), len(long))
	}
}

func TestRefile(t *testing.T) {
	text := "*@Example.com\tk1\n *@blank.example k\n*@*.example.com k2 # sub\nnovalue\nuser+tag@a.b k3\n* last\n"
	path := write(t, "t", text)
	set, err := Open(Text("refile:"+path), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"a@example.COM":     "k1",
		"a@sub.example.com": "k2",
		"a@blank.example":   "last",
		"user+tag@a.b":      "k3",
		"userrtag@a.b":      "last",
		"user+tag@aXb":      "last",
		"NoValue":           "",
	} {
		if row, ok := set.Get(key); !ok || row.Value != want {
			t.Errorf("Get(%q) = %v, %v; want %q", key, row, ok, want)
		}
	}
	if rows := set.All("a@example.com"); len(rows) != 2 || rows[0].Line != 1 || rows[1].Line != 6 {
		t.Errorf("All: %v", rows)
	}
	if notes := set.Notes(); len(notes) != 1 || !strings.HasPrefix(notes[0], path+":2: ") {
		t.Errorf("notes %q", notes)
	}
	if set.Walkable() {
		t.Error("a refile is not walkable")
	}
}

func TestNotARegularFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:             "is a directory",
		fifo:            "is a FIFO",
		"/dev/zero":     "is a device",
		dir + "/absent": "no such file",
	} {
		if _, err := Open(Text(path), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s): %v; want %q", path, err, want)
		}
	}
}

func TestNull(t *testing.T) {
	set, err := Open(Text("file:"+os.DevNull), Options{})
	if err != nil || len(set.Rows()) != 0 {
		t.Errorf("%v, %v", set, err)
	}
}

func TestElements(t *testing.T) {
	for _, tt := range []struct {
		name string
		spec Spec
		want []string
	}{
		{"list", Text("a, b,,c:d"), []string{"a", " b", "", "c:d"}},
		{"array", List("a", "b,c"), []string{"a", "b,c"}},
		{"file", Text("/etc/hosts"), nil},
		{"refile", Text("refile:x"), nil},
		{"no type", Text("x:y"), nil},
	} {
		if diff := cmp.Diff(tt.want, tt.spec.Elements()); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	path := write(t, "table", "refile is not compiled: (\n")
	for _, tt := range []struct {
		name string
		spec Spec
		want string // "" for no error
	}{
		{"file", Text(path), ""},
		{"relative refile", Text("refile:table"), ""},
		{"list", Text("a, b"), ""},
		{"array", List("a:b"), ""},
		{"missing", Text("file:absent"), "no such file"},
		{"folder", Text(filepath.Dir(path)), "is a directory"},
		{"no path", Text("file:"), "has no path"},
		{"the empty file", Text(os.DevNull), ""},
		{"type", Text("dsn:x"), "unknown data set type"},
	} {
		err := Check(tt.spec, Options{Base: filepath.Dir(path)})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestWebBlanks(t *testing.T) {
	path := write(t, "t", "a\u00a0x # \u00a0\nb y # \u00a0\n\u00a0*@c z\n\u2003\n\u200bd\u3000 v\ne\u00e9 w\n")
	for kind, want := range map[string][]Row{
		"file":   {{"a", "x", 1}, {"b", "y", 2}, {"*@c", "z", 3}, {"d", "v", 5}, {"e\u00e9", "w", 6}},
		"refile": {{"a", "x", 1}, {"b", "y", 2}, {"e\u00e9", "w", 6}}, // the others begin with a blank
	} {
		set, err := Open(Text(kind+":"+path), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, set.Rows()); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
		notes := strings.Join(set.Notes(), "\n")
		if !strings.Contains(notes, path+": blanks such as U+00A0") || !strings.Contains(notes, "(lines 1, 3, 4, 5)") {
			t.Errorf("%s: notes %q", kind, notes)
		}
	}
	if got := BlankLines([]int{1, 2, 3, 4, 5, 6, 7}); !strings.Contains(got, "(lines 1, 2, 3, 4, 5 and 2 more)") {
		t.Error(got)
	}
	if got := BlankLines([]int{9}); !strings.Contains(got, "(line 9)") {
		t.Error(got)
	}
}

func TestLimits(t *testing.T) {
	if _, err := ReadFile(write(t, "t", "123456"), 5); err == nil || !strings.Contains(err.Error(), "larger than 5 bytes") {
		t.Errorf("file: %v", err)
	}
	if _, err := ReadFile(write(t, "t", "12345"), 5); err != nil {
		t.Errorf("file at its limit: %v", err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"long line", "a b\n123456789\n", "x:2: the line is longer than 8 bytes"},
		{"rows", "a\nb\nc\nd\n", "x:4: more than 3 rows"},
		{"NUL", "a\n\x00\n", "x:2: the line has a NUL byte"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := &Set{kind: kindFile, path: "x"}
			if err := set.readLines(tt.text, 8, 3); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestUnmarshalTOML(t *testing.T) {
	var s Spec
	if s.IsSet() {
		t.Error("the zero Spec is set")
	}
	if err := s.UnmarshalTOML(""); err != nil || !s.IsSet() {
		t.Errorf("empty string: %v, set %v", err, s.IsSet())
	}
	if err := s.UnmarshalTOML([]any{"a", "b"}); err != nil || s.String() != "csl:a,b" {
		t.Errorf("array: %v, %q", err, s)
	}
	if err := s.UnmarshalTOML("file:/x"); err != nil || s.String() != "file:/x" || s.Items != nil {
		t.Errorf("string: %v, %q", err, s)
	}
	for _, bad := range []any{1, []any{"a", 2}, map[string]any{}} {
		if err := s.UnmarshalTOML(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
