package resolver

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// BenchmarkLookupTXT is what one look-up costs: from the cache, by a question to a
// name server on this machine, and its answer alone.
func BenchmarkLookupTXT(b *testing.B) {
	s, err := Serve("127.0.0.1:0", func(string) Answer { return Answer{TXT: []string{"v=DKIM1; p=AAAA"}, TTL: time.Hour} })
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for name, size := range map[string]int{"cached": 1, "asked": -1} {
		b.Run(name, func(b *testing.B) {
			c, err := New(Options{Nameservers: []string{s.Addr()}, CacheSize: size, Timeout: patience})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if txt, _, err := c.LookupTXT(b.Context(), key); err != nil || len(txt) != 1 {
					b.Fatalf("%q, %v", txt, err)
				}
			}
		})
	}
	b.Run("read", func(b *testing.B) {
		asked := new(dns.Msg)
		asked.SetQuestion(key+".", dns.TypeTXT)
		msg := new(dns.Msg)
		if err := msg.Unpack(forge(asked, "v=DKIM1; p=AAAA", nil)); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if p, err := read(msg, question{key, dns.TypeTXT}, maxHops); err != nil || len(texts(p.records)) != 1 {
				b.Fatalf("%+v, %v", p, err)
			}
		}
	})
}
