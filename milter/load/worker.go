package load

import (
	"context"
	"fmt"
	"net"
	"time"
)

// worker is one of the connections at once: it opens one after the other.
type worker struct {
	*run
	messages, failed, connections int
	latency                       histogram
}

// work sends messages until none is left or ctx ends. The error is that no
// connection can be opened, or that the first could not negotiate.
func (w *worker) work(ctx context.Context) error {
	n := w.next()
	for n >= 0 && ctx.Err() == nil {
		c, err := w.open(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		w.connections++
		if n, err = w.use(ctx, c, n); err != nil {
			return err
		}
	}
	return nil
}

// open opens a connection, with some patience for a filter that is being
// started again.
func (w *worker) open(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: w.Timeout}
	for attempt := 1; ; attempt++ {
		c, err := d.DialContext(ctx, w.network, w.address)
		if err == nil {
			if tcp, ok := c.(*net.TCPConn); ok {
				// Postfix leaves Nagle's algorithm on.
				if err := tcp.SetNoDelay(false); err != nil {
					c.Close()
					return nil, err
				}
			}
			return c, nil
		}
		if attempt == attempts || ctx.Err() != nil {
			return nil, fmt.Errorf("no milter answers on %s: %w", w.Socket, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(attemptPause):
		}
	}
}

// use sends message n and those after it over a connection, and returns the
// number of the first that is left, or -1. The error is that no milter answers:
// none has negotiated in this run.
func (w *worker) use(ctx context.Context, c net.Conn, n int) (next int, err error) {
	defer c.Close()
	finished := make(chan struct{})
	defer close(finished)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-finished:
		case <-time.After(grace):
			c.Close()
		}
	})()
	s := newSession(w.run, c)
	client := w.letters[n%len(w.letters)].client
	answer, err := s.begin(client)
	if s.negotiated {
		w.milter.Store(true)
	} else if ctx.Err() == nil && !w.milter.Load() {
		return -1, fmt.Errorf("no milter answers on %s: %w", w.Socket, err)
	}
	if err != nil || answer.Code != goOn {
		// The filter has decided on all mail of this connection: it counts as
		// one message.
		w.count(ctx, n, &answer, err)
		return w.next(), nil
	}
	for sent := 1; ; sent++ {
		l := &w.letters[n%len(w.letters)]
		start := time.Now()
		answer, err := s.deliver(l, n)
		if w.count(ctx, n, &answer, err) {
			w.latency.add(time.Since(start))
		}
		n = w.next()
		if err != nil {
			return n, nil
		}
		if n < 0 || sent >= w.PerConnection || w.letters[n%len(w.letters)].client != client || ctx.Err() != nil {
			_ = s.end() // all messages of this connection are answered
			return n, nil
		}
	}
}

// count books message n and reports whether it came back as wanted. One that
// broke off because the run ends is not counted.
func (w *worker) count(ctx context.Context, n int, a *Answer, err error) bool {
	if err != nil && ctx.Err() != nil {
		return false
	}
	if err == nil {
		err = w.judge(&w.letters[n%len(w.letters)], a)
	}
	w.messages++
	w.done.Add(1)
	if err != nil {
		w.failed++
		w.run.failed(fmt.Errorf("message %d: %w", n+1, err))
	}
	return err == nil
}
