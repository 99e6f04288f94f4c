package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/config/dataset"
)

func TestValidate(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // part of the one problem; "" is none
	}{
		{"tables", "key_table = \"a\"\nsigning_table = \"b\"", ""},
		{"only a signing table", "signing_table = \"a\"", "1: signing_table: needs key_table"},
		{"only a key table", "key_table = \"a\"", "1: key_table: needs signing_table"},
		{"an empty key table", "key_table = \"\"\nsigning_table = \"a\"", "2: signing_table: needs key_table"},
		{"one key", "domain = \"a\"\nselector = \"s\"\nkey_file = \"k\"", ""},
		{"key file without selector", "domain = \"a\"\nkey_file = \"k\"", "2: key_file: needs selector too"},
		{"selector without key file", "selector = \"s\"", "1: selector: needs key_file too"},
		{"domain alone", "domain = \"a\"", "1: domain: needs key_file and selector"},
		{"key without domain", "selector = \"s\"\nkey_file = \"k\"", "2: key_file: needs domain"},
		{"one key beside tables", "key_table = \"a\"\nsigning_table = \"b\"\ndomain = \"a\"", ""},
		{"further folders", "sandbox_read = \"/srv\"", ""},
		{"a further folder without a name", "sandbox_read = [\"/srv\", \"\"]", "1: sandbox_read: an element is empty"},
		{"signs with nothing", "mode = \"s\"", `1: mode: "s" only signs`},
		{"signs and verifies with nothing", "mode = \"sv\"", ""},
		{"a listener signs with nothing", "[[listener]]\nsocket = \"/a\"\nmode = \"s\"", `3: listener: "s" only signs`},
		{"canonicalization", "canonicalization = \"relaxed/strict\"", `1: canonicalization: unknown word "strict"`},
		{"canonicalization of the header alone", "canonicalization = \"Relaxed\"", ""},
		{"canonicalization of three", "canonicalization = \"simple/simple/simple\"", "has more than"},
		{"body_length", "body_length = \"hole\"", `unknown word "hole"; want whole, accept, ignore or fail; did you mean whole?`},
		{"author_must_match", "author_must_match = [\"login\", \"sender\"]", `unknown word "sender"; want login or envelope`},
		{"log_level", "log_level = \"info+1\"", `1: log_level: unknown level "info+1"; want debug`},
		{"log_level unknown", "log_level = \"loud\"", `1: log_level: unknown level "loud"; want debug, info, warn or error`},
		{"syslog_facility", "syslog_facility = \"nonews\"", `unknown word "nonews"`},
		{"syslog_name", "syslog_name = \"post seal\"", "1: syslog_name:"},
		{"authserv_id", "authserv_id = \"a\\r\\nb\"", "control character"},
		{"few key bits", "minimum_key_bits = 512", "512 is not within 1024 and 16384"},
		{"many key bits", "maximum_key_bits = 32768", "32768 is not within"},
		{"key bits crossed", "minimum_key_bits = 4096\nmaximum_key_bits = 2048", "1: minimum_key_bits: 4096 is more than maximum_key_bits, 2048"},
		{"signatures", "maximum_signatures_to_verify = -1", "-1 is not within"},
		{"headers", "maximum_headers = 10", "10 is not within"},
		{"fields", "maximum_header_fields = -1", "-1 is not within"},
		{"connections", "maximum_connections = 0", "0 is not within"},
		{"signed bytes", "maximum_signed_bytes = 0", "want -1"},
		{"negative time", "drain_timeout = -1", "-1s is negative"},
		{"no time", "frame_timeout = 0", "leaves no time"},
		{"short life", "signature_ttl = \"5ms\"", "less than the second"},
		{"slow DNS", "dns_timeout = 300", "want less"},
		{"no socket", "socket = []", "1: socket: none is given"},
		{"a listener alone", "socket = []\n[[listener]]\nsocket = \"/a\"", ""},
		{"bad socket", "socket = \"foo\"", `1: socket: "foo": want inet:`},
		{"socket twice", "socket = [\"/a\", \"local:/a\"]", `"local:/a" is there twice`},
		{"socket again in a listener", "socket = \"inet:1@127.0.0.1\"\n[[listener]]\nsocket = \"inet:1@[127.0.0.1]\"", "3: listener: "},
		{"monitor", "monitor_socket = \"inet:9891\"\nmonitor_keys = 0", ""},
		{"bad monitor socket", "monitor_socket = \"9891\"", `1: monitor_socket: "9891": want inet:`},
		{"monitor where mail is", "socket = \"inet6:9891@::1\"\nmonitor_socket = \"inet6:9891\"", `2: monitor_socket: "inet6:9891" is a socket for mail`},
		{"monitored keys", "monitor_keys = -1", "-1 is not within"},
		{"nameservers", "nameservers = [\"127.0.0.1\", \"[::1]:5353\", \"::1\", \"[::1]\", \"10.0.0.1:53\"]", ""},
		{"nameserver by name", "nameservers = \"localhost\"", `1: nameservers: "localhost" is no address`},
		{"nameserver with a bad port", "nameservers = \"127.0.0.1:0\"", "is no address"},
		{"nine nameservers", "nameservers = [" + strings.Repeat("\"::1\",", 9) + "]", "9 are given"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, got := parse(tt.text)
			if tt.want == "" {
				if got != "" {
					t.Errorf("problems:\n%s", got)
				}
				return
			}
			if !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
				t.Errorf("got:\n%s\nwant %q alone", got, tt.want)
			}
		})
	}
}

