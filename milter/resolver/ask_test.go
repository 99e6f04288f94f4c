package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

const typedZone = `
example.com            MX     20 second.example.com
example.com            MX     10 Mail.Example.com.
example.com            "v=spf1 mx -all"
example.com            NS     ns.example.com
null.example.com       MX     0 .
mail.example.com       A      192.0.2.1
mail.example.com       A      192.0.2.2
mail.example.com       AAAA   2001:db8::1
ns.example.com         A      192.0.2.53
www.example.com        CNAME  far.example.com
far.example.com        CNAME  mail.example.com
text.example.com       CNAME  example.com
astray.example.com     CNAME  nowhere.example.net
round.example.com      CNAME  round.example.com
user+tag._spf.example.com    A   127.0.0.2
1.2.0.192.in-addr.arpa  CNAME  1.0/25.2.0.192.in-addr.arpa
1.0/25.2.0.192.in-addr.arpa  PTR  mail.example.com
`

// typed are the records of a file.
func typed(t testing.TB, text string) *Records {
	t.Helper()
	r, err := ParseRecords(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A file of records and a name server that has them answer alike.
func TestAsk(t *testing.T) {
	records := typed(t, typedZone)
	records.Fail("broken.example.com", errors.New("trouble"))
	c := client(t, Options{Nameservers: []string{serve(t, records.Answer).Addr()}})
	const header = "\t60\tIN\t"
	tests := []struct {
		name   string
		qtype  uint16
		want   string // records, without their TTL and class, joined by "|"
		exists bool
		err    bool
	}{
		{"mail.example.com", dns.TypeA, "mail.example.com. A 192.0.2.1|mail.example.com. A 192.0.2.2", true, false},
		{"MAIL.Example.com.", dns.TypeAAAA, "mail.example.com. AAAA 2001:db8::1", true, false},
		{"example.com", dns.TypeMX, "example.com. MX 20 second.example.com.|example.com. MX 10 mail.example.com.", true, false},
		{"example.com", dns.TypeTXT, `example.com. TXT "v=spf1 mx -all"`, true, false},
		{"example.com", dns.TypeNS, "example.com. NS ns.example.com.", true, false},
		{"example.com", dns.TypeSOA, "example.com. SOA ns.example.com. hostmaster.example.com. 0 0 0 0 0", true, false},
		{"example.com", dns.TypeA, "", true, false},
		{"_spf.example.com", dns.TypeA, "", true, false}, // an empty non-terminal
		{"com", dns.TypeA, "", true, false},
		{"nowhere.example.com", dns.TypeA, "", false, false},
		{"www.example.com", dns.TypeA, "mail.example.com. A 192.0.2.1|mail.example.com. A 192.0.2.2", true, false},
		{"www.example.com", dns.TypeCNAME, "www.example.com. CNAME far.example.com.", true, false},
		{"text.example.com", dns.TypeTXT, `example.com. TXT "v=spf1 mx -all"`, true, false},
		{"mail.example.com", dns.TypeCNAME, "", true, false},
		{"astray.example.com", dns.TypeA, "", true, false}, // the NXDOMAIN is the target's
		{"round.example.com", dns.TypeA, "", false, true},
		{"broken.example.com", dns.TypeA, "", false, true},
		{"broken.example.com", dns.TypeCNAME, "", false, true},
		{"user+tag._spf.example.com", dns.TypeA, "user+tag._spf.example.com. A 127.0.0.2", true, false},
		{"1.2.0.192.in-addr.arpa", dns.TypePTR, "1.0/25.2.0.192.in-addr.arpa. PTR mail.example.com.", true, false},
		{"a b.example.com", dns.TypeA, "", false, false},
		{"ä.example.com", dns.TypeA, "", false, false},
		{"a\x00\\.example.com", dns.TypeA, "", false, false},
		{"a..example.com", dns.TypeA, "", false, false},
		{strings.Repeat("a", 64) + ".example.com", dns.TypeA, "", false, false},
		{strings.Repeat("abcdefg.", 32), dns.TypeA, "", false, false},
		{"", dns.TypeA, "", false, false},
	}
	for _, tt := range tests {
		for source, asker := range map[string]Asker{"records": records, "client": c} {
			t.Run(fmt.Sprintf("%q %s %s", tt.name, dns.Type(tt.qtype), source), func(t *testing.T) {
				reply, err := asker.Ask(t.Context(), tt.name, tt.qtype)
				if (err != nil) != tt.err {
					t.Fatal(err)
				}
				var lines []string
				for _, rr := range reply.Records {
					lines = append(lines, strings.ReplaceAll(strings.ReplaceAll(rr.String(), header, " "), "\t", " "))
				}
				if got := strings.Join(lines, "|"); got != tt.want || reply.Exists != tt.exists {
					t.Errorf("%s, exists %t; want %s, %t", got, reply.Exists, tt.want, tt.exists)
				}
				if len(reply.Records) > 0 && reply.TTL != time.Minute {
					t.Errorf("TTL %v", reply.TTL)
				}
			})
		}
	}
}

// The AD and AA bits, and the TTL of the least record or of "there is none".
func TestAskBits(t *testing.T) {
	s := serve(t, func(name string) Answer {
		a := Answer{Authentic: true, TTL: 20 * time.Second, Records: []dns.RR{&dns.A{Hdr: recordHeader(name, dns.TypeA), A: net.IPv4(192, 0, 2, 1)}}}
		switch name {
		case "plain.example.com":
			a.Authentic = false
		case "none.example.com":
			a.Records = nil
		case "alias.example.com":
			a.CNAME = name + ".example.net"
			a.Records[0].Header().Name = a.CNAME + "."
		case "truncated.example.com":
			a.Truncate = true
		}
		return a
	})
	c := client(t, Options{Nameservers: []string{s.Addr()}})
	for _, tt := range []struct {
		name      string
		authentic bool
		ttl       time.Duration
		records   int
	}{
		{"signed.example.com", true, time.Minute, 1},
		{"plain.example.com", false, time.Minute, 1},
		{"none.example.com", true, 20 * time.Second, 0},
		{"alias.example.com", true, 20 * time.Second, 1},
		{"truncated.example.com", true, time.Minute, 1},
	} {
		r, err := c.Ask(t.Context(), tt.name, dns.TypeA)
		if err != nil || r.Authentic != tt.authentic || r.TTL != tt.ttl || len(r.Records) != tt.records || !r.Exists || r.Authoritative {
			t.Errorf("%s: %+v, %v", tt.name, r, err)
		}
	}
}

// What a name server says of something else is trouble, never an answer.
func TestAskHostile(t *testing.T) {
	a := func(m *dns.Msg, class uint16) dns.RR {
		return &dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: class, Ttl: 60}, A: net.IPv4(192, 0, 2, 1)}
	}
	for _, tt := range []struct {
		name   string
		change func(*dns.Msg)
		count  int
		err    string
	}{
		{"well", func(m *dns.Msg) { m.Answer = []dns.RR{a(m, dns.ClassINET)} }, 1, ""},
		{"a TXT beside it", func(m *dns.Msg) { m.Answer = append(m.Answer, a(m, dns.ClassINET)) }, 1, ""},
		{"another class beside it", func(m *dns.Msg) { m.Answer = []dns.RR{a(m, dns.ClassCHAOS), a(m, dns.ClassINET)} }, 1, ""},
		{"a TXT alone", func(*dns.Msg) {}, 0, "records that were not asked for"},
		{"another class alone", func(m *dns.Msg) { m.Answer = []dns.RR{a(m, dns.ClassCHAOS)} }, 0, "records that were not asked for"},
		{"another name's", func(m *dns.Msg) {
			m.Answer = []dns.RR{a(m, dns.ClassINET)}
			m.Answer[0].Header().Name = "other.example."
		}, 0, "records that were not asked for"},
		{"a hundred", func(m *dns.Msg) {
			m.Answer = nil
			for range maxRecords {
				m.Answer = append(m.Answer, a(m, dns.ClassINET))
			}
		}, maxRecords, ""},
		{"one more", func(m *dns.Msg) {
			m.Answer = nil
			for range maxRecords + 1 {
				m.Answer = append(m.Answer, a(m, dns.ClassINET))
			}
		}, 0, "101 A records; at most 100 are read"},
		{"SERVFAIL", func(m *dns.Msg) { m.Answer, m.Rcode = nil, dns.RcodeServerFailure }, 0, "answered SERVFAIL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := raw(t, func(q *dns.Msg) [][]byte {
				return [][]byte{forge(q, "x", func(m *dns.Msg) { m.Compress = true; tt.change(m) })}
			})
			r, err := client(t, Options{Nameservers: []string{addr}}).Ask(t.Context(), "Mail.example.com", dns.TypeA)
			if len(r.Records) != tt.count || (err != nil) != (tt.err != "") {
				t.Fatalf("%d records, %v", len(r.Records), err)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.err) || !strings.HasPrefix(err.Error(), "A mail.example.com: ")) {
				t.Errorf("%v; want %s", err, tt.err)
			}
		})
	}
}

