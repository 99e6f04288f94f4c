package milter

import (
	"fmt"
	"strconv"
	"strings"
)

// Code is one step of a decision. The set is closed: log lines, metric labels
// and the status page derive from it.
type Code string

// What a decision can rest on. The words that go with each stand in reasonWords.
const (
	ReasonPeer            Code = "peer"
	ReasonHeaderSize      Code = "header_size"
	ReasonHeaderFields    Code = "header_fields"
	ReasonNoFrom          Code = "no_from"
	ReasonManyFrom        Code = "many_from"
	ReasonBadFrom         Code = "bad_from"
	ReasonLocalAuthor     Code = "from_part_without_domain"
	ReasonSenderUnread    Code = "sender_unreadable"
	ReasonSenderMacro     Code = "sender_macro"
	ReasonMacroUnread     Code = "sender_macro_unreadable"
	ReasonReplaceEndless  Code = "replacement_without_end"
	ReasonExemptDomain    Code = "exempt_domain"
	ReasonMTAMatch        Code = "mta_match"
	ReasonNoMTAMatch      Code = "no_mta_match"
	ReasonMacroMatch      Code = "macro_match"
	ReasonNoMacroMatch    Code = "no_macro_match"
	ReasonInternal        Code = "internal"
	ReasonNotInternal     Code = "not_internal"
	ReasonAuthenticated   Code = "authenticated"
	ReasonNotAuthentic    Code = "not_authenticated"
	ReasonRow             Code = "table_match"
	ReasonNoRow           Code = "no_table_match"
	ReasonRowError        Code = "table_error"
	ReasonUnknownKey      Code = "unknown_key"
	ReasonIdentityDropped Code = "identity_dropped"
	ReasonKeyUnusable     Code = "key_unusable"
	ReasonKeyUnpublished  Code = "key_not_published"
	ReasonKeyUnseen       Code = "key_not_looked_up"
	ReasonStranger        Code = "stranger_uses_our_domain"
	ReasonModeNoSign      Code = "mode_without_s"
	ReasonModeNoVerify    Code = "mode_without_v"
	ReasonRecipient       Code = "recipient_not_signed_for"
	ReasonBodyLength      Code = "recipient_gets_body_length"
	ReasonRequiredFields  Code = "required_fields"
	ReasonStrictFields    Code = "strict_fields"
	ReasonAuthorMismatch  Code = "author_mismatch"
	ReasonAlreadySigned   Code = "already_signed"
	ReasonSignError       Code = "signature_error"
	ReasonPanic           Code = "internal_error"
)

// reasonWords are the sentences; each %s takes one argument, quoted unless it is a
// number, because most arguments come from mail.
var reasonWords = map[Code]string{
	ReasonPeer:            "client %s is in peer_list",
	ReasonHeaderSize:      "the header exceeds maximum_headers (%s)",
	ReasonHeaderFields:    "the header exceeds maximum_header_fields (%s)",
	ReasonNoFrom:          "the message has no From field",
	ReasonManyFrom:        "the message has %s From fields",
	ReasonBadFrom:         "the From field %s cannot be read: %s",
	ReasonLocalAuthor:     "the From field has a name without a domain beside %s",
	ReasonSenderUnread:    "the field %s does not name a sender",
	ReasonSenderMacro:     "macro %s names the sender %s",
	ReasonMacroUnread:     "macro %s names no sender: %s: %s",
	ReasonReplaceEndless:  "replace_rules leave the field %s as it came: %s",
	ReasonExemptDomain:    "domain %s is in exempt_domains",
	ReasonMTAMatch:        "daemon_name %s is in mta",
	ReasonNoMTAMatch:      "daemon_name %s is not in mta",
	ReasonMacroMatch:      "macro %s has a value in macro_list (%s)",
	ReasonNoMacroMatch:    "no macro of macro_list matches",
	ReasonInternal:        "client %s is internal (%s)",
	ReasonNotInternal:     "client %s is not in internal_hosts",
	ReasonAuthenticated:   "the client is authenticated as %s",
	ReasonNotAuthentic:    "the client is not authenticated",
	ReasonRow:             "signing table row %s names key %s",
	ReasonNoRow:           "no signing table row matches %s",
	ReasonUnknownKey:      "the tables cannot sign for %s: %s",
	ReasonRowError:        "the tables cannot sign for %s: %s",
	ReasonIdentityDropped: "i= is left out: %s",
	ReasonKeyUnusable:     "key %s cannot sign: %s",
	ReasonKeyUnpublished:  "key %s does not sign, as unpublished_keys asks: %s",
	ReasonKeyUnseen:       "key %s does not sign, as unpublished_keys asks, because DNS has not answered yet: %s",
	ReasonStranger:        "external client %s attempted to send as %s",
	ReasonModeNoSign:      "mode does not sign here",
	ReasonModeNoVerify:    "mode does not verify here",
	ReasonRecipient:       "recipient %s is in dont_sign_mail_to",
	ReasonBodyLength:      "recipient %s is in body_length_db",
	ReasonRequiredFields:  "required_headers: %s",
	ReasonStrictFields:    "strict_headers: %s",
	ReasonAuthorMismatch:  "author %s is neither the login %s nor the envelope sender %s, as author_must_match asks",
	ReasonAlreadySigned:   "a valid signature of ours is there (d=%s, s=%s)",
	ReasonSignError:       "the signature cannot be made (d=%s, s=%s): %s",
	ReasonPanic:           "internal error",
}

// Reason is one code with its arguments, which are raw text, some of it from
// mail: use String for people, and quote Args wherever they are shown.
type Reason struct {
	Code Code     `json:"code"`
	Args []string `json:"args,omitempty"`
}

func because(c Code, args ...string) Reason { return Reason{c, args} }

// maxArg bounds an argument in the words of a reason, in octets: much of it is
// from mail.
const maxArg = 1000

// String is the reason in words, every argument but a number quoted, and clipped.
func (r Reason) String() string {
	args := make([]any, len(r.Args))
	for i, a := range r.Args {
		a = clipTo(a, maxArg)
		if strings.Trim(a, "0123456789") == "" && a != "" {
			args[i] = a
			continue
		}
		args[i] = quoted(a)
	}
	return fmt.Sprintf(reasonWords[r.Code], args...)
}

// quoted puts text that is not ours between single quotes, with everything
// escaped that could end them or control a terminal. Double quotes stay: log
// handlers put their own around the whole.
func quoted(s string) string {
	q := strconv.Quote(s)
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	return "'" + strings.ReplaceAll(q, "'", `\'`) + "'"
}

// bare is s as it stands where it is a plain name or number, else quoted.
func bare(s string) string {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return quoted(s)
		}
	}
	if s == "" {
		return quoted(s)
	}
	return s
}

// Words joins reasons in the order in which the decision met them.
func Words(reasons []Reason) string {
	var b strings.Builder
	for i, r := range reasons {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(r.String())
	}
	return b.String()
}
