// Package rogue is a nameserver that answers wrongly, late or not at all, for the
// tests of those who ask. How it answers is the first label of the name that it
// is asked for.
package rogue

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Outcome is what an asker has to make of an answer.
type Outcome int

const (
	// Found: the record is had all the same.
	Found Outcome = iota
	// Absent: there is no record, and that is certain.
	Absent
	// Temporary: nothing is known for now.
	Temporary
)

// Behaviour is one way to answer.
type Behaviour struct {
	Label   string // of the name, and of the test
	Outcome Outcome
	// Waits: an asker knows the outcome only when its time is over.
	Waits bool

	udp func(*question) // nil: nothing comes
	tcp func(*question) // nil: nothing comes, and the connection stays open
}

// Server is a nameserver on a loopback port, by UDP and TCP.
type Server struct {
	value   string // the TXT record that an asker may find
	packets net.PacketConn
	other   net.PacketConn // another port
	tcp     net.Listener
	done    chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex
	asked map[string]int // by label
	open  map[net.Conn]bool
}

// late is after any deadline of a test that waits for [Behaviour.Waits].
const late = 2 * time.Second

// Serve answers until Close. value is the record that an asker may find.
func Serve(value string) (*Server, error) {
	s := &Server{value: value, done: make(chan struct{}), asked: map[string]int{}, open: map[net.Conn]bool{}}
	var err error
	for range 20 { // a port that is free for both
		if s.packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
		if s.tcp, err = net.Listen("tcp", s.packets.LocalAddr().String()); err == nil {
			break
		}
		s.packets.Close()
	}
	if err != nil {
		return nil, err
	}
	if s.other, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(err, s.packets.Close(), s.tcp.Close())
	}
	s.running.Go(s.serveUDP)
	s.running.Go(s.serveTCP)
	return s, nil
}

// Addr is where the server listens, as ADDRESS:PORT.
func (s *Server) Addr() string { return s.packets.LocalAddr().String() }

// Asked is how often a label was asked for, by UDP and by TCP.
func (s *Server) Asked(label string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[label]
}

// Close stops the server.
func (s *Server) Close() error {
	close(s.done)
	err := errors.Join(s.packets.Close(), s.other.Close(), s.tcp.Close())
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	return err
}

func (s *Server) serveUDP() {
	buf := make([]byte, dns.MaxMsgSize)
	for {
		n, from, err := s.packets.ReadFrom(buf)
		if err != nil {
			return
		}
		q := &question{server: s, from: from}
		if b, ok := q.read(buf[:n]); ok && b.udp != nil {
			b.udp(q)
		}
	}
}

func (s *Server) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[c] = true
		s.mu.Unlock()
		s.running.Go(func() {
			defer c.Close()
			p, err := (&dns.Conn{Conn: c}).ReadMsgHeader(nil)
			if err != nil {
				return
			}
			q := &question{server: s, conn: c}
			if b, ok := q.read(p); ok && b.tcp != nil {
				b.tcp(q)
			} else {
				_, _ = io.Copy(io.Discard, c) // until the asker goes
			}
		})
	}
}

// question is one question, and the way back to the asker.
type question struct {
	*dns.Msg
	server *Server
	from   net.Addr // by UDP
	conn   net.Conn // by TCP
}

// read reads the question and finds how it is to be answered.
func (q *question) read(p []byte) (Behaviour, bool) {
	q.Msg = new(dns.Msg)
	if q.Unpack(p) != nil || len(q.Question) != 1 {
		return Behaviour{}, false
	}
	label, _, _ := strings.Cut(strings.ToLower(q.Question[0].Name), ".")
	q.server.mu.Lock()
	q.server.asked[label]++
	q.server.mu.Unlock()
	for _, b := range Behaviours() {
		if b.Label == label {
			return b, true
		}
	}
	return Behaviour{}, false
}

// send writes a message as it stands, with its length where it goes by TCP.
func (q *question) send(p []byte) {
	if q.conn != nil {
		_, _ = q.conn.Write(append([]byte{byte(len(p) >> 8), byte(len(p))}, p...))
	} else {
		_, _ = q.server.packets.WriteTo(p, q.from)
	}
}

// after calls f once d has passed, unless the server is closed before.
func (q *question) after(d time.Duration, f func()) {
	q.server.running.Go(func() {
		select {
		case <-time.After(d):
			f()
		case <-q.server.done:
		}
	})
}

// answer is a message with records in zone file form, in which "@" is the name
// that was asked for and VALUE the record of the server.
func (q *question) answer(records ...string) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q.Msg)
	m.RecursionAvailable = true
	for _, text := range records {
		text = strings.ReplaceAll(text, "VALUE", q.server.zoneStrings(255))
		rr, err := dns.NewRR(strings.ReplaceAll(text, "@", q.Question[0].Name))
		if err != nil {
			panic(fmt.Sprintf("%s: %v", text, err))
		}
		if rr.Header().Rrtype == dns.TypeSOA {
			m.Ns = append(m.Ns, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	return m
}

// zoneStrings is the server's record in strings of at most size octets.
func (s *Server) zoneStrings(size int) string {
	var b strings.Builder
	for v := s.value; v != ""; {
		n := min(size, len(v))
		fmt.Fprintf(&b, "%q ", v[:n])
		v = v[n:]
	}
	return b.String()
}

// pack is the message on the wire, of any size up to 64 KiB.
func pack(m *dns.Msg) []byte {
	p, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return p
}