// An asker who leaves is told so, and each question is asked anew and counted.
func TestAskContext(t *testing.T) {
	stats := new(Stats)
	s := serve(t, func(name string) Answer { return Answer{Drop: name == "silent.example.com", TTL: time.Hour} })
	c := client(t, Options{Nameservers: []string{s.Addr()}, Stats: stats})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Ask(ctx, "silent.example.com", dns.TypeMX); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("during the question: %v", err)
	}
	if _, err := c.Ask(ctx, "silent.example.com", dns.TypeMX); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not asked") {
		t.Errorf("before it: %v", err)
	}
	if _, err := new(Records).Ask(ctx, "a.example", dns.TypeMX); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of records: %v", err)
	}
	for range 2 {
		if _, err := c.Ask(t.Context(), "example.com", dns.TypeMX); err != nil {
			t.Error(err)
		}
	}
	if got := stats.Counts(); got.Lookups[Absent] != 2 || got.Lookups[TimedOut]+got.Lookups[Failed] != 1 || got.CacheHits+got.CacheMisses != 0 {
		t.Errorf("counted %+v", got)
	}
}

// What a name is on the wire, and what it is in the answer, is the same text.
func FuzzWireName(f *testing.F) {
	for _, seed := range []string{"example.com", "User+tag._spf.example.com.", `a\b."c".d`, "\x00\xff.x", "a..b", ".", "@.;"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		escaped, ok := wireName(name)
		if !ok {
			return
		}
		m := new(dns.Msg)
		m.SetQuestion(escaped+".", dns.TypeA)
		p, err := m.Pack()
		if err != nil {
			t.Fatalf("%q cannot be asked as %q: %v", name, escaped, err)
		}
		back := new(dns.Msg)
		if err := back.Unpack(p); err != nil || back.Question[0].Name != escaped+"." {
			t.Errorf("%q came back as %q, %v", escaped, back.Question[0].Name, err)
		}
		if plain, ok := canonicalName(name); ok && plain != escaped {
			t.Errorf("%q is %q there and %q here", name, plain, escaped)
		}
	})
}

