package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/peers"
)

// machine is a folder with a configuration and its keys, and the daemon of it.
type machine struct {
	t   *testing.T
	dir string
	env []string
}

// newMachine makes keys/rsa.private, keys/ed.private and the files of a
// configuration, in which DIR is the folder and PORT a free port.
func newMachine(t *testing.T, files map[string]string) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "pp-") // unix sockets have short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &machine{t: t, dir: dir}
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]string{"rsa": "rsa", "ed": "ed25519"} {
		m.key(name, kind)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(port))
	for name, text := range files {
		m.write(name, fill.Replace(text))
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// key makes keys/NAME.private.
func (m *machine) key(name, kind string) {
	m.t.Helper()
	bits := 0
	if kind == "rsa" {
		bits = 1024
	}
	key, err := keys.Generate(kind, bits)
	if err == nil {
		err = keys.WritePrivate(m.path("keys/"+name+".private"), key)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// command is the program in the machine's folder.
func (m *machine) command(args ...string) *exec.Cmd {
	m.t.Helper()
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{"postseal"}, args...)
	cmd.Dir = m.dir
	cmd.Env = append(append(os.Environ(), "RUNTIME_DIRECTORY="+m.path("run")), m.env...)
	return cmd
}

// serve starts the daemon of a configuration; it ends with the test.
func (m *machine) serve(config string) *os.Process {
	m.t.Helper()
	var log bytes.Buffer
	cmd := m.command("serve", "-c", config)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	m.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Kill()
		<-ended
		if m.t.Failed() {
			m.t.Logf("the daemon's log:\n%s", log.String())
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			m.t.Fatalf("the daemon ended: %v\n%s", err, log.String())
		default:
		}
		if _, err := (milter.Control{Dir: m.path("run")}).Status(m.t.Context()); err == nil {
			return cmd.Process
		}
		if time.Now().After(end) {
			m.t.Fatal("the daemon does not start")
		}
	}
}

// ping runs the command with --json and returns what it prints and its exit status.
func (m *machine) ping(args ...string) (r pinged, exit int) {
	m.t.Helper()
	var out, errors bytes.Buffer
	// A stalled machine is no daemon that hangs.
	cmd := m.command(append([]string{"ping", "--json", "--timeout", "2m"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errors
	_ = cmd.Run() // see exit
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		m.t.Fatalf("%v\n%s%s", err, out.String(), errors.String())
	}
	if r.OK != (cmd.ProcessState.ExitCode() == 0) || r.OK != (len(r.Problems) == 0) {
		m.t.Errorf("exit status %d, problems %q, ok %v", cmd.ProcessState.ExitCode(), r.Problems, r.OK)
	}
	return r, cmd.ProcessState.ExitCode()
}

// summary is what a ping found: "name d= s= sender" for each key, with "by names" or
// "FAILS" behind it.
func (r pinged) summary() (list []string) {
	for _, k := range r.Keys {
		text := fmt.Sprintf("%s d=%s s=%s %s", k.Name, k.Domain, k.Selector, k.Sender)
		switch {
		case !k.Signs:
			text += " FAILS"
		case k.Verified != verifiedPublic:
			text += " by " + k.Verified
		}
		list = append(list, text)
	}
	return list
}

// Tables and settings of all kinds: each key signs, on each socket.
func TestPing(t *testing.T) {
	const sockets = "socket = [\"unix:DIR/s\", \"inet:PORT@127.0.0.1\"]\nruntime_directory = \"DIR/run\"\nrequire_safe_keys = false\n"
	const tables = sockets + "key_table = \"file:key.table\"\nsigning_table = \"refile:signing.table\"\n"
	const one = sockets + "domain = \"a.example\"\nselector = \"s\"\nkey_file = \"keys/rsa.private\"\n"
	const rsa, ed = "rsa d=a.example s=r ", "ed d=a.example s=e "
	const keyTable = "rsa a.example:r:./keys/rsa.private\ned a.example:e:./keys/ed.private\n"
	for _, row := range []struct {
		name   string
		config string
		files  map[string]string
		want   []string
		// messages are how many go over each socket, notes what begins each note.
		messages []int
		notes    []string
	}{
		{"refile", tables, map[string]string{"key.table": keyTable, "signing.table": "joe@a.example ed\n*@a.example rsa\n"},
			[]string{ed + "joe@a.example", rsa + "postseal-ping@a.example"}, []int{2, 2}, nil},
		{"RSA and Ed25519 on one message", tables + "multiple_signatures = true\n",
			map[string]string{"key.table": keyTable, "signing.table": "*@a.example ed\n*@a.example rsa\n"},
			[]string{ed + "postseal-ping@a.example", rsa + "postseal-ping@a.example"}, []int{1, 1}, nil},
		{"file", sockets + "key_table = \"file:key.table\"\nsigning_table = \"file:signing.table\"\n",
			map[string]string{"key.table": keyTable, "signing.table": "a.example rsa\n.b.example ed\n"},
			[]string{rsa + "postseal-ping@a.example", ed + "postseal-ping@postseal-ping.b.example"}, []int{2, 2}, nil},
		{"csl", sockets + "key_table = \"csl:rsa=a.example:r:./keys/rsa.private,ed=a.example:e:./keys/ed.private\"\nsigning_table = [\"a.example=rsa\", \"joe@b.example=ed\"]\n",
			nil, []string{rsa + "postseal-ping@a.example", ed + "joe@b.example"}, []int{2, 2}, nil},
		{"a key for the sender's domain", tables, map[string]string{"key.table": "k %:s:./keys/rsa.private\n", "signing.table": "*@a.example k\n* k\n"},
			[]string{"k d=a.example s=s postseal-ping@a.example", "k d=example.com s=s postseal-ping@example.com"}, []int{2, 2}, nil},
		{"a key file for each domain", tables, map[string]string{"key.table": "k %:rsa:DIR/keys/%.private\n", "signing.table": "* k\n"},
			[]string{"k d=ed s=rsa postseal-ping@ed"}, []int{1, 1}, nil},
		{"a domain", one, nil, []string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1}, nil},
		{"two domains", strings.Replace(one, "a.example", "a.example,b.example", 1), nil,
			[]string{"key_file d=a.example s=s postseal-ping@a.example", "key_file d=b.example s=s postseal-ping@b.example"}, []int{2, 2}, nil},
		{"every domain", strings.Replace(one, "a.example", "*", 1), nil,
			[]string{"key_file d=example.com s=s postseal-ping@example.com"}, []int{1, 1}, nil},
		{"a domain in U-labels", strings.Replace(one, "a.example", "büro.example", 1), nil,
			[]string{"key_file d=xn--bro-hoa.example s=s postseal-ping@xn--bro-hoa.example"}, []int{1, 1}, nil},
		{"clients from elsewhere", one + "internal_hosts = \"10.0.0.0/8\"\n", nil,
			[]string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1}, nil},
		{"this machine is a peer", one + "peer_list = \"127.0.0.0/8\"\n", nil,
			[]string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1}, nil},
		{"everybody is a peer", one + "peer_list = \"0.0.0.0/0\"\n", nil, nil, []int{1, 1},
			[]string{`key "key_file" was not asked: mail of postseal-ping@a.example is not signed: client 'unknown [192.0.2.1]' is in peer_list`}},
		{"an exempt domain", one + "exempt_domains = \"a.example\"\n", nil, nil, []int{1, 1},
			[]string{`key "key_file" was not asked: mail of postseal-ping@a.example is not signed: domain 'a.example' is in exempt_domains`}},
		{"a login", one + "author_must_match = \"login\"\n", nil, []string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1}, nil},
		{"an envelope sender", one + "author_must_match = \"envelope\"\n", nil, []string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1}, nil},
		{"a recipient", one + "dont_sign_mail_to = \"postseal-ping@example.net\"\n", nil, []string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1}, nil},
		{"required fields", one + "required_headers = true\nstrict_headers = true\n", nil, []string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1}, nil},
		{"other forms of signatures", one + "canonicalization = \"simple/simple\"\nsignature_ttl = \"1h\"\nmaximum_signed_bytes = 10\ndiagnostics = true\n", nil,
			[]string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1}, nil},
		{"rewritten fields", one + "replace_rules = \"rules\"\n", map[string]string{"rules": "a.example\tb.example\n"}, nil, []int{1, 1},
			[]string{`key "key_file" was not asked: mail of postseal-ping@a.example is not signed: `}},
		{"a rewritten subject", one + "replace_rules = \"rules\"\n", map[string]string{"rules": "postseal ping$\tsomething else\n"},
			[]string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1}, nil},
		{"another daemon name", one + "internal_hosts = \"10.0.0.1\"\nmta = \"ORIGINATING\"\n", nil,
			[]string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1}, nil},
		{"verifying only", sockets + "mode = \"v\"\n", nil, nil, []int{1, 1}, nil},
		{"verifying only, and refusing what is not signed", sockets + "mode = \"v\"\non_no_signature = \"tempfail\"\n", nil, nil, []int{1, 1}, nil},
		{"sockets with modes of their own", one + "mode = \"v\"\n[[listener]]\nsocket = \"unix:DIR/t\"\nmode = \"s\"\n", nil,
			[]string{"key_file d=a.example s=s postseal-ping@a.example"}, []int{1, 1, 1}, nil},
		{"nothing to sign with", sockets, nil, nil, []int{1, 1}, nil},
		{"keys without a way to them", tables, map[string]string{"key.table": keyTable, "signing.table": "*@a.example rsa\njoe@a.example ed\n"},
			[]string{rsa + "postseal-ping@a.example"}, []int{1, 1}, []string{`key "ed" was not asked: no address was found that the row `}},
		{"a key without a row", tables, map[string]string{"key.table": keyTable, "signing.table": "*@a.example rsa\n"},
			[]string{rsa + "postseal-ping@a.example"}, []int{1, 1}, []string{`key "ed" was not asked: no row of signing_table names it`}},
		{"opendkim.conf", "Socket local:DIR/s\nPidFile DIR/run/pid\nRequireSafeKeys no\nKeyTable file:DIR/key.table\nSigningTable refile:DIR/signing.table\n",
			map[string]string{"key.table": keyTable, "signing.table": "*@a.example rsa\n"},
			[]string{rsa + "postseal-ping@a.example"}, []int{1}, []string{`key "ed" was not asked: no row of SigningTable names it`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"conf": row.config, "run/x": ""}
			for name, text := range row.files {
				files[name] = text
			}
			m := newMachine(t, files)
			m.serve("conf")
			r, exit := m.ping("-c", "conf")
			if exit != 0 {
				t.Errorf("exit status %d: %q", exit, r.Problems)
			}
			if !slices.Equal(r.summary(), row.want) {
				t.Errorf("got  %q\nwant %q", r.summary(), row.want)
			}
			var messages []int
			for _, s := range r.Sockets {
				messages = append(messages, s.Messages)
			}
			if !slices.Equal(messages, row.messages) {
				t.Errorf("messages %v, want %v", messages, row.messages)
			}
			if !slices.EqualFunc(r.Notes, row.notes, strings.HasPrefix) {
				t.Errorf("notes %q, want %q", r.Notes, row.notes)
			}
		})
	}
}

