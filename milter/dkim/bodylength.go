package dkim

import "fmt"

// BodyLengthPolicy says what a body length (l=) is worth (RFC 6376 §8.2: what
// follows the signed part may be anybody's).
type BodyLengthPolicy uint8

const (
	// BodyLengthWhole: a signature passes if l= covers the whole body; if
	// content follows it the result is [Policy].
	BodyLengthWhole BodyLengthPolicy = iota
	// BodyLengthAccept: l= means what RFC 6376 §3.5 says.
	BodyLengthAccept
	// BodyLengthIgnore: a signature with l= is not looked at: [Neutral].
	BodyLengthIgnore
	// BodyLengthFail: a signature with l= is a [Fail].
	BodyLengthFail
)

var bodyLengthWords = [...]string{"whole", "accept", "ignore", "fail"}

func (p BodyLengthPolicy) String() string {
	if int(p) < len(bodyLengthWords) {
		return bodyLengthWords[p]
	}
	return fmt.Sprintf("BodyLengthPolicy(%d)", uint8(p))
}

// ParseBodyLengthPolicy reads whole, accept, ignore or fail.
func ParseBodyLengthPolicy(s string) (BodyLengthPolicy, error) {
	for i, word := range bodyLengthWords {
		if s == word {
			return BodyLengthPolicy(i), nil
		}
	}
	return BodyLengthWhole, fmt.Errorf("unknown body length policy %q; it is whole, accept, ignore or fail", s)
}

// BodyMinimum is how much of the body a signature with a body length (l=) has
// to cover where [BodyLengthAccept] would take any. The zero value asks nothing.
type BodyMinimum struct {
	Unit MinimumUnit
	N    int64 // not negative
}

// MinimumUnit says what the number of a [BodyMinimum] counts.
type MinimumUnit uint8

const (
	// MinimumNone asks nothing.
	MinimumNone MinimumUnit = iota
	// MinimumOctets: N octets of the canonical body, or all of a shorter one.
	MinimumOctets
	// MinimumPercent: N percent of the canonical body.
	MinimumPercent
	// MinimumSlack: all but N octets of the canonical body.
	MinimumSlack
)

// met reports whether a signature over the first octets of a longer body
// covers enough; whole is the length of the body, in octets.
func (m BodyMinimum) met(signed, whole int64) bool {
	switch m.Unit {
	case MinimumOctets:
		return signed >= m.N
	case MinimumPercent:
		return float64(signed)*100 >= float64(whole)*float64(m.N)
	case MinimumSlack:
		return whole-signed <= m.N
	}
	return true
}

// needsWhole reports whether met asks for the length of the whole body.
func (m BodyMinimum) needsWhole() bool {
	return m.Unit == MinimumPercent || m.Unit == MinimumSlack
}
