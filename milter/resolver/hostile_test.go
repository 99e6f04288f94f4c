package resolver

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// raw answers each datagram with those that reply returns.
func raw(t *testing.T, reply func(question *dns.Msg) [][]byte) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			question := new(dns.Msg)
			if question.Unpack(buf[:n]) != nil {
				continue
			}
			for _, p := range reply(question) {
				pc.WriteTo(p, from)
			}
		}
	}()
	return pc.LocalAddr().String()
}

// forge packs an answer with the value after change has had its way with it.
func forge(question *dns.Msg, value string, change func(*dns.Msg)) []byte {
	msg := new(dns.Msg)
	msg.SetReply(question)
	rr := &dns.TXT{Hdr: dns.RR_Header{Name: question.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{value}}
	msg.Answer = append(msg.Answer, rr)
	if change != nil {
		change(msg)
	}
	p, err := msg.Pack()
	if err != nil {
		panic(err)
	}
	return p
}

// What does not answer the question is skipped, and the real answer that comes
// after it is taken.
func TestStrayDatagrams(t *testing.T) {
	tests := []struct {
		name  string
		stray func(q *dns.Msg) []byte
	}{
		{"empty", func(*dns.Msg) []byte { return nil }},
		{"one octet", func(*dns.Msg) []byte { return []byte{0} }},
		{"header alone, right id", func(q *dns.Msg) []byte { return []byte{byte(q.Id >> 8), byte(q.Id), 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0} }},
		{"cut short", func(q *dns.Msg) []byte { p := forge(q, "forged", nil); return p[:len(p)-3] }},
		{"garbage", func(*dns.Msg) []byte { return []byte(strings.Repeat("\xff", 100)) }},
		{"wrong id", func(q *dns.Msg) []byte { return forge(q, "forged", func(m *dns.Msg) { m.Id++ }) }},
		{"a question back", func(q *dns.Msg) []byte { return forge(q, "forged", func(m *dns.Msg) { m.Response = false }) }},
		{"wrong name", func(q *dns.Msg) []byte {
			return forge(q, "forged", func(m *dns.Msg) { m.Question[0].Name = "other.example." })
		}},
		{"wrong type", func(q *dns.Msg) []byte {
			return forge(q, "forged", func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA })
		}},
		{"wrong class", func(q *dns.Msg) []byte {
			return forge(q, "forged", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS })
		}},
		{"no question", func(q *dns.Msg) []byte { return forge(q, "forged", func(m *dns.Msg) { m.Question = nil }) }},
		{"two questions", func(q *dns.Msg) []byte {
			return forge(q, "forged", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := raw(t, func(q *dns.Msg) [][]byte {
				return [][]byte{tt.stray(q), forge(q, "real", nil)}
			})
			c := client(t, Options{Nameservers: []string{addr}})
			txt, _, err := c.LookupTXT(t.Context(), key)
			if err != nil || len(txt) != 1 || txt[0] != "real" {
				t.Errorf("got %q, %v", txt, err)
			}
		})
	}
}

