package monitor

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/testdata/program"
)

// patience is for machines that have much else to do.
const patience = 60 * time.Second

// monitored is a running server.
type monitored struct {
	*Server
	network, address string
	log              *program.Output
}

// serve serves a Status on a unix socket.
func serve(t *testing.T, status func() Status, change ...func(*http.Server)) *monitored {
	t.Helper()
	dir, err := os.MkdirTemp("", "mon")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return serveOn(t, listen(t, "unix", filepath.Join(dir, "s")), status, change...)
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func serveOn(t *testing.T, l net.Listener, status func() Status, change ...func(*http.Server)) *monitored {
	t.Helper()
	log := new(program.Output)
	addr := l.Addr()
	m := &monitored{NewServer(l, status, slog.New(slog.NewTextHandler(log, nil))), addr.Network(), addr.String(), log}
	for _, f := range change {
		f(m.http)
	}
	ended := make(chan struct{})
	go func() { m.Serve(); close(ended) }()
	t.Cleanup(func() { m.Close(); <-ended })
	return m
}

func (m *monitored) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial(m.network, m.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// do sends a request and returns the answer with its body.
func (m *monitored) do(t *testing.T, method, path, host string) (*http.Response, string) {
	t.Helper()
	res, text, err := m.try(method, path, host)
	if err != nil {
		t.Fatal(err)
	}
	return res, text
}

// try is do where there may be no answer.
func (m *monitored) try(method, path, host string) (*http.Response, string, error) {
	req, err := http.NewRequest(method, "http://localhost"+path, nil)
	if err != nil {
		return nil, "", err
	}
	req.Host = host
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, m.network, m.address)
	}}
	res, err := (&http.Client{Transport: transport, Timeout: patience}).Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res, string(text), err
}

func (m *monitored) get(t *testing.T, path string) (int, string) {
	t.Helper()
	res, text := m.do(t, http.MethodGet, path, "localhost")
	return res.StatusCode, text
}

func TestRequests(t *testing.T) {
	t.Parallel()
	m := serve(t, whole)
	for _, row := range []struct {
		method, path string
		code         int
		text         string // the body begins with it
	}{
		{"GET", "/healthz", 200, "alive\n"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/readyz", 200, "ready\n"},
		{"GET", "/readyz?keys=some", 200, "ready\n"},
		{"GET", "/readyz?keys=none", 400, "keys is all or some\n"},
		{"GET", "/metrics", 200, "# HELP go_"},
		{"HEAD", "/metrics", 200, ""},
		{"POST", "/healthz", 405, "Method Not Allowed"},
		{"PUT", "/metrics", 405, "Method Not Allowed"},
		{"DELETE", "/readyz", 405, "Method Not Allowed"},
		{"OPTIONS", "/metrics", 405, "Method Not Allowed"},
		{"TRACE", "/metrics", 405, "Method Not Allowed"},
		{"GET", "/nothing", 404, "404"},
		{"GET", "/metrics/", 404, "404"},
		{"GET", "/debug/pprof/", 404, "404"},
	} {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			res, text := m.do(t, row.method, row.path, "localhost")
			if res.StatusCode != row.code || !strings.HasPrefix(text, row.text) || row.method == "HEAD" && text != "" {
				t.Errorf("%d %.200q, want %d %q", res.StatusCode, text, row.code, row.text)
			}
			if allow := res.Header.Get("Allow"); row.code == 405 && allow != "GET, HEAD" {
				t.Errorf("Allow: %s", allow)
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
				"Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "no-referrer", "Access-Control-Allow-Origin": "",
			} {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
				t.Errorf("Content-Security-Policy: %q", csp)
			}
		})
	}
}

// A web page elsewhere can have its own name lead to a loopback address, and then
// read what is there with the browser of somebody on this machine. The Host field
// gives it away.
func TestRebinding(t *testing.T) {
	t.Parallel()
	loopback := serveOn(t, listen(t, "tcp4", "127.0.0.1:0"), whole)
	wide := serveOn(t, listen(t, "tcp4", "0.0.0.0:0"), whole)
	_, port, _ := net.SplitHostPort(wide.address)
	wide.address = "127.0.0.1:" + port
	unix := serve(t, whole)
	for _, row := range []struct {
		host string
		ok   bool // on a loopback address
	}{
		{"localhost", true},
		{"localhost:9891", true},
		{"LocalHost.", true},
		{"127.0.0.1", true},
		{"127.0.0.1:9891", true},
		{"[::1]:9891", true},
		{"[::1]", true},
		{"192.0.2.1:9891", true},
		{"evil.example", false},
		{"evil.example:9891", false},
		{"127.0.0.1.evil.example", false},
		{"localhost.evil.example", false},
		{"127.1", false}, // a name as far as HTTP goes
		{"localhost@evil.example", false},
	} {
		t.Run(row.host, func(t *testing.T) {
			for _, path := range []string{"/metrics", "/healthz", "/readyz", "/", "/nothing"} {
				res, text := loopback.do(t, "GET", path, row.host)
				// A field that is no host at all is refused by the library.
				if refused := res.StatusCode == 421 || res.StatusCode == 400; refused == row.ok {
					t.Errorf("%s on a loopback address: %d %.100q", path, res.StatusCode, text)
				}
				if res.StatusCode == 421 && !strings.Contains(text, "Ask for localhost or the address") {
					t.Errorf("the answer does not help: %q", text)
				}
			}
			for where, m := range map[string]*monitored{"another address": wide, "a unix socket": unix} {
				if res, text := m.do(t, "GET", "/healthz", row.host); res.StatusCode != 200 && res.StatusCode != 400 {
					t.Errorf("on %s: %d %.100q", where, res.StatusCode, text)
				}
			}
		})
	}
}

