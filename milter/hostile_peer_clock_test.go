package milter

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

// onPipe serves a session on one end of a pipe and returns the other end, and
// what is closed when the session has ended. It is for the clock of a bubble.
func onPipe(srv *Server) (peer net.Conn, ended chan struct{}) {
	peer, filter := net.Pipe()
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		newSession(srv, "unix:pipe", filter, srv.log).run()
	}()
	return peer, ended
}

// stages are commands that bring a session to each stage of a message.
var stages = []string{"", "O", "OC", "OCM", "OCMR", "OCML", "OCMLN", "OCMLNB", "OCMLNBE"}

// playOnPipe sends commands and drops what is answered.
func playOnPipe(peer net.Conn, order string) error {
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	for _, cmd := range []byte(order) {
		for _, f := range framesOf(cmd) {
			if _, err := peer.Write(appendFrame(nil, f.cmd, f.payload)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readReply reads to the end of one answer.
func readReply(peer net.Conn) error {
	for {
		var head [5]byte
		if _, err := io.ReadFull(peer, head[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, peer, int64(binary.BigEndian.Uint32(head[:]))-1); err != nil {
			return err
		}
		if !strings.ContainsRune("ihmpq+-", rune(head[4])) {
			return nil
		}
	}
}

// A peer that sends one octet a second, or five and nothing more, is gone when
// frame_timeout is over, counted from the first octet, at whatever stage; one
// that sends nothing, when idle_timeout is. The settings are the defaults.
func TestSlowPeers(t *testing.T) {
	signer, _ := signingServer(t, "")
	snapshot := signer.Snapshot()
	long := appendFrame(nil, wire.CmdBody, strings.Repeat("x", 60000))
	for _, row := range []struct {
		name  string
		sent  []byte
		pause time.Duration // between octets
		want  time.Duration
	}{
		{"one octet a second", long, time.Second, snapshot.cfg.FrameTimeout.Std()},
		{"ten octets a second", long, time.Second / 10, snapshot.cfg.FrameTimeout.Std()},
		{"one octet a minute", long, time.Minute, snapshot.cfg.FrameTimeout.Std()},
		{"five octets and silence", long[:5], 0, snapshot.cfg.FrameTimeout.Std()},
		{"one octet and silence", long[:1], 0, snapshot.cfg.FrameTimeout.Std()},
		{"silence", nil, 0, snapshot.cfg.IdleTimeout.Std()},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, stage := range stages {
				synctest.Test(t, func(t *testing.T) {
					srv := quietServer(snapshot)
					peer, ended := onPipe(srv)
					defer peer.Close()
					if err := playOnPipe(peer, stage); err != nil {
						t.Fatalf("at stage %q: %v", stage, err)
					}
					synctest.Wait()
					start := time.Now()
					var sender sync.WaitGroup
					defer sender.Wait()
					sender.Go(func() {
						for i := range row.sent {
							if _, err := peer.Write(row.sent[i : i+1]); err != nil {
								return
							}
							time.Sleep(row.pause)
						}
					})
					<-ended
					if d := time.Since(start); d != row.want {
						t.Errorf("at stage %q the connection ends after %v, want %v", stage, d, row.want)
					}
				})
			}
		})
	}
}

// A peer that sends and never reads is gone when frame_timeout is over, at
// whatever stage it stops to read.
func TestPeersThatNeverRead(t *testing.T) {
	signer, _ := signingServer(t, "")
	snapshot := signer.Snapshot()
	const order = "OCHMRTLNBE"
	for cut := range len(order) {
		synctest.Test(t, func(t *testing.T) {
			srv := quietServer(snapshot)
			peer, ended := onPipe(srv)
			defer peer.Close()
			for i, cmd := range []byte(order[:cut+1]) {
				for _, f := range framesOf(cmd) {
					if _, err := peer.Write(appendFrame(nil, f.cmd, f.payload)); err != nil {
						t.Fatal(err)
					}
					if i == cut {
						break // its answer is not read
					}
					if err := readReply(peer); err != nil {
						t.Fatal(err)
					}
				}
			}
			start := time.Now()
			<-ended
			if d := time.Since(start); d != snapshot.cfg.FrameTimeout.Std() {
				t.Errorf("%s: the connection ends after %v, want %v", order[:cut+1], d, snapshot.cfg.FrameTimeout.Std())
			}
		})
	}
}
