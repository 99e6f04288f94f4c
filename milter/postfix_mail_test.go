package milter_test

import (
	"bytes"
	"fmt"
	"net/textproto"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/testdata/peers"
)

// What leaves is signed, by SMTP and by sendmail(1), on a unix socket and on
// TCP, with the newest protocol and with milter_protocol = 2; the peers accept
// it. What comes back as a stranger's passes, and fails when it was altered.
func TestPostfix(t *testing.T) {
	for _, row := range []struct {
		name     string
		tcp      bool
		protocol string
	}{{"unix", false, "6"}, {"tcp", true, "6"}, {"unix, protocol 2", false, "2"}, {"tcp, protocol 2", true, "2"}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, setup{tcp: row.tcp, main: map[string]string{"milter_protocol": row.protocol}})
			verifiers := []peers.Verifier{
				peers.StartOpenDKIMVerifier(t, s.zone), peers.StartDkimpy(t, s.zone), peers.StartMailDKIM(t, s.zone),
			}
			bySMTP := s.deliver(postfix.Client{}, "user@example.com", letter("by  SMTP", "hello\r\n\r\n.dot  \r\n\r\n"))
			if err := s.postfix.Sendmail(s.ctx, "user@example.com", []string{inbox}, letter("by sendmail", "hello\r\n")); err != nil {
				t.Fatal(err)
			}
			bySendmail := s.next()
			for _, msg := range [][]byte{bySMTP, bySendmail} {
				s.wantSealed(msg)
				for _, v := range verifiers {
					wantPeerPass(t, v, msg)
				}
			}
			back := s.deliver(stranger, "user@example.com", bySMTP)
			s.wantResult(back, "dkim=pass (2048-bit key) header.d=example.com")
			altered := bytes.Replace(bySMTP, []byte("hello"), []byte("hallo"), 1)
			s.wantResult(s.deliver(stranger, "user@example.com", altered), `dkim=fail`)
			s.wantResult(s.deliver(stranger, "user@example.com", bytes.Replace(bySMTP, []byte("by  SMTP"), []byte("by  SMPT"), 1)),
				`reason="signature did not verify"`)
		})
	}
}

// wantPeerPass wants every signature that the peer can judge to verify.
func wantPeerPass(t *testing.T, v peers.Verifier, msg []byte) {
	t.Helper()
	verdicts, err := v.Verify(msg)
	if err != nil {
		t.Fatalf("%s: %v", v.Name(), err)
	}
	passed := 0
	for _, got := range verdicts {
		if got.Status == "pass" {
			passed++
		}
	}
	want := 2
	if v.Name() == "Mail::DKIM" {
		want = 1 // it knows no Ed25519
	}
	if passed != want {
		t.Errorf("%s: %+v, want %d to pass\n%.3000s", v.Name(), verdicts, want, msg)
	}
}

