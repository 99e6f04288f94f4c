package farm

import (
	"errors"
	"fmt"
	"net/textproto"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/config/postfix"
)

// load is mail from several clients, each of which sends some messages in a
// session and sends again what was deferred, as an MTA does.
type load struct {
	f        *farm
	over     atomic.Bool
	all      sync.WaitGroup
	accepted atomic.Int64
	deferred atomic.Int64
}

const (
	clients    = 4
	perSession = 3
)

// startLoad begins to send; finish ends it.
func (f *farm) startLoad() *load {
	l := &load{f: f}
	for client := range clients {
		l.all.Go(func() {
			for n := 0; !l.over.Load() && f.ctx.Err() == nil; {
				n = l.session(client, n)
			}
		})
	}
	f.t.Cleanup(func() { l.over.Store(true); l.all.Wait() })
	return l
}

// session sends the client's messages from the n-th on until one is deferred, and
// returns which one comes next.
func (l *load) session(client, n int) (next int) {
	c, err := l.f.postfix.Dial(postfix.Client{})
	if err != nil {
		l.f.t.Errorf("no session: %v", err)
		l.over.Store(true)
		return n
	}
	defer c.Close()
	for range perSession {
		err := postfix.Send(c, author, []string{inbox}, letter(fmt.Sprintf("message %d of %d", n, client)))
		if err != nil {
			if code := replyCode(l.f.t, err); code/100 != 4 {
				l.f.t.Errorf("Postfix answers %d: %v", code, err)
			}
			l.deferred.Add(1)
			time.Sleep(20 * time.Millisecond)
			return n
		}
		l.accepted.Add(1)
		n++
	}
	_ = c.Quit()
	return n
}

// flow waits until so many more messages have been accepted.
func (l *load) flow(more int64) {
	l.f.t.Helper()
	from := l.accepted.Load()
	l.f.await("mail to flow", func() bool { return l.accepted.Load() >= from+more })
}

// finish ends the load: each message that was accepted has been delivered once,
// with one signature, and no other.
func (l *load) finish() {
	t := l.f.t
	t.Helper()
	l.over.Store(true)
	l.all.Wait()
	l.f.wantEachOnce(int(l.accepted.Load()))
	t.Logf("%d messages accepted and delivered, %d deferrals; signed by the hosts: %d, %d",
		l.accepted.Load(), l.deferred.Load(), l.f.hosts[0].signed(), l.f.hosts[1].signed())
}

// replyCode is what Postfix answered, 250 for success.
func replyCode(t testing.TB, err error) int {
	t.Helper()
	var reply *textproto.Error
	switch {
	case err == nil:
		return 250
	case errors.As(err, &reply):
		return reply.Code
	}
	t.Errorf("no answer of Postfix: %v", err)
	return 0
}