// What becomes of a key file while the daemon runs is seen by the next ping, and so
// is its return.
func TestPingKeyTrouble(t *testing.T) {
	const before = "the daemon signs with the key from before while it runs"
	for _, kind := range []string{"tables", "key_file"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			config := "socket = \"unix:DIR/s\"\nruntime_directory = \"DIR/run\"\nrequire_safe_keys = false\nwatch_files = false\n"
			if kind == "tables" {
				config += "key_table = \"csl:k=a.example:s:DIR/keys/rsa.private\"\nsigning_table = \"csl:a.example=k\"\n"
			} else {
				config += "domain = \"a.example\"\nselector = \"s\"\nkey_file = \"keys/rsa.private\"\n"
			}
			m := newMachine(t, map[string]string{"conf": config})
			m.serve("conf")
			path, aside := m.path("keys/rsa.private"), m.path("keys/aside")
			check := func(state, want, with string) {
				t.Helper()
				r, _ := m.ping("-c", "conf")
				switch {
				case want == "" && !r.OK:
					t.Errorf("%s: %q", state, r.Problems)
				case want != "" && (len(r.Problems) != 1 || !strings.Contains(r.Problems[0], want) || !strings.Contains(r.Problems[0], with)):
					t.Errorf("%s: problems %q; want one with %q and %q", state, r.Problems, want, with)
				}
			}
			rename := func(from, to string) {
				t.Helper()
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
			check("at first", "", "")
			for _, trouble := range []struct {
				name, want string
				make       func() error
			}{
				{"gone", "no such file or directory", func() error { return nil }},
				{"rubbish", "no private key", func() error { return os.WriteFile(path, []byte("rubbish"), 0o600) }},
				{"empty", "no private key", func() error { return os.WriteFile(path, nil, 0o600) }},
				{"a folder", "not a regular file", func() error { return os.Mkdir(path, 0o700) }},
				{"out of reach", "too many levels of symbolic links", func() error { return os.Symlink(path, path) }},
			} {
				rename(path, aside)
				if err := trouble.make(); err != nil {
					t.Fatal(err)
				}
				check(trouble.name, trouble.want, before)
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				rename(aside, path)
				check("after "+trouble.name, "", "")
			}
			// Another key is as good: the record in DNS is another matter.
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			m.key("rsa", "ed25519")
			check("replaced", "", "")
		})
	}
}

