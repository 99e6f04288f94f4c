package dmarc

import (
	"context"
	"fmt"

	"github.com/postseal/postseal/milter/dkim"
)

// evaluation is one message on its way to a result.
type evaluation struct {
	*walker
	walks int // from identifiers
}

// align holds the identifiers of one mechanism against the domain of From, those that
// pass before those that may pass later.
func (e *evaluation) align(ctx context.Context, d *Discovery, mode Mode, list ...Identifier) Alignment {
	a := Alignment{Mode: mode}
	for _, want := range []string{"pass", "temperror"} {
		for _, id := range list {
			if id.Result != want {
				continue
			}
			name, err := domainName(id.Domain)
			if err != nil {
				continue
			}
			switch aligned, known := e.aligned(ctx, d, mode, name); {
			case known && !aligned:
			case known && want == "pass":
				a.Domain, a.Unsure = name, ""
				return a
			case a.Unsure == "":
				a.Unsure = name
			}
		}
	}
	return a
}

// aligned compares a domain with that of From (RFC 9989 §4.4). known is false where DNS
// trouble is in the way. Once MaxWalks identifiers were walked from, further ones that
// need a walk count for nothing: a message cannot cost more than that.
//
// The organizational domain of a name is the name or one above it. So an identifier
// that is not below that of From is not aligned, and nothing is asked.
func (e *evaluation) aligned(ctx context.Context, d *Discovery, mode Mode, name string) (aligned, known bool) {
	switch own := d.Organization; {
	case name == d.Domain:
		return true, true
	case mode == Strict:
		return false, true
	case own.Err != nil:
		// One of the names above both may be the organizational domain of both.
		return false, rightmost(name, 1) != rightmost(d.Domain, 1)
	case !dkim.Within(name, own.Domain):
		return false, true
	case e.walks == MaxWalks:
		return false, true
	default:
		e.walks++
		o := e.organization(ctx, name)
		return o.Domain == own.Domain, o.Err == nil
	}
}

// reason says why an alignment passes.
func (a Alignment) reason(mechanism, from string) string {
	if a.Domain == from {
		return fmt.Sprintf("%s passes for %s", mechanism, from)
	}
	return fmt.Sprintf("%s passes for %s, of the same organization", mechanism, a.Domain)
}
