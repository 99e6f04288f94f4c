// Package peers drives the other DKIM implementations that tests measure
// postseal against: OpenDKIM, dkimpy and Mail::DKIM, each as one process that
// answers many questions. testdata/peers.sh installs them.
package peers

import (
	"os"
	"testing"
)

// Require returns when err is nil. Otherwise err says which peer is missing: the
// test is skipped with that reason, or fails where POSTSEAL_REQUIRE_PEERS=1 says
// that every peer has to be there.
func Require(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("POSTSEAL_REQUIRE_PEERS") == "1" {
		t.Fatalf("a peer is missing: %v", err)
	}
	t.Skipf("a peer is missing: %v", err)
}

// Verdict is what a peer says of one signature.
type Verdict struct {
	// Status is "pass", or a word for any other end in the peer's language.
	Status string
	// Domain, Selector and Algorithm are d=, s= and a= where the peer tells.
	Domain, Selector, Algorithm string
	// Detail is the peer's explanation.
	Detail string
}

// Verifier judges every signature of a message whose lines end in CRLF, in the
// order of the DKIM-Signature fields from the top.
type Verifier interface {
	Name() string
	Verify(message []byte) ([]Verdict, error)
}

// SignRequest says how a [Pipe] shall sign.
type SignRequest struct {
	Domain, Selector string
	// Canonicalization is HEADER/BODY.
	Canonicalization string
	// Algorithm is rsa-sha256 or ed25519-sha256.
	Algorithm string
	// Key is the private key as the peer wants it: PKCS#1 PEM for RSA; for
	// dkimpy's Ed25519 the base64 of the seed.
	Key []byte
}
