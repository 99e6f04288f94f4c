package milter

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/testdata/secrets"
)

// A key's file that is taken for the configuration, for a table or for a list is
// not repeated in what is said of it.
func TestKeyFilesInTheWrongPlace(t *testing.T) {
	for _, kind := range []string{"rsa", "ed25519"} {
		key, err := keys.Generate(kind, 2048)
		if err != nil {
			t.Fatal(err)
		}
		secret := secrets.Of(t, key)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		armour := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		for form, text := range map[string]string{
			"PEM": armour, "base64": base64.StdEncoding.EncodeToString(der), "DER": string(der),
			"CRLF": strings.ReplaceAll(armour, "\n", "\r\n"), "indented": strings.ReplaceAll(armour, "\n", "\n  "), "half": armour[:len(armour)*2/3],
		} {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if form != "DER" && secret.In("x: "+text) == "" {
				t.Fatalf("%s, %s: it is not recognised", kind, form)
			}
			ask := func(place, said string) {
				t.Helper()
				if found := secret.In(said); found != "" {
					t.Errorf("%s, %s, as %s: %s", kind, form, place, found)
				}
			}
			_, err := opendkim.LoadConfig(path, config.Environment{})
			ask("the configuration", fmt.Sprint(err))
			_, err = config.Load(path)
			ask("postseal.toml", fmt.Sprint(err))
			_, err = opendkim.Load(path, opendkim.Options{})
			ask("opendkim.conf", fmt.Sprint(err))
			_, err = opendkim.FindRuntimeDirectory(path, config.Environment{})
			ask("the configuration of a command", fmt.Sprint(err))
			for _, place := range settingsWithFiles() {
				var said strings.Builder
				cfg := config.Default()
				cfg.KeyTable, cfg.SigningTable = dataset.Text("k=example.com:s:"+path), dataset.Text("*=k")
				cfg.LogLevel = -8
				place.set(cfg, path)
				log, _, err := NewLogger(cfg, &said)
				if err != nil {
					t.Fatal(err)
				}
				s, err := Load(cfg, Environment{Keys: keys.NewCache(10, noProof, log), Log: log})
				fmt.Fprintln(&said, err, cfg.Validate())
				if err == nil {
					fmt.Fprintln(&said, s.Disabled(), s.Keys())
				}
				ask(place.name, said.String())
			}
		}
	}
}

func noProof(string, string, crypto.Signer) error { return nil }

// setting is one that names a file.
type setting struct {
	name string
	set  func(c *config.Config, path string)
}

func settingsWithFiles() (all []setting) {
	v := reflect.TypeFor[config.Config]()
	for i := range v.NumField() {
		name := v.Field(i).Tag.Get("toml")
		switch v.Field(i).Type {
		case reflect.TypeFor[dataset.Spec]():
			for _, kind := range []string{"file:", "refile:"} {
				all = append(all, setting{kind + name, func(c *config.Config, path string) {
					reflect.ValueOf(c).Elem().Field(i).Set(reflect.ValueOf(dataset.Text(kind + path)))
				}})
			}
		case reflect.TypeFor[string]():
			if name == "test_public_keys" || name == "replace_rules" {
				all = append(all, setting{name, func(c *config.Config, path string) { reflect.ValueOf(c).Elem().Field(i).SetString(path) }})
			}
		}
	}
	return all
}

