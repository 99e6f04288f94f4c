package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/postseal/postseal/config/dataset"
)

// asVariable is a value of TOML as a variable has it.
func asVariable(t *testing.T, value any) string {
	t.Helper()
	switch value := value.(type) {
	case []any:
		items := make([]string, len(value))
		for i, item := range value {
			items[i] = item.(string)
		}
		return strings.Join(items, ",")
	case string, bool, int64:
		return fmt.Sprint(value)
	}
	t.Fatalf("%v is a %T", value, value)
	return ""
}

// sameMeaning compares the settings of two configurations; a list is the same
// however it is written.
func sameMeaning(t *testing.T, got, want *Config) {
	t.Helper()
	g, w := fieldsOf(got), fieldsOf(want)
	for _, key := range g.keys {
		a, b := g.byKey[key].Interface(), w.byKey[key].Interface()
		if spec, ok := a.(dataset.Spec); ok {
			other := b.(dataset.Spec)
			if spec.Elements() != nil && slices.Equal(spec.Elements(), other.Elements()) {
				continue
			}
		}
		if !sameValue(a, b) {
			t.Errorf("%s: the variable makes it %v, the file %v", key, a, b)
		}
	}
}

// samples are values of every kind of setting, good and bad.
func samples(kind reflect.Type) []string {
	switch kind.Kind() {
	case reflect.Bool:
		return []string{"true", "false"}
	case reflect.Int, reflect.Int64:
		if kind == reflect.TypeFor[int]() || kind == reflect.TypeFor[int64]() {
			return []string{"7", "2048", "-5", "99999999999"}
		}
	}
	words := []string{
		"a.example", "s1", "/etc/x", "file:/etc/x", "refile:y", "csl:a,b", "login", "80%", "v", "s", "sv", "0640", "999", "7m", "90",
		"discard", "reject", "warn", "json", "both", "accept", "simple", "local3", "inet:1@localhost", "local:/run/x", "192.0.2.1", "nonsense words",
	}
	var quoted []string
	for _, word := range words {
		if kind != reflect.TypeFor[Strings]() || !strings.Contains(word, ",") { // which divides a variable, and not a string
			quoted = append(quoted, strconv.Quote(word))
		}
	}
	if kind == reflect.TypeFor[Strings]() || kind == reflect.TypeFor[dataset.Spec]() {
		quoted = append(quoted, `["a.example", "b.example"]`, `["login", "envelope"]`, `["192.0.2.1", "192.0.2.2"]`)
	}
	return quoted
}

// Every setting of the example, with the value that it has there and with others,
// means by its variable what it means in a file, mistakes included.
func TestEnvironmentMeansWhatTheFileDoes(t *testing.T) {
	text, _, _ := strings.Cut(readExample(t), "#[[listener]]\n")
	fields := fieldsOf(new(Config))
	settings := 0
	for _, m := range assignment.FindAllStringSubmatch(text, -1) {
		key, value, _ := strings.Cut(m[2], " = ")
		settings++
		t.Run(key, func(t *testing.T) {
			tried, good := map[string]bool{}, 0
			for _, value := range append([]string{value}, samples(fields.byKey[key].Type())...) {
				var document map[string]any
				line := key + " = " + value + "\n"
				if _, err := toml.Decode(line, &document); err != nil {
					t.Fatal(err)
				}
				variable := asVariable(t, document[key])
				if variable == "" || tried[variable] {
					continue // a variable without a value is none
				}
				tried[variable] = true
				e := NewEnvironment([]string{variableOf(key) + "=" + variable})
				want, wantErr := Parse([]byte(line), "f")
				got, err := e.parse(nil, "")
				switch {
				case wantErr != nil && err != nil:
					problem := strings.ReplaceAll(wantErr.Error(), "f:1: "+key+": ", variableOf(key)+": ")
					if problem != err.Error() {
						t.Errorf("%s: the variable has %q, the file %q", value, err, problem)
					}
				case wantErr != nil || err != nil:
					t.Errorf("%s: the variable has the error %v, the file %v", value, err, wantErr)
				default:
					good++
					sameMeaning(t, got, want)
					if want := []string{variableOf(key)}; !slices.Equal(got.Variables(), want) {
						t.Errorf("variables: %q", got.Variables())
					}
				}
			}
			// These need each other: see TestEnvironmentAlone.
			together := []string{"key_table", "signing_table", "domain", "selector", "key_file"}
			if good == 0 && !slices.Contains(together, key) {
				t.Error("no value of it was good")
			}
		})
	}
	if want := len(fields.keys) - 1; settings != want { // listener
		t.Errorf("%d settings, want %d", settings, want)
	}
}

func TestEnvironmentOverFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postseal.toml")
	file := "mode = \"v\"\nlog_level = 7\nsocket = \"inet:1@localhost\"\non_default = \"discard\"\n" +
		"runtime_directory = \"/run/file\"\n[[listener]]\nsocket = \"inet:2@localhost\"\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	e := NewEnvironment([]string{
		"POSTSEAL_SOCKET=inet:3@localhost, inet:4@localhost", "POSTSEAL_LOG_LEVEL=debug", "POSTSEAL_ON_SECURITY=reject",
		"POSTSEAL_RUNTIME_DIRECTORY=/run/variable", "POSTSEAL_DRAIN_TIMEOUT=", "PATH=/bin",
	})
	c, err := e.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Strings{"inet:3@localhost", "inet:4@localhost"}); !slices.Equal(c.Socket, want) {
		t.Errorf("socket: %q", c.Socket)
	}
	if c.Mode.String() != "v" || len(c.Listener) != 1 || c.LogLevel.String() != "DEBUG" || c.DrainTimeout != Default().DrainTimeout {
		t.Errorf("mode %v, listener %v, log_level %v, drain_timeout %v", c.Mode, c.Listener, c.LogLevel, c.DrainTimeout)
	}
	if c.OnSecurity != Reject || c.OnBadFrom != Discard {
		t.Errorf("on_security %v, on_bad_from %v: on_default takes the place of a variable, or not that of a default", c.OnSecurity, c.OnBadFrom)
	}
	if !slices.Equal(c.Sources(), []string{path}) || c.BaseDirectory != filepath.Dir(path) {
		t.Errorf("sources %q, base_directory %q", c.Sources(), c.BaseDirectory)
	}
	want := []string{"POSTSEAL_LOG_LEVEL", "POSTSEAL_ON_SECURITY", "POSTSEAL_RUNTIME_DIRECTORY", "POSTSEAL_SOCKET"}
	if !slices.Equal(c.Variables(), want) {
		t.Errorf("variables: %q", c.Variables())
	}
	for _, row := range []struct {
		e    Environment
		want string
	}{{e, "/run/variable"}, {Environment{}, "/run/file"}} {
		if dir, err := row.e.FindRuntimeDirectory(path); err != nil || dir != row.want {
			t.Errorf("runtime directory: %q, %v; want %q", dir, err, row.want)
		}
	}
	if _, err := e.Load(path + ".missing"); !os.IsNotExist(unwrapped(err)) {
		t.Errorf("a missing file: %v", err)
	}
}

func unwrapped(err error) error {
	if w, ok := err.(interface{ Unwrap() error }); ok {
		return w.Unwrap()
	}
	return err
}

func TestEnvironmentAlone(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "/run/here")
	e := NewEnvironment([]string{
		"POSTSEAL_DOMAIN=example.com,example.net", "POSTSEAL_SELECTOR=s1", "POSTSEAL_KEY_FILE=keys/s1.private",
		"POSTSEAL_INTERNAL_HOSTS=file:hosts", "POSTSEAL_SYSLOG=no", "POSTSEAL_SANDBOX=1",
	})
	c, err := e.Alone()
	if err != nil {
		t.Fatal(err)
	}
	base := "/"
	if info, err := os.Stat("/etc/postseal"); err == nil && info.IsDir() {
		base = "/etc/postseal"
	}
	if c.BaseDirectory != base || c.RuntimeDirectory != "/run/here" || len(c.Sources()) != 0 {
		t.Errorf("base_directory %q, runtime_directory %q, sources %q", c.BaseDirectory, c.RuntimeDirectory, c.Sources())
	}
	if got := c.Domain.Elements(); !slices.Equal(got, []string{"example.com", "example.net"}) || c.Selector != "s1" {
		t.Errorf("domain %q, selector %q", got, c.Selector)
	}
	if want := []string{filepath.Join(base, "hosts"), filepath.Join(base, "keys/s1.private")}; !slices.Equal(c.Files(), want) {
		t.Errorf("files %q, want %q", c.Files(), want)
	}
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %v", w)
	}
}