// A key that was bad from the start, or whose row cannot be used, is told also
// where it is not asked, and no more when it is well again.
func TestPingDisabled(t *testing.T) {
	m := newMachine(t, map[string]string{
		"conf": "socket = \"unix:DIR/s\"\nruntime_directory = \"DIR/run\"\nrequire_safe_keys = false\nwatch_files = false\ncheck_signing_table = false\n" +
			"key_table = \"file:key.table\"\nsigning_table = \"refile:signing.table\"\n",
		"key.table":     "rsa a.example:r:./keys/rsa.private\nlost b.example:l:./keys/lost.private\nbad b..example:l:./keys/rsa.private\n",
		"signing.table": "*@a.example rsa\n*@b.example lost\n*@c.example nobody\n*@d.example bad\n",
	})
	m.serve("conf")
	r, exit := m.ping("-c", "conf", "--keys", "1")
	if exit != 1 {
		t.Errorf("exit status %d", exit)
	}
	if want := []string{"rsa d=a.example s=r postseal-ping@a.example", "lost d=b.example s=l postseal-ping@b.example FAILS"}; !slices.Equal(r.summary(), want) {
		t.Errorf("got  %q\nwant %q", r.summary(), want)
	}
	for i, want := range []string{
		`key "lost", d=b.example s=l: unix:` + m.dir + "/s: the message PING-", `key "bad": `, `names the key "nobody"`,
	} {
		if len(r.Problems) != 3 || !strings.Contains(r.Problems[i], want) {
			t.Errorf("problems %q, want %q", r.Problems, want)
		}
	}
	if !strings.Contains(r.Problems[0], "lost.private: no such file or directory") {
		t.Errorf("no reason: %q", r.Problems[0])
	}
	m.key("lost", "ed25519")
	m.write("key.table", "rsa a.example:r:./keys/rsa.private\nlost b.example:l:./keys/lost.private\n")
	m.write("signing.table", "*@a.example rsa\n*@b.example lost\n")
	if out, err := m.command("reload", "-c", "conf").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r, _ := m.ping("-c", "conf", "--keys", "1"); !r.OK || !slices.Equal(r.Notes, []string{"1 of 2 keys were asked (--keys)"}) {
		t.Errorf("problems %q, notes %q", r.Problems, r.Notes)
	}
}

