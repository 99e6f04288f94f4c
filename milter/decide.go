package milter

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/mailbox"
)

// Facts is what a decision may rest on.
type Facts struct {
	// Host is the client's name as the MTA reports it.
	Host string
	// Addr is the client's address; local submission has none.
	Addr netip.Addr
	// Macro looks up a macro by its name without braces.
	Macro func(name string) (value string, ok bool)
	// MailFrom is the envelope sender, "" for a bounce.
	MailFrom string
	// Recipients are the envelope recipients, as far as dont_sign_mail_to or
	// body_length_db may name them.
	Recipients []string
	// Fields is the header.
	Fields []dkim.Field
	// Mode is the listener's.
	Mode config.Mode
}

// client names the client for logs: "host [address]".
func (f Facts) client() string {
	addr := "[" + f.Addr.String() + "]"
	if !f.Addr.IsValid() || f.Host == addr {
		return f.Host
	}
	return f.Host + " " + addr
}

// Verdict is what is done with a message.
type Verdict string

const (
	// Sign: Decision.Requests sign it.
	Sign Verdict = "sign"
	// Verify: its signatures are verified.
	Verify Verdict = "verify"
	// Pass: it is left alone.
	Pass Verdict = "pass"
	// BadFrom: its author is not certain; it is neither signed nor verified,
	// gets dkim=permerror, and on_bad_from applies.
	BadFrom Verdict = "bad_from"
	// Malformed: it breaks the header field counts of RFC 5322 §3.6. With
	// required_headers it is rejected; with strict_headers it is neither signed
	// nor verified and gets dkim=permerror.
	Malformed Verdict = "malformed"
	// Refuse: it should be signed and cannot be; on_internal_error applies.
	Refuse Verdict = "refuse"
)

// Decision is a verdict with the way to it.
type Decision struct {
	Verdict Verdict
	// Requests are the signatures to make, for Sign.
	Requests []keys.Request
	// FirstOnly says that one of Requests is made, the first that unpublished_keys
	// does not pass over.
	FirstOnly bool
	// Fields is the header that they are made of: what replace_rules make of it.
	Fields []dkim.Field
	// BodyLength says that they get l=, because body_length_db has a recipient.
	BodyLength bool
	// Reasons led here, in order.
	Reasons []Reason
	// Sender is the address that the tables were asked for, as far as it is known.
	Sender mailbox.Address
	// Author is the mailbox of From, the first of several.
	Author mailbox.Address
	// Ignored are names of header fields that no signature can hold because of a
	// ";", the first few.
	Ignored []string
	// Internal says that the client is one of internal_hosts.
	Internal bool
	// Warn says that an administrator should see this: mail of ours that goes
	// out unsigned, or a stranger who uses our domain, unless the mail turns out
	// to carry a valid signature (it was forwarded).
	Warn bool

	authors  []mailbox.Address // every mailbox of From
	failures []error           // of rows and keys that cannot sign
	rowError error             // of a row that counts if Requests are passed over
}

func (d *Decision) because(c Code, args ...string) {
	d.Reasons = append(d.Reasons, because(c, args...))
}

// Peer reports whether the client is in peer_list: then its mail is left alone
// from the connection on, and nothing else is asked. Only Host and Addr count.
func (s *Snapshot) Peer(f Facts) (r Reason, peer bool) {
	if _, peer = s.peers.Match(f.Host, address(f.Addr)); peer {
		r = because(ReasonPeer, f.client())
	}
	return r, peer
}

// Decide says whether a message is signed, verified or left alone, and why. It
// asks nobody and opens nothing: facts and the snapshot in, a decision out.
func (s *Snapshot) Decide(f Facts) Decision {
	d := s.decide(f)
	s.checkFields(f, &d)
	return d
}

func (s *Snapshot) decide(f Facts) Decision {
	d := Decision{Ignored: unsignable(f.Fields)}
	problem := s.readSender(f, &d)
	if problem == nil && s.exemptDomains.has(d.Sender.Domain) {
		d.because(ReasonExemptDomain, d.Sender.Domain)
		d.Verdict = Pass
		return d
	}
	ours := s.ours(f, &d)
	if problem != nil {
		d.Reasons = append(d.Reasons, *problem)
		if s.cfg.WeakSyntaxChecks && f.Mode.Verify && problem.Code == ReasonBadFrom {
			d.Verdict, d.Warn = Verify, ours
			return d
		}
		if ours && f.Mode.Sign || f.Mode.Verify {
			d.Verdict, d.Warn = BadFrom, ours
		} else {
			d.Verdict = Pass
		}
		return d
	}
	if ours {
		if done := s.request(f, &d); done {
			return d
		}
	} else {
		s.noticeStranger(f, &d)
	}
	if f.Mode.Verify {
		d.Verdict = Verify
		return d
	}
	d.because(ReasonModeNoVerify)
	d.Verdict = Pass
	return d
}

