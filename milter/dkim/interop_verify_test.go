package dkim_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/testdata/peers"
)

// verifiers starts the three peers.
func verifiers(t *testing.T, z zone) []peers.Verifier {
	return []peers.Verifier{
		peers.StartOpenDKIMVerifier(t, z),
		peers.StartDkimpy(t, z),
		peers.StartMailDKIM(t, z),
	}
}

// canJudge reports whether a peer knows the algorithm at all.
func canJudge(p peers.Verifier, algorithm string) bool {
	// Mail::DKIM of Debian 12 has rsa-sha1 and rsa-sha256 alone.
	return p.Name() != "Mail::DKIM" || algorithm == string(dkim.RSASHA256)
}

// expectPass checks that peer passes every signature of message, given by their
// algorithms from the top, or none if it is unable to.
func expectPass(t *testing.T, p peers.Verifier, message []byte, unable string, algorithms ...string) {
	t.Helper()
	verdicts, err := p.Verify(message)
	if unable != "" {
		for _, v := range verdicts {
			if v.Status == "pass" {
				t.Errorf("%s passes this, so it is able to: it is listed as a peer that %s", p.Name(), unable)
			}
		}
		return
	}
	if err != nil {
		t.Errorf("%s: %v", p.Name(), err)
		return
	}
	if len(verdicts) != len(algorithms) {
		t.Errorf("%s found %d signatures, want %d: %+v", p.Name(), len(verdicts), len(algorithms), verdicts)
		return
	}
	for i, v := range verdicts {
		if pass := v.Status == "pass"; pass != canJudge(p, algorithms[i]) {
			t.Errorf("%s says %q of our %s signature: %+v", p.Name(), v.Status, algorithms[i], v)
		}
	}
}

// What we sign, OpenDKIM, dkimpy and Mail::DKIM verify.
func TestPeersAcceptOurSignatures(t *testing.T) {
	keys := newKeyring(t)
	judges := verifiers(t, keys.zone)
	for _, m := range awkwardMessages() {
		t.Run(m.name, func(t *testing.T) {
			for _, c := range canonicalizations {
				if len(m.text) > 1<<20 && c != "relaxed/relaxed" && c != "simple/simple" {
					continue // the halves are covered by these two
				}
				signed := sign(t, []byte(m.text),
					options(t, rsaSelector, keys.rsa, c), options(t, ed25519Selector, keys.ed25519, c))
				var all sync.WaitGroup
				for _, p := range judges {
					all.Go(func() {
						expectPass(t, p, signed, m.unableTo(p.Name(), c), string(dkim.RSASHA256), string(dkim.Ed25519SHA256))
					})
				}
				for _, r := range verify(t, keys.zone, signed) {
					if r.Status != dkim.Pass {
						t.Errorf("we say %s of our own %s signature: %v", r.Status, r.Algorithm, r.Err)
					}
				}
				all.Wait()
				if t.Failed() {
					t.Fatalf("%s; signed:\n%.3000q", c, signed)
				}
			}
		})
	}
}

// The peers are no yes-men: what was altered does not pass.
func TestPeersRefuseAlteredMessages(t *testing.T) {
	keys := newKeyring(t)
	judges := verifiers(t, keys.zone)
	for _, c := range canonicalizations {
		signed := sign(t, []byte(headers+"\r\n"+hello),
			options(t, rsaSelector, keys.rsa, c), options(t, ed25519Selector, keys.ed25519, c))
		for _, a := range alterations {
			altered := a.alter(signed)
			if bytes.Equal(altered, signed) {
				t.Fatalf("%s changed nothing", a.name)
			}
			for _, p := range judges {
				verdicts, err := p.Verify(altered)
				if err != nil {
					t.Errorf("%s, %s: %s: %v", c, a.name, p.Name(), err)
				}
				if len(verdicts) != 2 {
					t.Errorf("%s, %s: %s found %d signatures, want 2", c, a.name, p.Name(), len(verdicts))
				}
				for _, v := range verdicts {
					if v.Status == "pass" {
						t.Errorf("%s, %s: %s passes it: %+v", c, a.name, p.Name(), v)
					}
				}
			}
		}
	}
}

// The same body in two pieces, cut anywhere, and octet by octet, has the same
// hashes.
func TestBodySplitsOfAwkwardMessages(t *testing.T) {
	for _, m := range awkwardMessages() {
		_, text := split([]byte(m.text))
		if len(text) > 4096 {
			continue // quadratic
		}
		t.Run(m.name, func(t *testing.T) {
			whole := sums(text)
			for cut := range len(text) {
				if got := sums(text[:cut], text[cut:]); got != whole {
					t.Fatalf("cut at %d: %x, want %x", cut, got, whole)
				}
			}
			var single [][]byte
			for i := range text {
				single = append(single, text[i:i+1])
			}
			if got := sums(single...); got != whole {
				t.Errorf("octet by octet: %x, want %x", got, whole)
			}
		})
	}
}

// sums are the hashes of a body in pieces: simple, then relaxed.
func sums(pieces ...[]byte) [2][32]byte {
	body := dkim.NewBody()
	simple, relaxed := body.Hash(dkim.Simple, -1), body.Hash(dkim.Relaxed, -1)
	for _, p := range pieces {
		body.Write(p) // never fails, by its documentation
	}
	body.Close()
	return [2][32]byte{[32]byte(simple.Sum()), [32]byte(relaxed.Sum())}
}
