package resolver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Answer is what an embedded server says of one name.
type Answer struct {
	// TXT are the records. None with a zero Rcode means that the name exists
	// and has no TXT.
	TXT []string
	// CNAME, when set, is where the name leads. TXT are then the target's.
	CNAME string
	// Records are further ones, of any type and with names of their own. Those of the
	// type that was asked for are given, and CNAMEs whatever was.
	Records []dns.RR
	// TTL is given with the records, and with the SOA of an answer without any.
	TTL time.Duration
	// Authentic sets the AD bit.
	Authentic bool
	// Rcode is dns.RcodeNameError for instance; zero is success.
	Rcode int
	// Truncate sets TC and leaves the records out where asked by UDP.
	Truncate bool
	// Delay is how long the server thinks.
	Delay time.Duration
	// Drop sends nothing.
	Drop bool
}

// Handler answers questions for name, which is in lower case and without the final
// dot. It is called concurrently.
type Handler func(name string) Answer

// Server is a tiny nameserver on the loopback interface, for demonstrations and
// tests.
type Server struct {
	handler Handler
	addr    netip.AddrPort
	done    chan struct{}
	once    sync.Once
	udp     *dns.Server
	tcp     *dns.Server
	running sync.WaitGroup
}

// portTries is how often Serve looks for a port that is free for UDP and TCP.
const portTries = 16

// Serve answers questions by UDP and TCP on addr, a loopback address with a
// port; port 0 takes one that is free. The caller closes the server.
func Serve(addr string, handler Handler) (*Server, error) {
	want, err := netip.ParseAddrPort(addr)
	if err != nil || !want.Addr().IsLoopback() {
		return nil, fmt.Errorf("embedded nameserver: %q is no loopback address with a port, such as 127.0.0.1:0", addr)
	}
	listener, packets, err := listenBoth(want)
	if err != nil {
		return nil, fmt.Errorf("embedded nameserver: %w", err)
	}
	s := &Server{handler: handler, addr: listener.Addr().(*net.TCPAddr).AddrPort(), done: make(chan struct{})}
	h := dns.HandlerFunc(s.serve)
	s.udp = &dns.Server{PacketConn: packets, Handler: h}
	s.tcp = &dns.Server{Listener: listener, Handler: h}
	var started sync.WaitGroup
	for _, server := range []*dns.Server{s.udp, s.tcp} {
		started.Add(1)
		server.NotifyStartedFunc = started.Done
		s.running.Go(func() { _ = server.ActivateAndServe() })
	}
	started.Wait()
	return s, nil
}

func listenBoth(want netip.AddrPort) (net.Listener, net.PacketConn, error) {
	var last error
	for range portTries {
		listener, err := net.Listen("tcp", want.String())
		if err != nil {
			return nil, nil, err
		}
		packets, err := net.ListenPacket("udp", listener.Addr().String())
		if err == nil {
			return listener, packets, nil
		}
		last = errors.Join(err, listener.Close())
		if want.Port() != 0 {
			break
		}
	}
	return nil, nil, last
}

// Addr is where the server listens, as ADDRESS:PORT: a value for
// Options.Nameservers.
func (s *Server) Addr() string { return s.addr.String() }

// Close stops the server. Answers that wait for their delay are dropped.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.done)
		err = errors.Join(s.udp.Shutdown(), s.tcp.Shutdown())
		s.running.Wait()
	})
	return err
}

func (s *Server) serve(w dns.ResponseWriter, question *dns.Msg) {
	msg := new(dns.Msg)
	msg.SetReply(question)
	msg.RecursionAvailable = true
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	if answer, ok := s.ask(question); !ok {
		msg.Rcode = dns.RcodeServerFailure
	} else if !s.fill(msg, answer, udp) {
		return
	}
	if edns := question.IsEdns0(); edns != nil && udp {
		msg.Truncate(int(max(edns.UDPSize(), dns.MinMsgSize)))
	} else if udp {
		msg.Truncate(dns.MinMsgSize)
	}
	_ = w.WriteMsg(msg) // an asker that has gone needs no answer
}

// ask calls the handler; ok is false when it panicked or nothing was asked.
func (s *Server) ask(question *dns.Msg) (answer Answer, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	if len(question.Question) != 1 {
		return Answer{}, false
	}
	return s.handler(owner(question.Question[0].Name)), true
}

// fill waits and writes the answer into msg; false means to say nothing.
func (s *Server) fill(msg *dns.Msg, a Answer, udp bool) bool {
	if a.Delay > 0 {
		timer := time.NewTimer(a.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.done:
			return false
		}
	}
	if a.Drop {
		return false
	}
	msg.Rcode = a.Rcode
	msg.AuthenticatedData = a.Authentic
	if a.Truncate && udp {
		msg.Truncated = true
		return true
	}
	header := func(rrtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: msg.Question[0].Name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: uint32(a.TTL / time.Second)}
	}
	txt := header(dns.TypeTXT)
	if a.CNAME != "" {
		txt.Name = dns.Fqdn(a.CNAME)
		msg.Answer = append(msg.Answer, &dns.CNAME{Hdr: header(dns.TypeCNAME), Target: txt.Name})
	}
	qtype := msg.Question[0].Qtype
	for _, rr := range a.Records {
		if t := rr.Header().Rrtype; t == qtype || t == dns.TypeCNAME {
			msg.Answer = append(msg.Answer, rr)
		}
	}
	if qtype == dns.TypeTXT {
		for _, value := range a.TXT {
			msg.Answer = append(msg.Answer, &dns.TXT{Hdr: txt, Txt: splitStrings(value)})
		}
	}
	if len(msg.Answer) == 0 && (a.Rcode == dns.RcodeSuccess || a.Rcode == dns.RcodeNameError) {
		soa := header(dns.TypeSOA)
		msg.Ns = append(msg.Ns, &dns.SOA{Hdr: soa, Ns: soa.Name, Mbox: soa.Name, Minttl: soa.Ttl})
	}
	return true
}

// splitStrings cuts value into strings of at most 255 octets (RFC 1035 §3.3.14).
func splitStrings(value string) []string {
	const maxString = 255
	list := []string{}
	for len(value) > maxString {
		list = append(list, Escape(value[:maxString]))
		value = value[maxString:]
	}
	return append(list, Escape(value))
}
