package milter

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
)

// noError is what OpenDKIM says of a signature that passes.
const noError = "no signature error"

// verificationFailed is what it says of one that does not verify.
const verificationFailed = "signature verification failed"

// resultWords are OpenDKIM's words for what we find wrong with a signature.
// What it has no words for keeps ours.
var resultWords = []struct {
	err   error
	words string
}{
	{dkim.ErrBodyHash, verificationFailed},
	{dkim.ErrSignature, verificationFailed},
	{dkim.ErrNoKey, "key not found in DNS"},
	{dkim.ErrKeyUnavailable, "key DNS query failed"},
	{dkim.ErrKeyRevoked, "key revoked"},
	{dkim.ErrKeySyntax, "key DNS reply corrupt"},
	{dkim.ErrKeyVersion, "unknown key version"},
	{dkim.ErrInappropriateHash, "signature-key hash mismatch"},
	{dkim.ErrService, "not an e-mail key"},
	{dkim.ErrKeySize, "signing key too small"},
	{dkim.ErrVersion, "unsupported signature version"},
	{dkim.ErrAlgorithm, "signature algorithm invalid"},
	{dkim.ErrQueryMethod, "query method invalid"},
	{dkim.ErrFromNotSigned, "header list missing required entries"},
	{dkim.ErrExpired, "signature expired"},
	{dkim.ErrFuture, "signature timestamp in the future"},
	{dkim.ErrBodyLength, "length tag value exceeds body size"},
	{dkim.ErrUnprotectedField, "unprotected header field"},
	{dkim.ErrUnsignedContent, dkim.ErrUnsignedContent.Error()},
	{dkim.ErrBodyLengthRefused, dkim.ErrBodyLengthRefused.Error()},
}

// resultText says of a result what OpenDKIM would; tags are those of the
// signature.
func resultText(r dkim.Result, tags signatureTags) string {
	switch err := r.Err; {
	case err == nil:
		return noError
	case errors.Is(err, dkim.ErrMissingTag), errors.Is(err, dkim.ErrVersion) && tags["v"] == "":
		return tags.missing()
	case errors.Is(err, dkim.ErrQueryMethod) && strings.HasPrefix(strings.ToLower(tags["q"]), "dns/"):
		return "query option invalid"
	case errors.Is(err, dkim.ErrSyntax):
		return tags.invalid()
	case errors.Is(err, dkim.ErrDomainMismatch) && r.Status == dkim.PermError:
		return "invalid domain coverage"
	case errors.Is(err, dkim.ErrDomainMismatch):
		return "unauthorized subdomain"
	case errors.Is(err, dkim.ErrInappropriateKeyAlgorithm) && r.KeyBits > 0:
		return "unable to apply public key" // of another type
	case errors.Is(err, dkim.ErrInappropriateKeyAlgorithm):
		return "unknown key type"
	}
	for _, w := range resultWords {
		if errors.Is(r.Err, w.err) {
			return w.words
		}
	}
	return r.Err.Error()
}

// libraryText is what OpenSSL said to OpenDKIM when it applied the key: nothing
// where the header verifies, or was not reached for a body that does not. ok is
// false where no key was applied.
func libraryText(r dkim.Result) (text string, ok bool) {
	applied := r.Err == nil
	for _, err := range []error{dkim.ErrBodyHash, dkim.ErrSignature, dkim.ErrKeySize, dkim.ErrBodyLength,
		dkim.ErrUnprotectedField, dkim.ErrUnsignedContent} {
		applied = applied || errors.Is(r.Err, err)
	}
	applied = applied || errors.Is(r.Err, dkim.ErrDomainMismatch) && r.Status == dkim.Fail
	switch {
	case errors.Is(r.Err, dkim.ErrInappropriateKeyAlgorithm) && r.KeyBits > 0:
		return "error:030000B4:digital envelope routines::key setup failed", true
	case !applied:
		return "", false
	case !errors.Is(r.Err, dkim.ErrSignature) || r.Algorithm != dkim.RSASHA256:
		return "", true
	case base64.StdEncoding.DecodedLen(len(strings.TrimRight(r.Signature, "="))/4*4) > r.KeyBits/8,
		len(r.Signature)*3/4 < r.KeyBits/8:
		return "error:02000077:rsa routines::wrong signature length", true
	}
	return "error:02000068:rsa routines::bad signature", true
}

