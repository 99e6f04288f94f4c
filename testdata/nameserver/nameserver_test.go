package nameserver

import (
	"net"
	"testing"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/testdata/program"
)

// Both servers answer for the zones, follow updates at once, and only what is
// signed is authentic.
func TestServers(t *testing.T) {
	s := Start(t,
		Zone{Name: "signed.example", Signed: true, Records: `s TXT "one"`},
		Zone{Name: "plain.example", Records: `s TXT "one"`},
		Zone{Name: "2.0.192.in-addr.arpa", Records: `7 PTR mail.plain.example.`})
	r := s.Resolver(t)
	ask := func(addr, name string, qtype uint16) *dns.Msg {
		t.Helper()
		m := new(dns.Msg)
		m.SetQuestion(name, qtype)
		m.AuthenticatedData = true
		answer, _, err := new(dns.Client).Exchange(m, addr)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	for _, zone := range []string{"signed.example", "plain.example"} {
		for _, want := range []string{"one", "two"} {
			if want == "two" {
				s.Update(t, zone, "delete s."+zone+" TXT", `add s.`+zone+`. 60 TXT "two"`)
			}
			for _, addr := range []string{s.Addr, r.Addr} {
				m := ask(addr, "s."+zone+".", dns.TypeTXT)
				if len(m.Answer) != 1 || m.Answer[0].(*dns.TXT).Txt[0] != want {
					t.Errorf("%s at %s: %v", zone, addr, m)
				}
				if authentic := addr == r.Addr && zone == "signed.example"; m.AuthenticatedData != authentic {
					t.Errorf("%s at %s: AD is %t", zone, addr, m.AuthenticatedData)
				}
			}
		}
	}
	if m := ask(r.Addr, "7.2.0.192.in-addr.arpa.", dns.TypePTR); len(m.Answer) != 1 {
		t.Errorf("no PTR: %v", m)
	}
	if m := ask(r.Addr, "none.signed.example.", dns.TypeTXT); m.Rcode != dns.RcodeNameError || !m.AuthenticatedData {
		t.Errorf("a name that is not there: %v", m)
	}
	if m := ask(r.Addr, "_dmarc.example.", dns.TypeTXT); m.Rcode != dns.RcodeNameError || m.AuthenticatedData {
		t.Errorf("a name of somebody else: %v", m)
	}
}

// A server whose port somebody else has, be it by UDP or TCP, is started at another.
func TestPortTaken(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	ports := []int{udp.LocalAddr().(*net.UDPAddr).Port, tcp.Addr().(*net.TCPAddr).Port}
	s := start(t, func(t testing.TB) int {
		if len(ports) == 0 {
			return program.FreePort(t)
		}
		port := ports[0]
		ports = ports[1:]
		return port
	}, []Zone{{Name: "example.com"}})
	if len(ports) != 0 || len(s.ask("example.com", dns.TypeSOA)) != 1 {
		t.Errorf("%d ports are left; %s", len(ports), s.Addr)
	}
}
