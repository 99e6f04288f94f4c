package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
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

// try asks one server once: by UDP from a fresh port, or by TCP, as network
// says, without EDNS0 where it knows none (RFC 6891 §7), then by TCP where the
// answer was truncated (RFC 7766 §5). It runs in a goroutine of its own.
func try(ctx context.Context, network string, server netip.AddrPort, q question) (r reply) {
	r.server = server
	defer func() {
		if p := recover(); p != nil {
			r.msg, r.err = nil, fmt.Errorf("%s: panic: %v", server, p)
		}
	}()
	edns := true
	msg, err := exchange(ctx, network, server, q, edns)
	if err == nil && (msg.Rcode == dns.RcodeFormatError || msg.Rcode == dns.RcodeNotImplemented) {
		edns = false
		msg, err = exchange(ctx, network, server, q, edns)
	}
	if err == nil && msg.Truncated && network == "udp" {
		msg, err = exchange(ctx, "tcp", server, q, edns)
	}
	if err != nil {
		r.err = fmt.Errorf("%s: %w", server, err)
	} else if err = refusal(msg); err != nil {
		r.err = fmt.Errorf("%s %w", server, err)
	} else {
		r.msg = msg
	}
	return r
}

// refusal says why a message is no answer that tells whether the name has
// records; another server is asked then.
func refusal(msg *dns.Msg) error {
	if msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError {
		return fmt.Errorf("answered %s", rcodeName(msg.Rcode)) // SERVFAIL, REFUSED and whatever else
	}
	if msg.Truncated {
		return errors.New("truncated its answer over TCP")
	}
	// A referral to other servers comes from one that does not recurse (RFC 2308
	// §2.1): it says nothing about the name.
	if _, known := negativeTTL(msg); known {
		return nil
	}
	if len(msg.Answer) == 0 && len(msg.Ns) > 0 && !msg.Authoritative {
		return errors.New("answered with a referral: it does not recurse")
	}
	if len(msg.Answer) > 0 && !concerns(msg, msg.Question[0]) {
		return errors.New("answered with records that were not asked for")
	}
	return nil
}

// concerns reports whether msg has a record that q asks for, or a CNAME in its place.
func concerns(msg *dns.Msg, q dns.Question) bool {
	name := owner(q.Name)
	return slices.ContainsFunc(msg.Answer, func(rr dns.RR) bool {
		h := rr.Header()
		return (h.Rrtype == q.Qtype || h.Rrtype == dns.TypeCNAME) && h.Class == dns.ClassINET && owner(h.Name) == name
	})
}

func rcodeName(rcode int) string {
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return fmt.Sprintf("RCODE %d", rcode)
}

// exchange sends one question and returns the first message that answers it.
func exchange(ctx context.Context, network string, server netip.AddrPort, q question, edns bool) (*dns.Msg, error) {
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	question := new(dns.Msg)
	question.SetQuestion(q.name+".", q.qtype)
	if edns {
		question.SetEdns0(udpSize, false)
	}
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
