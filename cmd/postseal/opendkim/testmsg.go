package opendkim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
)

const testmsgUsage = `Valid options:
	-C         	preserve CRLFs
	-d domain  	set signing domain
	-K         	keep temporary files
	-k keyfile 	private key file
	-s selector	set signing selector
	-t path    	directory for temporary files
`

// Limits of a message on standard input.
const (
	maxMessage       = 256 << 20
	maxMessageHeader = 4 << 20
)

// letter is one run of opendkim-testmsg.
type letter struct {
	call
	domain, selector, file          string
	hasDomain, hasSelector, hasFile bool
	crlf                            bool   // ends the lines of the signature with CRLF
	temporary                       string // OpenDKIM's folder for temporary files
}

// testmsg is opendkim-testmsg(8): it signs the message on standard input, or
// verifies it where no key is named. It signs with rsa-sha256 or
// ed25519-sha256, as the key is: rsa-sha1, OpenDKIM's choice, passes nowhere
// any more (RFC 8301 §3.1). Temporary files are not needed, so that -K has no
// effect.
func testmsg(c call) int {
	usage := func() int {
		fmt.Fprintf(c.err, "%s: usage: %s [options]\n%s", c.name, c.name, testmsgUsage)
		return exitConfig
	}
	found, _, err := getopt(c.args, "Cd:Kk:s:t:")
	if err != nil {
		c.say("%v", err)
		return usage()
	}
	m := letter{call: c}
	for _, o := range found {
		switch o.letter {
		case 'C':
			m.crlf = true
		case 'd':
			m.domain, m.hasDomain = o.value, true
		case 'k':
			m.file, m.hasFile = o.value, true
		case 's':
			m.selector, m.hasSelector = o.value, true
		case 't':
			m.temporary = o.value
		}
	}
	signing := m.hasDomain && m.hasSelector && m.hasFile
	if !signing && (m.hasDomain || m.hasSelector || m.hasFile) {
		return usage()
	}
	if m.temporary != "" {
		if _, err := os.Stat(filepath.Join(m.temporary, ".")); err != nil {
			c.say("mkstemp(): %s", strerror(err))
			return exitSoftware
		}
	}
	if signing {
		return m.sign()
	}
	return m.verify()
}

// fail prints an error of the library under the name of its function, and the
// cause if there is more to say.
func (m *letter) fail(function, word string, cause error) int {
	m.say("%s(): %s", function, word)
	if cause != nil {
		m.say("%v", cause)
	}
	return exitSoftware
}

// OpenDKIM's words for what its library returns.
const (
	syntaxError  = "Syntax error"
	noResource   = "Resource unavailable"
	noSignature  = "No signature"
	badSignature = "Bad signature"
	noKey        = "Key retrieval failed"
	revokedKey   = "Revoked key"
	noVerdict    = "Unable to verify"
)

// sign prints the message with a signature above it.
func (m *letter) sign() int {
	if info, err := os.Stat(m.file); err == nil && info.IsDir() {
		m.say("%s: read(): Is a directory", m.file)
		return exitOSErr
	}
	key, err := keys.ReadPrivate(m.file)
	switch {
	case errors.Is(err, keys.ErrNoPrivateKey):
		return m.fail("dkim_eom", noResource, err)
	case err != nil:
		m.say("%s: open(): %s", m.file, strerror(err))
		return exitOSErr
	}
	raw, err := io.ReadAll(io.LimitReader(m.in, maxMessage+1))
	if err == nil && len(raw) > maxMessage {
		err = fmt.Errorf("the message is larger than %d MiB", maxMessage>>20)
	}
	if err != nil {
		m.say("fread(): %s", strerror(err))
		return exitSoftware
	}
	fields, text, err := m.read(bytes.NewReader(raw))
	if err != nil {
		return m.fail("dkim_chunk", syntaxError, err)
	}
	// Everything that stands in the header is signed, but for what the way adds
	// or takes away (RFC 6376 §5.4.1).
	selection, err := dkim.NewHeaderSelection([]string{"*"}, []string{"Return-Path", "Received", "DKIM-Signature"}, nil)
	if err != nil {
		return m.fail("dkim_sign", syntaxError, err)
	}
	body := dkim.NewBody()
	signer, err := dkim.NewSigner(fields, body, dkim.SignOptions{
		Domain: m.domain, Selector: m.selector, Key: key, Header: dkim.Relaxed, Body: dkim.Simple,
		Selection: selection, Time: time.Now(), BodyLimit: -1,
	})
	if err != nil {
		return m.fail("dkim_sign", syntaxError, err)
	}
	if _, err := io.Copy(body, text); err != nil {
		return m.fail("dkim_chunk", syntaxError, err)
	}
	body.Close()
	field, err := signer.Sign()
	if err != nil {
		return m.fail("dkim_eom", noResource, err)
	}
	signature := field.Name + ":" + field.Value + "\r\n"
	if !m.crlf {
		signature = strings.ReplaceAll(signature, "\r\n", "\n")
	}
	if _, err := m.out.Write(append([]byte(signature), raw...)); err != nil {
		m.say("fwrite(): %s", strerror(err))
		return exitSoftware
	}
	return exitOK
}

