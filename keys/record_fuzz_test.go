package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/dkim"
)

// FuzzRecordText: what is published says what was asked for, whatever stands in
// the notes.
func FuzzRecordText(f *testing.F) {
	f.Add([]byte("a modulus that is none"), "for a friend; t=y", uint8(0))
	f.Add([]byte{0xff}, " =41\r\n\x00\xff b=c ", uint8(15))
	f.Add([]byte{}, "", uint8(6))
	f.Fuzz(func(t *testing.T, data []byte, note string, flags uint8) {
		r := Record{Note: note, Testing: flags&1 != 0, Strict: flags&2 != 0, EmailOnly: flags&4 != 0}
		if flags&8 != 0 {
			n := new(big.Int).SetBytes(data[:min(len(data), 1024)])
			r.Public = &rsa.PublicKey{N: n.SetBit(n, 1024, 1), E: 65537}
		} else {
			seed := make([]byte, ed25519.SeedSize)
			copy(seed, data)
			r.Public = ed25519.NewKeyFromSeed(seed).Public()
		}
		text := r.Text()
		if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Fatalf("not to be published: %q", text)
		}
		got, err := dkim.ParseKeyRecord(text)
		if len(note) > 16<<10 {
			return // longer than any record
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !got.Public.(interface{ Equal(crypto.PublicKey) bool }).Equal(r.Public) {
			t.Fatalf("%q holds another key", text)
		}
		if got.Testing != r.Testing || got.Strict != r.Strict || slices.Contains(got.Services, "email") != r.EmailOnly || got.Revoked {
			t.Fatalf("%q is read as %+v", text, got)
		}
		notes, err := url.PathUnescape(strings.NewReplacer("%", "%25", "=", "%").Replace(got.Notes))
		if err != nil || notes != note {
			t.Fatalf("%q: notes %q, %v; they were %q", text, notes, err, note)
		}
	})
}