func TestStrayFloodEnds(t *testing.T) {
	addr := raw(t, func(q *dns.Msg) [][]byte {
		var flood [][]byte
		for range maxStray {
			flood = append(flood, forge(q, "forged", func(m *dns.Msg) { m.Id++ }))
		}
		return append(flood, forge(q, "real", nil))
	})
	c := client(t, Options{Nameservers: []string{addr}})
	_, _, err := c.LookupTXT(t.Context(), key)
	want := fmt.Sprintf("TXT %s: %s: %d datagrams, none of which answers the question", key, addr, maxStray)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAnswerContents(t *testing.T) {
	foreign := func(name, value string, class uint16) dns.RR {
		return &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: class, Ttl: 60}, Txt: []string{value}}
	}
	tests := []struct {
		name   string
		change func(*dns.Msg)
		want   string // records joined by "|"
		err    string
	}{
		{"letter case of question and owner", func(m *dns.Msg) {
			m.Question[0].Name = strings.ToUpper(m.Question[0].Name)
			m.Answer[0].Header().Name = strings.ToUpper(m.Answer[0].Header().Name)
		}, "real", ""},
		{"another owner's record", func(m *dns.Msg) {
			m.Answer = append(m.Answer, foreign("other.example.", "forged", dns.ClassINET))
		}, "real", ""},
		{"another class", func(m *dns.Msg) {
			m.Answer = append(m.Answer, foreign(m.Question[0].Name, "forged", dns.ClassCHAOS))
		}, "real", ""},
		{"record in the additional section", func(m *dns.Msg) {
			m.Extra, m.Answer = m.Answer, nil
		}, "", ""},
		{"DNAME with its CNAME", func(m *dns.Msg) {
			dname := &dns.DNAME{Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeDNAME, Class: dns.ClassINET, Ttl: 60}, Target: "example.net."}
			cname := &dns.CNAME{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: "s._domainkey.example.net."}
			m.Answer = []dns.RR{dname, cname, foreign("s._domainkey.example.net.", "moved", dns.ClassINET)}
		}, "moved", ""},
		{"chain in reverse order", func(m *dns.Msg) {
			first := &dns.CNAME{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: "a.example."}
			second := &dns.CNAME{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: "b.example."}
			m.Answer = []dns.RR{foreign("b.example.", "end", dns.ClassINET), second, first}
		}, "end", ""},
		{"CNAME to the root", func(m *dns.Msg) {
			m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: "."}}
		}, "", errChain.Error()},
		{"too many records", func(m *dns.Msg) {
			for range maxRecords {
				m.Answer = append(m.Answer, foreign(m.Question[0].Name, "", dns.ClassINET))
			}
		}, "", fmt.Sprintf("%d TXT records", maxRecords+1)},
		{"format error without question", func(m *dns.Msg) {
			m.Question, m.Answer, m.Rcode = nil, nil, dns.RcodeFormatError
		}, "", "answered FORMERR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := raw(t, func(q *dns.Msg) [][]byte {
				return [][]byte{forge(q, "real", func(m *dns.Msg) { m.Compress = true; tt.change(m) })}
			})
			c := client(t, Options{Nameservers: []string{addr}})
			txt, _, err := c.LookupTXT(t.Context(), key)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if got := strings.Join(txt, "|"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// An answer that comes after the deadline, for an id that is no longer asked
// for, must not be taken for the answer to a later question.
func TestLateAnswer(t *testing.T) {
	var first atomic.Pointer[dns.Msg]
	addr := raw(t, func(q *dns.Msg) [][]byte {
		if strings.HasPrefix(q.Question[0].Name, "late.") {
			first.CompareAndSwap(nil, q)
			return nil
		}
		return [][]byte{forge(first.Load(), "late", nil), forge(q, "real", nil)}
	})
	c := client(t, Options{Nameservers: []string{addr}, Timeout: 100 * time.Millisecond})
	if _, _, err := c.LookupTXT(t.Context(), "late.example.com"); err == nil {
		t.Fatal("no error for a silent server")
	}
	c.timeout = patience
	txt, _, err := c.LookupTXT(t.Context(), key)
	if err != nil || len(txt) != 1 || txt[0] != "real" {
		t.Errorf("got %q, %v", txt, err)
	}
}

// What says nothing about the name is trouble that passes, never "no records".
func TestTemporaryTrouble(t *testing.T) {
	ns := &dns.NS{Hdr: dns.RR_Header{Name: "com.", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "a.gtld.example."}
	soa := &dns.SOA{Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: "ns.example.", Mbox: "x.example.", Minttl: 60}
	for _, tt := range []struct {
		name   string
		change func(*dns.Msg)
		err    string // "": there are no records, and that is certain
	}{
		{"referral", func(m *dns.Msg) { m.Ns = []dns.RR{ns} }, "it does not recurse"},
		{"no records, with the zone's servers", func(m *dns.Msg) { m.Ns, m.Authoritative = []dns.RR{ns}, true }, ""},
		{"no records", func(m *dns.Msg) { m.Ns = []dns.RR{soa} }, ""},
		{"no records and no SOA", func(*dns.Msg) {}, ""},
		{"no such name", func(m *dns.Msg) { m.Ns, m.Rcode = []dns.RR{soa}, dns.RcodeNameError }, ""},
		{"SERVFAIL", func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, "answered SERVFAIL"},
		{"REFUSED", func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }, "answered REFUSED"},
		{"an RCODE of no name", func(m *dns.Msg) { m.Rcode = 14 }, "answered RCODE 14"},
		{"truncated, and nobody at the TCP port", func(m *dns.Msg) { m.Truncated = true }, "connection refused"},
		{"endless alias", func(m *dns.Msg) {
			m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: m.Question[0].Name}}
		}, errChain.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := raw(t, func(q *dns.Msg) [][]byte {
				return [][]byte{forge(q, "", func(m *dns.Msg) { m.Answer = nil; tt.change(m) })}
			})
			txt, _, err := client(t, Options{Nameservers: []string{addr}}).LookupTXT(t.Context(), key)
			if len(txt) > 0 || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v; want the error %q", txt, err, tt.err)
			}
		})
	}
}