// Nothing that the daemon says has a part of its keys: each line of its log at its
// lowest level, the answers of its control socket and its monitor, what the commands print, and
// what is left when it crashes; and it leaves no core dump.
func TestDaemonKeepsItsKeys(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	const lines = `log_level = "debug"
log_lines = "both"
log_why = true
log_results = true
syslog_success = true
on_internal_error = "tempfail"
sandbox = false # it would keep the core dump from being written, too
`
	w := layWatching(t, program, lines)
	w.settings(lines + fmt.Sprintf("monitor_socket = %q\n", "local:"+w.at("m")))
	rsa, err := keys.Generate("rsa", 2048)
	w.must(err)
	inline, err := keys.Generate("ed25519", 0)
	w.must(err)
	com, err := keys.ReadPrivate(w.at("com.private"))
	w.must(err)
	secret := secrets.Of(t, rsa, inline, com)
	w.must(keys.WritePrivate(w.at("rsa.private"), rsa))
	der, err := x509.MarshalPKCS8PrivateKey(inline)
	w.must(err)
	text := base64.StdEncoding.EncodeToString(der)
	table := "com example.com:com:" + w.at("com.private") + "\nrsa example.net:rsa:" + w.at("rsa.private") + "\ninline example.org:inline:" + text + "\n"
	w.put("key.table", table)
	w.put("signing.table", rowCom+"*@example.org inline\n*@example.net rsa\n")
	w.must(w.records.Add("inline._domainkey.example.org", keys.RecordText(inline.Public())))
	w.must(w.records.Add("rsa._domainkey.example.net", keys.RecordText(rsa.Public())))

	cmd := exec.Command("sh", "-c", `ulimit -c "$(ulimit -H -c)" && exec "$0" serve -c postseal.toml`, program)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GOTRACEBACK=crash")
	w.run(cmd)
	var said strings.Builder
	ask := func() {
		t.Helper()
		for _, args := range [][]string{
			{"status"}, {"status", "--json"}, {"reload"}, {"reload", "--json"}, {"check-config"}, {"check-config", "--json"},
			{"explain", "a@example.org"}, {"explain", "a@example.net", "--json"},
		} {
			args = append(args, "-c", w.at("postseal.toml"))
			out, _ := exec.Command(program, args...).CombinedOutput() // some fail, and say why
			said.Write(out)
		}
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", w.at("run/control.sock"))
		}}}
		for _, path := range []string{"/", "/status", "/reload", "/debug/pprof/heap", "/metrics"} {
			res, err := c.Get("http://postseal" + path)
			w.must(err)
			_, err = io.Copy(&said, res.Body)
			w.must(err)
			res.Body.Close()
		}
		for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/debug/pprof/heap"} {
			_, text := askMonitor(t, w.at("m"), path)
			said.WriteString(text)
		}
	}
	for _, domain := range []string{"example.com", "example.org", "example.net"} {
		if !w.signs(domain) {
			t.Fatalf("%s is not signed\n%s", domain, w.log)
		}
	}
	ask()
	// Files in every kind of disorder, one after the other.
	whole, err := os.ReadFile(w.at("rsa.private"))
	w.must(err)
	for i, change := range []func(){
		func() { w.put("rsa.private", string(whole[:len(whole)/2])) },
		func() { w.put("rsa.private", strings.Replace(string(whole), "\n", "\n!", 1)) },
		func() { w.must(os.Chmod(w.at("rsa.private"), 0o644)) },
		func() { w.put("key.table", strings.ReplaceAll(table, "example.org:inline:", "")) },
		func() { w.put("key.table", text+" example.org:inline:x\n"+table) },
		func() { w.put("key.table", string(whole)) },
		func() { w.put("key.table", table); w.put("signing.table", string(whole)+rowCom) },
		func() { w.put("signing.table", rowCom); w.put("hosts", string(whole)) },
		func() { w.put("hosts", "127.0.0.1\n"); w.put("postseal.toml", string(whole)) },
	} {
		before := strings.Count(w.log.String(), "reload")
		change()
		w.must(w.Signal(syscall.SIGHUP))
		w.until(fmt.Sprintf("change %d is seen", i), func() bool { return strings.Count(w.log.String(), "reload") > before })
		for _, domain := range []string{"example.com", "example.org", "example.net"} {
			w.m.deliver(letter{header: header(domain), body: "x\r\n"})
		}
		ask()
	}
	if state, err := json.Marshal(said.String()); err != nil || len(state) < 1000 {
		t.Fatalf("the commands say little: %s", state)
	}

	w.hasNoCore()
	w.must(w.Signal(syscall.SIGABRT))
	select {
	case <-w.ended:
	case <-time.After(time.Minute):
		t.Fatal("it does not crash")
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.CoreDump() || status.Signal() != syscall.SIGABRT {
		t.Errorf("it ended with %v, a core dump: %t", cmd.ProcessState, status.CoreDump())
	}
	if cores, _ := filepath.Glob(w.at("core*")); len(cores) > 0 {
		t.Errorf("left behind: %q", cores)
	}
	if log := w.log.String(); !strings.Contains(log, "goroutine ") || !strings.Contains(log, "SIGABRT") {
		t.Errorf("no traceback:\n%s", log)
	}
	for what, text := range map[string]string{"the log": w.log.String(), "what the commands print": said.String()} {
		if found := secret.In(text); found != "" {
			t.Errorf("%s has a part of a key: %s", what, found)
		}
	}
}

// hasNoCore wants the limit that forbids a core dump, or where that was 0 for good,
// a dump without memory.
func (w *watching) hasNoCore() {
	w.t.Helper()
	var limit unix.Rlimit
	w.must(unix.Prlimit(w.Pid, unix.RLIMIT_CORE, nil, &limit))
	filter, err := os.ReadFile(fmt.Sprintf("/proc/%d/coredump_filter", w.Pid))
	w.must(err)
	if limit != (unix.Rlimit{Cur: 1, Max: 1}) && (limit.Max != 0 || strings.Trim(string(filter), "0\n") != "") {
		w.t.Errorf("core dumps of %d bytes, at most %d, with %q", limit.Cur, limit.Max, filter)
	}
}
