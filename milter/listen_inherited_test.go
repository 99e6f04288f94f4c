package milter

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSameSocket(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	l, err := net.Listen("unix", real)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	unix := func(path string) net.Addr { return &net.UnixAddr{Net: "unix", Name: path} }
	tcp := func(address string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, tt := range []struct {
		name string
		open net.Addr
		as   string // the configuration's
		root string
		want bool
	}{
		{"a path", unix("/run/p/s"), "local:/run/p/s", "", true},
		{"another path", unix("/run/p/s"), "local:/run/p/t", "", false},
		{"a path with too many slashes", unix("/run/p/s"), "unix:/run//p/./s", "", true},
		{"a path through a link", unix(real), "local:" + filepath.Join(dir, "link/real"), "", true},
		{"what is not there", unix(real + "2"), "local:" + filepath.Join(dir, "link/real2"), "", false},
		{"a path below a new root", unix("/var/spool/postfix/p/s"), "local:/p/s", "/var/spool/postfix", true},
		{"a path outside of a new root", unix("/p/s"), "local:/p/s", "/var/spool/postfix", false},
		{"an address", tcp("127.0.0.1:8891"), "inet:8891@127.0.0.1", "", true},
		{"another port", tcp("127.0.0.1:8891"), "inet:8892@127.0.0.1", "", false},
		{"another address", tcp("127.0.0.2:8891"), "inet:8891@127.0.0.1", "", false},
		{"a name", tcp("127.0.0.1:8891"), "inet:8891@localhost", "", true},
		{"IPv6", tcp("[::1]:8891"), "inet6:8891@::1", "", true},
		{"IPv6, in brackets", tcp("[::1]:8891"), "inet6:8891@[::1]", "", true},
		{"an interface", tcp("[fe80::1%lo]:8891"), "inet6:8891@fe80::1%lo", "", true},
		{"another interface", tcp("[fe80::1%lo]:8891"), "inet6:8891@fe80::1%eth9", "", false},
		{"all of IPv4", tcp("0.0.0.0:8891"), "inet:8891", "", true},
		{"all of both, for IPv4", tcp("[::]:8891"), "inet:8891", "", true},
		{"all of both, for IPv6", tcp("[::]:8891"), "inet6:8891", "", true},
		{"all of IPv4, for IPv6", tcp("0.0.0.0:8891"), "inet6:8891", "", false},
		{"all, for one address", tcp("[::]:8891"), "inet:8891@127.0.0.1", "", false},
		{"one address, for all", tcp("127.0.0.1:8891"), "inet:8891", "", false},
		{"a path for an address", unix("/run/p/s"), "inet:8891", "", false},
		{"an address for a path", tcp("127.0.0.1:8891"), "local:/run/p/s", "", false},
		{"no socket at all", tcp("127.0.0.1:8891"), "inet:", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &namedListener{addr: tt.open}
			in := inherited{l}
			if got := in.take(tt.as, tt.root); (got == net.Listener(l)) != tt.want || (len(in) == 0) != tt.want {
				t.Errorf("%v is taken for %s: %v, want %v", tt.open, tt.as, !tt.want, tt.want)
			}
		})
	}
}

// namedListener has an address and nothing else.
type namedListener struct {
	net.Listener
	addr net.Addr
}

func (l *namedListener) Addr() net.Addr { return l.addr }

func TestSocketName(t *testing.T) {
	for _, name := range []string{"local:/run/p/s", "inet:8891@127.0.0.1", "inet6:8891@::1", "inet6:8891@fe80::1%lo", "inet:8891@0.0.0.0"} {
		a := net.Addr(&net.UnixAddr{Net: "unix", Name: strings.TrimPrefix(name, "local:")})
		if !strings.HasPrefix(name, "local:") {
			_, rest, _ := strings.Cut(name, ":")
			port, host, _ := strings.Cut(rest, "@")
			var err error
			if a, err = net.ResolveTCPAddr("tcp", net.JoinHostPort(host, port)); err != nil {
				t.Fatal(err)
			}
		}
		if got := socketName(a); got != name {
			t.Errorf("%v is called %s, want %s", a, got, name)
		}
	}
}

// passed opens a socket as a service manager does, and hands it over as often as
// it is asked.
type passed struct {
	t testing.TB
	f *os.File
}

func (p passed) listener() net.Listener {
	p.t.Helper()
	l, err := net.FileListener(p.f)
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}

func pass(t testing.TB, network, address string) (p passed, addr net.Addr) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	if l, ok := l.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false)
	}
	l.Close()
	t.Cleanup(func() { f.Close() })
	return passed{t, f}, l.Addr()
}

// A daemon uses sockets that it inherits, those that its configuration names and
// others, opens what is left, and removes what it has opened.
func TestInheritedSockets(t *testing.T) {
	var named, other passed
	var tcp, path net.Addr
	d := startDaemonWith(t, "", func(o *DaemonOptions) {
		dir := filepath.Dir(o.ConfigFile)
		named, path = pass(t, "unix", filepath.Join(dir, "s"))
		other, tcp = pass(t, "tcp4", "127.0.0.1:0")
		text, err := os.ReadFile(o.ConfigFile)
		if err != nil {
			t.Fatal(err)
		}
		more := fmt.Sprintf("[[listener]]\nsocket = \"local:%s/own\"\nmode = \"s\"\n", dir)
		if err := os.WriteFile(o.ConfigFile, append(text, more...), 0o600); err != nil {
			t.Fatal(err)
		}
		o.Inherited = []net.Listener{other.listener(), named.listener()}
	})
	sockets := []string{
		"local:" + path.String() + " (inherited)",
		"local:" + filepath.Join(d.dir, "own"),
		fmt.Sprintf("inet:%d@127.0.0.1 (inherited)", tcp.(*net.TCPAddr).Port),
	}
	if st := d.Status(); !slices.Equal(st.Sockets, sockets) {
		t.Errorf("sockets %q, want %q", st.Sockets, sockets)
	}
	for i, l := range d.monitorStatus().Listeners {
		if l.Inherited != (i != 1) || l.Unreachable != "" {
			t.Errorf("the monitor is told %+v", l)
		}
	}
	d.log.wait(t, "inherited=true")
	if n := d.needs("").Remove; slices.Contains(n, path.String()) || !slices.Contains(n, filepath.Join(d.dir, "own")) {
		t.Errorf("removed in the end: %q", n)
	}
	l := letter{header: header("example.com"), body: "x\r\n"}
	for _, addr := range append(d.Addrs(), path, tcp) {
		p := &process{}
		m := p.dialMTA(t, addr)
		wantSigned(t, d.records, m.deliver(l), l.header, l.body)
	}
	if err := d.Answers(t.Context()); err != nil {
		t.Error(err)
	}
	if c, err := d.sockets[2].Listener.(tcpListener); !err {
		t.Errorf("a TCP socket that is inherited is a %T", c)
	}

	// What connects between two daemons waits for the second.
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path.String()); err != nil {
		t.Errorf("the socket of another is removed: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(d.dir, "own")); err == nil {
		t.Error("the daemon's own socket is left behind")
	}
	var waiting []net.Conn
	for _, addr := range []net.Addr{path, tcp} {
		c, err := net.Dial(addr.Network(), addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(everyOffer)); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	startDaemonWith(t, "", func(o *DaemonOptions) { o.Inherited = []net.Listener{named.listener(), other.listener()} })
	for _, c := range waiting {
		var head [5]byte
		if _, err := c.Read(head[:]); err != nil || head[4] != 'O' {
			t.Errorf("a connection made between two daemons: %q, %v", head, err)
		}
	}
}
