package milter

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/mailbox"
)

// Author returns the mailbox of From, the first of several. The error says in
// words why there is no certain author.
func Author(fields []dkim.Field) (mailbox.Address, error) {
	found, _, why := authors(fields)
	if why != nil {
		return mailbox.Address{}, errors.New(why.String())
	}
	return found[0], nil
}

// authors returns every mailbox of From, at least one. A message with no From,
// with several, or with one that cannot be read has no certain author (RFC 5322
// §3.6, RFC 6376 §8.15): the reason is returned. For local, see addresses.
func authors(fields []dkim.Field) (found []mailbox.Address, local bool, why *Reason) {
	var from []string
	for _, f := range fields {
		if f.Is("From") {
			from = append(from, f.Value)
		}
	}
	var r Reason
	switch len(from) {
	case 0:
		r = because(ReasonNoFrom)
		return nil, false, &r
	case 1:
	default:
		r = because(ReasonManyFrom, strconv.Itoa(len(from)))
		return nil, false, &r
	}
	found, local, err := addresses(from[0])
	if err != nil {
		r = because(ReasonBadFrom, clip(strings.TrimSpace(from[0])), err.Error())
		return nil, false, &r
	}
	return found, local, nil
}

// readSender finds Author and Sender, or the reason why there is no certain one.
// The author is whom From names as it came. The sender is whom the header names
// once replace_rules have been applied, unless sender_macro is set.
func (s *Snapshot) readSender(f Facts, d *Decision) *Reason {
	found, local, why := authors(f.Fields)
	if why != nil {
		return why
	}
	d.Author, d.Sender, d.authors = found[0], found[0], found
	if local {
		d.because(ReasonLocalAuthor, d.Author.String())
	}
	d.Fields = f.Fields
	if s.replaceRules != nil {
		d.Fields = s.replace(f.Fields, d)
		if found, _, why = authors(d.Fields); why != nil {
			return why
		}
		d.Sender = found[0]
	}
	if value, _ := f.Macro(s.senderMacro); s.senderMacro != "" && value != "" {
		senders, _, err := addresses(value)
		if err != nil {
			r := because(ReasonMacroUnread, s.senderMacro, clip(value), err.Error())
			return &r
		}
		d.Sender = senders[0]
		d.because(ReasonSenderMacro, s.senderMacro, d.Sender.String())
		return nil
	}
	for _, name := range s.senderHeaders {
		i := slices.IndexFunc(d.Fields, func(f dkim.Field) bool { return f.Is(name) })
		if i < 0 {
			continue
		}
		if senders, _, err := addresses(d.Fields[i].Value); err == nil {
			d.Sender = senders[0]
			return nil
		}
		d.because(ReasonSenderUnread, name)
	}
	return nil
}

var errNoAddress = errors.New("no address in it")

// addresses reads an address field in which there is at least one, and no doubt
// about it. local says that a name without a domain stands beside them:
// "u@example.com, root" and "Doe, John <u@example.com>" are common, and sure
// enough for OpenDKIM, too.
func addresses(value string) (found []mailbox.Address, local bool, err error) {
	found, err = mailbox.ParseList(value)
	local = errors.Is(err, mailbox.ErrNoDomain)
	switch {
	case err != nil && (!local || len(found) == 0):
		return nil, false, err
	case len(found) == 0:
		return nil, false, errNoAddress
	}
	return found, local, nil
}

// authorMatches applies author_must_match. A login without a domain matches
// no author: it would let a user sign as a namesake of another domain.
func (s *Snapshot) authorMatches(f Facts, author mailbox.Address) bool {
	if len(s.cfg.AuthorMustMatch) == 0 {
		return true
	}
	for _, what := range s.cfg.AuthorMustMatch {
		claim := f.MailFrom
		if what == "login" {
			claim, _ = f.Macro("auth_authen")
		}
		if a, err := mailbox.Parse(claim); err == nil && sameMailbox(a, author) {
			return true
		}
	}
	return false
}

// sameMailbox compares addresses without regard to the case of ASCII letters
// and to the form of internationalised domains.
func sameMailbox(a, b mailbox.Address) bool {
	x, err1 := dkim.DomainName(a.Domain)
	y, err2 := dkim.DomainName(b.Domain)
	return err1 == nil && err2 == nil && x == y && a.SameLocal(b)
}

// clip bounds text from mail that goes into a reason.
func clip(s string) string { return clipTo(s, 200) }

// clipTo cuts s behind so many octets.
func clipTo(s string, longest int) string {
	if len(s) <= longest {
		return s
	}
	return s[:longest] + "…"
}
