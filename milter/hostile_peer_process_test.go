package milter

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/load"
	"github.com/postseal/postseal/testdata/program"
	"golang.org/x/sys/unix"
)

// patientDial connects however long the backlog of the socket is full.
func patientDial(t testing.TB, network, addr string) net.Conn {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial(network, addr)
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
			return c
		}
		if !errors.Is(err, syscall.EAGAIN) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// usage is what the daemon uses.
func (p *process) usage(t testing.TB) load.Usage {
	t.Helper()
	watched, err := load.Watch(p.Pid)
	if err != nil {
		t.Fatal(err)
	}
	u, err := watched.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// hold opens connections that send some commands, read the first answer and
// wait.
func hold(t testing.TB, n int, network, addr, order string) []net.Conn {
	t.Helper()
	open := make([]net.Conn, n)
	in := framesTo(order)
	for i := range open {
		open[i] = patientDial(t, network, addr)
		t.Cleanup(func() { open[i].Close() })
		if _, err := open[i].Write(in); err != nil {
			t.Fatal(err)
		}
	}
	return open
}

// Idle connections by the thousand cost the daemon little: 60 MiB for a thousand
// that have each carried a message, 24 KiB for each further one. Mail goes on
// beside them, and their descriptors come back.
func TestIdleConnectionsInMemory(t *testing.T) {
	t.Parallel()
	const mib, each = 1 << 20, 24 << 10
	path := buildProgram(t)
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			port := program.FreePort(t)
			p := startProcess(t, path, fmt.Sprintf("maximum_connections = 20000\n[[listener]]\nsocket = \"inet:%d@127.0.0.1\"\nmode = \"sv\"\n", port))
			addr := map[string]string{"unix": filepath.Join(p.dir, "both"), "tcp": fmt.Sprintf("127.0.0.1:%d", port)}[network]
			var files unix.Rlimit
			if err := unix.Prlimit(p.Pid, unix.RLIMIT_NOFILE, nil, &files); err != nil {
				t.Fatal(err)
			}
			if files.Cur != files.Max {
				t.Errorf("the daemon may open %d files, and could have %d", files.Cur, files.Max)
			}
			before := p.usage(t)
			count := 1000
			open := hold(t, count, network, addr, "OCMRTLNBEA")
			waitAnswered(t, open)
			if u := p.usage(t); u.RSS > 60*mib {
				t.Errorf("%d idle connections: %d MiB are resident, want 60 at most", count, u.RSS/mib)
			} else {
				t.Logf("%d idle connections: %d MiB, %d MiB before", count, u.RSS/mib, before.RSS/mib)
			}
			if network == "unix" { // by TCP they would take the ports of other tests
				further := min(9000, int(files.Max)-2000)
				more := hold(t, further, network, addr, "OC")
				waitAnswered(t, more)
				count, open = count+further, append(open, more...)
				u := p.usage(t)
				if u.RSS > 60*mib+int64(further)*each {
					t.Errorf("%d idle connections: %d MiB are resident", count, u.RSS/mib)
				}
				if u.Descriptors < count {
					t.Errorf("%d descriptors are open for %d connections", u.Descriptors, count)
				}
				t.Logf("%d idle connections: %d MiB", count, u.RSS/mib)
			}
			wantSigned(t, p.records, p.connect(t, "both").deliver(letter{header: plainHeader, body: plainBody}), plainHeader, plainBody)
			for _, c := range open {
				c.Close()
			}
			for end := time.Now().Add(time.Minute); p.usage(t).Descriptors > before.Descriptors+1; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d descriptors are open, %d before", p.usage(t).Descriptors, before.Descriptors)
				}
			}
		})
	}
}

// waitAnswered waits until each connection has its first answer.
func waitAnswered(t testing.TB, open []net.Conn) {
	t.Helper()
	for _, c := range open {
		if err := readReply(c); err != nil {
			t.Fatal(err)
		}
	}
}

// A daemon that may not open as many files as it may have connections serves
// fewer, and a new one gets through after any number of idle ones.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "few")
	script := "#!/bin/sh\nulimit -n 60 && exec " + buildProgram(t) + " \"$@\"\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, program, "")
	p.log.wait(t, "open_files=60 served=30")
	hold(t, 200, "unix", filepath.Join(p.dir, "both"), "OC")
	wantSigned(t, p.records, p.connect(t, "both").deliver(letter{header: plainHeader, body: plainBody}), plainHeader, plainBody)
	p.log.wait(t, "maximum_connections are in use")
	if strings.Contains(p.log.String(), "cannot accept") {
		t.Errorf("the daemon ran out of descriptors\n%s", p.log)
	}
}

// Without a descriptor for a new connection the daemon waits, says so now and
// then, uses next to no processor, and goes on when one is free.
func TestNoDescriptorsLeft(t *testing.T) {
	t.Parallel()
	p := startProcess(t, buildProgram(t), "")
	first := p.connect(t, "both")
	first.deliver(letter{header: plainHeader, body: plainBody}) // what is opened once is open
	first.c.Close()
	limit := uint64(p.usage(t).Descriptors + 10)
	if err := unix.Prlimit(p.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil); err != nil {
		t.Fatal(err)
	}
	const lines = "cannot accept connections for now"
	open := hold(t, 40, "unix", filepath.Join(p.dir, "both"), "OC")
	start, used := time.Now(), p.usage(t).CPU
	for strings.Count(p.log.String(), lines) < 3 {
		if time.Since(start) > time.Minute {
			t.Fatalf("the daemon does not say that it cannot accept\n%s", p.log)
		}
		time.Sleep(50 * time.Millisecond)
	}
	waited := time.Since(start)
	if cpu := p.usage(t).CPU - used; cpu > waited/4 {
		t.Errorf("%v of processor time in %v without a descriptor", cpu, waited)
	}
	if n := strings.Count(p.log.String(), lines); n > 3+int(waited/time.Second) {
		t.Errorf("%d lines in %v", n, waited)
	}
	for _, c := range open {
		c.Close()
	}
	m := p.connect(t, "both")
	wantSigned(t, p.records, m.deliver(letter{header: plainHeader, body: plainBody}), plainHeader, plainBody)
	p.signal(t, syscall.SIGTERM)
	p.waitEnd(t)
}
