package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/load"
)

// The filters.
const (
	postseal = "postseal"
	withTag  = "postseal, openssl tag"
	opendkim = "OpenDKIM"
	rspamd   = "rspamd"
)

// program is a filter that can be run.
type program struct{ name, path string }

// setup is how a filter is configured: a daemon for each.
type setup struct {
	filter string
	mode   string // "s" or "v"
	key    string // "rsa", "ed25519", "both"
	canon  string // "relaxed/simple"
	tcp    bool
	tables int // rows of the tables; 0: one domain
}

// daemon is a running filter.
type daemon struct {
	setup
	socket  string
	cmd     *exec.Cmd
	process *load.Process
	ended   chan struct{}
	output  *os.File
}

const domain = "example.com"

func (b *bench) at(name string) string { return filepath.Join(b.dir, name) }

// makeKeys writes a key of each kind and the records of both.
func (b *bench) makeKeys() error {
	var records strings.Builder
	for _, kind := range []string{"rsa", "ed25519"} {
		key, err := keys.Generate(kind, 0)
		if err != nil {
			return err
		}
		if err := keys.WritePrivate(b.at(kind+".private"), key); err != nil {
			return err
		}
		fmt.Fprintf(&records, "%s._domainkey.%s %s\n", kind, domain, keys.RecordText(key.Public()))
	}
	return os.WriteFile(b.at("records"), []byte(records.String()), 0o644)
}

func (b *bench) path(filter string) (path string, ok bool) {
	i := slices.IndexFunc(b.programs, func(p program) bool { return p.name == filter })
	if i < 0 {
		return "", false
	}
	return b.programs[i].path, true
}

// daemon returns the filter that runs with a setup, and starts it first if there
// is none yet.
func (b *bench) daemon(s setup) (*daemon, error) {
	if d, ok := b.daemons[s]; ok {
		return d, nil
	}
	d, err := b.start(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.filter, err)
	}
	b.daemons[s] = d
	return d, nil
}

// start starts a filter and waits until it answers.
func (b *bench) start(s setup) (*daemon, error) {
	dir, err := os.MkdirTemp(b.dir, "d")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	d := &daemon{setup: s, socket: "local:" + filepath.Join(dir, "s"), ended: make(chan struct{})}
	if s.tcp {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		d.socket = "inet:" + port + "@127.0.0.1"
	}
	path, _ := b.path(s.filter)
	write := func(name, text string) {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	keyTable, signingTable := b.tablesOf(s)
	write("key.table", keyTable)
	write("signing.table", signingTable)
	switch s.filter {
	case opendkim:
		write("conf", b.opendkimConf(s, dir, d.socket))
		d.cmd = exec.Command(path, "-f", "-x", filepath.Join(dir, "conf"))
	case rspamd:
		write("conf", b.rspamdConf(dir, d.socket))
		d.cmd = exec.Command(path, "-f", "--insecure", "-c", filepath.Join(dir, "conf"))
	default:
		write("conf", b.postsealConf(s, dir, d.socket))
		d.cmd = exec.Command(path, "serve", "-c", filepath.Join(dir, "conf"))
	}
	if err != nil {
		return nil, err
	}
	return d, b.launch(d, dir)
}

// launch runs a filter's command and waits until it answers.
func (b *bench) launch(d *daemon, dir string) (err error) {
	if d.output, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return err
	}
	d.cmd.Stdout, d.cmd.Stderr = d.output, d.output
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() { // Pdeathsig follows the thread that forked
		runtime.LockOSThread()
		err := d.cmd.Start()
		started <- err
		if err == nil {
			_ = d.cmd.Wait()
		}
		close(d.ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	if err = b.await(d); err == nil {
		d.process, err = load.Watch(d.cmd.Process.Pid)
	}
	if err != nil {
		return errors.Join(err, d.stop())
	}
	return nil
}

// await waits until the filter accepts connections.
func (b *bench) await(d *daemon) error {
	network, address := d.address()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial(network, address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-b.ctx.Done():
			return b.ctx.Err()
		case <-d.ended:
			return fmt.Errorf("it ended: %s", d.log())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it does not answer on %s: %w: %s", d.socket, err, d.log())
		}
	}
}

// address is the daemon's socket for net.Dial.
func (d *daemon) address() (network, address string) {
	network, address, _ = load.Address(d.socket) // we wrote it
	return network, address
}

// log is the end of what the daemon printed.
func (d *daemon) log() string {
	text, err := os.ReadFile(d.output.Name())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text[max(0, len(text)-1000):]))
}

