package keys

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// cryptoRSA names Go's own RSA, for RSALibrary.
const cryptoRSA = "crypto/rsa"

// ErrNoPrivateKey is the error of text that holds no private key for DKIM.
var ErrNoPrivateKey = errors.New("no private key")

func noKey(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrNoPrivateKey}, args...)...)
}

// ParsePrivate reads an RSA or Ed25519 private key: PEM or DER of PKCS #1 or
// PKCS #8, or the base64 of such DER. Text around the PEM block, CRLF, a byte
// order mark, indentation and "\n" in place of line ends do not matter. The
// error is ErrNoPrivateKey with what was found instead, never with any of the
// text. data is left as it is; copies of it are zeroed.
func ParsePrivate(data []byte) (crypto.Signer, error) {
	if len(data) > 1 && data[0] == 0x30 && data[1] >= 0x80 || isShortDER(data) {
		return parseDER(data)
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	switch {
	case len(text) == 0:
		return nil, noKey("the file is empty")
	case bytes.Contains(text, []byte("-----BEGIN")):
		return parsePEM(text)
	}
	compact := bytes.Join(bytes.Fields(text), nil)
	defer clear(compact)
	der := make([]byte, len(compact))
	defer clear(der)
	n, err := base64.RawStdEncoding.Decode(der, bytes.TrimRight(compact, "="))
	if err != nil || n == 0 || der[0] != 0x30 {
		return nil, noKey("this is neither PEM nor DER nor base64 of DER; the path of a key file begins with / or ./ or ../")
	}
	return parseDER(der[:n])
}

// isShortDER recognises a DER sequence of less than 128 octets, such as an
// Ed25519 key: unlike text, its second octet is the length of the rest.
func isShortDER(data []byte) bool {
	return len(data) >= 2 && data[0] == 0x30 && int(data[1]) == len(data)-2
}

func parsePEM(text []byte) (crypto.Signer, error) {
	text = tidy(text)
	defer clear(text)
	var instead error
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if instead == nil {
				instead = noKey("the PEM block is broken: it lacks its END line, or has something else than base64 in it")
			}
			return nil, instead
		}
		key, err := parseBlock(block)
		clear(block.Bytes)
		if err == nil {
			return key, nil
		}
		// A private key that cannot be used says more than what stands around it.
		if instead == nil || strings.HasSuffix(block.Type, "PRIVATE KEY") {
			instead = err
		}
	}
}

func parseBlock(block *pem.Block) (crypto.Signer, error) {
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, noKey("the key is encrypted with a passphrase; write it out plain with: openssl pkey -in FILE -out NEW")
	case block.Type == "RSA PRIVATE KEY", block.Type == "PRIVATE KEY":
		return parseDER(block.Bytes)
	case block.Type == "OPENSSH PRIVATE KEY":
		return nil, noKey("this is a key for SSH; make one with postseal genkey")
	case strings.HasSuffix(block.Type, "PRIVATE KEY"), strings.HasSuffix(block.Type, "PARAMETERS"):
		return nil, errKind
	case strings.HasSuffix(block.Type, "PUBLIC KEY"):
		return nil, errPublic
	case strings.HasSuffix(block.Type, "CERTIFICATE"):
		return nil, errCertificate
	}
	return nil, noKey("the PEM block is of type %q", clip(block.Type))
}

var (
	errKind        = noKey("DKIM knows RSA and Ed25519 keys, this one is of another kind")
	errPublic      = noKey("this is a public key; name the file with the private one")
	errCertificate = noKey("this is a certificate; name the file with the private key")
)

// parseDER reads PKCS #8 or PKCS #1, and tells what else there may be.
func parseDER(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		switch key := key.(type) {
		case *rsa.PrivateKey:
			return key, nil
		case ed25519.PrivateKey:
			return key, nil
		}
		return nil, errKind
	}
	rsaKey, rsaErr := x509.ParsePKCS1PrivateKey(der)
	if rsaErr == nil {
		return rsaKey, nil
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return nil, errKind
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return nil, errPublic
	}
	if _, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return nil, errPublic
	}
	if _, err := x509.ParseCertificate(der); err == nil {
		return nil, errCertificate
	}
	return nil, noKey("the DER data is neither PKCS #8 nor PKCS #1 of a sound key")
}

// tidy returns a copy in which each line stands for itself: "\n" written out
// becomes one, CR too, and blanks around lines go.
func tidy(text []byte) []byte {
	out := make([]byte, 0, len(text)+1)
	for len(text) > 0 {
		end, skip := bytes.IndexAny(text, "\r\n"), 1
		if escaped := bytes.Index(text, []byte(`\n`)); escaped >= 0 && (end < 0 || escaped < end) {
			end, skip = escaped, 2
		}
		if end < 0 {
			end, skip = len(text), 0
		}
		if line := bytes.Trim(text[:end], " \t"); len(line) > 0 {
			out = append(append(out, line...), '\n')
		} else if skip > 0 {
			out = append(out, '\n')
		}
		text = text[end+skip:]
	}
	return out
}
