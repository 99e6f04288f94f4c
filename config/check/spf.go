package check

import (
	"context"
	"fmt"
	"strings"

	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/spf"
)

// The kinds of findings about SPF, beside those of package spf.
const (
	// NoAddress: it is not known which addresses mail leaves from.
	NoAddress finding.Code = "no-address"
	// Relayed: mail leaves through another host.
	Relayed finding.Code = "relayed"
	// HELORecord: the name that Postfix gives itself has no SPF record.
	HELORecord finding.Code = "helo-record"
)

// SPF is what there is of SPF.
type SPF struct {
	Records []string  `json:"records"`
	Lookups int       `json:"lookups"`
	Voids   int       `json:"voids"`
	Tree    *spf.Node `json:"tree,omitempty"`
}

// excerpt is the beginning of a record, in one line of a screen.
func excerpt(record string) string {
	const most = 100
	if len(record) > most {
		return record[:most] + "…"
	}
	return record
}

// spf looks at the domain's SPF record, and whether mail of this machine passes it.
func (c *Checker) spf(ctx context.Context, domain string, s *Section) {
	r := resolver.Lookup{Asker: c.DNS}
	report := spf.Inspect(ctx, r, domain)
	s.SPF = &SPF{Records: report.Records, Lookups: report.Lookups, Voids: report.Voids, Tree: report.Tree}
	for i, f := range report.Findings {
		if f.Code == spf.NoRecord && len(c.Addresses) > 0 && c.Relay == "" {
			record, _ := spf.Propose(c.Addresses, "")
			report.Findings[i].Fix = "If no other hosts send for the domain, publish " + finding.Record(domain, record)
		}
	}
	s.addAll("", report.Findings, spf.LookupFailed)
	var words []string
	switch len(report.Records) {
	case 0:
		words = append(words, "no record")
	case 1:
		words = append(words, excerpt(report.Records[0]), fmt.Sprintf("%d of %d look-ups", report.Lookups, spf.MaxLookups))
	default:
		words = append(words, fmt.Sprintf("%d records", len(report.Records)))
	}
	if s.has(spf.LookupFailed) {
		words[0] = "not known"
	}
	switch {
	case report.Record == nil:
		// What receivers make of this machine follows from what is wrong already.
	case c.Relay != "":
		s.add("", finding.Finding{
			Code: Relayed, Level: finding.Note,
			Text:   fmt.Sprintf("This machine's mail leaves through %s (%s).", c.Relay, c.RelayBy),
			Effect: "Receivers look whether that host may send; this cannot be seen from here.",
			Fix:    "Where its provider names a term for SPF, such as include:spf.example.net, put that into the record.",
		})
	case len(c.Addresses) == 0:
		s.add("", c.noAddress())
	default:
		words = append(words, c.passes(ctx, r, report, s)...)
		c.helo(ctx, r, s)
		if len(c.Private) > 0 { // of the other family
			s.add("", c.noAddress())
		}
	}
	s.Summary = strings.Join(words, "; ")
}

func (c *Checker) noAddress() finding.Finding {
	text := "This machine has no public address."
	if len(c.Private) > 0 {
		text = fmt.Sprintf("This machine's address %s is private: the world sees another one.", c.Private[0])
	}
	return finding.Finding{
		Code: NoAddress, Level: finding.Note,
		Text:   text,
		Effect: "Whether its mail passes SPF cannot be seen from here.",
		Fix:    "Name the address that the world sees with --address.",
	}
}

// passes asks for each of this machine's addresses whether it may send.
func (c *Checker) passes(ctx context.Context, r spf.Resolver, report *spf.Report, s *Section) []string {
	list := report.Addresses(ctx, r, c.HELO, c.Addresses)
	for i := range list {
		if f := &list[i]; f.Code == spf.NotAllowed && c.RelayMaps != "" {
			f.Level = LevelUnknown
			f.Fix = fmt.Sprintf("If %s names a host for mail of the domain, see that the record has that one; else: %s", c.RelayMaps, f.Fix)
		}
	}
	s.addAll("", list, spf.LookupFailed)
	if !s.sound() || list.Worst() == finding.Warning {
		return nil
	}
	names := make([]string, len(c.Addresses))
	for i, a := range c.Addresses {
		names[i] = a.String()
	}
	return []string{strings.Join(names, ", ") + verb(names, " passes", " pass")}
}

func verb(names []string, one, many string) string {
	if len(names) == 1 {
		return one
	}
	return many
}

// helo tells of a name without a record; mail without an envelope sender, such as
// bounces, is judged by it (RFC 7208 §2.4).
func (c *Checker) helo(ctx context.Context, r spf.Resolver, s *Section) {
	if !strings.Contains(c.HELO, ".") || !s.sound() {
		return
	}
	if res := spf.Check(ctx, r, spf.Query{Client: c.Addresses[0], HELO: c.HELO}); res.Status == spf.None {
		s.add("", finding.Finding{
			Code: HELORecord, Level: finding.Note,
			Text:   fmt.Sprintf("The name that Postfix gives itself, %s, has no SPF record.", c.HELO),
			Effect: "Bounces, which have no sender, are judged by it: SPF says nothing of them.",
			Fix:    "Publish " + finding.Record(c.HELO, "v=spf1 a -all"),
		})
	}
}
