package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postseal/postseal/config/setup"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/keys/zone"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/dmarc"
	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/spf"
	"github.com/spf13/cobra"
)

// What DNS has of a record.
const (
	stateMissing   = "missing"
	stateDifferent = "different"
	statePublished = "published"
	stateUnknown   = "unknown"
)

// setupRecord is a DNS record of a domain, for people and for JSON.
type setupRecord struct {
	// Kind is dkim, spf or dmarc.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Host is the name for web forms.
	Host  string `json:"host"`
	Value string `json:"value,omitempty"`
	Zone  string `json:"zone,omitempty"`
	State string `json:"state"`
	Note  string `json:"note,omitempty"`

	zone.Record `json:"-"`
}

// due reports whether somebody has to publish it.
func (r *setupRecord) due() bool { return r.State != statePublished }

// recordBook finds which records a domain should have, and which it has.
type recordBook struct {
	*setUp
	dns  resolver.Lookup
	down error // DNS cannot be asked: it was tried
}

func newRecordBook(s *setUp) *recordBook {
	b := &recordBook{setUp: s}
	b.dns.Asker, b.down = s.dns.open(s.cmd, lookupTimeout)
	return b
}

// lookUp asks for the TXT records at name; where DNS has not answered once, it is not
// asked again.
func (b *recordBook) lookUp(ctx context.Context, name string) ([]string, error) {
	if b.down != nil {
		return nil, b.down
	}
	records, _, err := b.dns.LookupTXT(ctx, name)
	b.down = err
	return records, err
}

// taken reports whether DNS has a record at the name of a new key: somebody else's.
func (b *recordBook) taken(name string) bool {
	ctx, cancel := b.withTimeout()
	defer cancel()
	records, err := b.lookUp(ctx, name)
	return err == nil && len(records) > 0
}

// of are the records of a domain.
func (b *recordBook) of(ctx context.Context, d *setup.Domain) []*setupRecord {
	var list []*setupRecord
	for _, k := range d.Keys {
		if r := b.key(ctx, k); r != nil {
			list = append(list, r)
		}
	}
	list = append(list, b.spf(ctx, d.Name))
	if r := b.dmarc(ctx, d.Name); r != nil {
		list = append(list, r)
	}
	for _, r := range list {
		r.Host = r.Record.Host(d.Name)
		r.Name = r.Record.Name
		if r.Value = r.Text; r.Value != "" {
			r.Zone = r.Record.String()
		}
	}
	return list
}

// key is the record of a key, nil where it cannot be read.
func (b *recordBook) key(ctx context.Context, k *setup.Key) *setupRecord {
	if k.Err != nil {
		return nil
	}
	r := &setupRecord{Kind: "dkim", State: stateMissing, Record: zone.Key(k.Selector, k.Domain, k.Record())}
	records, err := b.lookUp(ctx, r.Record.Name)
	switch {
	case err != nil:
		r.State = stateUnknown
	case len(records) == 0:
	case k.Public() == nil:
		r.State = stateDifferent
	default:
		report := published.Check(ctx, b.dns, k.Domain, k.Selector, k.Public())
		if r.State = stateDifferent; report.Usable() && report.Same {
			r.State = statePublished
		}
	}
	return r
}

// spf is the domain's SPF record, with this machine in it.
func (b *recordBook) spf(ctx context.Context, domain string) *setupRecord {
	r := &setupRecord{Kind: "spf", State: stateMissing, Record: zone.Record{Name: domain}}
	records, err := b.lookUp(ctx, domain)
	if err != nil {
		r.State = stateUnknown
		r.Text, r.Note = spf.Propose(b.addresses, "")
		return r
	}
	records = slices.DeleteFunc(slices.Clone(records), func(txt string) bool { return !spf.IsRecord(txt) })
	switch len(records) {
	case 0:
		r.Text, r.Note = spf.Propose(b.addresses, "")
	case 1:
		r.Text, r.Note = spf.Propose(b.refused(ctx, domain), records[0])
		if r.State = stateDifferent; r.Text == records[0] && r.Note == "" {
			r.State = statePublished
		}
	default:
		r.several("SPF", domain, records)
	}
	return r
}

// several says of a name with several records of a kind what is to be done.
func (r *setupRecord) several(kind, domain string, records []string) {
	r.State, r.Text = stateDifferent, records[0]
	r.Note = fmt.Sprintf("%s has %d %s records, and so none counts; make one of them, and see: postseal check %s", r.Record.Name, len(records), kind, domain)
}

// refused are this machine's addresses for which SPF does not pass.
func (b *recordBook) refused(ctx context.Context, domain string) []netip.Addr {
	var list []netip.Addr
	for _, a := range b.addresses {
		if spf.Check(ctx, b.dns, spf.Query{Client: a, HELO: domain, MailFrom: "postmaster@" + domain}).Status != spf.Pass {
			list = append(list, a)
		}
	}
	return list
}

// dmarc is the domain's DMARC record, its own or the one that it inherits, or one to begin
// with.
func (b *recordBook) dmarc(ctx context.Context, domain string) *setupRecord {
	name, text, err := dmarc.Propose(domain, b.rua)
	if err != nil {
		return nil // prepare has tried
	}
	r := &setupRecord{Kind: "dmarc", State: stateMissing, Record: zone.Record{Name: name, Text: text}}
	if b.down != nil {
		r.State = stateUnknown
		return r
	}
	found, err := dmarc.Discover(ctx, b.dns, domain)
	if err != nil || found.Record == nil && found.Organization.Err != nil {
		r.State = stateUnknown
		return r
	}
	var own []string
	for _, txt := range found.Organization.Walk[0].Texts {
		if _, is := dmarc.ParseRecord(txt); is {
			own = append(own, txt)
		}
	}
	switch {
	case len(own) > 1:
		r.several("DMARC", domain, own)
	case found.Record != nil && found.Source != dmarc.Suffix: // that one is not the domain's to decide on
		r.State, r.Record = statePublished, zone.Record{Name: "_dmarc." + found.From, Text: found.Record.Text}
		if found.From != domain {
			r.Note = fmt.Sprintf("the record of %s is for %s, too: it needs none of its own", found.From, domain)
		}
	default:
		if name, text, host := dmarc.Consent(ctx, b.dns, domain, b.rua); name != "" {
			r.Note = fmt.Sprintf("the reports go to another organization, and come only if this is in the zone of %s: %s", host, finding.Record(name, text))
		}
	}
	return r
}

// domainNames reads arguments that are domains: in A-labels, each once.
func domainNames(cmd *cobra.Command, args []string) (names []string, err error) {
	seen := make(map[string]bool, len(args))
	for _, a := range args {
		name, err := dkim.DomainName(strings.TrimSuffix(a, "."))
		if err != nil {
			return nil, usage(cmd, "%q is no domain: %w; give one such as example.com", a, err)
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names, nil
}

// parseAddresses reads --address.
func parseAddresses(cmd *cobra.Command, args []string) (list []netip.Addr, err error) {
	for _, a := range args {
		addr, err := netip.ParseAddr(a)
		if err != nil {
			return nil, usage(cmd, "--address %q is no address of a host; give one such as 192.0.2.7 or 2001:db8::7", a)
		}
		list = append(list, addr.Unmap().WithZone(""))
	}
	return list, nil
}
