package wire

import (
	"fmt"
	"net"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"
	"github.com/google/go-cmp/cmp"
)

// pipeDialer hands go-milter's client one end of a pipe.
type pipeDialer struct{ end net.Conn }

func (d pipeDialer) Dial(string, string) (net.Conn, error) { return d.end, nil }

// serve notes what comes, answers Continue, and at EOM changes the header.
func serve(c *Conn) (seen []string, err error) {
	var macros Macros
	note := func(format string, args ...any) { seen = append(seen, fmt.Sprintf(format, args...)) }
	for {
		cmd, p, err := c.Read()
		if err != nil {
			return seen, err
		}
		switch cmd {
		case CmdOptNeg:
			_, err = c.Negotiate(p, Want{
				Actions: ActAddHeaders | ActChangeHeaders,
				Steps:   StepNoHelo | StepNRHeader | StepNRMail | StepHeaderLeadSpace,
			})
			if err != nil {
				return seen, err
			}
			continue
		case CmdMacro:
			stage, pairs, err := ParseMacros(p)
			if err != nil {
				return seen, err
			}
			if err := macros.Set(stage, pairs); err != nil {
				return seen, err
			}
		case CmdConnect:
			info, err := ParseConnect(p)
			if err != nil {
				return seen, err
			}
			note("connect %s %c %d %s", info.Host, info.Family, info.Port, info.Address)
		case CmdMail, CmdRcpt:
			e, err := ParseEnvelope(p)
			if err != nil {
				return seen, err
			}
			note("%v %s %q", cmd, e.Address, e.Args)
		case CmdHeader:
			name, value, err := c.ParseHeader(p)
			if err != nil {
				return seen, err
			}
			note("header %q:%q", name, value)
		case CmdBody:
			note("body of %d", len(p))
		case CmdEOM:
			id, _ := macros.Get("i")
			note("EOM %s", id)
			if err := c.ChangeHeader(2, "Authentication-Results", ""); err != nil {
				return seen, err
			}
			if err := c.InsertHeader(0, "DKIM-Signature", " v=1;\r\n\tb=x"); err != nil {
				return seen, err
			}
			if err := c.Progress(); err != nil {
				return seen, err
			}
		case CmdQuit:
			return seen, nil
		default:
			note("%v", cmd)
		}
		if err := c.Reply(cmd, Continue()); err != nil {
			return seen, err
		}
	}
}

// Two messages of an independent MTA side, one after the other on a connection.
func TestSessionWithGoMilterClient(t *testing.T) {
	mta, filter := net.Pipe()
	defer mta.Close()
	type outcome struct {
		seen []string
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		defer filter.Close()
		seen, err := serve(NewConn(filter, Limits{}))
		done <- outcome{seen, err}
	}()
	client := gomilter.NewClientWithOptions("pipe", "", gomilter.ClientOptions{
		Dialer:       pipeDialer{mta},
		ActionMask:   gomilter.OptAddHeader | gomilter.OptChangeHeader,
		ProtocolMask: gomilter.OptNoHeaderReply | gomilter.OptNoMailReply | gomilter.OptHeaderLeadingSpace,
	})
	session, err := client.Session()
	if err != nil {
		t.Fatal(err)
	}
	act := func(a *gomilter.Action, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if a.Code != gomilter.ActContinue {
			t.Fatalf("answered %q", byte(a.Code))
		}
	}
	act(session.Conn("mx.example.org", gomilter.FamilyInet, 2525, "192.0.2.1"))
	act(session.Helo("mx.example.org"))
	for _, id := range []string{"first", "second"} {
		act(session.Mail("a@example.org", []string{"BODY=8BITMIME"}))
		act(session.Rcpt("b@example.org", nil))
		act(session.HeaderField("Subject", " hello\n world"))
		act(session.HeaderEnd())
		act(session.BodyChunk([]byte(strings.Repeat("x", 65535))))
		if err := session.Macros(gomilter.CodeEOB, "i", id); err != nil {
			t.Fatal(err)
		}
		changes, a, err := session.End()
		act(a, err)
		want := []gomilter.ModifyAction{
			{Code: gomilter.ActChangeHeader, HeaderIndex: 2, HeaderName: "Authentication-Results"},
			{Code: gomilter.ActInsertHeader, HeaderName: "DKIM-Signature", HeaderValue: " v=1;\n\tb=x"},
		}
		if diff := cmp.Diff(want, changes); diff != "" {
			t.Errorf("%s: changes (-want +got)\n%s", id, diff)
		}
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	got := <-done
	if got.err != nil {
		t.Error(got.err)
	}
	message := func(id string) []string {
		return []string{
			`MAIL a@example.org ["BODY=8BITMIME"]`, `RCPT b@example.org []`, `header "Subject":" hello\r\n world"`,
			"EOH", "body of 65535", "EOM " + id,
		}
	}
	want := append([]string{"connect mx.example.org 4 2525 192.0.2.1", "HELO"}, message("first")...)
	want = append(append(want, message("second")...), "ABORT")
	if diff := cmp.Diff(want, got.seen); diff != "" {
		t.Errorf("seen (-want +got)\n%s", diff)
	}
}
