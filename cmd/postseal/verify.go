package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/spf13/cobra"
)

// lookupTimeout bounds the look-ups of one message or of one key.
const lookupTimeout = 10 * time.Second

// verification is what verify prints with --json.
type verification struct {
	// Verdict is the result for the message, in the words of RFC 8601 §2.7.1.
	Verdict dkim.Status `json:"verdict"`
	// Reason says why it is no pass.
	Reason string `json:"reason,omitempty"`
	// Author is the address in From, if it is certain.
	Author string `json:"author,omitempty"`
	// Aligned: a passing signature is of the author's domain, of a parent or of
	// a child of it; AlignedWith is that domain.
	Aligned     bool                `json:"aligned"`
	AlignedWith string              `json:"aligned_with,omitempty"`
	Signatures  []verifiedSignature `json:"signatures"`

	authorDomain string
}

type verifiedSignature struct {
	Result           dkim.Status    `json:"result"`
	Reason           string         `json:"reason,omitempty"`
	Domain           string         `json:"domain"`
	Selector         string         `json:"selector"`
	AUID             string         `json:"auid"`
	Algorithm        dkim.Algorithm `json:"algorithm"`
	Canonicalization string         `json:"canonicalization"`
	KeyBits          int            `json:"key_bits"`
	// DNSSEC: the name server vouches for the key's record.
	DNSSEC  bool     `json:"dnssec"`
	Testing bool     `json:"testing"`
	Headers []string `json:"headers"`
	// Time and Expiration are t= and x=.
	Time       *time.Time `json:"time,omitempty"`
	Expiration *time.Time `json:"expiration,omitempty"`
	// BodyLength is l=.
	BodyLength *int64 `json:"body_length,omitempty"`

	err error
}

func newVerify() *cobra.Command {
	var dns dnsFlags
	var now string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Verify the signatures of a message from standard input",
		Long: `Verify the DKIM signatures of a message, with the daemon's own rules, and say for
each what came of it and why. The last line is the verdict: one passing signature makes
the message pass, and a message with no certain author (several From fields, or none)
never does. The verdict also says whether a passing signature is of the author's domain:
the same domain, a parent or a child of it.

The exit status is 0 only for a pass; it is 1 for everything else, 64 for a wrong
command line and 66 for a message that cannot be read.

With --json: {verdict, reason, author, aligned, aligned_with, signatures: [{result,
reason, domain, selector, auid, algorithm, canonicalization, key_bits, dnssec, testing,
headers, time, expiration, body_length}]}; what is not there is left out.`,
		Example: `  postseal verify < message.eml
  postseal verify --nameserver 9.9.9.9 message.eml
  postseal verify --records keys.txt --now 2026-11-02T10:00:00Z --json < message.eml`,
		Args: oneMessage,
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parseNow(cmd, now)
			if err != nil {
				return err
			}
			resolver, err := dns.open(cmd, lookupTimeout)
			if err != nil {
				return err
			}
			in, err := openMessage(cmd, args)
			if err != nil {
				return err
			}
			defer in.Close()
			v, err := verify(in, resolver, at)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd, v)
			} else {
				err = v.print(cmd.OutOrStdout(), &dns)
			}
			if err == nil && v.Verdict != dkim.Pass {
				err = exitError{code: exitFailed}
			}
			return err
		},
	}
	dns.add(cmd)
	addNow(cmd, &now)
	addJSON(cmd, &asJSON)
	return cmd
}

// verify reads a message and judges it with the daemon's default rules.
func verify(in io.Reader, resolver dkim.Resolver, now time.Time) (*verification, error) {
	fields, text, err := readMessage(in)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	rules := config.Default()
	body := dkim.NewBody()
	verifier := dkim.NewVerifier(ctx, fields, body, resolver, dkim.VerifyOptions{
		MaxSignatures: rules.MaximumSignaturesToVerify,
		MinRSABits:    rules.MinimumKeyBits, MaxRSABits: rules.MaximumKeyBits,
		ClockDrift: rules.ClockDrift.Std(), Now: now,
	})
	if _, err := io.Copy(body, text); err != nil {
		return nil, exitError{exitNoInput, fmt.Errorf("the message cannot be read: %w", err)}
	}
	body.Close()

	v := &verification{Signatures: []verifiedSignature{}}
	for _, r := range verifier.Results() {
		v.Signatures = append(v.Signatures, signatureOf(r))
	}
	from, err := milter.Author(fields)
	if err != nil {
		v.Verdict, v.Reason = dkim.PermError, err.Error()
		return v, nil
	}
	v.Author, v.authorDomain = from.String(), from.Domain
	v.conclude()
	return v, nil
}

func signatureOf(r dkim.Result) verifiedSignature {
	s := verifiedSignature{
		Result: r.Status, Domain: r.Domain, Selector: r.Selector, AUID: r.AUID, Algorithm: r.Algorithm,
		Canonicalization: r.Header.String() + "/" + r.Body.String(),
		KeyBits:          r.KeyBits, DNSSEC: r.Authentic, Testing: r.Testing, Headers: r.Headers, err: r.Err,
	}
	if s.Headers == nil {
		s.Headers = []string{}
	}
	if r.Err != nil {
		s.Reason = r.Err.Error()
	}
	if !r.Time.IsZero() {
		s.Time = &r.Time
	}
	if !r.Expiration.IsZero() {
		s.Expiration = &r.Expiration
	}
	if r.BodyLength >= 0 {
		s.BodyLength = &r.BodyLength
	}
	return s
}

// conclude judges the message: one pass is enough; without one, trouble that
// may go away comes first, then the first signature that was looked at.
func (v *verification) conclude() {
	var worst *verifiedSignature
	for i := range v.Signatures {
		s := &v.Signatures[i]
		switch {
		case s.Result == dkim.Pass:
			v.Verdict = dkim.Pass
			if !v.Aligned && milter.Aligned(s.Domain, v.authorDomain) {
				v.Aligned, v.AlignedWith = true, s.Domain
			}
		case worst == nil, worst.Result == dkim.Neutral, s.Result == dkim.TempError && worst.Result != dkim.TempError:
			worst = s
		}
	}
	switch {
	case v.Verdict == dkim.Pass:
	case worst == nil:
		v.Verdict, v.Reason = dkim.None, "the message has no DKIM signature"
	default:
		v.Verdict, v.Reason = worst.Result, worst.Reason
	}
}
