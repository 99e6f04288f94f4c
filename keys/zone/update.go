package zone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/milter/resolver"
)

// Change is what shall become of the TXT records of one name.
type Change struct {
	// Name is the full name, in A-labels.
	Name string
	// Before are the values of all TXT records that stand there, in any order, as
	// Updater.Look has found them. Where others do, nothing is changed: nobody's record is
	// lost.
	Before []string
	// After are the values of those that shall stand there; none deletes them.
	After []string
	// TTL is that of the records which are added; 0 is that of those which stand there,
	// or DefaultTTL.
	TTL time.Duration
}

// DefaultTTL is that of records which say nothing else: short enough for a
// mistake to be mended soon.
const DefaultTTL = time.Hour

// ErrChanged is the error of a change that does not fit what stands in DNS.
var ErrChanged = errors.New("other records stand there than were expected")

// Look returns the values of the TXT records at a name, as the name server that Update
// would ask has them, none if there are none. One that is an alias is an *Alias.
func (u *Updater) Look(ctx context.Context, name string) ([]string, error) {
	at, err := u.find(ctx, name)
	if err != nil {
		return nil, err
	}
	defer u.release(at)
	standing, err := at.texts(ctx, name)
	return values(standing), err
}

// Update makes a change, whole or not at all. Where all is as it shall be, nothing is
// sent, so that a second run changes nothing. It is ErrChanged if neither Before nor
// After stands there; other errors say in words what to do.
func (u *Updater) Update(ctx context.Context, c Change) error {
	at, err := u.find(ctx, c.Name)
	if err != nil {
		return err
	}
	defer u.release(at)
	standing, err := at.texts(ctx, c.Name)
	if err != nil {
		return err
	}
	switch now := values(standing); {
	case same(now, c.After):
		return nil
	case !same(now, c.Before):
		return fmt.Errorf("%s: %w: %s; look at them, and try again", c.Name, ErrChanged, Excerpt(now))
	}
	answer, err := at.ask(ctx, c.message(at.zone, standing))
	if err == nil {
		err = at.refusal(answer, c.Name)
	}
	if errors.Is(err, ErrChanged) { // by a run beside this one, or by the first try of ask
		if standing, e := at.texts(ctx, c.Name); e == nil && same(values(standing), c.After) {
			return nil
		}
	}
	return err
}

// message is the update. What stands there must stand there still when it is made, and
// no CNAME: TXT records would be passed over beside one (RFC 2136 §3.4.2.2).
func (c Change) message(zone string, standing []*dns.TXT) *dns.Msg {
	m := new(dns.Msg)
	m.SetUpdate(zone)
	name := dns.Fqdn(c.Name)
	ttl := uint32(c.TTL.Seconds())
	if c.TTL == 0 {
		ttl = uint32(DefaultTTL.Seconds())
	}
	m.RRsetNotUsed([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME}}})
	if len(standing) == 0 {
		m.RRsetNotUsed([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT}}})
	}
	for _, rr := range standing {
		if c.TTL == 0 {
			ttl = rr.Hdr.Ttl
		}
		m.Used([]dns.RR{text(name, 0, rr.Txt)})
		if !slices.Contains(c.After, resolver.Text(rr)) {
			m.Remove([]dns.RR{text(name, 0, rr.Txt)})
		}
	}
	for _, value := range c.After {
		if !slices.Contains(values(standing), value) {
			m.Insert([]dns.RR{text(name, ttl, escaped(Strings(value)))})
		}
	}
	return m
}

func text(name string, ttl uint32, parts []string) *dns.TXT {
	return &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: ttl}, Txt: parts}
}

// escaped are strings as miekg/dns wants them, with the escapes of zone files.
func escaped(parts []string) []string {
	for i, p := range parts {
		parts[i] = resolver.Escape(p)
	}
	return parts
}

func values(records []*dns.TXT) []string {
	var list []string
	for _, rr := range records {
		list = append(list, resolver.Text(rr))
	}
	return list
}

// same compares values in any order; the records of a name are all different.
func same(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(v string) bool { return !slices.Contains(b, v) })
}

// Replaced are the values that the change takes away.
func (c Change) Replaced() []string {
	var list []string
	for _, value := range c.Before {
		if !slices.Contains(c.After, value) {
			list = append(list, value)
		}
	}
	return list
}

// Excerpt shows values from DNS to people, quoted: there may be many, and strange ones.
func Excerpt(values []string) string {
	const most, long = 3, 60
	if len(values) == 0 {
		return "none"
	}
	var list []string
	for _, v := range values[:min(len(values), most)] {
		if len(v) > long {
			list = append(list, fmt.Sprintf("%q…", v[:long]))
		} else {
			list = append(list, fmt.Sprintf("%q", v))
		}
	}
	if more := len(values) - most; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}
