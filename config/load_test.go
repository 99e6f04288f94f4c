package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/config/dataset"
)

// parse parses text as postseal.toml; problems come back as text.
func parse(text string) (*Config, string) {
	c, err := Parse([]byte(text), "postseal.toml")
	if err != nil {
		return nil, err.Error()
	}
	return c, ""
}

func TestFindRuntimeDirectory(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "/run/given")
	for _, row := range []struct {
		name, text, want, err string
	}{
		{"named", `runtime_directory = "/run/x"`, "/run/x", ""},
		{"not named", `mode = "sv"`, "/run/given", ""},
		{"beside problems", "sokcet = 1\nmode = 5\nruntime_directory = \"/run/x\"", "/run/x", ""},
		{"of another type", "runtime_directory = 5", "/run/given", ""},
		{"no TOML", "mode =\n", "", "postseal.toml:1: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "postseal.toml")
			if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := FindRuntimeDirectory(path)
			if got != row.want || (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
				t.Errorf("%q, error %v; want %q, error %q", got, err, row.want, row.err)
			}
		})
	}
	if _, err := FindRuntimeDirectory(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestParseProblems(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // without "postseal.toml:"
	}{
		{"misspelt", "\n# x\nsining_table = \"a\"\n", []string{`3: unknown key "sining_table"; did you mean signing_table?`}},
		{"OpenDKIM's name", "KeyTable = \"a\"", []string{`1: unknown key "KeyTable"; did you mean key_table?`}},
		{"letter case", "Mode = \"s\"", []string{`1: unknown key "Mode"; did you mean mode?`}},
		{"nothing near", "colour = 1", []string{`1: unknown key "colour"`}},
		{"unknown table", "mode = \"sv\"\n\n[logging]\nlevel = 1", []string{`3: unknown key "logging"`}},
		{"dotted", "\nlogging.level = 1", []string{`2: unknown key "logging"`}},
		{"quoted key", "\"a b\" = 1", []string{`1: unknown key "a b"`}},
		{"syntax", "mode = \"sv\"\nsocket = \n", []string{`2: expected value but found '\n' instead (last key "socket")`}},
		{"duplicate key", "mode = \"sv\"\nmode = \"s\"\n", []string{`2: Key 'mode' has already been defined. (last key "mode")`}},
		{"types", "syslog = \"yes\"\nselector = 1\nmaximum_headers = \"1\"\nmode = 1\nkey_table = 5\nsocket = true\ndns_timeout = 1.5\non_security = [1]\nlistener = 1", []string{
			"1: syslog: want true or false without quotes, found a string",
			"2: selector: want a string in quotes, found a number",
			"3: maximum_headers: want a whole number without quotes, found a string",
			"4: mode: want a string in quotes, found a number",
			"5: key_table: this takes a string or an array of strings",
			"6: socket: want a string in quotes or an array of them, found true or false",
			`7: dns_timeout: want whole seconds or a string such as "5m", found a number with a fraction`,
			"8: on_security: want a string in quotes, found an array",
			"9: listener: want a table that begins with [[listener]], found a number",
		}},
		{"unpublished keys", "unpublished_keys = \"reject\"", []string{`1: unpublished_keys: unknown value "reject"; want sign, skip or tempfail`}},
		{"in line order, of all kinds", "dns_timeout = 600\nfoo = 1\non_security = \"banana\"\nlog_format = \"xml\"\n", []string{
			"1: dns_timeout: 10m0s: Postfix waits 5m0s (milter_content_timeout) and then defers the mail; want less",
			`2: unknown key "foo"`,
			`3: on_security: unknown action "banana"; want accept, discard, quarantine, reject or tempfail`,
			`4: log_format: unknown word "xml"; want text or json`,
		}},
		{"after strings and arrays of many lines", "nameservers = [\n  \"127.0.0.1\", # ]\n  \"::1\",\n]\nauthserv_id = \"\"\"\nmode = 1\n\"\"\"\nfoo = 1", []string{
			`5: authserv_id: "mode = 1\n" holds a control character`,
			`8: unknown key "foo"`,
		}},
		{"listeners", "[[listener]]\nsocket = \"inet:1@localhost\"\n[[listener]]\nmode = \"x\"\nsokcet = \"a\"\n[[listener]]\nsocket = \"inet:0\"\nkey_table = \"a\"\n", []string{
			"3: listener: it has no socket; add one, such as socket = \"inet:8892@localhost\"",
			`4: listener: mode: unknown mode "x"; want "s" (sign), "v" (verify) or "sv" (both)`,
			`5: listener: unknown key "sokcet"; did you mean socket?`,
			`7: listener: "inet:0": port "0": want a number from 1 to 65535`,
			"8: key_table is no key of a [[listener]]; move it above the first [[listener]]",
		}},
		{"single table", "[listener]\nsocket = \"inet:1@localhost\"", []string{"1: listener: want a table that begins with [[listener]], found a table"}},
		{"inline listeners", "mode = \"sv\"\nlistener = [{socket = \"x\"}, {socket = \"inet:2@localhost\", foo = 1}]", []string{
			`2: listener: unknown key "foo"`,
			`2: listener: "x": want inet:PORT@HOST, inet6:PORT@HOST, local:/PATH or unix:/PATH`,
		}},
		{"a bad value has no second problem", "signing_table = \"a\"\nkey_table = 1", []string{"2: key_table: this takes a string or an array of strings"}},
		{"not UTF-8", "mode = \"\xff\"", []string{`1: invalid UTF-8 byte: 0xff (last key "mode")`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, got := parse(tt.text)
			want := "postseal.toml:" + strings.Join(tt.want, "\npostseal.toml:")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseValues(t *testing.T) {
	c, problems := parse(`
socket = ["inet:8891@localhost", "unix:/run/p"]
mode = "v"
key_table = "file:/k"
signing_table = ["*@a b", "c d"]
peer_list = ""
mta = []
on_default = "reject"
on_no_signature = "a"
log_level = "debug"
idle_timeout = "1h"
clock_drift = 10
socket_mode = "0600"
remove_ar_all = false
maximum_signed_bytes = 5
[[listener]]
socket = "inet:1@localhost"
[[listener]]
socket = "inet:2@localhost"
mode = "s"
`)
	if problems != "" {
		t.Fatal(problems)
	}
	for _, v := range []struct {
		key       string
		got, want any
	}{
		{"socket", c.Socket, Strings{"inet:8891@localhost", "unix:/run/p"}},
		{"mode", c.Mode, Mode{Verify: true}},
		{"key_table", c.KeyTable.String(), "file:/k"},
		{"signing_table", c.SigningTable.Items, []string{"*@a b", "c d"}},
		{"peer_list is unset", c.PeerList.IsSet(), false},
		{"mta is set", c.MTA.IsSet(), true},
		{"on_no_signature", c.OnNoSignature, Accept},
		{"on_bad_signature by default", c.OnBadSignature, Reject},
		{"on_dns_error by default", c.OnDNSError, Reject},
		{"on_no_aligned_pass by default", c.OnNoAlignedPass, Reject},
		{"log_level", c.LogLevel, slog.LevelDebug},
		{"idle_timeout", c.IdleTimeout.Std(), time.Hour},
		{"clock_drift", c.ClockDrift.Std(), 10 * time.Second},
		{"socket_mode", c.SocketMode.Mode(), fs.FileMode(0o600)},
		{"remove_ar_all", c.RemoveARAll, false},
		{"maximum_signed_bytes", c.MaximumSignedBytes, int64(5)},
		{"listener", c.Listener, []Listener{{Socket: "inet:1@localhost"}, {Socket: "inet:2@localhost", Mode: Mode{Sign: true}}}},
		{"untouched", c.MaximumHeaders, Default().MaximumHeaders},
	} {
		if diff := cmp.Diff(v.want, v.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", v.key, diff)
		}
	}
}

func TestParseEmptyIsDefault(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "\ufeff", "\r\n"} {
		c, problems := parse(text)
		if problems != "" {
			t.Errorf("%q: %s", text, problems)
			continue
		}
		got, want := fieldsOf(c), fieldsOf(Default())
		for _, key := range want.keys {
			if g, w := got.byKey[key].Interface(), want.byKey[key].Interface(); !sameValue(g, w) {
				t.Errorf("%q: %s = %v, want %v", text, key, g, w)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "postseal.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(folder); err == nil {
		t.Error("a folder is taken")
	}

	t.Setenv("RUNTIME_DIRECTORY", "/run/a:/run/b")
	write("selector = \"s\"\nkey_file = \"keys/s\"\ndomain = \"example.com\"\n")
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.BaseDirectory != folder || c.Path(c.KeyFile) != filepath.Join(folder, "keys/s") || c.Path("/k") != "/k" || c.Path("") != "" {
		t.Errorf("base %q, key %q", c.BaseDirectory, c.Path(c.KeyFile))
	}
	if c.RuntimeDirectory != "/run/a" {
		t.Errorf("runtime_directory %q", c.RuntimeDirectory)
	}

	t.Setenv("RUNTIME_DIRECTORY", "")
	write("base_directory = \"sub\"\nruntime_directory = \"\"")
	if c, err = Load(path); err != nil {
		t.Fatal(err)
	}
	if c.BaseDirectory != filepath.Join(folder, "sub") || c.RuntimeDirectory != DefaultRuntimeDirectory {
		t.Errorf("base %q, runtime %q", c.BaseDirectory, c.RuntimeDirectory)
	}

	write("foo = 1")
	_, err = Load(path)
	want := Problems{{Where: path + ":1", Text: `unknown key "foo"`}}
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error %v", err)
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	write("#" + strings.Repeat(" ", MaxFile))
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("large file: %v", err)
	}
}

// refuser fails on every value, so that the library tells the key's line.
type refuser struct{}

func (*refuser) UnmarshalTOML(any) error { return errors.New("refused") }

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"mode = \"s\"\n", "a = '''\n'''' \nb = 1", "a.b = 1\n[c]\nd = \"\"\"\\\"\"\"\"\n[[e]]\n", "listener = [{socket = \"inet:1\"}]",
		"[[listener]]\nsocket = 1\n", "x = [ # ]\n'a', [\"]\"]]\ny = {z = '}'}", "\"a\\\"b\" = 1", "on_default = \"r\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data, "f")
		if err == nil {
			if p := c.Validate(); len(p) > 0 {
				t.Errorf("accepted, yet not valid: %v", p)
			}
		} else {
			last := 0
			for _, p := range err.(Problems) {
				var line int
				if _, err := fmt.Sscanf(p.Where, "f:%d", &line); err != nil && p.Where != "f" {
					t.Errorf("place %q", p.Where)
				}
				if line < last && line > 0 || line > strings.Count(string(data), "\n")+1 {
					t.Errorf("line %d after %d", line, last)
				}
				last = line
			}
		}
		checkLines(t, string(data))
	})
}

// checkLines compares our lines of top-level values with the library's, which
// for a string of many lines are those of its end.
func checkLines(t *testing.T, text string) {
	t.Helper()
	var document map[string]toml.Primitive
	meta, err := toml.Decode(text, &document)
	if err != nil {
		return
	}
	found := findLines(text)
	for key, value := range document {
		if strings.Contains(key, ".") || key == "" || meta.Type(key) == "Hash" || meta.Type(key) == "ArrayHash" || meta.Type(key) == "" {
			continue // headers and dotted keys: the library tells of the last one
		}
		var parse toml.ParseError
		if err := meta.PrimitiveDecode(value, &refuser{}); !errors.As(err, &parse) {
			continue
		}
		many := strings.Contains(text, `"""`) || strings.Contains(text, `'''`)
		if got := found.at(key); got != parse.Position.Line && (!many || got == 0 || got > parse.Position.Line) {
			t.Errorf("%q is on line %d, not %d, of %q", key, parse.Position.Line, got, text)
		}
	}
}

func TestDefaultIsFresh(t *testing.T) {
	Default().SignHeaders.Items[0] = "changed"
	Default().Socket[0] = "changed"
	if d := Default(); d.SignHeaders.Items[0] != "From" || d.Socket[0] == "changed" {
		t.Error("a change to one default shows in the next")
	}
	if got := dataset.List(senderHeaders()...).String(); got != Default().SenderHeaders.String() {
		t.Errorf("sender_headers: %s", got)
	}
}
