package main

import (
	"bytes"
	"crypto"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/spf13/cobra"
)

// signFlags are the flags of sign.
type signFlags struct {
	source
	domain, selector, keyFile, auid string
	canonicalization                string
	signHeaders, oversignHeaders    []string
	ttl                             string
	bodyLimit                       int64
	diagnostics                     bool
	now                             string
	json                            bool
}

// signed is what sign prints with --json for each signature.
type signed struct {
	// Key is the key's name in key_table, or its file.
	Key       string `json:"key"`
	Domain    string `json:"domain"`
	Selector  string `json:"selector"`
	AUID      string `json:"auid,omitempty"`
	Algorithm string `json:"algorithm"`
	// Field is the header field as it stands in the message, folded with CRLF.
	Field string `json:"field"`
}

func newSign() *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign [FILE]",
		Short: "Sign a message from standard input",
		Long: `Sign a message with DKIM and print it: the signature is on top, the rest is byte
for byte what came in, and the signature's lines end as the message's do.

With -d, -s and -k it signs with that key. Without them it signs with the keys
that the daemon's configuration (-c, in either form) has for the message's author, and
the other flags change what it says; root reads them as the daemon's user (--user).

The exit status is 0 for a signed message and 1 if it cannot be signed; nothing is
printed on standard output then.

With --json, the signatures are printed in place of the message: {"signatures":
[{key, domain, selector, auid, algorithm, field}]}.`,
		Example: `  postseal sign -d example.com -s mail2026 -k mail2026.private < message.eml > signed.eml
  postseal sign < message.eml | postseal verify
  postseal sign -c ./postseal.toml --now 2026-11-02T10:00:00Z --json message.eml`,
		Args: oneMessage,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args)
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.StringVarP(&f.domain, "domain", "d", "", "the signing `domain`, d=")
	fl.StringVarP(&f.selector, "selector", "s", "", "the `selector`, s=")
	fl.StringVarP(&f.keyFile, "key", "k", "", "the private key's `file`")
	fl.StringVarP(&f.auid, "identity", "i", "", "the `identity` that is signed for, i=: an address or @DOMAIN, in the signing domain or below")
	fl.StringVar(&f.canonicalization, "canonicalization", "", "`HEADER/BODY`, each simple or relaxed (default relaxed/relaxed)")
	fl.StringSliceVar(&f.signHeaders, "sign-headers", nil, "header `fields` to sign, as sign_headers has them")
	fl.StringSliceVar(&f.oversignHeaders, "oversign", nil, "header `fields` that nobody may add, as oversign_headers has them")
	fl.StringVar(&f.ttl, "ttl", "", "let the signature expire after this `time`: seconds, or 72h")
	fl.Int64Var(&f.bodyLimit, "body-limit", -1, "sign this many `bytes` of the body (l=); anybody can then append to the mail")
	fl.BoolVar(&f.diagnostics, "diagnostics", false, "copy the signed header fields into z=")
	addNow(cmd, &f.now)
	addJSON(cmd, &f.json)
	return cmd
}

// signRequest is one signature to make.
type signRequest struct {
	name, domain, selector, auid string
	key                          crypto.Signer
}

func (f *signFlags) run(cmd *cobra.Command, args []string) error {
	now, err := parseNow(cmd, f.now)
	if err != nil {
		return err
	}
	direct, err := f.namesKey(cmd)
	if err != nil {
		return err
	}
	// Before root may become the daemon's user, who need not be able to read it.
	raw, err := readAll(cmd, args)
	if err != nil {
		return err
	}
	cfg := config.Default()
	var snapshot *milter.Snapshot
	var names form
	if !direct {
		l, err := f.load(cmd, noDNS{})
		l.printWarnings(cmd)
		if err != nil {
			return withoutConfig(cmd, l.failed(err), "-d, -s and -k")
		}
		cfg, snapshot, names = l.cfg, l.snapshot, l.form
	}
	options, err := f.options(cmd, cfg, now)
	if err != nil {
		return err
	}
	fields, body, err := readMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if _, err := milter.Author(fields); err != nil {
		return exitError{exitFailed, fmt.Errorf("%w: it is not signed", err)}
	}
	var requests []signRequest
	if direct {
		requests, err = f.request()
	} else {
		requests, fields, err = configured(snapshot, names, fields)
	}
	if err != nil {
		return err
	}
	signatures, err := signAll(fields, body, requests, options)
	if err != nil {
		return exitError{exitFailed, err}
	}
	if f.json {
		return printJSON(cmd, struct {
			Signatures []signed `json:"signatures"`
		}{signatures})
	}
	return writeSigned(cmd.OutOrStdout(), raw, signatures)
}