// read takes a message apart and refuses one that RFC 5322 §3.6 does not allow,
// as OpenDKIM's library does.
func (m *letter) read(in io.Reader) ([]dkim.Field, io.Reader, error) {
	var first [5]byte
	n, err := io.ReadFull(in, first[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, err
	}
	if string(first[:n]) == "From " {
		return nil, nil, errors.New("the message begins with the \"From \" line of a mailbox file")
	}
	fields, text, err := dkim.ReadMessage(io.MultiReader(bytes.NewReader(first[:n]), in), maxMessageHeader)
	if err != nil {
		return nil, nil, err
	}
	return fields, text, countFields(fields)
}

// countFields checks how often fields stand in the header (RFC 5322 §3.6).
func countFields(fields []dkim.Field) error {
	for _, name := range []string{"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject"} {
		count := 0
		for _, f := range fields {
			if f.Is(name) {
				count++
			}
		}
		switch {
		case count > 1:
			return fmt.Errorf("the header has %d fields %s; there may be one (RFC 5322 §3.6)", count, name)
		case count == 0 && (name == "Date" || name == "From"):
			return fmt.Errorf("the header has no %s field (RFC 5322 §3.6)", name)
		}
	}
	return nil
}

// verify says nothing if a signature of the message is good.
func (m *letter) verify() int {
	fields, text, err := m.read(m.in)
	if err != nil {
		return m.fail("dkim_chunk", syntaxError, err)
	}
	client, err := resolver.New(resolver.Options{CacheSize: -1})
	if err != nil {
		return m.fail("dkim_init", noResource, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	body := dkim.NewBody()
	verifier := dkim.NewVerifier(ctx, fields, body, client, dkim.VerifyOptions{Now: time.Now(), BodyLength: dkim.BodyLengthAccept})
	if _, err := io.Copy(body, text); err != nil {
		return m.fail("dkim_chunk", syntaxError, err)
	}
	body.Close()
	return m.judge(verifier.Results())
}

// judge ends with 0 if one signature passes; otherwise with what became of the
// first.
func (m *letter) judge(results []dkim.Result) int {
	for _, r := range results {
		if r.Status == dkim.Pass {
			return exitOK
		}
	}
	if len(results) == 0 {
		return m.fail("dkim_chunk", noSignature, nil)
	}
	err := results[0].Err
	is := func(kinds ...error) bool {
		for _, kind := range kinds {
			if errors.Is(err, kind) {
				return true
			}
		}
		return false
	}
	switch {
	case is(dkim.ErrSyntax, dkim.ErrMissingTag, dkim.ErrVersion):
		return m.fail("dkim_chunk", syntaxError, err)
	case is(dkim.ErrKeyRevoked):
		return m.fail("dkim_eom", revokedKey, err)
	case is(dkim.ErrKeyUnavailable, dkim.ErrNoKey):
		return m.fail("dkim_eom", noKey, err)
	case is(dkim.ErrBodyHash, dkim.ErrSignature):
		return m.fail("dkim_eom", badSignature, err)
	}
	return m.fail("dkim_eom", noVerdict, err)
}
