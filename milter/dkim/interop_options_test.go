package dkim_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/testdata/peers"
)

// expectAllPass checks that every judge and we ourselves pass the two
// signatures of message, RSA above Ed25519.
func expectAllPass(t *testing.T, keys *keyring, judges []peers.Verifier, message []byte) {
	t.Helper()
	for _, p := range judges {
		expectPass(t, p, message, "", string(dkim.RSASHA256), string(dkim.Ed25519SHA256))
	}
	results := verify(t, keys.zone, message)
	if len(results) != 2 {
		t.Errorf("we find %d signatures", len(results))
	}
	for _, r := range results {
		if r.Status != dkim.Pass {
			t.Errorf("we say %s of our own %s signature: %v", r.Status, r.Algorithm, r.Err)
		}
	}
	if t.Failed() {
		t.Fatalf("signed:\n%.4000s", message)
	}
}

// signTwice signs with both keys in one pass over the body, each with the
// options that set leaves.
func signTwice(t *testing.T, keys *keyring, message, canonicalization string, set func(*dkim.SignOptions)) []byte {
	t.Helper()
	r, e := options(t, rsaSelector, keys.rsa, canonicalization), options(t, ed25519Selector, keys.ed25519, canonicalization)
	set(&r)
	set(&e)
	return sign(t, []byte(message), r, e)
}

// Every combination of the optional tags, the canonicalizations in turn.
func TestPeersAcceptOurOptions(t *testing.T) {
	keys := newKeyring(t)
	judges := verifiers(t, keys.zone)
	const message = headers + "X-Odd: b =c; | \xff web site\r\n\r\n" + hello
	optional := []struct {
		name string
		set  func(*dkim.SignOptions)
	}{
		{"i=", func(o *dkim.SignOptions) { o.AUID = "joe=x+y;z@mail." + domain }},
		{"x=", func(o *dkim.SignOptions) { o.Expiration = time.Now().Add(time.Hour) }},
		{"no t=", func(o *dkim.SignOptions) { o.Time = time.Time{} }},
		{"l=", func(o *dkim.SignOptions) { o.BodyLimit = 1 << 30 }},
		{"z=", func(o *dkim.SignOptions) { o.CopyFields = true }},
		{"r=y", func(o *dkim.SignOptions) { o.RequestReports = true }},
	}
	for set := range 1 << len(optional) {
		var names []string
		for i, o := range optional {
			if set&(1<<i) != 0 {
				names = append(names, o.name)
			}
		}
		t.Run(strings.Join(names, " "), func(t *testing.T) {
			// Each two tags meet in each canonicalization.
			c := canonicalizations[(set^set>>2^set>>4)%len(canonicalizations)]
			expectAllPass(t, keys, judges, signTwice(t, keys, message, c, func(s *dkim.SignOptions) {
				for i, o := range optional {
					if set&(1<<i) != 0 {
						o.set(s)
					}
				}
			}))
		})
	}
}

// l= that covers nothing, a part, a fold's middle and all; and what is
// appended then passes where l= is accepted.
func TestPeersAcceptOurBodyLengths(t *testing.T) {
	keys := newKeyring(t)
	judges := verifiers(t, keys.zone)
	for _, c := range canonicalizations {
		for _, limit := range []int64{0, 1, 4, 5, 6, int64(len(hello))} {
			signed := signTwice(t, keys, headers+"\r\n"+hello, c, func(o *dkim.SignOptions) { o.BodyLimit = limit })
			signed = append(signed, "Appended.\r\n"...)
			for _, p := range judges {
				unable := ""
				if limit == 0 && p.Name() == "Mail::DKIM" {
					unable = "takes l=0 for no l="
				}
				expectPass(t, p, signed, unable, string(dkim.RSASHA256), string(dkim.Ed25519SHA256))
			}
			for _, r := range verify(t, keys.zone, signed) {
				if r.Status != dkim.Policy || r.BodyLength != limit {
					t.Errorf("%s, l=%d: we say %s of %d octets: %v", c, limit, r.Status, r.BodyLength, r.Err)
				}
			}
			if t.Failed() {
				t.Fatalf("%s, l=%d; signed:\n%s", c, limit, signed)
			}
		}
	}
}

// A copied field may hold "b" before an encoded octet; at the beginning of a
// line, some verifiers take that for the tag b=. Each row shifts the folds by one.
func TestPeersAcceptOurCopiesWhereverTheyFold(t *testing.T) {
	keys := newKeyring(t)
	judges := verifiers(t, keys.zone)
	for shift := range 8 {
		message := headers + "X-Copy: " + strings.Repeat("x", shift) + strings.Repeat("b b;", 60) + "\r\n\r\n" + hello
		for _, c := range []string{"simple/simple", "relaxed/relaxed"} {
			expectAllPass(t, keys, judges, signTwice(t, keys, message, c, func(o *dkim.SignOptions) { o.CopyFields = true }))
		}
	}
}

// Selections of header fields, over messages that have them many times and not
// at all.
func TestPeersAcceptOurSelections(t *testing.T) {
	keys := newKeyring(t)
	judges := verifiers(t, keys.zone)
	var many bytes.Buffer
	for i := range 80 { // OpenDKIM takes no h= above 4096 octets
		fmt.Fprintf(&many, "X-Many-%d: %d\r\nX-Same: %d\r\nx-same: again\r\n", i, i, i)
	}
	for _, row := range []struct {
		name                 string
		extra                string
		sign, omit, oversign []string
	}{
		{"From alone", "", nil, nil, nil},
		{"From oversigned", "", nil, nil, []string{"FROM"}},
		{"everything", "", []string{"*"}, nil, nil},
		{"absent fields oversigned", "", []string{"to"}, nil, []string{"Cc", "Reply-To", "List-Unsubscribe", "X-" + strings.Repeat("long-", 40)}},
		{"present fields oversigned", "", []string{"To"}, nil, []string{"from", "TO", "Subject", "dAtE"}},
		{"pattern", "X-One: 1\r\nX-Two: 2\r\nY: 3\r\n", []string{"x-*"}, []string{"x-t*"}, []string{"X-Two"}},
		{"more than 200 fields", many.String(), []string{"*"}, nil, []string{"X-Same"}},
		{"repeated fields", "Comments: 1\r\nCOMMENTS:  2\r\ncomments:3\r\n", []string{"Comments"}, nil, []string{"Comments"}},
		{"without a blank after the colon", "X-A:1\r\nX-B:\r\nX-C:\t\r\nX-D: \r\n", []string{"*"}, nil, []string{"X-B"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			selection, err := dkim.NewHeaderSelection(row.sign, row.omit, row.oversign)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range canonicalizations {
				expectAllPass(t, keys, judges, signTwice(t, keys, row.extra+headers+"\r\n"+hello, c, func(o *dkim.SignOptions) { o.Selection = selection }))
			}
		})
	}
}