// The daemon runs with another configuration than the one here.
func TestPingOtherConfiguration(t *testing.T) {
	const head = "socket = \"unix:DIR/s\"\nruntime_directory = \"DIR/run\"\nrequire_safe_keys = false\n"
	for _, row := range []struct{ name, here, want string }{
		{"another key", "domain = \"a.example\"\nselector = \"s\"\nkey_file = \"keys/ed.private\"\n", "does not verify with the public half of the key here"},
		{"another selector", "domain = \"a.example\"\nselector = \"t\"\nkey_file = \"keys/rsa.private\"\n", `its signature is not there, only d="a.example" s="s"`},
		{"another domain", "domain = \"b.example\"\nselector = \"s\"\nkey_file = \"keys/rsa.private\"\n", "the message came back without a signature"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, map[string]string{
				"there": head + "domain = \"a.example\"\nselector = \"s\"\nkey_file = \"keys/rsa.private\"\n", "here": head + row.here,
			})
			m.serve("there")
			r, exit := m.ping("-c", "here")
			if exit != 1 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], row.want) || !strings.Contains(r.Problems[0], "postseal reload") {
				t.Errorf("exit status %d, problems %q; want %q", exit, r.Problems, row.want)
			}
			if len(r.Keys) != 1 || r.Keys[0].Signs || r.Keys[0].Verified != "" {
				t.Errorf("keys %+v", r.Keys)
			}
		})
	}
}

