// Package load plays Postfix to a milter with many messages, as fast as the
// milter takes them, and measures what it costs.
//
// On the wire it is Postfix 3.7, as recorded from one: its offer in the
// negotiation, its macros before each command, its order of commands, and its
// grouping of frames into writes (see stream). What the filter asks for in the
// negotiation is honoured. Memory does not grow with the number of messages, and
// a message is laid out once, so that the driver leaves the machine to the
// filter.
package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a run sends to whom. Socket, Message and either Messages or
// Duration are needed.
type Options struct {
	// Socket is the milter's: local:/path, unix:/path, inet:port@host or
	// inet:host:port.
	Socket string
	// Version is what Postfix calls milter_protocol: 2, 3, 4 or 6; 0 is 6.
	Version int
	// Connections is how many are open at once; 0 is 1.
	Connections int
	// PerConnection is how many messages a connection carries before it is
	// opened anew; 0 is 1, as most SMTP clients do it.
	PerConnection int
	// Messages is how many are sent in all; 0 is no limit but Duration.
	Messages int
	// Duration is after how long no message begins any more; 0 is no limit but
	// Messages.
	Duration time.Duration
	// Message are the messages, sent in turn. Where the next one comes from
	// another client, the connection is opened anew.
	Message []Message
	// Want is the name of a header field that the filter must insert or add to
	// each message, or "Name: text" with a text that must be in its value; empty
	// is none.
	Want string
	// Timeout is how long each reply of the filter may take, and a connection to
	// open; 0 is a minute.
	Timeout time.Duration
	// Progress, if not nil, is told about once a second and at the end, by one
	// goroutine, how many messages are done.
	Progress func(done int)
}

// Report is what a run has measured.
type Report struct {
	// Messages is how many were done, the failed ones included.
	Messages int
	// Failed is how many were refused, deferred or not answered, or came back
	// without the wanted field.
	Failed int
	// FirstError says why the first of them failed; nil if none did.
	FirstError error
	// Connections is how many were opened.
	Connections int
	// Elapsed is from the first connection to the last reply.
	Elapsed time.Duration
	// Latency is the time of a message in the filter, from MAIL to the reply to
	// the end of the message.
	Latency Latency
}

// Rate is messages a second.
func (r Report) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Messages) / r.Elapsed.Seconds()
}

const (
	defaultTimeout = time.Minute
	// attempts is how often in a row, and attemptPause how far apart, a
	// connection is tried to be opened before the run is given up.
	attempts     = 20
	attemptPause = 100 * time.Millisecond
	// grace is how long messages in progress go on after ctx has ended.
	grace = 2 * time.Second
)

// Run sends messages as o says until all are done, o.Duration is over or ctx
// ends; the report has the figures so far in each case. What goes wrong with a
// message is counted in the report. The error is another: that o makes no sense,
// that the milter could not be reached any more, or that what listens there does
// not negotiate from the start.
func Run(ctx context.Context, o Options) (Report, error) {
	r, err := newRun(o)
	if err != nil {
		return Report{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	if o.Duration > 0 {
		r.end = start.Add(o.Duration)
	}
	ended := make(chan struct{})
	var telling sync.WaitGroup
	if o.Progress != nil {
		telling.Go(func() { r.tell(ended) })
	}
	workers := make([]worker, r.Connections)
	var working sync.WaitGroup
	for i := range workers {
		w := &workers[i]
		w.run = r
		working.Go(func() {
			if err := w.work(ctx); err != nil {
				r.unreachable.CompareAndSwap(nil, &err)
				cancel()
			}
		})
	}
	working.Wait()
	report := Report{Elapsed: time.Since(start)}
	close(ended)
	telling.Wait()
	var all histogram
	for i := range workers {
		w := &workers[i]
		report.Messages += w.messages
		report.Failed += w.failed
		report.Connections += w.connections
		all.merge(&w.latency)
	}
	report.FirstError = r.firstError
	report.Latency = all.quantiles()
	if err := r.unreachable.Load(); err != nil {
		return report, *err
	}
	return report, nil
}

// run is what the workers of a Run share.
type run struct {
	Options
	network, address string
	wantName         string // in lower case
	wantText         string
	letters          []letter
	end              time.Time // zero: never
	begun, done      atomic.Int64
	milter           atomic.Bool // one has negotiated
	unreachable      atomic.Pointer[error]

	mu         sync.Mutex
	firstError error
}

func newRun(o Options) (*run, error) {
	r := &run{Options: o}
	var err error
	if r.network, r.address, err = Address(o.Socket); err != nil {
		return nil, err
	}
	if r.Version == 0 {
		r.Version = 6
	}
	if _, ok := offers[r.Version]; !ok {
		return nil, fmt.Errorf("protocol version %d: Postfix speaks 2, 3, 4 and 6", r.Version)
	}
	switch {
	case o.Connections < 0 || o.PerConnection < 0 || o.Messages < 0 || o.Duration < 0 || o.Timeout < 0:
		return nil, errors.New("a number of connections or messages, or a time, is negative")
	case o.Messages == 0 && o.Duration == 0:
		return nil, errors.New("neither a number of messages nor a duration is given")
	case len(o.Message) == 0:
		return nil, errors.New("no message is given")
	}
	r.Connections, r.PerConnection = max(1, o.Connections), max(1, o.PerConnection)
	if r.Messages > 0 {
		r.Connections = min(r.Connections, r.Messages)
	}
	if r.Timeout == 0 {
		r.Timeout = defaultTimeout
	}
	name, text, _ := strings.Cut(o.Want, ":")
	r.wantName, r.wantText = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(text)
	for i := range o.Message {
		r.letters = append(r.letters, newLetter(&o.Message[i]))
	}
	return r, nil
}

// next is the number of the next message to send, from 0, or -1 when all have
// begun.
func (r *run) next() int {
	if !r.end.IsZero() && !time.Now().Before(r.end) {
		return -1
	}
	n := int(r.begun.Add(1)) - 1
	if r.Messages > 0 && n >= r.Messages {
		return -1
	}
	return n
}

// failed keeps the first error.
func (r *run) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.firstError == nil {
		r.firstError = err
	}
}

// tell reports progress until ended is closed.
func (r *run) tell(ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			r.Progress(int(r.done.Load()))
			return
		case <-tick.C:
			r.Progress(int(r.done.Load()))
		}
	}
}