// signatureTags are the tags of a DKIM-Signature field as OpenDKIM reads them: of
// several of one name the last.
type signatureTags map[string]string

// missing names the tag whose value is missing.
func (t signatureTags) missing() string {
	for _, tag := range []struct{ name, what string }{
		{"v", "version"}, {"d", "domain tag"}, {"s", "selector tag"}, {"a", "signature algorithm"}, {"bh", "body hash"},
		{"b", "signature data"}, {"h", "header list tag"},
	} {
		switch value, there := t[tag.name]; {
		case !there:
			return tag.what + " missing"
		case value == "" && tag.name == "a":
			return tag.what + " invalid"
		case value == "":
			return tag.what + " empty"
		}
	}
	return "signature data corrupt"
}

// invalid names the tag that cannot be read, as far as OpenDKIM has words for it.
func (t signatureTags) invalid() string {
	if c, ok := t["c"]; ok {
		header, body, _ := strings.Cut(strings.ToLower(c), "/")
		switch {
		case header != "simple" && header != "relaxed":
			return "invalid header canonicalization"
		case body != "" && body != "simple" && body != "relaxed":
			return "invalid body canonicalization"
		}
	}
	if i, ok := t["i"]; ok && !strings.Contains(i, "@") {
		return "invalid domain coverage"
	}
	if l, ok := t["l"]; ok && (l == "" || strings.Trim(l, "0123456789") != "") {
		return "body length value invalid"
	}
	if _, ok := t["x"]; ok && t["t"] != "" {
		return "signature timestamp order error"
	}
	return verificationFailed // OpenDKIM is less strict, and finds that out later
}

// readSignatureTags reads the value of a DKIM-Signature field as OpenDKIM does. What
// is a syntax error for the whole message there is returned as problem, in its
// words.
func readSignatureTags(value string) (tags signatureTags, problem string) {
	tags = signatureTags{}
	const (
		beforeName = iota
		inName
		beforeValue
		inValue
	)
	state, start, name, spaced := beforeName, 0, "", false
	for i := 0; i < len(value); i++ {
		c := value[i]
		space := strings.IndexByte(" \t\r\n\v\f", c) >= 0
		if !space && (c < ' ' || c >= 0x7f) {
			return tags, fmt.Sprintf("invalid character (ASCII 0x%02x at offset %d) in signature data", c, i)
		}
		switch state {
		case beforeName:
			switch {
			case space:
			case '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z':
				state, start, spaced = inName, i, false
			default:
				return tags, syntaxError(c, i)
			}
		case inName:
			switch {
			case space:
				spaced = true
			case c == '=':
				name, state = strings.TrimRight(value[start:i], " \t\r\n\v\f"), beforeValue
			case c == ';' || spaced:
				return tags, syntaxError(c, i)
			}
		case beforeValue:
			switch {
			case space:
			case c == ';':
				tags[name], state = "", beforeName
			default:
				state, start = inValue, i
			}
		case inValue:
			if c == ';' {
				tags[name], state = withoutSpace(value[start:i]), beforeName
			}
		}
	}
	switch state {
	case inName:
		return tags, "tag without value at end of signature data"
	case beforeValue:
		tags[name] = ""
	case inValue:
		tags[name] = withoutSpace(value[start:])
	}
	return tags, tags.incomplete()
}

// incomplete says why OpenDKIM takes tags for no signature at all.
func (t signatureTags) incomplete() string {
	for _, name := range []string{"s", "h", "d", "b", "v", "a"} {
		if _, ok := t[name]; !ok {
			return "missing parameter(s) in signature data"
		}
	}
	for _, name := range []string{"t", "x"} {
		if v, ok := t[name]; ok && (v == "" || strings.Trim(v, "0123456789") != "") {
			return fmt.Sprintf("invalid %q value in signature data", name)
		}
	}
	return ""
}

func syntaxError(c byte, offset int) string {
	return fmt.Sprintf("syntax error in signature data (ASCII 0x%02x at offset %d)", c, offset)
}

// withoutSpace drops all white space, as OpenDKIM does in every value.
func withoutSpace(s string) string { return strings.Join(strings.Fields(s), "") }