// namesKey reports whether -d, -s and -k name the key; otherwise the
// configuration does.
func (f *signFlags) namesKey(cmd *cobra.Command) (bool, error) {
	given := 0
	for _, s := range []string{f.domain, f.selector, f.keyFile} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 0 && given != 3:
		return false, usage(cmd, "-d, -s and -k belong together: the domain, the selector and the key's file; without all three the keys are those of the configuration")
	case given != 0 && cmd.Flags().Changed("config"):
		return false, usage(cmd, "the keys come either from the configuration (-c) or from -d, -s and -k")
	case given == 0 && f.auid != "":
		return false, usage(cmd, "-i goes with -d, -s and -k; signing_table says i= for the keys of the configuration")
	}
	return given != 0, nil
}

// options are the settings of cfg with what the flags change.
func (f *signFlags) options(cmd *cobra.Command, loaded *config.Config, now time.Time) (o dkim.SignOptions, err error) {
	copied := *loaded
	cfg := &copied
	if f.canonicalization != "" {
		cfg.Canonicalization = f.canonicalization
	}
	if cmd.Flags().Changed("sign-headers") {
		cfg.SignHeaders = dataset.List(f.signHeaders...)
	}
	if cmd.Flags().Changed("oversign") {
		cfg.OversignHeaders = dataset.List(f.oversignHeaders...)
	}
	if f.ttl != "" {
		if err := cfg.SignatureTTL.UnmarshalTOML(f.ttl); err != nil || cfg.SignatureTTL < 0 {
			return o, usage(cmd, "--ttl %q is no time; write seconds, or a number with a unit such as 72h", f.ttl)
		}
	}
	if cmd.Flags().Changed("body-limit") {
		if f.bodyLimit < -1 {
			return o, usage(cmd, "--body-limit %d: it is a number of bytes, or -1 for the whole body", f.bodyLimit)
		}
		cfg.MaximumSignedBytes = f.bodyLimit
	}
	cfg.Diagnostics = cfg.Diagnostics || f.diagnostics
	if o, err = milter.SignOptions(cfg); err != nil {
		return o, usage(cmd, "%w", err)
	}
	o.Time = now
	if ttl := cfg.SignatureTTL.Std(); ttl > 0 {
		o.Expiration = now.Add(ttl)
	}
	return o, nil
}

// signAll makes the signatures in one pass over the body.
func signAll(fields []dkim.Field, text io.Reader, requests []signRequest, o dkim.SignOptions) ([]signed, error) {
	body := dkim.NewBody()
	signers := make([]*dkim.Signer, len(requests))
	signatures := make([]signed, len(requests))
	for i, r := range requests {
		o.Domain, o.Selector, o.AUID, o.Key = r.domain, r.selector, r.auid, r.key
		s, err := dkim.NewSigner(fields, body, o)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", r.name, err)
		}
		signers[i] = s
	}
	if _, err := io.Copy(body, text); err != nil {
		return nil, err
	}
	body.Close()
	for i, r := range requests {
		field, err := signers[i].Sign()
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", r.name, err)
		}
		algorithm, _, err := dkim.AlgorithmOf(r.key.Public())
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", r.name, err)
		}
		signatures[i] = signed{
			Key: r.name, Domain: r.domain, Selector: r.selector, AUID: r.auid,
			Algorithm: string(algorithm), Field: field.Name + ":" + field.Value,
		}
	}
	return signatures, nil
}

// readAll holds a message in memory: the signature stands before the text that
// it covers.
func readAll(cmd *cobra.Command, args []string) ([]byte, error) {
	in, err := openMessage(cmd, args)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, maxMessage+1))
	if err != nil {
		return nil, exitError{exitNoInput, fmt.Errorf("the message cannot be read: %w", err)}
	}
	if len(raw) > maxMessage {
		return nil, exitError{exitNoInput, fmt.Errorf("the message is larger than %d MiB", maxMessage>>20)}
	}
	return raw, nil
}

// writeSigned writes the signatures above the header, in their order, and
// everything else as it came. The "From " line of a mailbox file stays first.
func writeSigned(w io.Writer, raw []byte, signatures []signed) error {
	top := mboxLine(raw)
	if _, err := w.Write(raw[:top]); err != nil {
		return err
	}
	for _, s := range signatures {
		if _, err := io.WriteString(w, strings.ReplaceAll(s.Field+"\r\n", "\r\n", lineEnd(raw))); err != nil {
			return err
		}
	}
	_, err := w.Write(raw[top:])
	return err
}
