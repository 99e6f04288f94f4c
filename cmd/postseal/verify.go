package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/diagnosis"
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
	SPF         spfCheck            `json:"spf"`
	DMARC       dmarcCheck          `json:"dmarc"`

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
	// Explanation is there with --explain, of a signature that did not pass.
	Explanation *explanationOf `json:"explanation,omitempty"`

	err   error
	field int // index in the header
}

func newVerify() *cobra.Command {
	var dns dnsFlags
	var sender senderFlags
	var why explainFlags
	var now string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Verify a message: DKIM, SPF and DMARC, and why a signature fails",
		Long: `Verify the DKIM signatures of a message, with the daemon's own rules, and say for
each what came of it and why. The last line is the verdict: one passing signature makes
the message pass, and a message with no certain author (several From fields, or none)
never does. The verdict also says whether a passing signature is of the author's domain:
the same domain, a parent or a child of it.

The summary above it also has SPF and DMARC. SPF (RFC 7208) judges the host that
delivered the message: name it with --client, and the envelope sender with --mail-from.
--received N takes both from the message: from its Nth Received field from the top, which
one of your own hosts must have written, and from Return-Path. Without either, SPF is not
checked. DMARC (RFC 9989) says which policy counts for the author's domain, and what is
aligned with it.

--explain shows for each signature that fails what was hashed, and searches for the
cause: fields that are not as z= has them, the part of the body that was added, a Subject
with a tag in front, and so on. What it calls proven is certain: without that change the
hash is the one that was signed. --original compares with the message as it was sent.
--explain-out writes the octets that were hashed to files, 1.header and 1.body for the
first signature, for diff(1); it overwrites none. Bodies of more than 16 MB are not
looked into.

The exit status is 0 only for a DKIM pass; it is 1 for everything else, 64 for a wrong
command line and 66 for a message that cannot be read. SPF and DMARC do not count.

With --json: {verdict, reason, author, aligned, aligned_with, signatures: [{result,
reason, domain, selector, auid, algorithm, canonicalization, key_bits, dnssec, testing,
headers, time, expiration, body_length, explanation}], spf: {result, reason, identity,
domain, client}, dmarc: {result, reason, domain, policy, tag, record, organization,
aligned_spf, aligned_dkim, aspf, adkim, without_spf}}; what is not there is left out.
explanation: {header: {key, intact, copies, hashed: [{name, octets}], differences: [{name,
signed, now, source}], proven: [{code, text, first, last, names, excerpt}]}, body: {intact,
canonicalization, length, limit, signed_hash, hash, octets, more, original_intact,
difference, proven}, exhausted}; octets are text with the escapes of Go.`,
		Example: `  postseal verify < message.eml
  postseal verify --nameserver 9.9.9.9 message.eml
  postseal verify --client 192.0.2.7 --mail-from user@example.com message.eml
  postseal verify --received 1 message.eml
  postseal verify --explain --original sent.eml message.eml
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
			fields, body, err := readMessage(in)
			if err != nil {
				return err
			}
			query, asked, err := sender.query(cmd, fields)
			if err != nil {
				return err
			}
			x, err := why.begin(fields)
			if err != nil {
				return err
			}
			v, err := verify(fields, io.TeeReader(body, x), resolver, at)
			if err != nil {
				return err
			}
			v.judge(resolver, query, asked)
			if x.large {
				fmt.Fprintf(cmd.ErrOrStderr(), "postseal: the message is larger than %d MB, which is more than --explain looks into\n", diagnosis.MaxBody>>20)
			}
			if err := x.explain(v, resolver, at); err != nil {
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
	sender.add(cmd)
	why.add(cmd)
	addNow(cmd, &now)
	addJSON(cmd, &asJSON)
	return cmd
}

// verifyOptions are the daemon's default rules.
func verifyOptions(now time.Time) dkim.VerifyOptions {
	rules := config.Default()
	return dkim.VerifyOptions{
		MaxSignatures: rules.MaximumSignaturesToVerify,
		MinRSABits:    rules.MinimumKeyBits, MaxRSABits: rules.MaximumKeyBits,
		ClockDrift: rules.ClockDrift.Std(), Now: now,
	}
}

// verify judges a message by the daemon's default rules.
func verify(fields []dkim.Field, text io.Reader, resolver dkim.Resolver, now time.Time) (*verification, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	body := dkim.NewBody()
	verifier := dkim.NewVerifier(ctx, fields, body, resolver, verifyOptions(now))
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
		KeyBits:          r.KeyBits, DNSSEC: r.Authentic, Testing: r.Testing, Headers: r.Headers, err: r.Err, field: r.Field,
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
