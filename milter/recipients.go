package milter

import "strings"

// recipients are those of a message that count. Of any number of recipients, one
// for each list is kept: the last, which OpenDKIM names, too.
type recipients struct {
	unsigned   string // in dont_sign_mail_to
	bodyLength string // in body_length_db
}

func (r *recipients) note(s *Snapshot, address string) {
	if s.dontSignMailTo.has(address) {
		r.unsigned = address
	}
	if s.bodyLength.has(address) {
		r.bodyLength = address
	}
}

func (r *recipients) list() (list []string) {
	for _, address := range []string{r.bodyLength, r.unsigned} {
		if address != "" {
			list = append(list, address)
		}
	}
	return list
}

// mailboxSet is a data set that is asked for addresses, part by part.
type mailboxSet struct{ nameSet }

// maxAddress bounds the addresses that are looked up, in octets. SMTP has none
// that are longer (RFC 5321 §4.5.3.1.3).
const maxAddress = 1000

// has asks for user@host, *@host, user@.parent and *@.parent from the nearest
// parent up, user@* and *. Without an "@" there is no domain, and no entry for it.
func (m mailboxSet) has(address string) bool {
	at := strings.LastIndexByte(address, '@')
	if m.Set == nil || at < 0 || len(address) > maxAddress {
		return false
	}
	local, domain := address[:at], address[at+1:]
	either := func(domain string) bool { return m.nameSet.has(local+"@"+domain) || m.nameSet.has("*@"+domain) }
	for rest := domain; ; {
		if either(rest) {
			return true
		}
		dot := strings.IndexByte(strings.TrimPrefix(rest, "."), '.')
		if dot < 0 {
			return m.nameSet.has(local+"@*") || m.nameSet.has("*")
		}
		rest = strings.TrimPrefix(rest, ".")[dot:]
	}
}
