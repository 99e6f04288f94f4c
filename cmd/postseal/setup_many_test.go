package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/nameserver"
	"github.com/postseal/postseal/testdata/program"
)

// emptySite is a configuration with empty tables, for a set-up that leaves the rest of
// the machine alone: the arguments that name it.
func emptySite(t *testing.T) (dir string, args []string) {
	t.Helper()
	dir = t.TempDir()
	writeFile(t, filepath.Join(dir, "key.table"), "")
	writeFile(t, filepath.Join(dir, "signing.table"), "")
	conf := filepath.Join(dir, "postseal.toml")
	writeFile(t, conf, "socket = \"inet:8891@localhost\"\nkey_table = \"file:key.table\"\nsigning_table = \"refile:signing.table\"\nrequire_safe_keys = false\nmultiple_signatures = true\nruntime_directory = \""+dir+"\"\n")
	return dir, []string{"-c", conf, "--journal", filepath.Join(dir, "state", "journal"), "--postfix", "none", "--no-service", "--address", "192.0.2.7", "--user", "root"}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Nothing signs before the name server shows both keys; when the time is up the same
// command goes on with the same keys.
func TestSetupWait(t *testing.T) {
	t.Parallel()
	s := nameserver.Start(t, nameserver.Zone{Name: "example.com"}, nameserver.Zone{Name: "late.example", Rules: "allow-update { none; };"})
	dir, site := emptySite(t)
	if os.Geteuid() != 0 {
		site = site[:len(site)-2] // one works for oneself
	}
	run := func(exit int, args ...string) (string, string) {
		t.Helper()
		return command(t, exit, slices.Concat([]string{"setup"}, args, site, []string{"--nameserver", s.Addr, "--wait"})...)
	}
	_, errs := run(exitFailed, "example.com", "--now", "2026-11-22T10:00:00Z", "--timeout", "1s")
	if !strings.Contains(errs, "2 of 2 keys are not to be seen everywhere after 1s, and do not sign; to go on: ") {
		t.Errorf("%s", errs)
	}
	table := readFile(t, filepath.Join(dir, "key.table"))
	if strings.Count(table, "\n") != 2 || readFile(t, filepath.Join(dir, "signing.table")) != "" {
		t.Fatalf("it signs, or has not these keys:\n%s", table)
	}
	update := []string{"--update", "--server", s.Addr, "--tsig-key", s.KeyFile}
	out, _ := run(exitOK, append([]string{"example.com", "--now", "2026-11-23T10:00:00Z"}, update...)...)
	signing := readFile(t, filepath.Join(dir, "signing.table"))
	if signing != "*@example.com 20261122r._domainkey.example.com\n*@example.com 20261122e._domainkey.example.com\n" {
		t.Errorf("signing table:\n%s\n%s", signing, out)
	}
	if got := readFile(t, filepath.Join(dir, "key.table")); got != table {
		t.Errorf("other keys:\n%s", got)
	}
	if !strings.Contains(out, "DNS has all records of example.com") {
		t.Errorf("%s", out)
	}
	for _, kind := range "re" {
		command(t, exitOK, "testkey", "-d", "example.com", "-s", "20261122"+string(kind), "--nameserver", s.Addr)
	}
	if out, _ := run(exitOK, "example.com"); !strings.Contains(out, "Nothing was changed") {
		t.Errorf("a second run: %s", out)
	}
	// One of two domains is late: the other signs, and what DNS refuses is told.
	out, errs = run(exitFailed, append([]string{"late.example", "example.com", "--timeout", "1s"}, update...)...)
	if !strings.Contains(errs, "to go on: ") || !strings.Contains(out, "refuses to change") || strings.Contains(readFile(t, filepath.Join(dir, "signing.table")), "late.example") {
		t.Errorf("%s\n%s", out, errs)
	}
}

// Each domain is signed as soon as its keys are to be seen, though others never are; what
// ends the wait leaves it so, and one undo takes all of it back.
func TestSetupWaitEach(t *testing.T) {
	t.Parallel()
	s := nameserver.Start(t, nameserver.Zone{Name: "early.example"}, nameserver.Zone{Name: "never.example", Rules: "allow-update { none; };"})
	dir, site := emptySite(t)
	if os.Geteuid() != 0 {
		site = site[:len(site)-2]
	}
	var out, errs program.Output
	root := newRoot()
	root.SetArgs(slices.Concat([]string{"setup", "never.example", "early.example", "--wait", "--selector", "t1", "--nameserver", s.Addr,
		"--update", "--server", s.Addr, "--tsig-key", s.KeyFile}, site))
	root.SetOut(&out)
	root.SetErr(&errs)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	table := filepath.Join(dir, "signing.table")
	for end := time.Now().Add(2 * time.Minute); readFile(t, table) == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			break
		}
	}
	cancel()
	err := <-ended
	if got := readFile(t, table); got != "*@early.example t1r._domainkey.early.example\n*@early.example t1e._domainkey.early.example\n" {
		t.Fatalf("signing table:\n%s\n%v\n%s%s", got, err, out.String(), errs.String())
	}
	if err == nil || !strings.Contains(err.Error(), "ended while 2 of 4 keys were still waited for") || !strings.Contains(out.String(), "rows in "+table) {
		t.Errorf("%v\n%s", err, out.String())
	}
	command(t, exitOK, "setup", "--undo", "--journal", filepath.Join(dir, "state", "journal"))
	for _, name := range []string{"signing.table", "key.table"} {
		if text := readFile(t, filepath.Join(dir, name)); text != "" {
			t.Errorf("%s: %s", name, text)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "keys")); err == nil {
		t.Error("there are keys")
	}
}

