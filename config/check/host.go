package check

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/resolver"
)

// The kinds of findings about the machine's name. They are notes: mail is delivered
// without, to many.
const (
	// NoReverse: an address has no name.
	NoReverse finding.Code = "no-reverse"
	// ReverseDiffers: the name of an address does not lead back to it.
	ReverseDiffers finding.Code = "reverse-differs"
	// HELODiffers: the name that Postfix gives itself does not lead to the address.
	HELODiffers finding.Code = "helo-differs"
)

// Host is the section about the names of this machine's addresses.
func (c *Checker) Host(ctx context.Context) *Section {
	s := newSection(SectionHost)
	switch {
	case c.Relay != "":
		s.State, s.Summary = Skipped, fmt.Sprintf("not looked at: mail leaves through %s (%s)", c.Relay, c.RelayBy)
		return s
	case len(c.Addresses) == 0:
		s.State, s.Summary = Skipped, "not looked at: this machine has no public address; --address names it"
		return s
	}
	r := resolver.Lookup{Asker: c.DNS}
	var words []string
	for _, a := range c.Addresses {
		names, err := r.LookupAddr(ctx, a)
		if err != nil {
			words = append(words, fmt.Sprintf("%s: its name could not be looked up", a))
			continue
		}
		i := slices.IndexFunc(names, func(n string) bool { return leadsTo(ctx, r, n, a) })
		switch {
		case len(names) == 0:
			words = append(words, fmt.Sprintf("%s has no name", a))
			s.add(a.String(), c.reverse(NoReverse, a, fmt.Sprintf("%s has no name (PTR record).", a)))
		case i < 0:
			words = append(words, fmt.Sprintf("%s is %q", a, names[0]))
			s.add(a.String(), c.reverse(ReverseDiffers, a, fmt.Sprintf("%s is called %q, and that name does not lead back to it.", a, names[0])))
		default:
			words = append(words, fmt.Sprintf("%s is %s", a, names[i]))
			c.helloName(ctx, r, a, names, s)
		}
	}
	s.Summary = strings.Join(words, "; ")
	return s
}

// leadsTo reports whether a name has the address.
func leadsTo(ctx context.Context, r resolver.Lookup, name string, a netip.Addr) bool {
	addrs, err := r.LookupIP(ctx, name)
	return err == nil && slices.Contains(addrs, a)
}

func (c *Checker) reverse(code finding.Code, a netip.Addr, text string) finding.Finding {
	name := c.HELO
	if name == "" {
		name = "mail.example.com"
	}
	return finding.Finding{
		Code: code, Level: finding.Note, Text: text,
		Effect: "Many receivers, the large ones among them, refuse or distrust mail from such an address.",
		Fix:    fmt.Sprintf("Have the provider of the address set its reverse record to %s, and publish that name's address record.", name),
	}
}

// helloName compares what Postfix calls itself with the names of the address.
func (c *Checker) helloName(ctx context.Context, r resolver.Lookup, a netip.Addr, names []string, s *Section) {
	if c.HELO == "" || slices.Contains(names, strings.ToLower(c.HELO)) || leadsTo(ctx, r, c.HELO, a) {
		return
	}
	s.add(a.String(), finding.Finding{
		Code: HELODiffers, Level: finding.Note,
		Text:   fmt.Sprintf("Postfix calls itself %q (myhostname), and that name does not lead to %s, which is called %q.", c.HELO, a, names[0]),
		Effect: "Some receivers distrust a client whose name is not its own.",
		Fix:    "postconf -e myhostname=" + names[0],
	})
}
