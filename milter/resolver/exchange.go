package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is the EDNS0 buffer that avoids fragments (DNS flag day 2020).
	udpSize = 1232
	// readSize is what is read all the same: not every server keeps to it.
	readSize = 4096
	// maxStray is how many datagrams that are no answer to our question are
	// skipped before the try fails.
	maxStray = 64
)

// try asks one server once: by UDP from a fresh port, then by TCP where the
// answer was truncated (RFC 7766 §5). It runs in a goroutine of its own.
func try(ctx context.Context, server netip.AddrPort, name string) (r reply) {
	r.server = server
	defer func() {
		if p := recover(); p != nil {
			r.msg, r.err = nil, fmt.Errorf("%s: panic: %v", server, p)
		}
	}()
	r.msg, r.err = exchange(ctx, "udp", server, name)
	if r.err == nil && r.msg.Truncated {
		r.msg, r.err = exchange(ctx, "tcp", server, name)
	}
	if r.err != nil {
		r.err = fmt.Errorf("%s: %w", server, r.err)
		return r
	}
	switch r.msg.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	default:
		// SERVFAIL, REFUSED, NOTIMP, FORMERR and whatever else: ask another.
		r.err = fmt.Errorf("%s answered %s", server, rcodeName(r.msg.Rcode))
		r.msg = nil
	}
	return r
}

func rcodeName(rcode int) string {
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return fmt.Sprintf("RCODE %d", rcode)
}

// exchange sends one question and returns the first message that answers it.
func exchange(ctx context.Context, network string, server netip.AddrPort, name string) (*dns.Msg, error) {
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	question := new(dns.Msg)
	question.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	question.SetEdns0(udpSize, false)
	question.AuthenticatedData = true // asks for the AD bit: RFC 6840 §5.7

	conn := &dns.Conn{Conn: nc, UDPSize: readSize}
	if err := conn.WriteMsg(question); err != nil {
		return nil, err
	}
	for range maxStray {
		msg, err := conn.ReadMsg()
		switch {
		case err == nil && answers(msg, question):
			return msg, nil
		case broken(err):
			return nil, err
		case network == "tcp" && err != nil:
			return nil, fmt.Errorf("malformed answer: %w", err)
		case network == "tcp":
			return nil, errors.New("answer to another question")
		}
		// By UDP anyone can send us something: wait on for the real answer
		// (RFC 5452 §9.1).
	}
	return nil, fmt.Errorf("%d datagrams, none of which answers the question", maxStray)
}

// broken reports whether err means that nothing more comes over the
// connection, as opposed to a message that cannot be read.
func broken(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// answers reports whether msg has the id and the question that were sent
// (RFC 5452 §9.1). A server that cannot read or does not know the question
// may leave the question out.
func answers(msg, question *dns.Msg) bool {
	if !msg.Response || msg.Id != question.Id || msg.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(msg.Question) == 0 {
		return msg.Rcode == dns.RcodeFormatError || msg.Rcode == dns.RcodeNotImplemented
	}
	got, want := msg.Question[0], question.Question[0]
	return len(msg.Question) == 1 && got.Qtype == want.Qtype && got.Qclass == want.Qclass &&
		strings.EqualFold(got.Name, want.Name)
}