// A Config that comes from no file is checked as well.
func TestValidateWithoutFile(t *testing.T) {
	c := Default()
	if p := c.Validate(); len(p) > 0 {
		t.Errorf("default: %v", p)
	}
	c.SigningTable = dataset.Text("a")
	c.SocketMode = 0o1777
	c.Mode = Mode{}
	want := "signing_table: needs key_table, which says where the keys that it names are\n" +
		"mode: none is given; want \"s\", \"v\" or \"sv\"\n" +
		"socket_mode: " + errFileMode.Error()
	if diff := cmp.Diff(want, c.Validate().Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"default", "", ""},
		{"short patience", "idle_timeout = 60", "1: idle_timeout: 1m0s is less than 5m0s"},
		{"l=", "maximum_signed_bytes = 100", "1: maximum_signed_bytes: anyone can append"},
		{"l= for some", "body_length_db = \"a@b.example\"", "1: body_length_db: anyone can append"},
		{"no macro", "sender_macro = \"a, b\"", `1: sender_macro: "a, b" is no name of a macro`},
		{"further folders without a sandbox", "sandbox = false\nsandbox_read = \"/srv\"", "2: sandbox_read: has no effect without sandbox"},
		{"fields without rules", "replace_headers = \"From\"", "1: replace_headers: has no effect without replace_rules"},
		{"all interfaces", "socket = \"inet:8891\"", `1: socket: "inet:8891" listens on all interfaces`},
		{"a monitor on a port", "monitor_socket = \"inet:9891\"", ""},
		{"a monitor on an IPv6 port", "monitor_socket = \"inet6:9891\"", ""},
		{"a monitor on this machine", "monitor_socket = \"inet:9891@localhost\"", ""},
		{"a monitor on a file", "monitor_socket = \"local:/run/m\"", ""},
		{"a monitor for all", "monitor_socket = \"inet:9891@0.0.0.0\"", `1: monitor_socket: "inet:9891@0.0.0.0": everybody who reaches it`},
		{"a monitor under a name", "monitor_socket = \"inet6:9891@mail.example.com\"", "1: monitor_socket:"},
		{"tables and a key", "key_table = \"a\"\nsigning_table = \"b\"\n\nkey_file = \"c\"", "4: key_file: has no effect beside key_table"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, problems := parse(tt.text)
			if problems != "" {
				t.Fatal(problems)
			}
			got := c.Warnings().Error()
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	known := fieldsOf(Default()).keys
	tests := []struct{ in, want string }{
		{"sining_table", "signing_table"},
		{"SigningTable", "signing_table"},
		{"signing-table", "signing_table"},
		{"on_dnserror", "on_dns_error"},
		{"nameserver", "nameservers"},
		{"socktes", "socket"},
		{"xyzzy", ""},
		{"", ""},
		{strings.Repeat("mode", 100), ""},
	}
	for _, tt := range tests {
		if got := Nearest(tt.in, known); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestOrigin(t *testing.T) {
	c := Default()
	c.Socket, c.Mode = nil, Mode{Sign: true} // its own program takes both
	c.DNSTimeout, c.MinimumKeyBits, c.MaximumKeyBits = 0, 4096, 2048
	c.KeyTable, c.SigningTable, c.Selector = dataset.Text("/k"), dataset.Text("/s"), "s"
	c.SetOrigin(Origin{
		File: "o.conf", Names: []string{"DNSTimeout", "Minimum-KeyBits", "Selector", "KeyTable"},
		Places: map[string]string{"DNSTimeout": "more.conf:7", "Selector": "o.conf:2"},
	})
	c.Notices = Problems{{"o.conf:1", "X: no effect"}}
	want := Problems{
		{"o.conf", "Minimum-KeyBits: 4096 is more than maximum_key_bits, 2048"},
		{"more.conf:7", "DNSTimeout: 0 leaves no time at all"},
	}
	if diff := cmp.Diff(want, c.Validate()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Problems{{"o.conf:1", "X: no effect"}, {"o.conf:2", "Selector: has no effect beside KeyTable; remove it"}}, c.Warnings()); diff != "" {
		t.Error(diff)
	}
}
