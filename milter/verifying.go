package milter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/milter/dkim"
)

// verifyRules are what a configuration says of verification and its lists name.
type verifyRules struct {
	bodyLength   dkim.BodyLengthPolicy
	minimum      dkim.BodyMinimum
	mustBeSigned []string
	trusted      nameSet // trust_signatures_from
}

func newVerifyRules(cfg *config.Config) (v verifyRules, err error) {
	var problems []error
	fail := func(what string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", what, err))
		}
	}
	v.bodyLength, err = dkim.ParseBodyLengthPolicy(cfg.BodyLength)
	fail("body_length", err)
	n, unit, err := config.ParseMinimum(cfg.Minimum)
	fail("minimum", err)
	v.minimum.N = n
	switch unit {
	case config.MinimumOctets:
		v.minimum.Unit = dkim.MinimumOctets
	case config.MinimumPercent:
		v.minimum.Unit = dkim.MinimumPercent
	case config.MinimumSlack:
		v.minimum.Unit = dkim.MinimumSlack
	}
	if v.mustBeSigned, err = cfg.MustBeSignedNames(); err != nil {
		problems = append(problems, err)
	}
	v.trusted.Set, err = open(cfg, cfg.TrustSignaturesFrom, false)
	fail("trust_signatures_from", err)
	return v, errors.Join(problems...)
}

// dnsData answers for DNS from test_dns_data: names and TXT values.
type dnsData struct{ set *dataset.Set }

// LookupTXT implements dkim.Resolver.
func (d dnsData) LookupTXT(_ context.Context, name string) ([]string, bool, error) {
	for _, form := range []string{name, name + "."} {
		if row, ok := d.set.Get(form); ok {
			return []string{row.Value}, false, nil
		}
	}
	return nil, false, nil
}

// verifyOptions are the configured rules and limits.
func (m *message) verifyOptions() dkim.VerifyOptions {
	cfg, rules := m.snapshot.cfg, &m.snapshot.verifying
	return dkim.VerifyOptions{
		MaxSignatures: cfg.MaximumSignaturesToVerify,
		MinRSABits:    cfg.MinimumKeyBits, MaxRSABits: cfg.MaximumKeyBits,
		ClockDrift: cfg.ClockDrift.Std(), Now: m.session.server.now(),
		BodyLength: rules.bodyLength, Minimum: rules.minimum, MustCover: rules.mustBeSigned,
	}
}

// newVerifier verifies the message's signatures, whoever signed, from the top.
func (m *message) newVerifier(ctx context.Context, r dkim.Resolver) *dkim.Verifier {
	return dkim.NewVerifier(ctx, m.fields, m.body, r, m.verifyOptions())
}

// beginVerifying parses the signatures and asks for their keys while the body
// is still on its way. Those of the author's domain and of trusted domains come
// first, and with maximum_signatures_to_verify = 0 they are the only ones.
//
// Signatures that nothing can save, a malformed one for instance, are judged
// here: mail that is refused for them need not be sent to its end.
func (m *message) beginVerifying() reply {
	ctx, cancel := context.WithTimeout(context.Background(), m.snapshot.cfg.DNSTimeout.Std())
	m.cancel = cancel
	o := m.verifyOptions()
	author, _ := dkim.DomainName(m.decision.Author.Domain) // "" where there is none
	o.Prefer = func(domain string) bool {
		return domain == author || m.snapshot.verifying.trusted.has(domain)
	}
	o.PreferredOnly = m.snapshot.cfg.MaximumSignaturesToVerify == 0
	m.verifier = dkim.NewVerifier(ctx, m.fields, m.body, m.snapshot.resolver, o)
	if m.verifier.Settled() {
		early := m.outcome
		early.judged(m.verifier.Results(), m.decision.Author, m.snapshot.cfg)
		if a := early.disposition.action; a != config.Accept && a != config.Quarantine {
			m.outcome = early
			return m.last(m.replyFor(early.disposition))
		}
	}
	return goOn()
}

// progressInterval is how often the MTA hears that an answer is awaited; it
// waits for 300 s (milter_content_timeout) after each sign of life.
const progressInterval = 2 * time.Second

// awaitKeys waits for the key look-ups, which the context of beginVerifying
// bounds, and keeps the MTA patient.
func (m *message) awaitKeys() error {
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-m.verifier.Ready():
			return nil
		case <-ticker.C:
			if err := m.session.wire.Progress(); err != nil {
				return errors.Join(errors.New("while waiting for DNS"), err)
			}
		}
	}
}

// judge verifies at the end of the message and applies the actions.
func (m *message) judge() (reply, error) {
	if err := m.awaitKeys(); err != nil {
		return reply{}, err
	}
	m.outcome.judged(m.verifier.Results(), m.decision.Author, m.snapshot.cfg)
	m.checkRedirection()
	if m.outcome.disposition.action == config.Accept || m.outcome.disposition.action == config.Quarantine {
		return m.conclude()
	}
	return m.last(m.replyFor(m.outcome.disposition)), nil
}