// stop ends the daemon and its children.
func (d *daemon) stop() error {
	err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	<-d.ended
	if errors.Is(err, syscall.ESRCH) {
		err = nil
	}
	return errors.Join(err, d.output.Close())
}

func (b *bench) stop() (err error) {
	for _, s := range slices.Collect(maps.Keys(b.daemons)) {
		err = errors.Join(err, b.daemons[s].stop())
		delete(b.daemons, s)
	}
	return err
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// keyNames are the keys that a setup signs with.
func (s setup) keyNames() []string {
	if s.key == "both" {
		return []string{"rsa", "ed25519"}
	}
	return []string{s.key}
}

func (b *bench) postsealConf(s setup, dir, socket string) string {
	header, body, _ := strings.Cut(s.canon, "/")
	var t strings.Builder
	fmt.Fprintf(&t, "socket = %q\nmode = %q\nruntime_directory = %q\n", socket, s.mode, dir)
	fmt.Fprintf(&t, "canonicalization = \"%s/%s\"\nrequire_safe_keys = false\nauthserv_id = \"bench\"\n", header, body)
	fmt.Fprintf(&t, "key_table = \"file:key.table\"\nsigning_table = \"refile:signing.table\"\nmultiple_signatures = %t\n", s.key == "both")
	if s.mode == "v" {
		fmt.Fprintf(&t, "test_public_keys = %q\ninternal_hosts = [\"192.0.2.254\"]\n", b.at("records"))
	}
	return t.String()
}

func (b *bench) opendkimConf(s setup, dir, socket string) string {
	lines := []string{
		"Syslog no", "Background no", "UMask 000", "RequireSafeKeys no", "MaximumHeaders 0", "AuthservID bench",
		"Socket " + socket, "Mode " + s.mode, "Canonicalization " + s.canon, "PidFile " + filepath.Join(dir, "pid"),
		"KeyTable file:" + filepath.Join(dir, "key.table"), "SigningTable refile:" + filepath.Join(dir, "signing.table"),
	}
	if s.mode == "v" {
		lines = append(lines, "TestPublicKeys "+b.at("records"),
			"InternalHosts 192.0.2.254", "ExternalIgnoreList 192.0.2.254")
	}
	return strings.Join(lines, "\n") + "\n"
}

// rspamdConf signs and does nothing else: one proxy process that scans itself.
func (b *bench) rspamdConf(dir, socket string) string {
	bind := filepath.Join(dir, "s") + " mode=0666"
	if port, host, ok := strings.Cut(strings.TrimPrefix(socket, "inet:"), "@"); ok {
		bind = host + ":" + port
	}
	return fmt.Sprintf(`
options { filters = "dkim"; pidfile = "%[1]s/pid"; rundir = "%[1]s"; temp_dir = "%[1]s"; dns { nameserver = ["127.0.0.1:1"]; } }
logging { type = "file"; filename = "%[1]s/rspamd.log"; level = "error"; }
worker "rspamd_proxy" {
  bind_socket = "%[2]s"; milter = yes; timeout = 120s; count = 2;
  upstream "local" { default = yes; self_scan = yes; }
}
metric { name = "default"; actions { reject = 1000; } }
modules { path = "/usr/share/rspamd/plugins/dkim_signing.lua"; }
lua = "/usr/share/rspamd/rules/rspamd.lua";
dkim_signing {
  sign_local = true; allow_hdrfrom_mismatch = true; allow_username_mismatch = true; allow_envfrom_empty = true;
  use_domain = "header"; use_esld = false;
  domain { %[3]s { selector = "rsa"; path = "%[4]s"; } }
}
`, dir, bind, domain, b.at("rsa.private"))
}