func TestHugeRequests(t *testing.T) {
	t.Parallel()
	m := serve(t, whole)
	for _, row := range []struct {
		name, request string
		want          string
	}{
		{"a header field", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 1<<20), "431 "},
		{"fields", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X: y\r\n", 1<<17), "431 "},
		{"a path", "GET /" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "431 "},
		{"a body", "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n" + strings.Repeat("x", 1<<20), "405 "},
		{"no HTTP", strings.Repeat("\x00\xff", 1<<10) + "\r\n\r\n", "400 "},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 "},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := m.dial(t)
			go func() { _, _ = io.WriteString(c, row.request) }() // it is not read to its end
			answer, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || !strings.HasPrefix(answer, "HTTP/1.") || !strings.Contains(answer, " "+row.want) {
				t.Errorf("%q %v, want %s", answer, err, row.want)
			}
		})
	}
	if code, _ := m.get(t, "/healthz"); code != 200 {
		t.Errorf("no answer after that: %d", code)
	}
}

// Askers who take connections and neither ask nor read have them for a time, and so
// many at most; others are answered then. Nothing of them is left at the end.
func TestSlowAskers(t *testing.T) {
	var before [2]int
	before[0], before[1] = used(t)
	t.Run("bounded", func(t *testing.T) {
		l := &countingListener{Listener: listen(t, "tcp4", "127.0.0.1:0")}
		m := serveOn(t, l, whole, func(s *http.Server) { s.ReadTimeout = patience })
		var silent []net.Conn
		for range 2 * maxConnections {
			silent = append(silent, m.dial(t))
		}
		for end := time.Now().Add(patience); l.open.Load() < maxConnections && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		}
		for _, c := range silent {
			c.Close()
		}
		if code, text := m.get(t, "/healthz"); code != 200 { // the last of all
			t.Errorf("%d %q", code, text)
		}
		if most := l.most.Load(); most != maxConnections {
			t.Errorf("%d connections at once, want %d", most, maxConnections)
		}
	})
	t.Run("served", func(t *testing.T) {
		const short = 300 * time.Millisecond
		m := serveOn(t, listen(t, "tcp4", "127.0.0.1:0"), whole, func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = short, short })
		var asking sync.WaitGroup
		for i := range 3 * maxConnections {
			c := m.dial(t)
			switch i % 3 {
			case 0: // says nothing
			case 1: // does not come to an end
				_, _ = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-")
			case 2: // asks on and on, and reads nothing
				asking.Go(func() {
					for range 10_000 {
						if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
							return
						}
					}
				})
			}
		}
		for range 3 {
			// Where the machine is busy, this asker is one of the slow, too, and loses its
			// connection: it comes again.
			res, _, err := m.try("GET", "/healthz", "localhost")
			for end := time.Now().Add(patience); err != nil && time.Now().Before(end); time.Sleep(short / 10) {
				res, _, err = m.try("GET", "/healthz", "localhost")
			}
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("%v %v", res, err)
			}
		}
		asking.Wait() // each has lost its connection
	})
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		goroutines, descriptors := used(t)
		if goroutines <= before[0] && descriptors <= before[1] {
			return
		}
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and %d descriptors, %v before\n%s", goroutines, descriptors, before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// Who keeps connections for later takes none from others: each ends with its answer.
func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	m := serve(t, whole, func(s *http.Server) { s.ReadTimeout, s.IdleTimeout = 2*patience, 2*patience })
	c := m.dial(t)
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(text), "Connection: close\r\n") || !strings.HasSuffix(string(text), "alive\n") {
		t.Errorf("%q, %v", text, err)
	}
}

// countingListener counts the connections that are open at once.
type countingListener struct {
	net.Listener
	open, most atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.most.Store(max(l.most.Load(), l.open.Add(1)))
	return &countedConn{Conn: c, closed: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// used is how many goroutines and descriptors there are.
func used(t *testing.T) (goroutines, descriptors int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return runtime.NumGoroutine(), len(fds)
}

// brokenListener fails for good.
type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("the socket is gone") }

// Trouble of the listener is logged, and ends nothing else.
func TestTrouble(t *testing.T) {
	t.Parallel()
	log := new(program.Output)
	s := NewServer(brokenListener{listen(t, "tcp", "127.0.0.1:0")}, whole, slog.New(slog.NewTextHandler(log, nil)))
	s.Serve()
	if !strings.Contains(log.String(), "the socket is gone") {
		t.Errorf("the log has %q", log)
	}
	s.Close()
}
