package postfix

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const (
	contentFilter = "content_filter"
	proxyFilter   = "smtpd_proxy_filter"

	overrideOptions = "receive_override_options"
	noMilters       = "no_milters"
)

// public are the ports at which mail comes in from outside.
var public = []string{"smtp", "25", "submission", "587", "submissions", "smtps", "465"}

// isPublic reports whether mail comes in from outside by an smtpd service: at a public
// port, or through postscreen(8).
func isPublic(s *Service) bool {
	return s.Type == "pass" || slices.Contains(public, s.Name[strings.LastIndexByte(s.Name, ':')+1:])
}

// reenters reports whether mail comes back by an smtpd service from a content filter:
// its port is not a public one, nobody logs in there, and it is told to filter no more,
// or listens on the loopback address while others filter.
func (c *Config) reenters(s *Service) bool {
	if login, _ := s.Override("smtpd_sasl_auth_enable"); s.Type != "inet" || isPublic(s) || login == "yes" {
		return false
	}
	for _, name := range []string{contentFilter, proxyFilter} {
		if value, ok := s.Override(name); ok && value == "" {
			return true
		}
	}
	host := strings.Trim(s.Name[:max(strings.LastIndexByte(s.Name, ':'), 0)], "[]")
	addr, err := netip.ParseAddr(host)
	loopback := host == "localhost" || err == nil && addr.IsLoopback()
	return loopback && c.Of(s, contentFilter) == "" && c.Of(s, proxyFilter) == "" && c.filters()
}

// filters reports whether any mail goes through a content filter.
func (c *Config) filters() bool {
	for n := range c.Services {
		if s := &c.Services[n]; c.Of(s, contentFilter) != "" || s.Program == "smtpd" && c.Of(s, proxyFilter) != "" {
			return true
		}
	}
	for _, value := range c.expanded {
		if slices.Contains(strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(blanks+",{}:", r) }), "FILTER") {
			return true // an action in an access table within main.cf
		}
	}
	return false
}

// inheritsBack reports whether mail that comes back by a service from a content filter
// passes main.cf's milters.
func (c *Config) inheritsBack(s *Service) bool {
	_, own := s.Override(smtpList)
	return s.Program == "smtpd" && c.reenters(s) && !own && !slices.Contains(words(c.Of(s, overrideOptions)), noMilters)
}

// signs reports whether a list has another signer, or us.
func (w *wiring) signs(items []item) bool {
	return slices.ContainsFunc(items, func(i item) bool { return w.isOurs(i.element) || w.wasOurs(i.element) || isSigner(i.element) })
}

// aside keeps us, and other signers, away from what comes back by a service from a
// content filter: it would be signed twice, and strangers' mail counts as this machine's
// own there. Its other milters stay.
func (w *wiring) aside(s *Service) error {
	at := place{s.String(), smtpList}
	from := at
	if _, ok := s.Override(smtpList); !ok {
		from = place{name: smtpList}
	}
	items, err := w.items(from)
	if err != nil {
		return err
	}
	var rest []element
	for _, i := range items {
		if !w.signs([]item{i}) {
			rest = append(rest, i.element)
		}
	}
	w.because(at, fmt.Sprintf("mail that comes back from the content filter by the service %s has passed postseal already", s))
	w.set(at, rest)
	return nil
}
