package config

import (
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/config/dataset"
)

// otherWords are values of settings that take certain strings only, or that
// have others beside them checked.
var otherWords = map[string]string{
	"canonicalization": "simple/relaxed", "body_length": "accept", "log_format": "json", "log_lines": "both",
	"syslog_facility": "local3", "syslog_name": "opendkim", "minimum": "80%", "redirect_failures_to": "postmaster@example.com",
	"sender_macro": "mail_addr", "authserv_id": "mx.example.com",
}

// otherValue is a value of a field that is not its default.
func otherValue(t *testing.T, key string, field reflect.Value) any {
	t.Helper()
	switch v := field.Interface().(type) {
	case Strings:
		switch key {
		case "socket":
			return Strings{"inet:8891@localhost", `local:/run/a "b"\c`}
		case "author_must_match":
			return Strings{"login"}
		}
		return Strings{"192.0.2.53", "[2001:db8::53]:5353"}
	case []Listener:
		return []Listener{{Socket: "inet:8892@localhost", Mode: Mode{Sign: true}}, {Socket: "unix:/run/x"}}
	case dataset.Spec:
		return dataset.Text("refile:/etc/postseal/" + key)
	case Mode:
		return Mode{Verify: true}
	case FileMode:
		return FileMode(0o606)
	case Action:
		return (v + 1) % (Tempfail + 1)
	case Unpublished:
		return SkipUnpublished
	case Duration:
		return v + Duration(time.Second)
	case slog.Level:
		return slog.LevelError
	case bool:
		return !v
	case int, int64:
		return reflect.ValueOf(field.Int() + 8).Convert(field.Type()).Interface()
	case string:
		if word, ok := otherWords[key]; ok {
			return word
		}
		return "/etc/postseal/" + key
	}
	t.Fatalf("%s: no other value for a %s: add one here, and its form to valueText", key, field.Type())
	return nil
}

// decodeText is Parse without the check of values against each other.
func decodeText(t *testing.T, text []byte) *Config {
	t.Helper()
	c, err := Parse(text, "")
	if err == nil {
		return c
	}
	c = Default()
	d := decoder{origin: origin{lines: findLines(string(text)), bad: make(map[string]bool)}}
	var document map[string]any
	if _, err := toml.Decode(string(text), &document); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	d.document(c, document)
	if len(d.found) > 0 {
		t.Fatalf("%v\n%s", d.found, text)
	}
	return c
}

// checkSame compares what two configurations say, field by field.
func checkSame(t *testing.T, got, want *Config, text []byte) {
	t.Helper()
	g, w := fieldsOf(got), fieldsOf(want)
	for _, key := range w.keys {
		a, b := g.byKey[key].Interface(), w.byKey[key].Interface()
		if s, ok := b.(dataset.Spec); ok {
			o := a.(dataset.Spec)
			if s.IsSet() == o.IsSet() && (s.Text == o.Text || strings.TrimSpace(s.Text+o.Text) == "") && slices.Equal(s.Items, o.Items) {
				continue
			}
		} else if sameSetting(a, b) {
			continue
		}
		t.Errorf("%s: %#v became %#v in:\n%s", key, b, a, text)
	}
}

