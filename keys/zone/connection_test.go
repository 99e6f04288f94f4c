package zone

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The questions of an Updater go over one connection, each with a signature of its own:
// none is refused, and none is asked twice.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	key, err := newTSIG("mine", "hmac-sha256", someSecret)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections, questions, wrong atomic.Int32
	srv := &dns.Server{
		Listener: countedListener{listener, &connections}, TsigProvider: key,
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
			questions.Add(1)
			answer := new(dns.Msg).SetReply(m)
			answer.Authoritative = true
			if err := w.TsigStatus(); err != nil {
				wrong.Add(1)
				answer.Rcode = dns.RcodeNotAuth
			} else if m.Opcode == dns.OpcodeQuery && m.Question[0].Qtype == dns.TypeSOA {
				answer.Answer = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: ".", Mbox: "."}}
			}
			answer.SetTsig(key.Name, key.Algorithm, fudge, time.Now().Unix())
			if err := w.WriteMsg(answer); err != nil {
				t.Error(err)
			}
		}),
	}
	go func() { _ = srv.ActivateAndServe() }()
	t.Cleanup(func() { _ = srv.Shutdown() })

	u := &Updater{Server: listener.Addr().String(), Key: key}
	defer u.Close()
	for i := range 3 {
		name := fmt.Sprintf("s%d._domainkey.example.com", i)
		if err := u.Update(t.Context(), Change{Name: name, After: []string{"v=DKIM1; p="}}); err != nil {
			t.Fatal(err)
		}
	}
	if c, q, w := connections.Load(), questions.Load(), wrong.Load(); c != 1 || q != 9 || w != 0 {
		t.Errorf("%d connections, %d questions, %d with a wrong signature; want 1, 9 and 0", c, q, w)
	}
}

// countedListener counts the connections.
type countedListener struct {
	net.Listener
	n *atomic.Int32
}

func (l countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return conn, err
}
