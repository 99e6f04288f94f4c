package published

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
)

// Sizes of RSA keys in bits (RFC 8301 §3.2): verifiers refuse less than the
// first, signers should not use less than the second, and verifiers must be
// able to take the third but need not take more.
const (
	minRSABits    = 1024
	shouldRSABits = 2048
	maxRSABits    = 4096
)

// examine reads one key record and compares it with pub.
func (r *Report) examine(txt string, pub crypto.PublicKey) {
	if r.spoiled(txt) {
		return
	}
	tags := readTags(txt)
	r.version(tags)
	key, err := dkim.ParseKeyRecord(txt)
	if err != nil {
		r.unreadable(tags, err)
		return
	}
	r.Key = key
	if key.Revoked {
		r.add(Revoked, Problem, "The key is revoked: p= is empty.",
			"Publish the key again, or sign with another selector.")
		return
	}
	r.form(tags)
	r.compare(pub)
	r.restrictions()
}

// spoiled finds what happened to the text on its way into the DNS.
func (r *Report) spoiled(txt string) bool {
	found := len(r.Findings)
	if strings.Contains(txt, `"`) {
		r.add(Quotes, Problem, fmt.Sprintf("Quotation marks are part of the value: %s.", Excerpt(txt)),
			"Web forms want the value as one line without quotation marks; in a zone file they stand around each string, and nowhere else.")
	}
	if strings.Contains(txt, `\`) {
		r.add(Backslashes, Problem, fmt.Sprintf("Backslashes are part of the value: %s.", Excerpt(txt)),
			"Take them out: where the value is quoted, or entered in a web form, the semicolons need none.")
	}
	for name, value := range readTags(txt).all() {
		if name != "n" && strings.ContainsFunc(name+value, func(r rune) bool { return r >= 0x80 }) {
			r.add(NotASCII, Problem, fmt.Sprintf("There are characters outside ASCII in the record: %s.", Excerpt(name+"="+value)),
				"Enter the value anew from the plain text; typographic quotation marks and blanks come from copying out of a formatted page.")
			break
		}
	}
	return len(r.Findings) > found
}

// version looks at v= (RFC 6376 §3.6.1), and at what mistakes look like a
// version or a type.
func (r *Report) version(tags tagList) {
	v, ok := tags.get("v")
	switch {
	case !ok:
		r.add(NoVersion, Warning, "The record does not begin with v=DKIM1.",
			"Put \"v=DKIM1; \" in front: some verifiers want it, and it tells the record from others.")
	case tags[0].name != "v":
		r.add(Version, Problem, "v=DKIM1 is not the first tag of the record.",
			"Move \"v=DKIM1; \" to the front.")
	case v != "DKIM1" && !missingSemicolon(v):
		r.add(Version, Problem, fmt.Sprintf("The version of the record is v=%s; only v=DKIM1, in capital letters, is known.", Excerpt(v)),
			"Correct it to \"v=DKIM1\".")
	}
}

// unreadable says why the record could not be read.
func (r *Report) unreadable(tags tagList, err error) {
	for _, name := range []string{"v", "k", "h", "s", "t"} {
		if value, _ := tags.get(name); missingSemicolon(value) {
			r.add(NoSemicolon, Problem, fmt.Sprintf("A semicolon is missing after %s.", Excerpt(name+"="+strings.Fields(value)[0])),
				"Put a semicolon between each two tags.")
			return
		}
	}
	p, ok := tags.get("p")
	switch {
	case r.Has(Version):
	case errors.Is(err, dkim.ErrInappropriateKeyAlgorithm):
		k, _ := tags.get("k")
		r.add(UnknownType, Problem, fmt.Sprintf("The type of the key is k=%s; verifiers know rsa and ed25519.", Excerpt(k)), "Correct k=.")
	case !ok:
		r.add(NoKeyData, Problem, "The record has no p=, the tag that holds the key.", "Publish the whole record.")
	case !r.spoiledKey(tags, p):
		r.add(Syntax, Problem, fmt.Sprintf("The record cannot be read: %v.", err), "Publish the record as genkey prints it.")
	}
}

// missingSemicolon reports whether a value swallowed the tag after it.
func missingSemicolon(value string) bool {
	words := strings.Fields(value)
	return len(words) > 1 && strings.Contains(strings.Join(words[1:], " "), "=")
}

// compare compares the record's key with the private key's public half.
func (r *Report) compare(pub crypto.PublicKey) {
	if pub == nil {
		return
	}
	r.Same = equal(r.Key.Public, pub)
	algorithm, bits, err := dkim.AlgorithmOf(pub)
	switch {
	case r.Same:
	case err != nil:
		r.add(OtherType, Problem, fmt.Sprintf("The private key is of no use for DKIM: %v.", err), "Make a new key with genkey.")
	case typeOf(algorithm) != r.Key.Type:
		r.add(OtherType, Problem, fmt.Sprintf("The record publishes %s, and the private key is %s.", describe(r.Key.Type, r.Key.Bits), describe(typeOf(algorithm), bits)),
			"Publish the record of the private key, with its k=, or sign with the key that is published.")
	default:
		r.add(OtherKey, Problem, fmt.Sprintf("The record publishes another key (%s) than the private key's (%s).", describe(r.Key.Type, r.Key.Bits), describe(typeOf(algorithm), bits)),
			"Publish the record of the private key, or sign with the key that is published.")
	}
}

// restrictions looks at the key's size and at h=, s= and t=.
func (r *Report) restrictions() {
	k := r.Key
	if k.Type == dkim.KeyRSA {
		switch {
		case k.Bits < minRSABits:
			r.add(ShortKey, Problem, fmt.Sprintf("The key has %d bits; verifiers refuse less than %d (RFC 8301).", k.Bits, minRSABits), "Make a new key of 2048 bits under a new selector.")
		case k.Bits < shouldRSABits:
			r.add(ShortKey, Warning, fmt.Sprintf("The key has %d bits; %d are recommended (RFC 8301).", k.Bits, shouldRSABits), "Make a new key under a new selector.")
		case k.Bits > maxRSABits:
			r.add(LongKey, Warning, fmt.Sprintf("The key has %d bits; not every verifier takes more than %d.", k.Bits, maxRSABits), "A key of 2048 bits is accepted everywhere.")
		}
	}
	if k.Hashes != nil && !slices.Contains(k.Hashes, "sha256") {
		r.add(NoSHA256, Problem, fmt.Sprintf("h=%s does not allow sha256.", Excerpt(strings.Join(k.Hashes, ":"))), "Take h= out of the record, or make it h=sha256.")
	}
	if k.Services != nil && !slices.Contains(k.Services, "email") && !slices.Contains(k.Services, "*") {
		r.add(NotForEmail, Problem, fmt.Sprintf("s=%s does not allow the key for email.", Excerpt(strings.Join(k.Services, ":"))), "Take s= out of the record, or make it s=email.")
	}
	if k.Testing {
		r.add(Testing, Warning, "t=y says that the domain only tests DKIM.", "Take y out of t= once signing works.")
	}
	if k.Strict {
		r.add(Strict, Note, "t=s: the key is for the domain alone, not for its subdomains.", "Take s out of t= if subdomains use this key.")
	}
}

func typeOf(a dkim.Algorithm) dkim.KeyType {
	if a == dkim.Ed25519SHA256 {
		return dkim.KeyEd25519
	}
	return dkim.KeyRSA
}

func describe(t dkim.KeyType, bits int) string {
	if t == dkim.KeyRSA {
		return fmt.Sprintf("RSA, %d bits", bits)
	}
	return "Ed25519"
}