func TestTypedLines(t *testing.T) {
	for _, tt := range []struct{ line, want, err string }{
		{"a.example A 192.0.2.1", "a.example. 60 IN A 192.0.2.1", ""},
		{"a.example\tAAAA\t 2001:DB8::1 ", "a.example. 60 IN AAAA 2001:db8::1", ""},
		{"a.example MX 65535\tmail.example.", "a.example. 60 IN MX 65535 mail.example.", ""},
		{"a.example MX 0 .", "a.example. 60 IN MX 0 .", ""},
		{"*.a.example A 192.0.2.1", "*.a.example. 60 IN A 192.0.2.1", ""},
		{"a.example a 192.0.2.1", "", ""}, // a TXT record
		{`a.example "A" "192.0.2.1"`, "", ""},
		{"a.example SRV 0 0 25 mail.example", "", ""},
		{"a.example A", "", `line 1: "" is no address for a record of type A`},
		{"a.example A 192.0.2.300", "", `line 1: "192.0.2.300" is no address`},
		{"a.example A 2001:db8::1", "", `line 1: "2001:db8::1" is no address for a record of type A`},
		{"a.example AAAA ::ffff:192.0.2.1%eth0", "", "line 1: "},
		{"a.example MX mail.example", "", `line 1: "mail.example" is no data for a record of type MX; write`},
		{"a.example MX 65536 mail.example", "", "line 1: "},
		{"a.example NS .", "", `line 1: "." is no name`},
		{"a.example CNAME ", "", `line 1: "" is no name`},
		{"a..example PTR b.example", "", `line 1: "a..example" is no name`},
	} {
		r, err := ParseRecords(strings.NewReader(tt.line))
		if (err != nil) != (tt.err != "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%q: error %v, want %q", tt.line, err, tt.err)
		}
		if err != nil {
			continue
		}
		var got []string
		for _, list := range r.typed {
			for _, rr := range list {
				got = append(got, strings.ReplaceAll(rr.String(), "\t", " "))
			}
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, "|")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.line, diff)
		}
	}
}
