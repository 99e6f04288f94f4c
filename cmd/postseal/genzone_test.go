package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/nameserver"
	"github.com/postseal/postseal/testdata/peers"
)

// keyTable is a configuration with a key of each kind for the domains; the path is its
// file's.
func keyTable(t *testing.T, domains ...string) string {
	t.Helper()
	dir := t.TempDir()
	var table strings.Builder
	for i, d := range domains {
		for _, kind := range []string{"rsa", "ed25519"} {
			file := filepath.Join(dir, fmt.Sprintf("%s%d.private", kind, i))
			command(t, exitOK, "genkey", "-d", d, "-s", kind, "--type", kind, "-o", file)
			fmt.Fprintf(&table, "%s%d %s:%s:%s\n", kind, i, d, kind, file)
		}
	}
	writeFile(t, filepath.Join(dir, "key.table"), table.String())
	writeFile(t, filepath.Join(dir, "signing.table"), "")
	conf := filepath.Join(dir, "postseal.toml")
	writeFile(t, conf, "socket = \"inet:8891@localhost\"\nkey_table = \"file:key.table\"\nsigning_table = \"refile:signing.table\"\nrequire_safe_keys = false\n")
	return conf
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// command runs a command of the program in this process.
func command(t *testing.T, exit int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	err := root.ExecuteContext(t.Context())
	got := exitOK
	if err != nil {
		exit := exitError{code: exitFailed}
		errors.As(err, &exit)
		got = exit.code
		fmt.Fprintln(&errs, err)
	}
	if got != exit {
		t.Fatalf("%q ended with %d, want %d\n%s%s", args, got, exit, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// The records load into named, and dig reads them as the keys are.
func TestGenzoneLoads(t *testing.T) {
	t.Parallel()
	conf := keyTable(t, "example.com")
	text, _ := command(t, exitOK, "genzone", "-c", conf, "--ttl", "300")
	file := filepath.Join(t.TempDir(), "zone")
	writeFile(t, file, "$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 192.0.2.1\n"+text)
	out, err := exec.Command("named-checkzone", "-k", "fail", "-i", "full", "example.com", file).CombinedOutput()
	if len(out) == 0 {
		peers.Require(t, err)
	}
	if err != nil || strings.Contains(string(out), "ignoring") {
		t.Fatalf("%v: %s", err, out)
	}
	s := nameserver.Start(t, nameserver.Zone{Name: "example.com", Records: text})
	host, port, _ := net.SplitHostPort(s.Addr)
	for _, kind := range []string{"rsa", "ed25519"} {
		out, err := exec.Command("dig", "+short", "-p", port, "@"+host, kind+"._domainkey.example.com", "TXT").Output()
		peers.Require(t, err)
		value := strings.ReplaceAll(strings.Trim(strings.TrimSpace(string(out)), `"`), `" "`, "")
		if want := "v=DKIM1; h=sha256; k=" + kind + "; p="; !strings.HasPrefix(value, want) || len(value) < len(want)+40 {
			t.Errorf("dig reads %q", value)
		}
		command(t, exitOK, "testkey", "-d", "example.com", "-s", kind, "-k", filepath.Join(filepath.Dir(conf), kind+"0.private"), "--nameserver", s.Addr)
	}
}

// Only what DNS lacks is sent, other people's records stay, and a dry run changes
// nothing.
func TestGenzoneUpdate(t *testing.T) {
	t.Parallel()
	conf := keyTable(t, "example.com", "example.net", "denied.example")
	own, _ := command(t, exitOK, "genzone", "-c", conf, "example.net")
	own = own[strings.Index(own, "\n")+1:]
	own = strings.Replace(own, "v=DKIM1; h=sha256; k=ed25519", "v=DKIM1; n=by hand; k=ed25519", 1)
	s := nameserver.Start(t,
		nameserver.Zone{Name: "example.com", Records: `ed25519._domainkey TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`},
		nameserver.Zone{Name: "example.net", Records: own},
		nameserver.Zone{Name: "denied.example", Rules: "allow-update { none; };"})
	update := func(exit int, more ...string) (string, string) {
		t.Helper()
		return command(t, exit, slices.Concat([]string{"genzone", "-c", conf, "--update", "--server", s.Addr, "--tsig-key", s.KeyFile}, more)...)
	}
	says := func(text string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%q is not in\n%s", w, text)
			}
		}
	}
	// A key whose name is an alias is published where that leads.
	rsa, _ := command(t, exitOK, "genzone", "-c", conf, "example.net")
	_, rsa, _ = strings.Cut(rsa, "rsa._domainkey.example.net.")
	rsa, _, _ = strings.Cut(rsa, "ed25519.")
	s.Update(t, "example.net", "delete rsa._domainkey.example.net", "add rsa._domainkey.example.net. 60 CNAME one.example.net.",
		"add one.example.net. 60 CNAME rsa.example.net.", "add rsa.example.net. 60 "+strings.TrimSpace(rsa))
	for range 2 { // a dry run changes nothing
		out, errs := update(exitFailed, "--dry-run")
		says(out, "+ rsa._domainkey.example.com.\t", "+ rsa._domainkey.denied.example.", "; of 6 records 3 would be added, 0 would be replaced, 2 stand in DNS already")
		says(errs, "the key ed255190: ed25519._domainkey.example.com: another record stands there (\"v=DKIM1; k=ed25519; p=11qY", "--replace puts this one in its place")
	}
	out, errs := update(exitFailed)
	says(out, "+ rsa._domainkey.example.com.\t", "; of 6 records 1 were added, 0 were replaced, 2 stand")
	says(errs, "refuses to change rsa._domainkey.denied.example", "--replace")
	out, errs = update(exitOK, "--replace", "example.com")
	says(out, "+ ed25519._domainkey.example.com.\t", "- ed25519._domainkey.example.com.\tIN\tTXT\t\"v=DKIM1; k=ed25519; p=11qY", "; of 2 records 0 were added, 1 were replaced, 1 stand")
	says(errs, "records: 2 of 2")
	out, _ = update(exitOK, "--json", "example.com", "example.net")
	if strings.Count(out, `"state": "published"`) != 4 || strings.Contains(out, "changed") {
		t.Errorf("a second run changes something:\n%s", out)
	}
	for _, d := range []string{"example.com", "example.net"} {
		for _, kind := range []string{"rsa", "ed25519"} {
			command(t, exitOK, "testkey", "-d", d, "-s", kind, "--nameserver", s.Addr)
		}
	}
	// The zone and its primary are found by themselves; it answers at port 53 alone.
	r := s.Resolver(t)
	_, errs = command(t, exitFailed, "genzone", "-c", conf, "example.com", "--update", "--tsig-key", s.KeyFile, "--nameserver", r.Addr)
	says(errs, "cannot be reached by TCP", "name the server that takes updates of example.com. with --server")
}

// A wrong key ends the work at once: it would fail for each of thousands.
func TestGenzoneWrongKey(t *testing.T) {
	t.Parallel()
	conf := keyTable(t, "a.example", "b.example", "c.example", "d.example", "e.example", "f.example", "g.example", "h.example")
	s := nameserver.Start(t, nameserver.Zone{Name: "a.example"})
	file := filepath.Join(t.TempDir(), "other.key")
	writeFile(t, file, nameserver.Key("other", "hmac-sha256", "b3RoZXItc2VjcmV0LW5vdC1zZWNyZXQtYXQtYWxsLTE="))
	_, errs := command(t, exitFailed, "genzone", "-c", conf, "--update", "--server", s.Addr, "--tsig-key", file)
	if n := strings.Count(errs, "does not know the key"); n != 1 || !strings.Contains(errs, "16 of 16 records are left; run this again") {
		t.Errorf("told %d times:\n%s", n, errs)
	}
}
