package resolver

import (
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxRecords is how many records of one type one name may have. Their bytes are
// bounded by the 64 KiB of a DNS message.
const maxRecords = 100

// part is what one message says about a name.
type part struct {
	records []dns.RR
	next    string // ask on here: the CNAME chain ends at a name of which the message says nothing
	hops    int    // CNAMEs followed
	ttl     time.Duration
}

// read follows the name of question through the CNAMEs of a message to its records.
// DNAME records are passed over: the server sends the CNAME that follows from them
// (RFC 6672 §3.1). hops is how many CNAMEs may be followed.
func read(msg *dns.Msg, q question, hops int) (part, error) {
	p := part{ttl: maxPositiveTTL}
	name := q.name
	if q.qtype != dns.TypeCNAME {
		for alias := aliases(msg); alias[name] != nil; p.hops++ {
			if p.hops == hops {
				return part{}, errChain
			}
			p.ttl = min(p.ttl, seconds(alias[name].Hdr.Ttl))
			if name = owner(alias[name].Target); name == "" {
				return part{}, errChain // the root: nobody keeps a key or a host there
			}
		}
	}
	for _, rr := range msg.Answer {
		if h := rr.Header(); h.Rrtype == q.qtype && h.Class == dns.ClassINET && owner(h.Name) == name {
			p.ttl = min(p.ttl, seconds(h.Ttl))
			p.records = append(p.records, rr)
		}
	}
	if len(p.records) > maxRecords {
		return part{}, fmt.Errorf("%d %s records; at most %d are read", len(p.records), dns.Type(q.qtype), maxRecords)
	}
	if len(p.records) > 0 {
		return p, nil
	}
	negative, known := negativeTTL(msg)
	if p.hops > 0 && msg.Rcode == dns.RcodeSuccess && !known {
		p.next = name
		return p, nil
	}
	p.ttl = min(p.ttl, negative)
	return p, nil
}

// aliases are the CNAMEs of a message by the name that has them; nil for none.
func aliases(msg *dns.Msg) map[string]*dns.CNAME {
	var alias map[string]*dns.CNAME
	for _, rr := range msg.Answer {
		if rr, ok := rr.(*dns.CNAME); ok && rr.Hdr.Class == dns.ClassINET {
			if alias == nil {
				alias = make(map[string]*dns.CNAME)
			}
			alias[owner(rr.Hdr.Name)] = rr
		}
	}
	return alias
}

// texts are the values of TXT records, each with its strings joined.
func texts(records []dns.RR) []string {
	var list []string
	for _, rr := range records {
		if rr, ok := rr.(*dns.TXT); ok {
			list = append(list, Text(rr))
		}
	}
	return list
}

// owner is a name of a message as names are compared here.
func owner(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0 // RFC 2181 §8
	}
	return time.Duration(ttl) * time.Second
}

// negativeTTL is how long "does not exist" holds (RFC 2308 §5). known is false
// where no SOA says so; such an answer is not cached.
func negativeTTL(msg *dns.Msg) (ttl time.Duration, known bool) {
	for _, rr := range msg.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(seconds(soa.Hdr.Ttl), seconds(soa.Minttl), maxNegativeTTL), true
		}
	}
	return 0, false
}

// Text is the value of a TXT record: its strings joined (RFC 6376 §3.6.2.2).
func Text(rr *dns.TXT) string { return joinStrings(rr.Txt) }

// joinStrings joins the strings of a TXT record. The library holds them in the escaped
// form of zone files.
func joinStrings(list []string) string {
	var b strings.Builder
	for _, s := range list {
		unescape(&b, s)
	}
	return b.String()
}

// unescape appends s without the escapes \X and \DDD of RFC 1035 §5.1.
func unescape(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+3 < len(s) && decimalOctet(s[i+1:i+4]) >= 0:
			c = byte(decimalOctet(s[i+1 : i+4]))
			i += 3
		case c == '\\' && i+1 < len(s):
			i++
			c = s[i]
		}
		b.WriteByte(c)
	}
}

// decimalOctet is the value of three digits, or -1.
func decimalOctet(s string) int {
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	if n > 255 {
		return -1
	}
	return n
}

// Escape writes a character-string in the form that zone files have between quotation
// marks (RFC 1035 §5.1), and the library in a record.
func Escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
