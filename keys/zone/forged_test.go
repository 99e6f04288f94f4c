package zone

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// An answer that somebody else sends is not believed, whatever it says.
func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	key, err := newTSIG("mine", "hmac-sha256", someSecret)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newTSIG("mine", "hmac-sha256", "b3RoZXItc2VjcmV0LW5vdC1zZWNyZXQtYXQtYWxsLTE=")
	if err != nil {
		t.Fatal(err)
	}
	sign := func(by *TSIG, at time.Time, requestMAC string, m *dns.Msg) []byte {
		m.SetTsig(by.Name, by.Algorithm, fudge, at.Unix())
		wire, _, err := dns.TsigGenerateWithProvider(m, by, requestMAC, false)
		if err != nil {
			t.Error(err)
		}
		return wire
	}
	pack := func(m *dns.Msg) []byte {
		wire, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		return wire
	}
	now := time.Now()
	for _, tt := range []struct {
		name   string
		answer func(m *dns.Msg, mac string) []byte
		want   string // "" is believed
	}{
		{"as it should be", func(m *dns.Msg, mac string) []byte { return sign(key, now, mac, m) }, ""},
		{"not signed", func(m *dns.Msg, _ string) []byte { return pack(m) }, "without a signature of the key \"mine\""},
		{"not signed, refused", func(m *dns.Msg, _ string) []byte { m.Rcode = dns.RcodeRefused; return pack(m) }, "answered REFUSED without a signature"},
		{"another secret", func(m *dns.Msg, mac string) []byte { return sign(other, now, mac, m) }, "the signature of the answer is wrong"},
		{"an answer to another request", func(m *dns.Msg, mac string) []byte { return sign(key, now, strings.Repeat("00", len(mac)/2), m) }, "the signature of the answer is wrong"},
		{"changed on the way", func(m *dns.Msg, mac string) []byte {
			wire := sign(key, now, mac, m)
			wire[3] |= dns.RcodeRefused
			return wire
		}, "the signature of the answer is wrong"},
		{"old", func(m *dns.Msg, mac string) []byte { return sign(key, now.Add(-time.Hour), mac, m) }, "1h0m0s from now: set the clocks right"},
		{"another id", func(m *dns.Msg, mac string) []byte { m.Id++; return sign(key, now, mac, m) }, "the answer is to another question"},
		{"a question", func(m *dns.Msg, mac string) []byte { m.Response = false; return sign(key, now, mac, m) }, "the answer is to another question"},
		{"no message", func(*dns.Msg, string) []byte { return []byte("no message at all") }, "no answer that can be read"},
		{"nothing", func(*dns.Msg, string) []byte { return nil }, "no answer that can be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go answerOnce(l, tt.answer)
			u := &Updater{Server: l.Addr().String(), Key: key, Timeout: patience, Now: func() time.Time { return now }}
			defer u.Close()
			s := u.connection(u.Server)
			_, err = s.ask(t.Context(), Change{Name: name, After: []string{"x"}}.message("example.com.", nil))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if err != nil && s.conn != nil {
				t.Error("the connection is kept")
			}
			u.release(s)
		})
	}
}

// answerOnce answers one message over a connection, and closes it.
func answerOnce(l net.Listener, answer func(m *dns.Msg, mac string) []byte) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	c := &dns.Conn{Conn: conn}
	request := new(dns.Msg)
	wire, err := c.ReadMsgHeader(nil)
	if err != nil || request.Unpack(wire) != nil || request.IsTsig() == nil {
		return
	}
	reply := new(dns.Msg)
	reply.SetReply(request)
	if text := answer(reply, request.IsTsig().MAC); text != nil {
		_, _ = c.Write(text)
	}
}
