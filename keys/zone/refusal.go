package zone

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Refusal is the answer of a name server that does not do what it was asked for.
type Refusal struct {
	// Rcode is that of the answer, or the error of its TSIG record: dns.RcodeRefused,
	// dns.RcodeBadKey …
	Rcode int

	text string
}

func (r *Refusal) Error() string { return r.text }

func (s *server) refuse(code int, format string, args ...any) error {
	return &Refusal{code, fmt.Sprintf("%s ", s.addr) + fmt.Sprintf(format, args...)}
}

// rcode is the name of a code, BADSIG for 16 (which is BADVERS elsewhere).
func rcode(code int) string {
	if code == dns.RcodeBadSig {
		return "BADSIG"
	}
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("RCODE %d", code)
}

func (s *server) keyName() string { return strings.TrimSuffix(s.Key.Name, ".") }

// keyTrouble is the error in the TSIG record of an answer (RFC 8945 §5.2). Its answer
// is hardly ever signed.
func (s *server) keyTrouble(sig *dns.TSIG) error {
	code := int(sig.Error)
	switch code {
	case dns.RcodeBadKey:
		return s.refuse(code, "does not know the key %q for %s (BADKEY): put the key statement of the key's file into its configuration, or correct the key's name",
			s.keyName(), strings.TrimSuffix(s.Key.Algorithm, "."))
	case dns.RcodeBadSig:
		return s.refuse(code, "has another secret for the key %q (BADSIG): copy the key's file from there", s.keyName())
	case dns.RcodeBadTime:
		apart := ""
		if b, err := hex.DecodeString(sig.OtherData); err == nil && len(b) == 6 {
			var theirs int64
			for _, c := range b {
				theirs = theirs<<8 | int64(c)
			}
			apart = fmt.Sprintf(", and its clock is %s from this machine's", s.now().Sub(time.Unix(theirs, 0)).Abs().Round(time.Minute))
		}
		return s.refuse(code, "takes no signature of this time (BADTIME)%s: set the clocks right", apart)
	}
	return s.refuse(code, "does not accept the signature with the key %q: %s", s.keyName(), rcode(code))
}

// refusal says why an answer is a no to what was asked about a name; nil if it is none.
func (s *server) refusal(answer *dns.Msg, name string) error {
	zone, by := strings.TrimSuffix(s.zone, "."), "this machine's address"
	if s.Key != nil {
		by = fmt.Sprintf("the key %q", s.keyName())
	}
	code := answer.Rcode
	update := answer.Opcode == dns.OpcodeUpdate
	switch {
	case code == dns.RcodeSuccess:
		return nil
	case code == dns.RcodeRefused && update:
		grant := "allow-update { ADDRESS; };"
		if s.Key != nil {
			grant = fmt.Sprintf("update-policy { grant %s name %s TXT; };", s.keyName(), name)
		}
		return s.refuse(code, "refuses to change %s for %s (REFUSED): allow it in the zone %s, for BIND with: %s; or it is no primary name server of the zone: name that with --server", name, by, zone, grant)
	case code == dns.RcodeRefused:
		return s.refuse(code, "does not answer for %s (REFUSED): it has no such zone, or not for %s; name the primary name server of the zone with --server", name, by)
	case code == dns.RcodeNotAuth:
		return s.refuse(code, "is not the primary name server of %s (NOTAUTH): name the one that is with --server", zone)
	case code == dns.RcodeNXRrset, code == dns.RcodeYXRrset, code == dns.RcodeNameError && update, code == dns.RcodeYXDomain:
		return fmt.Errorf("%s: %w: somebody changed them just now; try again", name, ErrChanged)
	case code == dns.RcodeServerFailure && update:
		return s.refuse(code, "could not change %s (SERVFAIL): its log says why; a frequent cause is a folder of zone files that it cannot write its journal to", zone)
	case code == dns.RcodeNotImplemented:
		return s.refuse(code, "takes no dynamic updates (NOTIMP): publish the record by hand")
	case code == dns.RcodeNotZone:
		return s.refuse(code, "does not have %s in its zone %s (NOTZONE): look for a zone below it", name, zone)
	}
	return s.refuse(code, "answered %s about %s: its log says why", rcode(code), name)
}
