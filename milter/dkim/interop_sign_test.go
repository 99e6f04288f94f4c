package dkim_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/testdata/peers"
)

// alterations break a signature in every canonicalization.
var alterations = []struct {
	name  string
	alter func(message []byte) []byte
}{
	{"body longer", func(m []byte) []byte { return append(bytes.Clone(m), "x\r\n"...) }},
	{"other Subject", func(m []byte) []byte {
		return bytes.Replace(m, []byte("\r\n"+subject), []byte("\r\nSubject: Is dinner readi?\r\n"), 1)
	}},
	{"second From", func(m []byte) []byte {
		return bytes.Replace(m, []byte("\r\n"+from), []byte("\r\nFrom: eve@example.org\r\n"+from), 1)
	}},
}

// peerSigner signs with one peer, algorithm and canonicalization.
type peerSigner struct {
	name             string
	peer             string
	canonicalization string
	sign             func(message []byte) ([]byte, error)
}

func peerSigners(t *testing.T, keys *keyring) []peerSigner {
	var list []peerSigner
	dkimpy, mailDKIM := peers.StartDkimpy(t, keys.zone), peers.StartMailDKIM(t, keys.zone)
	dir := t.TempDir()
	keyFiles := map[string][]byte{rsaSelector: keys.rsaPEM(), ed25519Selector: keys.ed25519PEM(t)}
	for selector, text := range keyFiles {
		if err := os.WriteFile(filepath.Join(dir, selector), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seed := []byte(base64.StdEncoding.EncodeToString(keys.ed25519.Seed()))
	for _, c := range canonicalizations {
		for _, key := range []struct {
			selector  string
			algorithm dkim.Algorithm
			dkimpy    []byte
		}{
			{rsaSelector, dkim.RSASHA256, keys.rsaPEM()},
			{ed25519Selector, dkim.Ed25519SHA256, seed},
		} {
			name := fmt.Sprintf("%s %s", key.algorithm, c)
			r := peers.SignRequest{Domain: domain, Selector: key.selector, Canonicalization: c, Algorithm: string(key.algorithm), Key: key.dkimpy}
			list = append(list, peerSigner{"dkimpy " + name, "dkimpy", c, func(m []byte) ([]byte, error) { return dkimpy.Sign(r, m) }})
			if key.algorithm == dkim.RSASHA256 {
				list = append(list, peerSigner{"Mail::DKIM " + name, "Mail::DKIM", c, func(m []byte) ([]byte, error) { return mailDKIM.Sign(r, m) }})
			}
			if key.algorithm == dkim.Ed25519SHA256 && strings.HasPrefix(c, "simple/") {
				continue // TestOpenDKIMSimpleEd25519
			}
			o := openDKIMSigner(t, keys.zone, c, key.selector, key.algorithm, filepath.Join(dir, key.selector))
			list = append(list, peerSigner{"OpenDKIM " + name, "OpenDKIM", c, o.Sign})
		}
	}
	return list
}

func openDKIMSigner(t *testing.T, z zone, canonicalization, selector string, a dkim.Algorithm, keyFile string) *peers.OpenDKIM {
	return peers.StartOpenDKIM(t, z, "Mode s", "Canonicalization "+canonicalization, "Domain "+domain,
		"Selector "+selector, "KeyFile "+keyFile, "SignatureAlgorithm "+string(a), "SubDomains yes",
		"OversignHeaders From", "InternalHosts 127.0.0.1")
}

// OpenDKIM's Ed25519 signatures over a simple header are wrong: nobody passes
// them, OpenDKIM itself included, whereas it passes ours.
func TestOpenDKIMSimpleEd25519(t *testing.T) {
	keys := newKeyring(t)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, keys.ed25519PEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	signed, err := openDKIMSigner(t, keys.zone, "simple/simple", ed25519Selector, dkim.Ed25519SHA256, file).Sign([]byte(headers + "\r\n" + hello))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range verifiers(t, keys.zone) {
		verdicts, err := p.Verify(signed)
		if err != nil || len(verdicts) != 1 || verdicts[0].Status == "pass" {
			t.Errorf("%s: %+v, %v; it was wrong and seems mended", p.Name(), verdicts, err)
		}
	}
	if results := verify(t, keys.zone, signed); len(results) != 1 || results[0].Status != dkim.Fail {
		t.Errorf("we: %+v, want one fail", results)
	}
}

// What OpenDKIM, dkimpy and Mail::DKIM sign, we verify; and altered, we do not.
func TestWeVerifyPeersSignatures(t *testing.T) {
	keys := newKeyring(t)
	signers := peerSigners(t, keys)
	for _, m := range awkwardMessages() {
		if len(m.text) > 1<<20 {
			continue // TestPeersAcceptOurSignatures has large bodies
		}
		t.Run(m.name, func(t *testing.T) {
			for _, s := range signers {
				if m.unableTo(s.peer, s.canonicalization) != "" {
					continue
				}
				signed, err := s.sign([]byte(m.text))
				if err != nil {
					t.Errorf("%s: %v", s.name, err)
					continue
				}
				if results := verify(t, keys.zone, signed); len(results) != 1 || results[0].Status != dkim.Pass {
					t.Errorf("%s: %+v, want one pass; signed:\n%.3000q", s.name, results, signed)
				}
			}
		})
	}
	for _, s := range signers {
		signed, err := s.sign([]byte(headers + "\r\n" + hello))
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		for _, a := range alterations {
			altered := a.alter(signed)
			results := verify(t, keys.zone, altered)
			if len(results) != 1 {
				t.Errorf("%s, %s: %+v, want one result", s.name, a.name, results)
				continue
			}
			if s.peer == "Mail::DKIM" && a.name == "second From" {
				// It does not oversign. The signature stands, and says too little.
				fields, _ := split(altered)
				if r := results[0]; r.Status != dkim.Pass || r.Covers(fields, "From") {
					t.Errorf("%s, %s: %s, From covered: %t; want a pass that does not cover From", s.name, a.name, r.Status, r.Covers(fields, "From"))
				}
				continue
			}
			if results[0].Status != dkim.Fail {
				t.Errorf("%s, %s: %+v, want fail", s.name, a.name, results[0])
			}
		}
	}
}
