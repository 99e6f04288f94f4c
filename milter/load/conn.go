package load

import (
	"context"
	"net"
	"time"
)

// Conn is one connection to a filter, for a program that looks at each answer. It
// is not safe for concurrent use.
type Conn struct {
	net  net.Conn
	s    *session
	ctx  context.Context
	stop func() bool
	sent int
}

// Dial opens a connection for one client: it negotiates, and says who the client
// is. network and address are for net.Dial. An answer that is not to go on is about
// all mail of the client. ctx bounds the whole life of the connection.
func Dial(ctx context.Context, network, address string, from Client) (*Conn, Answer, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, Answer{}, context.Cause(ctx)
	case err != nil:
		return nil, Answer{}, err
	}
	timeout := defaultTimeout
	if end, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(end), 0) + time.Second // ctx comes first
	}
	r := &run{Options: Options{Version: 6, Timeout: timeout}}
	conn := &Conn{net: c, s: newSession(r, c), ctx: ctx, stop: context.AfterFunc(ctx, func() { c.Close() })}
	answer, err := conn.s.begin(newLetter(&Message{Client: from}).client)
	if err != nil {
		conn.Close()
		return nil, answer, conn.cause(err)
	}
	return conn, answer, nil
}

// cause is why an exchange failed: the end of ctx, if that came first.
func (c *Conn) cause(err error) error {
	if err != nil && c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return err
}

// Deliver takes a message through the filter and returns its answer with all
// changes. Who the client is was said before: m.Client does not count. After an
// error the connection is of no use.
func (c *Conn) Deliver(m Message) (Answer, error) {
	m.Judge = func(Answer) error { return nil } // has the changes kept
	c.sent++
	l := newLetter(&m)
	answer, err := c.s.deliver(&l, c.sent)
	return answer, c.cause(err)
}

// Accepts reports whether the answer lets the message pass.
func (a Answer) Accepts() bool { return a.Code == goOn || a.Code == accept }

// Defers reports whether the answer is a temporary failure.
func (a Answer) Defers() bool {
	return a.Code == tempfail || a.Code == replied && len(a.Text) > 0 && a.Text[0] == '4'
}

// Close ends the SMTP session and the connection.
func (c *Conn) Close() error {
	defer c.stop()
	_ = c.s.end() // the filter may have gone
	return c.net.Close()
}