// Tables with a hundred thousand rows: a few messages, and the rest is said.
func TestPingLargeTables(t *testing.T) {
	const rows = 100_000
	var keyTable, signing strings.Builder
	for i := range rows {
		fmt.Fprintf(&keyTable, "k%d d%d.example:s:./keys/ed.private\n", i, i)
		fmt.Fprintf(&signing, "*@d%d.example k%d\n", i, i)
	}
	m := newMachine(t, map[string]string{
		"conf": "socket = \"unix:DIR/s\"\nruntime_directory = \"DIR/run\"\nrequire_safe_keys = false\n" +
			"key_table = \"file:key.table\"\nsigning_table = \"refile:signing.table\"\n",
		"key.table": keyTable.String(), "signing.table": signing.String(),
	})
	m.serve("conf")
	r, exit := m.ping("-c", "conf")
	if exit != 0 || len(r.Keys) != pingKeys || r.Sockets[0].Messages != pingKeys {
		t.Errorf("exit status %d, %d keys, sockets %+v, problems %q", exit, len(r.Keys), r.Sockets, r.Problems)
	}
	if want := []string{"20 of 100000 keys were asked (--keys)"}; !slices.Equal(r.Notes, want) {
		t.Errorf("notes %q, want %q", r.Notes, want)
	}
	if r, exit := m.ping("-c", "conf", "--keys", "0"); exit != 0 || len(r.Keys) != 0 || r.Sockets[0].Messages != 1 {
		t.Errorf("--keys 0: exit status %d, %d keys, sockets %+v, problems %q", exit, len(r.Keys), r.Sockets, r.Problems)
	}
}