// Several messages in one SMTP session, with a rejected recipient between, each
// decided for itself.
func TestPostfixOneSession(t *testing.T) {
	t.Parallel()
	s := start(t, setup{tcp: true})
	c, err := s.postfix.Dial(postfix.Client{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 4 {
		if err := c.Mail("user@example.com"); err != nil {
			t.Fatal(err)
		}
		if err := c.Rcpt("nobody@inbox.example"); err == nil {
			t.Fatal("an unknown recipient is accepted")
		}
		if i%2 == 1 { // without RSET the transaction goes on with another recipient
			if err := c.Reset(); err != nil {
				t.Fatal(err)
			}
			if err := c.Mail("user@example.com"); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Rcpt(inbox); err != nil {
			t.Fatal(err)
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(letter(fmt.Sprint("message ", i), strings.Repeat("x\r\n", i))); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		s.wantSealed(s.next())
	}
	foreign := bytes.ReplaceAll(letter("not ours", "x\r\n"), []byte("user@example.com"), []byte("user@elsewhere.example"))
	if err := postfix.Send(c, "user@elsewhere.example", []string{inbox}, foreign); err != nil {
		t.Fatal(err)
	}
	if msg := s.next(); bytes.Contains(msg, []byte("DKIM-Signature:")) {
		t.Errorf("mail of another domain is signed:\n%s", msg)
	}
	if !strings.Contains(s.log.String(), "no signing table row matches") {
		t.Error("the log does not say why it is not signed")
	}
}

// A bounce of Postfix's own is signed where Postfix filters it.
func TestPostfixBounce(t *testing.T) {
	t.Parallel()
	s := start(t, setup{main: map[string]string{"internal_mail_filter_classes": "bounce"}})
	if err := s.postfix.Sendmail(s.ctx, inbox, []string{"far@elsewhere.example"}, letter("to nowhere", "x\r\n")); err != nil {
		t.Fatal(err)
	}
	bounce := s.next()
	if !bytes.Contains(bounce, []byte("MAILER-DAEMON")) {
		t.Fatalf("this is no bounce:\n%s", bounce)
	}
	rs := s.results(bounce)
	if len(rs) != 1 || rs[0].Err != nil {
		t.Errorf("the bounce's signatures: %+v\n%s", rs, bounce)
	}
}

// SMTPUTF8: addresses and header fields in UTF-8.
func TestPostfixSMTPUTF8(t *testing.T) {
	t.Parallel()
	s := start(t, setup{tcp: true})
	msg := bytes.Replace(letter("Grüße aus Köln", "ein Gruß\r\n"), []byte("A User <user@"), []byte("Jörg Müller <jörg@"), 1)
	got := s.deliver(postfix.Client{}, "jörg@example.com", msg)
	s.wantSealed(got)
	s.wantResult(s.deliver(stranger, "jörg@example.com", got), "dkim=pass")
}

// A message of 10 MB streams through.
func TestPostfixLarge(t *testing.T) {
	t.Parallel()
	s := start(t, setup{main: map[string]string{"message_size_limit": "20000000"}})
	got := s.deliver(postfix.Client{}, "user@example.com", letter("large", strings.Repeat("0123456789 abcdefghijklmnopqrstuvwxyz  \t \r\n", 10<<20/42)))
	if len(got) < 10<<20 {
		t.Fatalf("%d bytes arrived", len(got))
	}
	s.wantSealed(got)
	s.wantResult(s.deliver(stranger, "user@example.com", got), "dkim=pass")
}

// A client may take its time between DATA and the final dot: Postfix is silent
// towards the milter all that time, and the message is signed all the same.
func TestPostfixSlowData(t *testing.T) {
	t.Parallel()
	s := start(t, setup{})
	c, err := s.postfix.Dial(postfix.Client{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("user@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(inbox); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	const pauses = 9
	for range pauses {
		if _, err := w.Write([]byte("X-Slow: yes\r\n")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
	}
	if _, err := w.Write(letter("slow", "hello\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.wantSealed(s.next())
}

// forgeries are fields that some reader could take for results of ours.
var forgeries = []string{
	"Authentication-Results: " + authID + "; dkim=pass header.d=bank.example",
	"Authentication-Results: \"" + authID + "\" (; dkim=pass header.d=bank.example",
	"Authentication-Results:\r\n\t" + authID + "/1; dkim=pass header.d=bank.example",
	"AUTHENTICATION-RESULTS: (c) MX.Inbox.Example. 1; dkim=pass header.d=bank.example",
	"Authentication-Results : " + authID + "; dkim=pass header.d=bank.example",
	"authentication-results\t :" + authID + "; dkim=pass header.d=bank.example",
	"Authentication-Results:mx.(c)inbox\r\n .example; dkim=pass header.d=bank.example",
	"Authentication-Results: =?utf-8?q?mx=2Einbox=2Eexample?=; dkim=pass header.d=bank.example",
	"Authentication-Results: mx。inbox.example; dkim=pass header.d=bank.example",
}

// A forged result of ours does not survive, whatever its syntax; others between
// them do, however they are spelt; the login of a customer signs. Several
// messages in a session are each counted anew.
func TestPostfixForgedResults(t *testing.T) {
	for _, protocol := range []string{"6", "2"} {
		t.Run("protocol "+protocol, func(t *testing.T) {
			t.Parallel()
			s := start(t, setup{main: map[string]string{"smtpd_sasl_auth_enable": "yes", "milter_protocol": protocol}})
			var msg []byte
			for i, f := range forgeries {
				name := []string{"Authentication-Results", "AUTHENTICATION-RESULTS ", "Authentication-Results\t"}[i%3]
				msg = fmt.Appendf(msg, "%s\r\n%s: other%d.example; dkim=pass header.d=other.example\r\n", f, name, i)
			}
			msg = append(msg, letter("forged", "x\r\n")...)
			login := stranger
			login.Login = "user@example.com"
			for name, as := range map[string]postfix.Client{"stranger": stranger, "customer": login} {
				c, err := s.postfix.Dial(as)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := postfix.Send(c, "user@example.com", []string{inbox}, msg); err != nil {
						t.Fatal(err)
					}
					got := s.next()
					header, _, _ := bytes.Cut(got, []byte("\r\n\r\n"))
					if bytes.Contains(header, []byte("bank.example")) {
						t.Errorf("%s: forged fields are there:\n%s", name, header)
					}
					for i := range forgeries {
						if want := fmt.Sprintf("other%d.example; dkim=pass", i); !bytes.Contains(header, []byte(want)) {
							t.Errorf("%s: the field of others %q has gone:\n%s", name, want, header)
						}
					}
					if signed := bytes.Contains(header, []byte("DKIM-Signature:")); signed != (as.Login != "") {
						t.Errorf("%s: signed is %v", name, signed)
					}
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Mail above a limit that on_security accepts: Postfix's own counting holds
// behind the limit too, and the message says that nobody verified it.
func TestPostfixForgedBehindLimit(t *testing.T) {
	t.Parallel()
	s := start(t, setup{settings: `on_security = "accept"` + "\nmaximum_header_fields = 30\n"})
	msg := []byte(strings.Repeat("X-Many: x\r\n", 40) + "Authentication-Results: other.example; none\r\n" + strings.Join(forgeries, "\r\n") + "\r\n")
	got := s.deliver(stranger, "user@example.com", append(msg, letter("forged", "x\r\n")...))
	if bytes.Contains(got, []byte("bank.example")) || !bytes.Contains(got, []byte("other.example")) {
		t.Errorf("the forged fields are\n%s", got)
	}
	s.wantResult(got, `dkim=permerror reason="the header exceeds`)
}

// A client that is refused reads why.
func TestPostfixReject(t *testing.T) {
	t.Parallel()
	s := start(t, setup{settings: `on_bad_signature = "reject"` + "\n" + `on_bad_from = "reject"`})
	sealed := s.deliver(postfix.Client{}, "user@example.com", letter("sealed", "hello\r\n"))
	err := s.postfix.Deliver(stranger, "user@example.com", []string{inbox}, bytes.Replace(sealed, []byte("hello"), []byte("hallo"), 1))
	wantReply(t, err, 550, "5.7.0 bad DKIM signature data (d=example.com: body hash did not verify)")
	err = s.postfix.Deliver(stranger, "user@example.com", []string{inbox}, append([]byte("From: <b@example.com>\r\n"), letter("two", "x\r\n")...))
	wantReply(t, err, 550, "5.7.0 the message has")
	s.wantResult(s.deliver(stranger, "user@example.com", sealed), "dkim=pass")
}

func wantReply(t *testing.T, err error, code int, text string) {
	t.Helper()
	var reply *textproto.Error
	for e := err; e != nil; {
		if r, ok := e.(*textproto.Error); ok {
			reply = r
			break
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	if reply == nil || reply.Code != code || !strings.HasPrefix(reply.Msg, text) {
		t.Errorf("got %v, want %d %s", err, code, text)
	}
}

// Another client's way to speak SMTP: swaks sends a message of several parts.
func TestPostfixSwaks(t *testing.T) {
	t.Parallel()
	s := start(t, setup{tcp: true})
	program, err := exec.LookPath("swaks")
	if err != nil {
		peers.Require(t, fmt.Errorf("no swaks: %w; apt-get install swaks", err))
	}
	out, err := exec.CommandContext(s.ctx, program, "--server", s.postfix.Addr(), "--from", "user@example.com", "--to", inbox,
		"--header", "Subject: by swaks", "--body", "hello\n\n", "--attach-name", "a.txt", "--attach", "an attachment\n").CombinedOutput()
	if err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	s.wantSealed(s.next())
}
