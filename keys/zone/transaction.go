package zone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

// fudge is how far the clocks may differ, in seconds (RFC 8945 §10).
const fudge = 300

// ErrUnreachable is the error of a name server that cannot be connected to.
var ErrUnreachable = errors.New("the name server cannot be reached")

// open connects to the server.
func (s *server) open(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("%w by TCP: %w", ErrUnreachable, err)
	}
	s.conn, s.used = conn, false
	return nil
}

// shut forgets a connection on which something went wrong.
func (s *server) shut() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func (u *Updater) timeout() time.Duration {
	if u.Timeout > 0 {
		return u.Timeout
	}
	return defaultTimeout
}

func (u *Updater) now() time.Time {
	if u.Now != nil {
		return u.Now()
	}
	return time.Now()
}

// ask sends a message, signed if there is a key, and returns the answer to it. A
// connection that the server closed meanwhile is opened anew: no update can hurt twice.
func (s *server) ask(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	used := s.conn != nil && s.used
	answer, err := s.exchange(ctx, m.Copy())
	if err != nil && used && ctx.Err() == nil && s.conn == nil {
		answer, err = s.exchange(ctx, m.Copy())
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%s: no answer yet: %w", s.addr, ctx.Err())
	}
	return answer, err
}

// exchange is ask without the second try. On any error of the connection it is shut.
func (s *server) exchange(ctx context.Context, m *dns.Msg) (answer *dns.Msg, err error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	deadline, _ := ctx.Deadline()
	// A new dns.Conn for each question: one would sign the next as what follows upon the
	// last, as in a zone transfer.
	conn := &dns.Conn{Conn: s.conn}
	if s.Key != nil {
		conn.TsigProvider = s.Key
	}
	_ = conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	m.RecursionDesired = false
	if s.Key != nil {
		m.SetTsig(s.Key.Name, s.Key.Algorithm, fudge, s.now().Unix())
	}
	if err = conn.WriteMsg(m); err == nil {
		answer, err = conn.ReadMsg()
	}
	if answer == nil || err != nil && answer.IsTsig() == nil {
		s.shut()
		return nil, fmt.Errorf("%s: no answer that can be read: %w", s.addr, err)
	}
	s.used = true
	if err = s.trust(answer, m, err); err != nil {
		s.shut()
		return nil, err
	}
	return answer, nil
}

// trust reports why an answer is not to be believed; cause is what its signature was
// found to be (RFC 8945 §5.3).
func (s *server) trust(answer, question *dns.Msg, cause error) error {
	if answer.Id != question.Id || !answer.Response || answer.Opcode != question.Opcode {
		return fmt.Errorf("%s: the answer is to another question", s.addr)
	}
	if s.Key == nil {
		return nil
	}
	sig := answer.IsTsig()
	switch {
	case sig == nil:
		return fmt.Errorf("%s answered %s without a signature of the key %q: this cannot be believed; does the name server have that key, and the zone?", s.addr, rcode(answer.Rcode), s.keyName())
	case sig.Error != dns.RcodeSuccess:
		return s.keyTrouble(sig)
	case errors.Is(cause, dns.ErrTime):
		// The signature is right; its time is compared with the clock that is ours.
		if apart := s.now().Sub(time.Unix(int64(sig.TimeSigned), 0)).Abs(); apart > fudge*time.Second {
			return fmt.Errorf("%s signed its answer at a time that is %s from now: set the clocks right", s.addr, apart.Round(time.Minute))
		}
		return nil
	case errors.Is(cause, dns.ErrAuth):
		return fmt.Errorf("%s is not the primary name server of %s (NOTAUTH); name the one that is with --server", s.addr, s.zone)
	case cause != nil:
		return fmt.Errorf("%s: the signature of the answer is wrong (%w): somebody else may have sent it", s.addr, cause)
	}
	return nil
}