// Keys that unpublished_keys withholds are told of, and the daemon is in order: it does
// what it was asked for.
func TestPingWithheldKeys(t *testing.T) {
	const head = "socket = \"unix:DIR/s\"\nruntime_directory = \"DIR/run\"\nrequire_safe_keys = false\nnameservers = [\"DNS\"]\ndns_timeout = 60\n" +
		"key_table = [\"new=a.example:n:DIR/keys/rsa.private\", \"old=a.example:o:DIR/keys/ed.private\"]\nsigning_table = [\"user@a.example=new\", \"a.example=old\"]\n"
	const skip, tempfail, several = "unpublished_keys = \"skip\"\n", "unpublished_keys = \"tempfail\"\n", "multiple_signatures = true\n"
	const newSigns, oldSigns = "new d=a.example s=n user@a.example", "old d=a.example s=o postseal-ping@a.example"
	const missing = `key "new", d=a.example s=n does not sign `
	const gone = "There is no TXT record at n._domainkey.a.example."
	for _, row := range []struct {
		name, settings string
		dns            []string // keys with a record
		want, notes    []string
		withheld       string // from the first key
	}{
		{"both there", skip, []string{"n", "o"}, []string{newSigns, oldSigns}, nil, ""},
		{"passed over", skip, []string{"o"}, []string{newSigns + " FAILS", oldSigns}, []string{missing + "and is passed over"}, gone},
		{"deferred", tempfail, []string{"o"}, []string{newSigns + " FAILS", oldSigns}, []string{missing[:len(missing)-1] + ", and its mail is deferred"}, gone},
		{"deferred for another", tempfail + several, []string{"o"}, []string{newSigns + " FAILS", "old d=a.example s=o user@a.example FAILS"},
			[]string{missing[:len(missing)-1] + ", and its mail is deferred", `key "old", d=a.example s=o does not sign: mail of user@a.example is deferred for another key`}, gone},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			zone := map[string]string{}
			dns, err := resolver.Serve("127.0.0.1:0", func(name string) resolver.Answer {
				mu.Lock()
				defer mu.Unlock()
				if text := zone[name]; text != "" {
					return resolver.Answer{TXT: []string{text}}
				}
				return resolver.Answer{Rcode: 3} // NXDOMAIN
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { dns.Close() })
			m := newMachine(t, map[string]string{"conf": strings.Replace(head, "DNS", dns.Addr(), 1) + row.settings})
			for selector, file := range map[string]string{"n": "rsa", "o": "ed"} {
				if !slices.Contains(row.dns, selector) {
					continue
				}
				key, err := keys.ReadPrivate(m.path("keys/" + file + ".private"))
				if err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				zone[selector+"._domainkey.a.example"] = keys.RecordText(key.Public())
				mu.Unlock()
			}
			m.serve("conf")
			r, exit := m.ping("-c", "conf")
			if exit != 0 || !slices.Equal(r.summary(), row.want) {
				t.Errorf("exit status %d, problems %q\ngot  %q\nwant %q", exit, r.Problems, r.summary(), row.want)
			}
			if len(r.Notes) != len(row.notes) {
				t.Errorf("notes %q, want %q", r.Notes, row.notes)
			}
			for i, want := range row.notes {
				if i < len(r.Notes) && !strings.HasPrefix(r.Notes[i], want) {
					t.Errorf("note %q, want %q", r.Notes[i], want)
				}
			}
			if len(r.Keys) > 0 && r.Keys[0].Withheld != row.withheld {
				t.Errorf("withheld %q, want %q", r.Keys[0].Withheld, row.withheld)
			}
		})
	}
}

// OpenDKIM is asked as we are.
func TestPingOpenDKIM(t *testing.T) {
	m := newMachine(t, map[string]string{
		"key.table": "rsa a.example:r:DIR/keys/rsa.private\n", "signing.table": "*@a.example rsa\n",
		"other.table": "rsa a.example:other:DIR/keys/rsa.private\n",
	})
	conf := []string{"KeyTable file:" + m.path("key.table"), "SigningTable refile:" + m.path("signing.table")}
	theirs := peers.StartOpenDKIM(t, nil, conf...)
	m.write("conf", strings.Join(append(conf, "Socket unix:"+m.path("s"), "RequireSafeKeys no"), "\n")+"\n")
	r, exit := m.ping("-c", "conf", "--socket", theirs.Socket())
	if want := []string{"rsa d=a.example s=r postseal-ping@a.example"}; exit != 0 || !slices.Equal(r.summary(), want) {
		t.Errorf("exit status %d, %q, problems %q; want %q", exit, r.summary(), r.Problems, want)
	}
	m.write("conf", strings.Replace(strings.Join(append(conf, "Socket unix:"+m.path("s"), "RequireSafeKeys no"), "\n")+"\n", "key.table", "other.table", 1))
	r, exit = m.ping("-c", "conf", "--socket", theirs.Socket())
	if exit != 1 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], `its signature is not there, only d="a.example" s="r"`) {
		t.Errorf("another selector: exit status %d, problems %q", exit, r.Problems)
	}
}