// A server from before EDNS0 is asked again without it (RFC 6891 §7).
func TestNoEDNS(t *testing.T) {
	for _, rcode := range []int{dns.RcodeFormatError, dns.RcodeNotImplemented} {
		addr := raw(t, func(q *dns.Msg) [][]byte {
			if q.IsEdns0() != nil {
				return [][]byte{forge(q, "", func(m *dns.Msg) { m.Question, m.Answer, m.Rcode = nil, nil, rcode })}
			}
			return [][]byte{forge(q, "old and well", nil)}
		})
		txt, _, err := client(t, Options{Nameservers: []string{addr}}).LookupTXT(t.Context(), key)
		if err != nil || len(txt) != 1 || txt[0] != "old and well" {
			t.Errorf("after %s: %q, %v", dns.RcodeToString[rcode], txt, err)
		}
	}
}

// TCP is bounded by the deadline too, and what it truncates is no answer.
func TestTCPTrouble(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(q *dns.Msg) []byte // nil: none
		err    string
	}{
		{"silent", nil, "no answer from"},
		{"truncated again", func(q *dns.Msg) []byte { return forge(q, "half", func(m *dns.Msg) { m.Truncated = true }) }, "truncated its answer over TCP"},
		{"another id", func(q *dns.Msg) []byte { return forge(q, "forged", func(m *dns.Msg) { m.Id++ }) }, "answer to another question"},
		{"cut short", func(q *dns.Msg) []byte { p := forge(q, "half", nil); return p[:len(p)-2] }, "malformed answer"},
		{"nothing", func(q *dns.Msg) []byte { return []byte{} }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var addr string
			var l net.Listener
			for try := 0; l == nil; try++ {
				addr = raw(t, func(q *dns.Msg) [][]byte {
					return [][]byte{forge(q, "", func(m *dns.Msg) { m.Answer, m.Truncated = nil, true })}
				})
				var err error
				if l, err = net.Listen("tcp", addr); err != nil && try == 20 {
					t.Fatalf("no port is free for UDP and TCP: %v", err)
				}
			}
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					t.Cleanup(func() { c.Close() })
					conn := &dns.Conn{Conn: c}
					if q, err := conn.ReadMsg(); err == nil && tt.answer != nil {
						conn.Write(tt.answer(q))
					}
				}
			}()
			txt, _, err := client(t, Options{Nameservers: []string{addr}, Timeout: 300 * time.Millisecond}).LookupTXT(t.Context(), key)
			if len(txt) > 0 || err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v; want the error %q", txt, err, tt.err)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	asked := new(dns.Msg)
	asked.SetQuestion(key+".", dns.TypeTXT)
	f.Add(forge(asked, "v=DKIM1; p=", nil))
	f.Add(forge(asked, "x", func(m *dns.Msg) {
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 1}, Target: m.Question[0].Name})
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		msg := new(dns.Msg)
		if msg.Unpack(data) != nil {
			return
		}
		p, err := read(msg, question{key, dns.TypeTXT}, maxHops)
		if err != nil {
			return
		}
		if p.hops > maxHops || len(p.records) > maxRecords || p.ttl < 0 || p.ttl > maxPositiveTTL {
			t.Errorf("out of bounds: %+v", p)
		}
		if p.next != "" && len(p.records) > 0 {
			t.Errorf("records and a name to ask on: %+v", p)
		}
		if total := len(strings.Join(texts(p.records), "")); total > len(data)*maxRecords {
			t.Errorf("%d octets of TXT out of %d", total, len(data))
		}
	})
}
