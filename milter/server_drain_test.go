package milter

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// begun brings a message past the end of its header.
func (s *testServer) begun(t testing.TB) *mta {
	t.Helper()
	m := s.connect(t, "localhost", "127.0.0.1")
	if got := m.play(stepsOf("MRLN", plainHeader)); got != "c" {
		t.Fatalf("EOH is answered with %q", got)
	}
	return m
}

// While the server stops, each connection ends with its message, in whatever
// way the message ends; no new one begins.
func TestDrain(t *testing.T) {
	for _, row := range []struct{ name, order, want string }{
		{"the end", "BE", "cia"},
		{"ABORT", "A", ""},
		{"the next MAIL in its place", "M", ""},
		{"the next header in its place", "ML", ""},
		{"QUIT_NC", "K", ""},
		{"OPTNEG", "O", ""},
		{"the MTA goes", "Q", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			srv, _ := signingServer(t, "")
			sessions := []*mta{srv.begun(t), srv.begun(t), srv.begun(t)}
			ended := make(chan error, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			idle := srv.connect(t, "localhost", "127.0.0.1")
			go func() { ended <- srv.Shutdown(ctx) }()
			idle.closed() // the stop has begun
			for _, m := range sessions {
				if row.order == "O" {
					m.negotiate(6, allActions, allSteps)
				} else if got := strings.TrimSuffix(m.play(stepsOf(row.order, plainHeader)), "!"); got != row.want {
					// "!": the connection was closed before the last command was out.
					t.Errorf("answered with %q, want %q", got, row.want)
				}
				m.closed()
			}
			if err := <-ended; err != nil {
				t.Errorf("the stop waited until its time was over: %v", err)
			}
		})
	}
}

// A stop, new connections and messages at the same time.
func TestStopUnderLoad(t *testing.T) {
	srv, _ := signingServer(t, "")
	goroutines, descriptors := resources(t)
	gone := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { gone <- struct{}{} }()
			for {
				c, err := net.Dial("unix", srv.path)
				if err != nil {
					return
				}
				_, _ = c.Write(stream(t))
				buf := make([]byte, 4096)
				for {
					if _, err := c.Read(buf); err != nil {
						break
					}
				}
				c.Close()
			}
		}()
	}
	for srv.Counts().Messages[Sign] < 50 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("the second stop: %v", err)
	}
	for range 8 {
		<-gone
	}
	srv.settled(t, goroutines, descriptors)
}
