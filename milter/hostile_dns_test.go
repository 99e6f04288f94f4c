package milter

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/rogue"
	"github.com/postseal/postseal/milter/wire"
)

// dnsServer verifies, and asks real nameservers.
func dnsServer(t testing.TB, settings string, nameservers ...string) *testServer {
	t.Helper()
	settings += fmt.Sprintf("\nnameservers = [\"%s\"]\n", strings.Join(nameservers, `", "`))
	cfg, err := config.Parse([]byte(settings), "test.toml")
	if err != nil {
		t.Fatal(err)
	}
	e := testEnvironment(nil)
	e.Resolver = nil
	s, err := Load(cfg, e)
	if err != nil {
		t.Fatal(err)
	}
	return startServer(t, s)
}

// rogueServer is a nameserver that misbehaves, with the record of key.
func rogueServer(t testing.TB, key ed25519.PrivateKey) *rogue.Server {
	t.Helper()
	s, err := rogue.Serve(keys.RecordText(key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// testKey is a key that is the same in each run.
func testKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// strangersHeader is plainHeader, signed with key and plainBody once for each
// selector.
func strangersHeader(t testing.TB, key ed25519.PrivateKey, selectors ...string) (header []string) {
	t.Helper()
	var fields []dkim.Field
	for _, h := range plainHeader {
		name, value, _ := strings.Cut(h, ":")
		fields = append(fields, dkim.Field{Name: name, Value: strings.ReplaceAll(value, "\n", "\r\n")})
	}
	for _, selector := range selectors {
		body := dkim.NewBody()
		selection, err := dkim.NewHeaderSelection([]string{"*"}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := dkim.NewSigner(fields, body, dkim.SignOptions{
			Domain: "example.com", Selector: selector, Key: key, Header: dkim.Relaxed, Body: dkim.Relaxed,
			Selection: selection, BodyLimit: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = body.Write([]byte(plainBody))
		body.Close()
		f, err := s.Sign()
		if err != nil {
			t.Fatal(err)
		}
		header = append(header, f.Name+":"+strings.ReplaceAll(f.Value, "\r\n", "\n"))
	}
	return append(header, plainHeader...)
}

// strangersMail is a whole connection that brings a message of example.com,
// signed with key once for each selector.
func strangersMail(t testing.TB, key ed25519.PrivateKey, selectors ...string) []byte {
	t.Helper()
	in := appendFrame(nil, wire.CmdOptNeg, offer(6, allActions, allSteps))
	in = appendFrame(in, wire.CmdConnect, "mail.elsewhere.example\x004\x00\x19192.0.2.9\x00")
	in = appendFrame(in, wire.CmdMail, "<user@example.com>\x00")
	for _, h := range strangersHeader(t, key, selectors...) {
		name, value, _ := strings.Cut(h, ":")
		in = appendFrame(in, wire.CmdHeader, name+"\x00"+value+"\x00")
	}
	for _, cmd := range []byte("NBE") {
		for _, f := range framesOf(cmd) {
			in = appendFrame(in, f.cmd, f.payload)
		}
	}
	return in
}

// verdict is how a message was answered.
type verdict struct {
	code        byte // the last reply
	text        string
	results     string // the value of Authentication-Results
	quarantined bool
}

// bring takes a connection's octets to the server and reads what comes.
func bring(path string, in []byte) (v verdict, err error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return v, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
	if _, err := c.Write(in); err != nil {
		return v, err
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		return v, err
	}
	out, err := io.ReadAll(c)
	for len(out) > 4 {
		n := int(binary.BigEndian.Uint32(out))
		code, payload := out[4], string(out[5:4+n])
		out = out[4+n:]
		switch code {
		case 'p':
		case 'q':
			v.quarantined = true
		case 'i':
			if value, ok := strings.CutPrefix(payload[4:], "Authentication-Results\x00"); ok {
				v.results = strings.TrimSuffix(value, "\x00")
			}
		default:
			v.code, v.text = code, strings.TrimSuffix(payload, "\x00")
		}
	}
	return v, err
}

// wrong says what of a verdict is not as the nameserver's behaviour and
// on_dns_error call for; "" where nothing is.
func (v verdict) wrong(outcome rogue.Outcome, action config.Action) string {
	accepted := v.code == 'a' && !v.quarantined && v.text == ""
	switch {
	case outcome == rogue.Found && !(accepted && strings.Contains(v.results, "dkim=pass")):
		return "want dkim=pass"
	case outcome == rogue.Absent && !(accepted && strings.Contains(v.results, "no key for signature")):
		return "want no key for signature"
	case outcome != rogue.Temporary:
		return ""
	case strings.Contains(v.results, "dkim=fail") || strings.Contains(v.results, "dkim=pass") || strings.Contains(v.results, "dkim=permerror"):
		return "trouble that passes is no verdict"
	}
	temperror := strings.Contains(v.results, "dkim=temperror")
	if ok := map[config.Action]bool{
		config.Accept:     accepted && temperror,
		config.Quarantine: v.code == 'a' && v.quarantined && temperror,
		config.Tempfail:   v.code == 'y' && strings.HasPrefix(v.text, "451 4.7.5 DKIM key retrieval failed"),
		config.Reject:     v.code == 'y' && strings.HasPrefix(v.text, "550 5.7.0 DKIM key retrieval failed"),
		config.Discard:    v.code == 'd',
	}[action]; !ok {
		return "want what on_dns_error says"
	}
	return ""
}

// A nameserver may behave as it likes: the mail passes, or its sender has no
// key, or on_dns_error decides. It is never a failed signature, and never waits
// longer than dns_timeout.
func TestHostileDNS(t *testing.T) {
	key := testKey()
	dns := rogueServer(t, key)
	mails := map[string][]byte{}
	for _, b := range rogue.Behaviours() {
		mails[b.Label] = strangersMail(t, key, b.Label)
	}
	goroutines, descriptors := resources(t)
	for _, action := range []config.Action{config.Accept, config.Tempfail, config.Reject, config.Discard, config.Quarantine} {
		t.Run(action.String(), func(t *testing.T) {
			patient := dnsServer(t, fmt.Sprintf("dns_timeout = 120\non_dns_error = %q", action.String()), dns.Addr())
			hasty := dnsServer(t, fmt.Sprintf("dns_timeout = \"300ms\"\non_dns_error = %q", action.String()), dns.Addr())
			var mail sync.WaitGroup
			for _, b := range rogue.Behaviours() {
				srv := patient
				if b.Waits {
					srv = hasty
				}
				mail.Go(func() {
					v, err := bring(srv.path, mails[b.Label])
					if why := v.wrong(b.Outcome, action); why != "" || err != nil {
						t.Errorf("%s: %s: %+v %v", b.Label, why, v, err)
					}
				})
			}
			mail.Wait()
		})
	}
	quiet := testServer{Server: quietServer(loadText(t, "", nil))}
	quiet.settled(t, goroutines, descriptors)
}

// All signatures of a message share one deadline, from the end of its header:
// whatever their number, the end of the header and the body are answered at
// once, the MTA hears of us every two seconds, and the message is answered when
// dns_timeout is over. Postfix waits 30 s and 300 s. Time is a bubble's.
func TestOneDeadlineForAllSignatures(t *testing.T) {
	const many = "maximum_headers = 1000000\nmaximum_header_fields = 2000\nmaximum_signatures_to_verify = 1000\n"
	for _, row := range []struct {
		settings   string
		late       time.Duration // from the end of the header to that of the message
		want       time.Duration // from the end of the message to the answer
		signatures int
	}{
		{"", 0, 5 * time.Second, 1},
		{many, 0, 5 * time.Second, 1000},
		{many + "dns_timeout = 299", 0, 299 * time.Second, 1000},
		{many, 4 * time.Second, time.Second, 1000},
		{many, time.Hour, 0, 1000},
	} {
		snapshot := loadText(t, row.settings, nil)
		snapshot.resolver = hangingResolver{}
		var selectors []string
		for n := range row.signatures {
			selectors = append(selectors, fmt.Sprintf("s%d", n))
		}
		in := strangersMail(t, testKey(), selectors...)
		body := in[len(in)-len(framesTo("BE")):]
		synctest.Test(t, func(t *testing.T) {
			srv := quietServer(snapshot)
			peer, ended := onPipe(srv)
			defer func() { peer.Close(); <-ended }()
			send := func(p []byte) {
				if _, err := peer.Write(p); err != nil {
					t.Fatal(err)
				}
			}
			send(in[:17])
			if _, err := readFrame(peer); err != nil { // OPTNEG
				t.Fatal(err)
			}
			start := time.Now()
			go func() { _, _ = peer.Write(in[17 : len(in)-len(body)]) }()
			for _, cmd := range []wire.Command{wire.CmdConnect, wire.CmdEOH} {
				if code, err := readFrame(peer); code != 'c' || err != nil {
					t.Fatalf("%v is answered with %q %v", cmd, code, err)
				}
			}
			send(framesTo("B"))
			if code, err := readFrame(peer); code != 'c' || err != nil {
				t.Fatalf("BODY is answered with %q %v", code, err)
			}
			if d := time.Since(start); d != 0 {
				t.Errorf("%v pass up to the body, while DNS is silent", d)
			}
			time.Sleep(row.late)
			send(framesTo("E"))
			start = time.Now()
			for heard := start; ; heard = time.Now() {
				code, err := readFrame(peer)
				if err != nil {
					t.Fatal(err)
				}
				if d := time.Since(heard); d > progressInterval {
					t.Errorf("nothing comes for %v", d)
				}
				if code == 'p' {
					continue
				}
				if d := time.Since(start); d != row.want || code != 'y' {
					t.Errorf("%d signatures: %q comes after %v, want 'y' after %v", row.signatures, code, d, row.want)
				}
				break
			}
		})
	}
}

// readFrame reads one frame of the filter.
func readFrame(c net.Conn) (code byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return 0, err
	}
	_, err = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:]))-1)
	return head[4], err
}

// The same with sockets: a message of as many signatures as are verified, each
// with a name whose nameservers are silent, is answered inside Postfix's
// shortest patience, and asks no more questions than there are tries.
func TestOneDeadlineWithSilentNameservers(t *testing.T) {
	const signatures, patience = 50, 30 * time.Second
	key := testKey()
	dead := []*rogue.Server{rogueServer(t, key), rogueServer(t, key), rogueServer(t, key)}
	srv := dnsServer(t, fmt.Sprintf("dns_timeout = 1\nmaximum_signatures_to_verify = %d", signatures), dead[0].Addr(), dead[1].Addr(), dead[2].Addr())
	var selectors []string
	for n := range signatures {
		selectors = append(selectors, fmt.Sprintf("silent.s%d", n))
	}
	start := time.Now()
	v, err := bring(srv.path, strangersMail(t, key, selectors...))
	if d := time.Since(start); d > patience {
		t.Errorf("the answer comes after %v; one deadline is 1s, and %d would be %ds", d, signatures, signatures)
	}
	if why := v.wrong(rogue.Temporary, config.Tempfail); why != "" || err != nil {
		t.Errorf("%s: %+v %v", why, v, err)
	}
	asked := 0
	for _, s := range dead {
		asked += s.Asked("silent")
	}
	if most := signatures * 2 * len(dead); asked > most || asked < signatures {
		t.Errorf("%d questions, want %d to %d", asked, signatures, most)
	}
}

// Hundreds of messages that wait for one name wait for one question, and for
// one deadline, and leave nothing behind.
func TestManyMessagesWaitForOneName(t *testing.T) {
	const messages = 300
	key := testKey()
	dns := rogueServer(t, key)
	for _, row := range []struct {
		label, settings string
		outcome         rogue.Outcome
	}{
		{"silent", "dns_timeout = 2", rogue.Temporary},
		{"servfail", "dns_timeout = 120", rogue.Temporary},
		{"slow", "dns_timeout = 120", rogue.Found},
	} {
		t.Run(row.label, func(t *testing.T) {
			srv := dnsServer(t, row.settings, dns.Addr())
			in := strangersMail(t, key, row.label)
			goroutines, descriptors := resources(t)
			var mail sync.WaitGroup
			for range messages {
				mail.Go(func() {
					v, err := bring(srv.path, in)
					if why := v.wrong(row.outcome, config.Tempfail); why != "" || err != nil {
						t.Errorf("%s: %+v %v", why, v, err)
					}
				})
			}
			mail.Wait()
			// A failure is remembered for seconds: on a slow machine it is asked again.
			if n := dns.Asked(row.label); n > messages/3 {
				t.Errorf("%d questions for %d messages", n, messages)
			}
			srv.settled(t, goroutines, descriptors)
		})
	}
}
