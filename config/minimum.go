package config

import (
	"fmt"
	"strconv"
	"strings"
)

// MinimumUnit says what the number in Config.Minimum counts.
type MinimumUnit byte

const (
	// NoMinimum: nothing is asked.
	NoMinimum MinimumUnit = 0
	// MinimumOctets: so many octets of the body are signed, or all of a shorter one.
	MinimumOctets MinimumUnit = 'n'
	// MinimumPercent: so many percent of the body are signed.
	MinimumPercent MinimumUnit = '%'
	// MinimumSlack: at most so many octets of the body are not signed.
	MinimumSlack MinimumUnit = '+'
)

// ParseMinimum reads a value of Config.Minimum: "1000", "80%" or "500+"; ""
// and "0" ask nothing. Numbers are decimal and have at most ten digits.
func ParseMinimum(s string) (n int64, unit MinimumUnit, err error) {
	if s == "" {
		return 0, NoMinimum, nil
	}
	digits, unit := s, MinimumOctets
	for _, u := range []MinimumUnit{MinimumPercent, MinimumSlack} {
		if rest, ok := strings.CutSuffix(s, string(u)); ok {
			digits, unit = rest, u
		}
	}
	v, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || digits[0] == '+' || unit == MinimumPercent && v > 100 {
		return 0, NoMinimum, fmt.Errorf(`%q: want octets ("1000"), a share up to "100%%", or octets that may follow ("500+")`, s)
	}
	if v == 0 && unit != MinimumSlack {
		return 0, NoMinimum, nil
	}
	return int64(v), unit, nil
}

// verifying checks settings of the verifying side that are text with a form of
// their own.
func (k *checker) verifying() {
	if _, _, err := ParseMinimum(k.c.Minimum); err != nil {
		k.add("minimum", err.Error())
	}
	if to := k.c.RedirectFailuresTo; to != "" && !isRecipient(to) {
		k.add("redirect_failures_to", fmt.Sprintf("%q is no address; want one such as postmaster@example.com", to))
	}
}

// isRecipient takes local@domain, or a local part alone, which the MTA
// completes, without angle brackets.
func isRecipient(s string) bool {
	const longest = 254 // RFC 5321 §4.5.3.1.3, without the brackets
	local, domain, both := s, "", false
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		local, domain, both = s[:at], s[at+1:], true
	}
	return len(s) <= longest && local != "" && (domain != "" || !both) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("<>,;()", r) })
}