// ours decides whether the message comes from us: by the MTA's daemon_name,
// by a macro of macro_list, by the client's host, or by its login. The first
// that holds is the reason; if none does, each configured one is a reason.
func (s *Snapshot) ours(f Facts, d *Decision) bool {
	var not []Reason
	entry, internal := s.internalHosts.Match(f.Host, address(f.Addr))
	d.Internal = internal
	if s.mta.set() {
		name, _ := f.Macro("daemon_name")
		if s.mta.has(name) {
			d.because(ReasonMTAMatch, name)
			return true
		}
		not = append(not, because(ReasonNoMTAMatch, name))
	}
	if len(s.macroList) > 0 {
		for _, m := range s.macroList {
			if v, ok := f.Macro(m.name); ok && m.matches(v) {
				d.because(ReasonMacroMatch, m.name, v)
				return true
			}
		}
		not = append(not, because(ReasonNoMacroMatch))
	}
	if internal {
		d.because(ReasonInternal, f.client(), entry)
		return true
	}
	if auth, _ := f.Macro("auth_type"); auth != "" {
		login, _ := f.Macro("auth_authen")
		d.because(ReasonAuthenticated, login)
		return true
	}
	d.Reasons = append(append(d.Reasons, not...),
		because(ReasonNotInternal, f.client()), because(ReasonNotAuthentic))
	return false
}

// address is the client's address for host lists: a client without one is
// local submission and counts as the loopback address.
func address(a netip.Addr) netip.Addr {
	if a.IsValid() {
		return a
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// request asks the tables for keys. It reports whether the decision stands.
func (s *Snapshot) request(f Facts, d *Decision) (done bool) {
	sender := keys.Address{Local: d.Sender.Local, Domain: d.Sender.Domain}
	requests, err := s.selectKeys(sender, d)
	switch {
	case err != nil:
		d.rowFails(err)
		d.Verdict = Refuse
		if !f.Mode.Sign {
			d.Verdict, d.Warn = Pass, false
			d.because(ReasonModeNoSign)
		}
		return true
	case len(requests) == 0:
		d.because(ReasonNoRow, d.Sender.String())
		return false
	}
	for i, r := range requests {
		if i == 0 || !d.FirstOnly {
			d.names(r)
		}
	}
	if !f.Mode.Sign {
		d.because(ReasonModeNoSign)
		d.Verdict = Pass
		return true
	}
	for _, rcpt := range slices.Backward(f.Recipients) {
		if s.dontSignMailTo.has(rcpt) {
			d.because(ReasonRecipient, rcpt)
			d.Verdict = Pass
			return true
		}
	}
	for _, author := range d.authors {
		if !s.authorMatches(f, author) {
			login, _ := f.Macro("auth_authen")
			d.because(ReasonAuthorMismatch, author.String(), login, f.MailFrom)
			d.Warn = true
			return false
		}
	}
	for _, rcpt := range slices.Backward(f.Recipients) {
		if s.bodyLength.has(rcpt) {
			d.because(ReasonBodyLength, rcpt)
			d.BodyLength = true
			break
		}
	}
	d.Verdict, d.Requests = Sign, requests
	return true
}

// selectKeys asks the tables. Where rows may be passed over, those that then count
// are among the requests.
func (s *Snapshot) selectKeys(sender keys.Address, d *Decision) ([]keys.Request, error) {
	if s.cfg.UnpublishedKeys != config.SkipUnpublished || s.cfg.MultipleSignatures {
		return s.keys.Select(sender)
	}
	requests, err := s.keys.Candidates(sender)
	if len(requests) == 0 {
		return nil, err
	}
	d.FirstOnly, d.rowError = true, err
	return requests, nil
}

// names notes that a row of the signing table counts.
func (d *Decision) names(r keys.Request) {
	d.because(ReasonRow, r.Row, r.KeyName)
	if r.Note != "" {
		d.because(ReasonIdentityDropped, r.Note)
	}
}

// rowFails notes the error of a row of the tables.
func (d *Decision) rowFails(err error) {
	code := ReasonRowError
	if errors.Is(err, keys.ErrUnknownKey) {
		code = ReasonUnknownKey
	}
	d.because(code, d.Sender.String(), err.Error())
	d.failures = append(d.failures, err)
	d.Warn = true
}

// noticeStranger says so when a client that is not ours uses a domain that the
// tables speak of; a row for every domain there is makes nobody's domain ours.
func (s *Snapshot) noticeStranger(f Facts, d *Decision) {
	if _, ignored := s.externalIgnore.Match(f.Host, address(f.Addr)); ignored {
		return
	}
	if !s.keys.Names(keys.Address{Local: d.Author.Local, Domain: d.Author.Domain}) {
		return
	}
	d.because(ReasonStranger, f.client(), d.Author.Domain)
	d.Warn = true
}
