package nameserver

import (
	"testing"

	"github.com/miekg/dns"
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
