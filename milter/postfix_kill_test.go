package milter_test

import (
	"errors"
	"fmt"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/milter/resolver"
)

// killStages are where a message is when the daemon is killed: the frame that it has
// got and does not answer.
var killStages = []struct {
	name  string
	frame byte
	count int
}{
	{"after MAIL", 'M', 1},
	{"after RCPT", 'R', 1},
	{"after DATA", 'T', 1},
	{"in the header", 'L', 2},
	{"after the header", 'N', 1},
	{"in the body", 'B', 5},
	{"at the end of the message", 'E', 1},
}

// A daemon that is killed in the middle of mail: Postfix does with the message what
// milter_default_action says. Under tempfail, reject and quarantine nothing is
// delivered unsigned; whatever was accepted arrives. The daemon that is started then
// takes over the socket of the one that was killed, and mail is signed again.
func TestPostfixKill(t *testing.T) {
	for _, row := range []struct {
		action string
		tcp    bool
		code   int // of the refusal, by its first digit; 2: accepted
	}{
		{"tempfail", false, 4}, {"tempfail", true, 4}, {"accept", true, 2}, {"reject", false, 5}, {"quarantine", true, 2},
	} {
		name := row.action + ", unix"
		if row.tcp {
			name = row.action + ", tcp"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTap(t)
			k := startMortal(t, setup{tcp: row.tcp, main: map[string]string{
				"milter_default_action": row.action, "smtpd_milters": r.spec(), "non_smtpd_milters": r.spec(),
			}}, r)
			held := 0
			for _, stage := range killStages {
				done := r.at(stage.frame, stage.count, k.hold, k.kill)
				c, err := k.postfix.Dial(postfix.Client{})
				must(t, err)
				code := replyCode(t, sendLarge(c, stage.name))
				select {
				case <-done:
				case <-time.After(time.Minute):
					t.Fatalf("%s: the daemon was not killed", stage.name)
				}
				if code/100 != row.code {
					t.Errorf("%s: Postfix answers %d, want %dxx", stage.name, code, row.code)
				}
				k.serve()

				// In the same session Postfix asks no milter any more: it does with
				// the next message as with the one before.
				_ = c.Reset()
				again := replyCode(t, sendLarge(c, stage.name+", same session"))
				if again/100 != row.code && again/100 != 2 {
					t.Errorf("%s: in the same session Postfix answers %d", stage.name, again)
				}
				c.Close()
				if err := k.postfix.Deliver(postfix.Client{}, "user@example.com", []string{inbox}, letter(stage.name+", again", "hello\r\n")); err != nil {
					t.Fatalf("%s: after the restart: %v", stage.name, err)
				}
				k.settle()
				box := k.mailbox()
				delivered := box[stage.name+", again"]
				if len(delivered) != 1 {
					t.Fatalf("%s: %d messages after the restart", stage.name, len(delivered))
				}
				k.wantSealed(delivered[0])
				switch row.action {
				case "accept":
					if n := len(box[stage.name]); n != 1 {
						t.Errorf("%s: accepted, and delivered %d times", stage.name, n)
					}
				case "quarantine":
					if now := k.held(); now <= held {
						t.Errorf("%s: %d messages are held, there were %d", stage.name, now, held)
					}
					held = k.held()
					fallthrough
				default:
					if n := len(box[stage.name]); n != 0 {
						t.Errorf("%s: delivered %d times", stage.name, n)
					}
				}
				for _, msg := range box[stage.name+", same session"] {
					if row.action != "accept" || again/100 != 2 {
						k.wantSealed(msg)
					}
				}
			}
		})
	}
}

// sendLarge sends a message of 400 KB.
func sendLarge(c *smtp.Client, subject string) error {
	return postfix.Send(c, "user@example.com", []string{inbox}, letter(subject, strings.Repeat(strings.Repeat("x", 70)+"\r\n", 5600)))
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
	t.Fatalf("no answer of Postfix: %v", err)
	return 0
}

// The daemon is killed while it waits for DNS: the message is not passed as one that
// nobody had to verify.
func TestPostfixKillDuringDNS(t *testing.T) {
	t.Parallel()
	var ask atomic.Pointer[func()]
	asked := make(chan struct{})
	dns, err := resolver.Serve("127.0.0.1:0", func(string) resolver.Answer {
		if f := ask.Swap(nil); f != nil {
			go func() { (*f)(); close(asked) }()
		}
		return resolver.Answer{Drop: true}
	})
	must(t, err)
	t.Cleanup(func() { dns.Close() })
	k := startMortal(t, setup{settings: fmt.Sprintf("nameservers = [%q]\ndns_timeout = \"60s\"", dns.Addr())}, nil)
	sealed := k.deliver(postfix.Client{}, "user@example.com", letter("sealed", "hello\r\n"))
	k.wantSealed(sealed)
	kill := func() { k.kill() }
	ask.Store(&kill)
	if code := replyCode(t, k.postfix.Deliver(stranger, "user@example.com", []string{inbox}, sealed)); code/100 != 4 {
		t.Errorf("Postfix answers %d", code)
	}
	<-asked
	k.serve()
	k.wantSealed(k.deliver(postfix.Client{}, "user@example.com", letter("again", "hello\r\n")))
	k.settle()
	if box := k.mailbox(); len(box["sealed"]) != 1 {
		t.Errorf("the message that was not verified was delivered %d times", len(box["sealed"])-1)
	}
}

// Clients that send again what was deferred, as they do: whenever the daemon is
// killed and started again, each message arrives once, signed.
func TestPostfixKillUnderLoad(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		t.Run(fmt.Sprintf("tcp=%v", tcp), func(t *testing.T) {
			t.Parallel()
			k := startMortal(t, setup{tcp: tcp}, nil)
			const clients, kills = 4, 5
			var accepted, deferred atomic.Int64
			var over atomic.Bool
			var all sync.WaitGroup
			for client := range clients {
				all.Go(func() {
					for n := 0; !over.Load(); n++ {
						msg := letter(fmt.Sprintf("message %d of %d", n, client), "hello\r\n")
						for k.ctx.Err() == nil {
							err := k.postfix.Deliver(postfix.Client{}, "user@example.com", []string{inbox}, msg)
							if err == nil {
								accepted.Add(1)
								break
							}
							if code := replyCode(t, err); code/100 != 4 {
								t.Errorf("Postfix answers %d: %v", code, err)
								return
							}
							deferred.Add(1)
							time.Sleep(10 * time.Millisecond)
						}
					}
				})
			}
			for range kills {
				for from, end := accepted.Load(), time.Now().Add(time.Minute); accepted.Load() < from+6 && !t.Failed(); time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Error("no mail flows")
					}
				}
				k.kill()
				for from, end := deferred.Load(), time.Now().Add(time.Minute); deferred.Load() == from && !t.Failed(); time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Error("no mail is deferred without a daemon")
					}
				}
				k.serve()
			}
			over.Store(true)
			all.Wait()
			k.settle()
			total := int64(0)
			for subject, msgs := range k.mailbox() {
				if total++; len(msgs) != 1 {
					t.Errorf("%s: delivered %d times", subject, len(msgs))
				}
				k.wantSealed(msgs[0])
			}
			if total != accepted.Load() {
				t.Errorf("%d messages were accepted, %d delivered", accepted.Load(), total)
			}
		})
	}
}
