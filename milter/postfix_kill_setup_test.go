package milter_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/testdata/peers"
)

// mortal is a site whose daemon is `postseal serve`, a process that tests kill.
type mortal struct {
	*site
	program string
	cmd     *exec.Cmd
	ended   chan struct{}
}

// startMortal starts Postfix and the process. With a tap, Postfix speaks to the
// daemon through it.
func startMortal(t *testing.T, o setup, r *tap) *mortal {
	t.Helper()
	peers.Require(t, postfix.Available())
	k := &mortal{program: milter.BuildProgram(t)}
	o.run = func(s *site) {
		k.site = s
		k.serve()
		if r != nil {
			network, address, err := config.ParseSocket(s.socket)
			must(t, err)
			r.open(t, network, address)
		}
	}
	start(t, o)
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve starts the daemon and waits until it serves; it ends with the test.
func (k *mortal) serve() {
	k.t.Helper()
	log := new(milter.LockedLog)
	cmd := exec.Command(k.program, "serve", "-c", filepath.Join(k.dir, "postseal.toml"))
	cmd.Stderr = io.MultiWriter(log, k.log)
	must(k.t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	k.t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for end := time.Now().Add(time.Minute); !strings.Contains(log.String(), "msg=started"); time.Sleep(5 * time.Millisecond) {
		select {
		case <-ended:
			k.t.Fatalf("the daemon does not start:\n%s", log)
		default:
		}
		if time.Now().After(end) {
			k.t.Fatalf("the daemon has not started:\n%s", log)
		}
	}
	k.cmd, k.ended = cmd, ended
}

// kill kills the daemon and waits until it is gone.
func (k *mortal) kill() {
	_ = k.cmd.Process.Kill()
	<-k.ended
}

// tap stands between Postfix and the daemon, and acts at a frame of Postfix's.
type tap struct {
	listener net.Listener
	network  string // of the daemon
	address  string

	mu    sync.Mutex
	frame byte // the command to act at; 0: none
	count int  // how many of them are to come until then
	// before it goes on, and after that
	before, after func()
}

func newTap(t testing.TB) *tap {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return &tap{listener: l}
}

// spec is the tap's socket for main.cf.
func (r *tap) spec() string { return "inet:" + r.listener.Addr().String() }

// at has before and after called when the next frame of this kind, or the count-th,
// has come: before it goes on, and after that. Then done is closed.
func (r *tap) at(frame byte, count int, before, after func()) (done <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	both := make(chan struct{})
	r.frame, r.count, r.before = frame, count, before
	r.after = func() { after(); close(both) }
	return both
}

// see returns what is to be done when the frame has gone on.
func (r *tap) see(frame byte) (after func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if frame != r.frame {
		return func() {}
	}
	if r.count--; r.count > 0 {
		return func() {}
	}
	r.frame = 0
	r.before()
	return r.after
}

// open begins to accept connections.
func (r *tap) open(t testing.TB, network, address string) {
	r.network, r.address = network, address
	var all sync.WaitGroup
	t.Cleanup(func() { r.listener.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := r.listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { r.pass(c) })
		}
	})
}

// pass passes everything on until one side ends, and then ends the other.
func (r *tap) pass(mta net.Conn) {
	defer mta.Close()
	daemon, err := net.Dial(r.network, r.address)
	if err != nil {
		return
	}
	defer daemon.Close()
	go func() {
		_, _ = io.Copy(mta, daemon)
		mta.Close()
	}()
	for {
		var head [5]byte
		if _, err := io.ReadFull(mta, head[:]); err != nil {
			return
		}
		frame := append(head[:], make([]byte, binary.BigEndian.Uint32(head[:])-1)...)
		if _, err := io.ReadFull(mta, frame[5:]); err != nil {
			return
		}
		after := r.see(head[4])
		_, err := daemon.Write(frame)
		if after(); err != nil {
			return
		}
	}
}

// hold stops the daemon: it answers nothing that comes now.
func (k *mortal) hold() {
	_ = k.cmd.Process.Signal(syscall.SIGSTOP)
	for running := true; running; {
		running = false
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", k.cmd.Process.Pid))
		for _, path := range threads {
			stat, err := os.ReadFile(path)
			_, state, _ := strings.Cut(string(stat), ") ")
			running = running || err == nil && state[0] != 'T'
		}
	}
}

// mailbox is every message that was delivered, by its Subject.
func (k *mortal) mailbox() map[string][][]byte {
	k.t.Helper()
	box, err := k.postfix.Mailbox(inbox)
	must(k.t, err)
	bySubject := map[string][][]byte{}
	for _, msg := range box {
		_, rest, _ := bytes.Cut(msg, []byte("\nSubject: "))
		subject, _, _ := bytes.Cut(rest, []byte("\n"))
		bySubject[string(subject)] = append(bySubject[string(subject)], withoutDelivery(msg))
	}
	return bySubject
}

// held is how many messages Postfix holds (quarantine).
func (k *mortal) held() int {
	k.t.Helper()
	out, err := exec.Command("postqueue", "-c", k.postfix.ConfigDir(), "-j").Output()
	must(k.t, err)
	return strings.Count(string(out), `"queue_name": "hold"`)
}

// settle waits until everything that was accepted is delivered or held.
func (k *mortal) settle() {
	k.t.Helper()
	held := -1
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		n, err := k.postfix.Queued()
		must(k.t, err)
		if held = k.held(); n == held {
			return
		}
		if time.Now().After(end) {
			k.t.Fatalf("%d messages are in the queue, %d of them held\n%s", n, held, k.postfix.Log())
		}
	}
}
