package resolver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// recordsTTL is the TTL of all Records.
const recordsTTL = time.Minute

// Records answers questions from memory, in place of DNS. Names compare
// without regard to case and to the final dot. The zero value is empty and
// ready to use; after the last Add, Parse and Fail it is safe for concurrent use.
type Records struct {
	txt      map[string][]string
	typed    map[string][]dns.RR // of other types than TXT
	failures map[string]error
	exists   map[string]bool // the names of both, and those above them (RFC 8020)
}

// NewRecords returns Records that hold zone: TXT records by name. A name that
// DNS cannot hold is left out, since nobody can ask for it.
func NewRecords(zone map[string][]string) *Records {
	r := new(Records)
	for name, txt := range zone {
		_ = r.Add(name, txt...)
	}
	return r
}

// Add gives name further TXT records. The error says that DNS cannot hold name.
func (r *Records) Add(name string, txt ...string) error {
	key, ok := canonicalName(name)
	if !ok {
		return fmt.Errorf("%q is no name that DNS can hold", name)
	}
	if r.txt == nil {
		r.txt = make(map[string][]string)
	}
	r.txt[key] = append(r.txt[key], txt...)
	r.add(key)
	return nil
}

// add makes name exist, and with it all above it.
func (r *Records) add(name string) {
	if r.exists == nil {
		r.exists = make(map[string]bool)
	}
	for more := true; more && !r.exists[name]; _, name, more = strings.Cut(name, ".") {
		r.exists[name] = true
	}
}

// Fail makes every question for name end with err, as a nameserver in trouble
// would.
func (r *Records) Fail(name string, err error) {
	key, _ := canonicalName(name)
	if r.failures == nil {
		r.failures = make(map[string]error)
	}
	r.failures[key] = err
}

// LookupTXT answers as Client.LookupTXT does, and never claims that an answer
// is authentic.
func (r *Records) LookupTXT(ctx context.Context, name string) (txt []string, authentic bool, err error) {
	key, ok := canonicalName(name)
	if !ok {
		return nil, false, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, false, fmt.Errorf("TXT %s: not asked: %w", key, err)
	}
	name, _, err = r.follow(key)
	if err != nil {
		return nil, false, fmt.Errorf("TXT %s: %w", key, err)
	}
	return slices.Clone(r.txt[name]), false, nil
}

// Ask answers as Client.Ask does. A name with name servers is that of a zone and has
// an SOA record, too.
func (r *Records) Ask(ctx context.Context, name string, qtype uint16) (Reply, error) {
	key, ok := wireName(name)
	if !ok {
		return Reply{}, nil
	}
	q := question{key, qtype}
	if err := ctx.Err(); err != nil {
		return Reply{}, fmt.Errorf("%s: not asked: %w", q, err)
	}
	reply := Reply{Exists: r.exists[key], Authoritative: true, TTL: recordsTTL}
	if qtype != dns.TypeCNAME {
		var err error
		if key, _, err = r.follow(key); err != nil {
			return Reply{}, fmt.Errorf("%s: %w", q, err)
		}
	} else if err := r.failures[key]; err != nil {
		return Reply{}, fmt.Errorf("%s: %w", q, err)
	}
	for _, rr := range append(r.others(key), r.texts(key)...) {
		if rr.Header().Rrtype == qtype {
			reply.Records = append(reply.Records, rr)
		}
	}
	return reply, nil
}

// follow returns where the CNAMEs at name lead, and these. The error is that of a
// name on the way that was made to fail.
func (r *Records) follow(name string) (end string, chain []dns.RR, err error) {
	for {
		if err := r.failures[name]; err != nil {
			return "", nil, err
		}
		i := slices.IndexFunc(r.typed[name], func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeCNAME })
		if i < 0 {
			return name, chain, nil
		}
		if len(chain) == maxHops {
			return "", nil, errChain
		}
		chain = append(chain, r.typed[name][i])
		name = owner(r.typed[name][i].(*dns.CNAME).Target)
	}
}

func recordHeader(name string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name + ".", Rrtype: rrtype, Class: dns.ClassINET, Ttl: uint32(recordsTTL / time.Second)}
}

// texts are the TXT records at name, and others those of other types.
func (r *Records) texts(name string) []dns.RR {
	var list []dns.RR
	for _, value := range r.txt[name] {
		list = append(list, &dns.TXT{Hdr: recordHeader(name, dns.TypeTXT), Txt: splitStrings(value)})
	}
	return list
}

func (r *Records) others(name string) []dns.RR {
	list := slices.Clone(r.typed[name])
	for _, rr := range list {
		if ns, ok := rr.(*dns.NS); ok {
			return append(list, &dns.SOA{Hdr: recordHeader(name, dns.TypeSOA), Ns: ns.Ns, Mbox: "hostmaster." + name + "."})
		}
	}
	return list
}

// Answer makes Records the zone of an embedded server; see Serve.
func (r *Records) Answer(name string) Answer {
	end, chain, err := r.follow(name)
	switch {
	case err != nil:
		return Answer{Rcode: dns.RcodeServerFailure}
	case !r.exists[end]:
		return Answer{Records: chain, Rcode: dns.RcodeNameError, TTL: recordsTTL}
	case len(chain) == 0:
		return Answer{TXT: r.txt[end], Records: r.others(end), TTL: recordsTTL}
	}
	return Answer{Records: slices.Concat(chain, r.others(end), r.texts(end)), TTL: recordsTTL}
}
