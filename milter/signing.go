package milter

import (
	"context"
	"crypto"
	"errors"
	"math"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
)

// signer is one signature on its way.
type signer struct {
	*dkim.Signer
	request keys.Request
}

// signed is a signature that was made.
type signed struct {
	keys.Request
	algorithm dkim.Algorithm
}

// beginSigning gets the keys and starts the hashes. A key that should sign and
// cannot ends the message here, deferred by default: nothing leaves unsigned in
// silence. Where on_internal_error lets the message through, the other keys
// sign it; for a key that unpublished_keys holds back see mayNotSign.
func (m *message) beginSigning() reply {
	ctx, published := context.Background(), ownKeys{}
	if m.snapshot.cfg.UnpublishedKeys != config.SignUnpublished {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.snapshot.cfg.DNSTimeout.Std()) // for all keys together
		defer cancel()
	}
	for i, r := range m.decision.Requests {
		if m.decision.FirstOnly && i > 0 {
			m.decision.names(r)
		}
		key, err := r.Signer()
		var withheld, final bool
		if err != nil {
			m.decision.because(ReasonKeyUnusable, r.KeyName, brief(err))
			m.decision.failures = append(m.decision.failures, err)
			withheld, final = true, m.settle(m.snapshot.cfg.OnInternalError)
		} else {
			withheld, final = m.mayNotSign(ctx, r, key)
		}
		switch {
		case final:
			return m.dispose(m.outcome.disposition)
		case withheld:
			continue
		}
		if err := m.addSigner(r, key); err != nil {
			return m.signatureError(r, err)
		}
		if m.snapshot.cfg.SignOnce {
			published[keyName{r.Selector, r.Domain}.dns()] = keys.RecordText(key.Public())
		}
		if m.decision.FirstOnly {
			break
		}
	}
	if len(m.signers) == 0 {
		return m.nobodySigns()
	}
	if m.snapshot.cfg.SignOnce {
		m.own = m.newVerifier(context.Background(), published)
	}
	return goOn()
}

// settle has the message end with an action, for an administrator to see. It reports
// whether that is at once: where the message is let through, other keys may sign it.
func (m *message) settle(a config.Action) (final bool) {
	m.decision.Warn = true
	m.outcome.disposition = m.cannotSign(a)
	return a != config.Accept && a != config.Quarantine
}

// addSigner has a key sign the message.
func (m *message) addSigner(r keys.Request, key crypto.Signer) error {
	s, now := m.snapshot, m.session.server.now()
	o := s.signing
	if m.decision.BodyLength && o.BodyLimit < 0 {
		o.BodyLimit = math.MaxInt64
	}
	o.Domain, o.Selector, o.AUID, o.Key, o.Time = r.Domain, r.Selector, r.AUID, key, now
	if ttl := s.cfg.SignatureTTL.Std(); ttl > 0 {
		o.Expiration = now.Add(ttl)
	}
	sig, err := dkim.NewSigner(m.decision.Fields, m.body, o)
	if err == nil {
		m.signers = append(m.signers, signer{sig, r})
	}
	return err
}

// brief is the text of a key's error for the log line of a message.
func brief(err error) string {
	var keyErr *keys.KeyError
	if errors.As(err, &keyErr) {
		return keyErr.Brief()
	}
	return err.Error()
}

// signatureError is the end of a message that cannot be signed.
func (m *message) signatureError(r keys.Request, err error) reply {
	m.decision.because(ReasonSignError, r.Domain, r.Selector, err.Error())
	m.decision.Warn = true
	m.signers = nil
	m.outcome.signatures, m.outcome.signedWith = nil, nil
	return m.dispose(disposition{m.snapshot.cfg.OnSignatureError, "7.0", "DKIM signing error"})
}

// sign makes the signatures at the end of the message.
func (m *message) sign() (reply, error) {
	there := map[string]bool{}
	if m.own != nil {
		for _, r := range m.own.Results() {
			if r.Status == dkim.Pass {
				there[keyName{r.Selector, r.Domain}.dns()] = true
			}
		}
	}
	for _, sg := range m.signers {
		name := keyName{sg.request.Selector, sg.request.Domain}
		if there[name.dns()] {
			m.decision.because(ReasonAlreadySigned, name.domain, name.selector)
			continue
		}
		field, err := sg.Sign()
		if err != nil {
			if r := m.signatureError(sg.request, err); r.last {
				return r, nil
			}
			break
		}
		m.outcome.signatures = append(m.outcome.signatures, field)
		m.outcome.signedWith = append(m.outcome.signedWith, signed{sg.request, sg.Algorithm()})
	}
	return m.conclude()
}

// addSoftware puts a field on top that names us, the host and the queue id, of
// mail that is signed or verified: software_header.
func (m *message) addSoftware() error {
	handled := m.decision.Verdict == Verify || len(m.outcome.signatures) > 0
	if !m.snapshot.cfg.SoftwareHeader || !handled {
		return nil
	}
	server := m.session.server
	host, ok := m.session.macros.Get("j")
	if !ok {
		host = server.hostname
	}
	id := m.queueID()
	if id == "" {
		id = "(unknown-jobid)"
	}
	return m.session.wire.InsertHeader(0, "DKIM-Filter", " postseal "+server.version+" "+host+" "+id)
}

// keyName is where a key is published (RFC 6376 §3.6.2.1).
type keyName struct{ selector, domain string }

// dns is the name as it is looked up, "" if it is none.
func (k keyName) dns() string {
	selector, err1 := dkim.DomainName(k.selector)
	domain, err2 := dkim.DomainName(k.domain)
	if err1 != nil || err2 != nil {
		return ""
	}
	return selector + "._domainkey." + domain
}

// ownKeys answers with the public halves of the keys that sign a message: what
// is verified against them is ours, whatever DNS says.
type ownKeys map[string]string

// LookupTXT implements dkim.Resolver.
func (o ownKeys) LookupTXT(_ context.Context, name string) ([]string, bool, error) {
	if record, ok := o[name]; ok {
		return []string{record}, false, nil
	}
	return nil, false, nil
}
