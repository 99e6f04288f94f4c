package milter

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
)

// hostileKey signs what a stranger signs: his own domain, his own key, and so
// whatever he likes.
var hostileKey = func() (k struct {
	private        ed25519.PrivateKey
	inline, record string
}) {
	k.private = ed25519.NewKeyFromSeed([]byte("postseal tests: a stranger's key"))
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		panic(err)
	}
	k.inline, k.record = base64.StdEncoding.EncodeToString(der), keys.RecordText(k.private.Public())
	return k
}()

// hostileFrom is the author of mail that has nothing wrong with its author.
var hostileFrom = dkim.Field{Name: "From", Value: " a@example.com"}

// fieldList is a header that is held.
func fieldList(fields ...dkim.Field) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, f := range fields {
			if !yield(f.Name, f.Value) {
				return
			}
		}
	}
}

// fieldsOf is hostileFrom and n times f, none of which is held.
func fieldsOf(n int, f dkim.Field) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if !yield(hostileFrom.Name, hostileFrom.Value) {
			return
		}
		for range n {
			if !yield(f.Name, f.Value) {
				return
			}
		}
	}
}

// seal is a signature by hostileKey that is right, whatever its tags are.
type seal struct {
	canon string // c=; relaxed/relaxed if empty
	tags  string // further ones, each with its ";"
	names string // h=; "from" if empty
	limit int64  // octets of the body; 0: all
}

// field signs fields and the mail's body.
func (s seal) field(t testing.TB, fields iter.Seq2[string, string], mail hostileMail) dkim.Field {
	t.Helper()
	return sealAll(t, []seal{s}, fields, mail)[0]
}

// sealAll signs fields and the mail's body, which is read once for all.
func sealAll(t testing.TB, seals []seal, fields iter.Seq2[string, string], mail hostileMail) (list []dkim.Field) {
	t.Helper()
	b := dkim.NewBody()
	headers := make([]dkim.Canonicalization, len(seals))
	sums := make([]*dkim.BodyHash, len(seals))
	for i, s := range seals {
		header, body, err := dkim.ParseCanonicalization(cmp.Or(s.canon, "relaxed/relaxed"))
		if err != nil {
			t.Fatal(err)
		}
		headers[i], sums[i] = header, b.Hash(body, cmp.Or(s.limit, -1))
	}
	mail.writeBody(b)
	b.Close()
	for i, s := range seals {
		list = append(list, s.over(fields, headers[i], sums[i].Sum()))
	}
	return list
}

// over signs fields and the hash of a body.
func (s seal) over(fields iter.Seq2[string, string], header dkim.Canonicalization, sum []byte) dkim.Field {
	if s.limit > 0 {
		s.tags += fmt.Sprintf(" l=%d;", s.limit)
	}
	names := cmp.Or(s.names, "from")
	byName := map[string][]dkim.Field{}
	for name, value := range fields {
		lower := strings.ToLower(strings.TrimRight(name, " \t"))
		byName[lower] = append(byName[lower], dkim.Field{Name: name, Value: value})
	}
	own := dkim.Field{Name: "DKIM-Signature", Value: fmt.Sprintf(" v=1; a=ed25519-sha256; c=%s; d=example.com; s=s1;%s h=%s; bh=%s; b=",
		cmp.Or(s.canon, "relaxed/relaxed"), s.tags, names, base64.StdEncoding.EncodeToString(sum))}
	digest := sha256.New()
	for name := range strings.SplitSeq(strings.ToLower(names), ":") {
		if list := byName[name]; len(list) > 0 {
			digest.Write(header.AppendHeader(nil, list[len(list)-1]))
			byName[name] = list[:len(list)-1]
		}
	}
	digest.Write(bytes.TrimSuffix(header.AppendHeader(nil, own), []byte("\r\n")))
	own.Value += base64.StdEncoding.EncodeToString(ed25519.Sign(hostileKey.private, digest.Sum(nil)))
	return own
}

// on puts the signature on top of the mail.
func (s seal) on(t testing.TB, mail hostileMail) hostileMail {
	t.Helper()
	return mail.below(s.field(t, mail.fields, mail))
}

// badSignature is a signature that is wrong, with tags in place of its own or
// beside them.
func badSignature(tags ...string) dkim.Field {
	list := []string{"v=1", "a=ed25519-sha256", "c=relaxed/relaxed", "d=example.com", "s=s1", "h=from",
		"bh=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "b=" + base64.StdEncoding.EncodeToString(make([]byte, 64))}
	for _, tag := range tags {
		name, _, _ := strings.Cut(tag, "=")
		if i := slices.IndexFunc(list, func(old string) bool { return strings.HasPrefix(old, name+"=") }); i >= 0 {
			list[i] = tag
		} else {
			list = append(list, tag)
		}
	}
	return dkim.Field{Name: "DKIM-Signature", Value: " " + strings.Join(list, "; ")}
}

// short is a message of these fields and one line.
func short(fields ...dkim.Field) hostileMail {
	return hostileMail{fields: fieldList(fields...), begin: "Hello.\r\n"}
}

// hugeRSA is the record of an RSA key of so many bits, with the largest exponent
// that libraries take. It is nobody's.
func hugeRSA(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	n.Sub(n, big.NewInt(189))
	var b []byte
	integer := func(i *big.Int) {
		p := i.Bytes()
		if p[0] >= 0x80 {
			p = append([]byte{0}, p...)
		}
		b = append(derLength(append(b, 2), len(p)), p...)
	}
	integer(n)
	integer(big.NewInt(1<<31 - 1))
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(append(derLength([]byte{0x30}, len(b)), b...))
}

func derLength(dst []byte, n int) []byte {
	if n < 0x80 {
		return append(dst, byte(n))
	}
	var octets []byte
	for ; n > 0; n >>= 8 {
		octets = append([]byte{byte(n)}, octets...)
	}
	return append(append(dst, 0x80|byte(len(octets))), octets...)
}