// What is wrong is told with the variable, all at once, and never with a key.
func TestEnvironmentProblems(t *testing.T) {
	const secret = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"
	const private = ": a private key does not belong into the environment, which is shown to others; put it into a file, and write its path, from / or ./ on"
	for _, row := range []struct {
		name, variable string
		want           string // the error, or, behind "warning: ", the warning; "" for neither
	}{
		{"a word", "POSTSEAL_MODE=x", `POSTSEAL_MODE: unknown mode "x"; want "s" (sign), "v" (verify) or "sv" (both)`},
		{"a near word", "POSTSEAL_LOG_FORMAT=jsn", `POSTSEAL_LOG_FORMAT: unknown word "jsn"; want text or json; did you mean json?`},
		{"no number", "POSTSEAL_MAXIMUM_HEADERS=many", `POSTSEAL_MAXIMUM_HEADERS: want a whole number, found "many"`},
		{"no boolean", "POSTSEAL_SYSLOG=maybe", `POSTSEAL_SYSLOG: want true or false, found "maybe"`},
		{"no time", "POSTSEAL_DNS_TIMEOUT=long", `POSTSEAL_DNS_TIMEOUT: "long" is no time; want seconds such as 90, or a string such as "90s", "5m" or "72h"`},
		{"out of range", "POSTSEAL_DNS_TIMEOUT=300", "POSTSEAL_DNS_TIMEOUT: 5m0s: Postfix waits 5m0s (milter_content_timeout) and then defers the mail; want less"},
		{"alone", "POSTSEAL_SELECTOR=s1", "POSTSEAL_SELECTOR: needs key_file too; set both or neither"},
		{"one of a list", "POSTSEAL_NAMESERVERS=192.0.2.1,x y", `POSTSEAL_NAMESERVERS: "x y" is no address; want one such as 127.0.0.1, ::1, 127.0.0.1:5353 or [::1]:5353`},
		{"mistyped", "POSTSEAL_SELEKTOR=s1", "POSTSEAL_SELEKTOR: no setting is called so; did you mean POSTSEAL_SELECTOR?"},
		{"OpenDKIM's name", "POSTSEAL_KEYTABLE=/etc/x", "POSTSEAL_KEYTABLE: no setting is called so; did you mean POSTSEAL_KEY_TABLE?"},
		{"small letters", "POSTSEAL_mode=v", "POSTSEAL_mode: no setting is called so; did you mean POSTSEAL_MODE?"},
		{"a listener", "POSTSEAL_LISTENER=inet:1@localhost", "POSTSEAL_LISTENER: the sockets with a mode of their own stand in a file, as [[listener]]"},
		{"a private key", "POSTSEAL_KEY_FILE=-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----", "POSTSEAL_KEY_FILE: the value is more than a line of text"},
		{"its base64", "POSTSEAL_KEY_FILE=" + secret, "POSTSEAL_KEY_FILE" + private},
		{"its base64 in a table", "POSTSEAL_KEY_TABLE=csl:k=example.com:s1:" + secret, "POSTSEAL_KEY_TABLE" + private},
		{"no UTF-8", "POSTSEAL_SELECTOR=\xff", "POSTSEAL_SELECTOR: the value is more than a line of text"},
		{"nothing like it", "POSTSEAL_FAVOURITE_COLOUR=blue", "warning: POSTSEAL_FAVOURITE_COLOUR: no setting is called so; the variable has no effect"},
		{"a setting that is odd", "POSTSEAL_IDLE_TIMEOUT=60", "warning: POSTSEAL_IDLE_TIMEOUT: 1m0s is less than 5m0s: an MTA is silent while its client sends the mail, and slow clients' mail would pass unsigned and unverified"},
		{"without a value", "POSTSEAL_SELEKTOR=", ""},
		{"Kubernetes: host", "POSTSEAL_SERVICE_HOST=10.0.0.1", ""},
		{"Kubernetes: port", "POSTSEAL_SERVICE_PORT=8891", ""},
		{"Kubernetes: named port", "POSTSEAL_SERVICE_PORT_MILTER=8891", ""},
		{"Kubernetes: link", "POSTSEAL_PORT=tcp://10.0.0.1:8891", ""},
		{"Kubernetes: link of a port", "POSTSEAL_PORT_8891_TCP=tcp://10.0.0.1:8891", ""},
		{"Kubernetes: its protocol", "POSTSEAL_PORT_8891_TCP_PROTO=tcp", ""},
		{"Kubernetes: its address", "POSTSEAL_PORT_8891_TCP_ADDR=10.0.0.1", ""},
		{"Kubernetes: a service with a longer name", "POSTSEAL_SOCKET_SERVICE_HOST=10.0.0.1", ""},
		{"our own process", "POSTSEAL_PROCESS=worker", ""},
		{"our own tests", "POSTSEAL_REQUIRE_PEERS=1", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := NewEnvironment([]string{row.variable})
			c, err := e.parse(nil, "")
			got := fmt.Sprint(err)
			if err == nil {
				got = ""
				for _, w := range c.Warnings() {
					got += "warning: " + w.String()
				}
			}
			if got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			if strings.Contains(got, secret[:20]) {
				t.Error("the private key is told")
			}
			meant := strings.HasPrefix(row.want, "POSTSEAL") || strings.Contains(row.want, "IDLE_TIMEOUT")
			if names := e.Settings(); (len(names) > 0) != meant {
				t.Errorf("settings: %q", names)
			}
		})
	}
}

// All problems are told at once, those of the file first and with its line.
func TestEnvironmentProblemsTogether(t *testing.T) {
	e := NewEnvironment([]string{"POSTSEAL_MODE=x", "POSTSEAL_KEY_FILE=/k", "POSTSEAL_BODY_LENGTH=nine"})
	_, err := e.parse([]byte("mode = 7\nlog_format = \"x\"\nfoo = 1\n"), "f")
	want := `f:2: log_format: unknown word "x"; want text or json
f:3: unknown key "foo"
POSTSEAL_MODE: unknown mode "x"; want "s" (sign), "v" (verify) or "sv" (both)
POSTSEAL_KEY_FILE: needs selector too; set both or neither
POSTSEAL_BODY_LENGTH: unknown word "nine"; want whole, accept, ignore or fail`
	if fmt.Sprint(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
