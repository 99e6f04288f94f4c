package milter

import (
	"context"
	"errors"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/dkim"
)

// newVerifier verifies the message's signatures with the configured limits.
func (m *message) newVerifier(ctx context.Context, r dkim.Resolver) *dkim.Verifier {
	cfg := m.snapshot.cfg
	return dkim.NewVerifier(ctx, m.fields, m.body, r, dkim.VerifyOptions{
		MaxSignatures: cfg.MaximumSignaturesToVerify,
		MinRSABits:    cfg.MinimumKeyBits, MaxRSABits: cfg.MaximumKeyBits,
		ClockDrift: cfg.ClockDrift.Std(), Now: m.session.server.now(), BodyLength: m.snapshot.bodyLength,
	})
}

// beginVerifying parses the signatures and asks for their keys while the body
// is still on its way.
func (m *message) beginVerifying() {
	ctx, cancel := context.WithTimeout(context.Background(), m.snapshot.cfg.DNSTimeout.Std())
	m.cancel = cancel
	m.verifier = m.newVerifier(ctx, m.snapshot.resolver)
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
	if m.outcome.disposition.action == config.Accept || m.outcome.disposition.action == config.Quarantine {
		return m.conclude()
	}
	return m.last(m.replyFor(m.outcome.disposition)), nil
}