// An SPF record that DNS does not tell of is not taken away, even with --replace; keys are
// handed over.
func TestSetupReplacesNothingUnknown(t *testing.T) {
	t.Parallel()
	const theirs = "v=spf1 include:spf.example.net -all"
	s := nameserver.Start(t, nameserver.Zone{Name: "example.com", Records: `@ TXT "` + theirs + `"`})
	_, site := emptySite(t)
	if os.Geteuid() != 0 {
		site = site[:len(site)-2]
	}
	out, _ := command(t, exitFailed, slices.Concat([]string{"setup", "example.com", "--selector", "t1", "--nameserver", "127.0.0.1:1",
		"--update", "--replace", "--server", s.Addr, "--tsig-key", s.KeyFile}, site)...)
	if !strings.Contains(out, "the spf record is not handed over") {
		t.Errorf("%s", out)
	}
	client, err := resolver.New(resolver.Options{Nameservers: []string{s.Addr}, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if txt, _, err := client.LookupTXT(t.Context(), "example.com"); err != nil || !slices.Equal(txt, []string{theirs}) {
		t.Errorf("%q, %v", txt, err)
	}
	command(t, exitOK, "testkey", "-d", "example.com", "-s", "t1r", "--nameserver", s.Addr)
}

// A set-up of many domains that is killed in the middle goes on where it was, makes
// nothing twice, and can be taken back.
func TestSetupKilled(t *testing.T) {
	t.Parallel()
	postseal := filepath.Join(t.TempDir(), "postseal")
	program.Build(t, postseal)
	dir, site := emptySite(t)
	if os.Geteuid() != 0 {
		site = site[:len(site)-2]
	}
	const domains = 24 // an RSA key takes its time
	var list strings.Builder
	for i := range domains {
		fmt.Fprintf(&list, "d%d.example\n", i)
	}
	writeFile(t, filepath.Join(dir, "list"), list.String())
	writeFile(t, filepath.Join(dir, "dns"), "")
	args := slices.Concat([]string{"setup", "--from-file", filepath.Join(dir, "list"), "--records", filepath.Join(dir, "dns"), "--selector", "t1", "--records-out", filepath.Join(dir, "zone")}, site)
	made := func() []string {
		files, err := filepath.Glob(filepath.Join(dir, "keys", "*", "*.private"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	before := make(map[string]string)
	for _, stop := range []int{1, 8, 16} {
		cmd := exec.Command("nice", slices.Concat([]string{"-n", "19", postseal}, args)...) // it must not be done before it is killed
		var output bytes.Buffer
		cmd.Stdout, cmd.Stderr = &output, &output
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for end := time.Now().Add(5 * time.Minute); len(made()) < stop; time.Sleep(time.Millisecond) {
			select {
			case err := <-ended:
				t.Fatalf("ended by itself: %v\n%s", err, output.Bytes())
			default:
			}
			if time.Now().After(end) {
				t.Fatalf("%d keys", len(made()))
			}
		}
		_ = cmd.Process.Kill()
		<-ended
		if got := readFile(t, filepath.Join(dir, "key.table")); got != "" {
			t.Fatalf("the table has rows in the middle:\n%s", got)
		}
		for path, text := range before {
			if now := readFile(t, path); now != text {
				t.Errorf("%s was made anew", path)
			}
		}
		for _, path := range made() {
			if text := readFile(t, path); strings.HasSuffix(text, "-----END PRIVATE KEY-----\n") {
				before[path] = text
			}
		}
	}
	out, err := exec.Command(postseal, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for path, text := range before {
		if now, err := os.ReadFile(path); err != nil || string(now) != text {
			t.Errorf("%s was made anew: %v", path, err)
		}
	}
	if n := len(made()); n != 2*domains {
		t.Errorf("%d keys", n)
	}
	for _, table := range []string{"key.table", "signing.table"} {
		lines := strings.Split(strings.TrimSpace(readFile(t, filepath.Join(dir, table))), "\n")
		slices.Sort(lines)
		if len(slices.Compact(lines)) != 2*domains {
			t.Errorf("%s has %d rows", table, len(lines))
		}
	}
	if n := strings.Count(readFile(t, filepath.Join(dir, "zone")), "._domainkey."); n != 2*domains {
		t.Errorf("%d records", n)
	}
	if out, err := exec.Command(postseal, "setup", "--undo", "--journal", filepath.Join(dir, "state", "journal")).CombinedOutput(); err != nil || len(made()) != 0 || readFile(t, filepath.Join(dir, "key.table")) != "" {
		t.Errorf("%v, %d keys are left\n%s", err, len(made()), out)
	}
}