func writeTOML(t *testing.T, c *Config) []byte {
	t.Helper()
	text, err := c.TOML(WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Each setting alone, and all of them at once, come back as they were.
func TestTOMLOfEachField(t *testing.T) {
	all := Default()
	fields := fieldsOf(all)
	typed := reflect.TypeFor[Config]()
	for i := range typed.NumField() {
		if f := typed.Field(i); f.IsExported() && f.Name != "Notices" && f.Name != "Nameless" && f.Tag.Get("toml") == "" {
			t.Errorf("%s has no key in TOML", f.Name)
		}
	}
	for _, key := range fields.keys {
		one := Default()
		field := fieldsOf(one).byKey[key]
		field.Set(reflect.ValueOf(otherValue(t, key, field)))
		fields.byKey[key].Set(field)
		text := writeTOML(t, one)
		if !regexp.MustCompile(`(?m)^(\[\[listener\]\]$|` + key + ` = )`).Match(text) {
			t.Errorf("%s is not written: %q", key, text)
		}
		checkSame(t, decodeText(t, text), one, text)
	}
	text := writeTOML(t, all)
	c, err := Parse(text, "")
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	checkSame(t, c, all, text)
}

func TestTOMLOfDefaultIsEmpty(t *testing.T) {
	if text := writeTOML(t, Default()); len(text) > 0 {
		t.Errorf("the defaults are written:\n%s", text)
	}
}

func TestTOMLValues(t *testing.T) {
	long := strings.Split(strings.Repeat("X-Field-Name,", 20), ",")[:20]
	for _, row := range []struct {
		name   string
		change func(c *Config)
		want   string // without the heading
	}{
		{"a list not set", func(c *Config) { c.SignHeaders = dataset.Spec{} }, "sign_headers = \"\"\n"},
		{"an empty list", func(c *Config) { c.SignHeaders = dataset.List() }, "sign_headers = []\n"},
		{"an empty value", func(c *Config) { c.InternalHosts = dataset.Text(" ") }, "internal_hosts = []\n"},
		{"a value with commas", func(c *Config) { c.InternalHosts = dataset.Text("127.0.0.1, ::1") }, "internal_hosts = \"127.0.0.1, ::1\"\n"},
		{"a list with a comma", func(c *Config) { c.InternalHosts = dataset.List("a,b", "c") }, "internal_hosts = [\"a,b\", \"c\"]\n"},
		{"a long list", func(c *Config) { c.SignHeaders = dataset.List(long...) }, "sign_headers = [\n" +
			strings.Repeat("  "+strings.TrimSuffix(strings.Repeat(`"X-Field-Name", `, 6), " ")+"\n", 3) + "  \"X-Field-Name\", \"X-Field-Name\",\n]\n"},
		{"no socket", func(c *Config) { c.Socket = nil }, "socket = []\n"},
		{"a socket without a name", func(c *Config) { c.Socket = Strings{""} }, "socket = [\"\"]\n"},
		{"seconds", func(c *Config) { c.SignatureTTL = Duration(72 * time.Hour) }, "signature_ttl = 259200\n"},
		{"less than a second", func(c *Config) { c.FrameTimeout = Duration(1500 * time.Millisecond) }, "frame_timeout = \"1.5s\"\n"},
		{"what a string escapes", func(c *Config) { c.PidFile = "a\"\\\t\n\r\x00\x7f\u00a0é\u202e\U000e0001" },
			`pid_file = "a\"\\\t\n\r\u0000\u007f\u00a0é\u202e\U000e0001"` + "\n"},
		{"an action that is the default of all", func(c *Config) { c.OnDefault, c.OnDNSError = Reject, Accept },
			"on_default = \"reject\"\non_bad_signature = \"accept\"\non_no_signature = \"accept\"\non_dns_error = \"accept\"\n" +
				"on_key_not_found = \"accept\"\non_internal_error = \"tempfail\"\non_security = \"tempfail\"\n" +
				"on_bad_from = \"accept\"\non_no_aligned_pass = \"accept\"\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := Default()
			row.change(c)
			text := writeTOML(t, c)
			_, got, _ := strings.Cut(string(text), "\n\n")
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			checkSame(t, decodeText(t, text), c, text)
		})
	}
}

func TestTOMLRefusesWhatIsNoUTF8(t *testing.T) {
	for _, change := range []func(c *Config){
		func(c *Config) { c.KeyFile = "/etc/k\xe9y" },
		func(c *Config) { c.KeyTable = dataset.Text("file:\xff") },
		func(c *Config) { c.Nameservers = Strings{"a", "\xc3"} },
	} {
		c := Default()
		change(c)
		if _, err := c.TOML(WriteOptions{}); err == nil || !strings.Contains(err.Error(), "no UTF-8") {
			t.Errorf("%v", err)
		}
	}
}

func TestTOMLComments(t *testing.T) {
	c := Default()
	c.Mode = Mode{Sign: true}
	c.KeyTable, c.SigningTable = dataset.Text("/k"), dataset.Text("/s")
	c.Listener = []Listener{{Socket: "inet:1@localhost"}}
	text, err := c.TOML(WriteOptions{
		Head: "one\n\nmode = 5\x00\xff",
		Comment: func(key string) string {
			if key == "key_table" {
				return ""
			}
			return key + "\r\x1b]\n[[listener]]"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	dashes := func(title string) string { return "## " + title + " " + strings.Repeat("-", 74-len(title)) + "\n\n" }
	want := "# one\n#\n# mode = 5\ufffd\ufffd\n\n\n" +
		dashes("What it does") + "# mode\ufffd\ufffd]\n# [[listener]]\nmode = \"s\"\n\n\n" +
		dashes("Who signs with what") + "key_table = \"/k\"\n\n# signing_table\ufffd\ufffd]\n# [[listener]]\nsigning_table = \"/s\"\n\n\n" +
		dashes("Further sockets") + "# listener\ufffd\ufffd]\n# [[listener]]\n[[listener]]\nsocket = \"inet:1@localhost\"\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	got, err := Parse(text, "")
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, got, c, text)
}

// The written file is divided as the example is.
func TestSectionsAreThoseOfTheExample(t *testing.T) {
	var want, got []string
	heading := regexp.MustCompile(`^## (.*?) -+$`)
	inListener := false
	for line := range strings.Lines(readExample(t)) {
		line = strings.TrimSuffix(line, "\n")
		if m := heading.FindStringSubmatch(line); m != nil {
			if len(line) != headingWidth {
				t.Errorf("%q has not %d characters", line, headingWidth)
			}
			want = append(want, "## "+m[1])
		}
		if m := assignment.FindStringSubmatch(line); m != nil && !inListener {
			inListener = strings.HasPrefix(m[2], "[[")
			key, _, _ := strings.Cut(strings.Trim(m[2], "[]"), " ")
			want = append(want, key)
		}
	}
	for _, s := range sections {
		got = append(append(got, "## "+s.title), s.keys...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deploy/postseal.toml and the sections (-file +sections)\n%s", diff)
	}
}

// Whatever Parse takes is written so that it comes back as it was.
func FuzzTOMLRoundTrip(f *testing.F) {
	example, err := os.ReadFile(exampleFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add(assignment.ReplaceAllString(string(example), "$2"))
	f.Add("on_default = \"reject\"\non_security = \"a\"\nsign_headers = \"\"\nnameservers = \"127.0.0.1\"")
	f.Add("socket = []\nlistener = [{socket = \"inet:1@[::1]\", mode = \"v\"}]\nsignature_ttl = \"1.000000001s\"")
	f.Add("pid_file = \"\\u0000\\U0001f600\\u202e'''\"\nkey_table = [\"a\\nb\", \"\"]\nsigning_table = \" \"")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]byte(text), "")
		if err != nil {
			return
		}
		written := writeTOML(t, c)
		again, err := Parse(written, "")
		if err != nil {
			t.Fatalf("%v in:\n%s", err, written)
		}
		checkSame(t, again, c, written)
		if twice := writeTOML(t, again); string(twice) != string(written) {
			t.Errorf("written again it is:\n%s\nafter:\n%s", twice, written)
		}
	})
}
