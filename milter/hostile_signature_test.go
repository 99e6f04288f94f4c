package milter

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/dkim"
)

// hostileSignatures are rows on what stands in DKIM-Signature fields.
func hostileSignatures() []hostileRow {
	one := func(name string, want string, f func(n int) dkim.Field) hostileRow {
		return hostileRow{name: name, size: 60 << 10, code: 'a', want: want, mail: func(_ testing.TB, n int) hostileMail {
			return short(f(n), hostileFrom)
		}}
	}
	right := func(name, want string, s func(n int) seal) hostileRow {
		return hostileRow{name: name, size: 60 << 10, code: 'a', want: want, mail: func(t testing.TB, n int) hostileMail {
			return s(n).on(t, short(hostileFrom))
		}}
	}
	repeat := func(unit string, n int) string { return strings.Repeat(unit, n/len(unit)) }
	var tags strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&tags, "; x%d=", i)
	}
	labels := strings.Repeat("a.", 110) + "example"
	rows := []hostileRow{
		one("a signature of 64 KB", "dkim=permerror", func(n int) dkim.Field { return badSignature("b=" + repeat("AAAA", n+4000)) }),
		one("a signature of 60 KB in b=", `dkim=fail reason="body hash did not verify"`, func(n int) dkim.Field { return badSignature("b=" + repeat("AAAA", n)) }),
		one("b= of blanks", `dkim=fail reason="body hash did not verify"`, func(n int) dkim.Field { return badSignature("b=" + repeat("a ", n)) }),
		one("a signature of NULs", `dkim=permerror reason="signature syntax error: control character`, func(n int) dkim.Field { return badSignature("z=" + repeat("\x00", n)) }),
		one("a bare CR in a signature", `dkim=permerror reason="signature syntax error: control character`, func(int) dkim.Field { return badSignature("z=a\rb") }),
		one("thousands of unknown tags", `dkim=permerror reason="signature syntax error: more than 100 tags`, func(n int) dkim.Field {
			return dkim.Field{Name: "DKIM-Signature", Value: badSignature().Value + tags.String()[:n]}
		}),
		one("the same tag again and again", `comes twice`, func(n int) dkim.Field { return badSignature("q=dns/txt" + repeat(";q=dns/txt", n)) }),
		one("tags without a name", `dkim=permerror`, func(n int) dkim.Field { return badSignature("z=" + repeat(";=", n)) }),
		one("q= of colons", `dkim=permerror reason="unsupported query method`, func(n int) dkim.Field { return badSignature("q=" + repeat(":", n)) }),
		one("h= of colons", `dkim=permerror`, func(n int) dkim.Field { return badSignature("h=" + repeat(":", n)) }),
		one("h= of one long name", `dkim=permerror reason="From field not signed`, func(n int) dkim.Field { return badSignature("h=" + repeat("x", n)) }),
		one("i= of another domain in encoded octets", `dkim=permerror reason="domain mismatch`, func(n int) dkim.Field { return badSignature("i=" + repeat("=41", n) + "@evil.example") }),
		one("i= of at signs", `dkim=permerror`, func(n int) dkim.Field { return badSignature("i=" + repeat("@", n)) }),
		one("i= of equals signs", `dkim=permerror`, func(n int) dkim.Field { return badSignature("i=" + repeat("=", n) + "@example.com") }),
		one("d= of 30,000 labels", `dkim=permerror reason="signature syntax error: d=`, func(n int) dkim.Field { return badSignature("d=" + repeat("a.", n) + "example") }),
		one("d= of umlauts", `dkim=permerror reason="signature syntax error: d=`, func(n int) dkim.Field { return badSignature("d=" + repeat("\u00fc.", n) + "example") }),
		one("d= and s= too long together", `dkim=permerror reason="signature syntax error: the name of the key`, func(int) dkim.Field { return badSignature("d="+labels, "s=a.b.c.d.e.f.g.h.i.j") }),
		one("d= of 111 labels", `dkim=fail reason="no key for signature`, func(int) dkim.Field { return badSignature("d="+labels, "s=a") }),
		one("s= that leaves the name", `dkim=permerror reason="signature syntax error: s=`, func(int) dkim.Field { return badSignature("s=../../x") }),
		one("l= of 10^75", `dkim=permerror reason="body length exceeds`, func(int) dkim.Field { return badSignature("l=1" + strings.Repeat("0", 75)) }),
		one("l= of 10^76", `dkim=permerror reason="signature syntax error: l=`, func(int) dkim.Field { return badSignature("l=1" + strings.Repeat("0", 76)) }),
		one("l= of 60,000 digits", `dkim=permerror reason="signature syntax error: l=`, func(n int) dkim.Field { return badSignature("l=" + repeat("9", n)) }),
		one("l= below zero", `dkim=permerror reason="signature syntax error: l=`, func(int) dkim.Field { return badSignature("l=-1") }),
		one("t= of 2^64", `dkim=permerror reason="signature syntax error: t=`, func(int) dkim.Field { return badSignature("t=18446744073709551616") }),
		one("x= before t=", `dkim=permerror reason="signature syntax error: x= is not after t=`, func(int) dkim.Field { return badSignature("t=999999999999", "x=0") }),
		one("x= of 60,000 digits", `dkim=permerror reason="signature syntax error: x=`, func(n int) dkim.Field { return badSignature("x=" + repeat("9", n)) }),
		one("t= far ahead", `dkim=permerror reason="signature timestamp in the future`, func(int) dkim.Field { return badSignature("t=999999999999") }),
		one("v=2", `dkim=permerror reason="incompatible version`, func(int) dkim.Field { return badSignature("v=2") }),
		right("x= of the year 33658", "dkim=pass", func(int) seal { return seal{tags: " x=999999999999;"} }),
		right("z= of 60 KB in encoded octets", "dkim=pass", func(n int) seal { return seal{tags: " z=X:" + repeat("=3D", n) + ";"} }),
		right("z= of 60 KB of dividers", "dkim=pass", func(n int) seal { return seal{tags: " z=" + repeat("|b=", n) + ";"} }),
		right("i= of 60 KB in encoded octets", "dkim=pass", func(n int) seal { return seal{tags: " i=" + repeat("=41", n) + "@example.com;"} }),
		right("a tag of 60 KB that nobody knows", "dkim=pass", func(n int) seal { return seal{tags: " xyz=" + repeat("y", n) + ";"} }),
		right("a tag of 60 KB of folds", "dkim=pass", func(n int) seal { return seal{tags: " xyz=" + repeat("\r\n ", n) + ";"} }),
		right("h= with its own field", "dkim=pass", func(int) seal { return seal{names: "from:dkim-signature"} }),
	}
	return append(rows, hostileMultiples()...)
}

// hostileMultiples are rows on what multiplies: signatures, names in h=, fields,
// canonicalizations, lengths of the body.
func hostileMultiples() []hostileRow {
	many := func(f dkim.Field) func(testing.TB, int) hostileMail {
		return func(_ testing.TB, n int) hostileMail {
			return hostileMail{begin: "Hello.\r\n", fields: func(yield func(string, string) bool) {
				for range n {
					if !yield(f.Name, f.Value) {
						return
					}
				}
				yield(hostileFrom.Name, hostileFrom.Value)
			}}
		}
	}
	// sealedAll puts signatures on top of one another, each of which covers the
	// same fields, in turn in all canonicalizations and of other lengths of the body.
	sealedAll := func(t testing.TB, count, names int, mail hostileMail, lengths bool) hostileMail {
		canons := []string{"relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed"}
		seals := make([]seal, count)
		for i := range seals {
			seals[i] = seal{canon: canons[i%len(canons)], names: "from" + strings.Repeat(":x", names), tags: fmt.Sprintf(" q%d=;", i)}
			if lengths {
				seals[i].limit = int64(mail.size/count*i + 1)
			}
		}
		for _, f := range sealAll(t, seals, mail.fields, mail) {
			mail = mail.below(f)
		}
		return mail
	}
	const everySignature = wideSettings + "maximum_signatures_to_verify = 1000\nbody_length = \"accept\"\n"
	return []hostileRow{
		{name: "4,990 signatures that are none", size: 4990, code: 'a', want: "dkim=permerror", mail: many(dkim.Field{Name: "DKIM-Signature", Value: " v=1; d=a.b; b=x"})},
		{name: "5,000 signatures", size: 5000, code: 'y', text: tooMuch, want: "exceeds maximum_header", mail: many(badSignature())},
		{name: "5,000 signatures, without limits", settings: wideSettings, size: 5000, code: 'a', want: "too many signatures: only 10 are verified", mail: many(badSignature())},
		{name: "1,000 signatures of 50 KB, without limits", settings: wideSettings, size: 1000 * (50 << 10), code: 'a', want: "too many signatures: only 10 are verified",
			mail: func(t testing.TB, n int) hostileMail {
				return many(badSignature("z="+strings.Repeat("=41", 16<<10)))(t, n/(50<<10))
			}},
		{name: "3,000 signatures of 100 tags, without limits", settings: wideSettings, size: 3000 * 500, code: 'a', want: "too many signatures",
			mail: func(t testing.TB, n int) hostileMail {
				return many(dkim.Field{Name: "DKIM-Signature", Value: manyTags()})(t, n/500)
			}},
		{name: "10 signatures, each of 4,000 fields", size: 4000, code: 'a', want: "dkim=pass", mail: func(t testing.TB, n int) hostileMail {
			return sealedAll(t, 10, n, hostileMail{fields: fieldsOf(n, dkim.Field{Name: "x", Value: strings.Repeat(" y", 10)}), begin: "Hello.\r\n"}, false)
		}},
		{name: "100 signatures of other lengths of a body of 10 MB", settings: everySignature, size: 10 << 20, code: 'a', want: "dkim=pass", mail: func(t testing.TB, n int) hostileMail {
			return sealedAll(t, 100, 1, hostileMail{fields: fieldList(hostileFrom), unit: "Hello,  world \r\n", size: n}, true)
		}},
	}
}

func manyTags() string {
	var b strings.Builder
	for i := range 99 {
		fmt.Fprintf(&b, "a%d=;", i)
	}
	return b.String() + "d=example.com"
}

// hostileKeys are rows on what stands in DNS at the name of a key.
func hostileKeys() []hostileRow {
	good := hostileKey.record
	_, data, _ := strings.Cut(good, "p=")
	row := func(name, want string, txt ...string) hostileRow {
		return hostileRow{name: "TXT: " + name, code: 'a', want: want, txt: map[string][]string{"s1._domainkey.example.com": txt},
			mail: func(t testing.TB, _ int) hostileMail { return seal{}.on(t, short(hostileFrom)) }}
	}
	rsa := func(name, want string, records ...string) hostileRow {
		return hostileRow{name: "TXT: " + name, code: 'a', want: want, txt: map[string][]string{"s1._domainkey.example.com": records},
			mail: func(_ testing.TB, _ int) hostileMail {
				return hostileMail{begin: "", fields: func(yield func(string, string) bool) {
					for range 10 {
						f := badSignature("a=rsa-sha256", "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "b="+base64.StdEncoding.EncodeToString(make([]byte, 1024)))
						if !yield(f.Name, f.Value) {
							return
						}
					}
					yield(hostileFrom.Name, hostileFrom.Value)
				}}
			}}
	}
	blanks := strings.Join(strings.Split(data, ""), " \t")
	strange := strings.Repeat("\x00\xff;=", 16<<10)
	return []hostileRow{
		rsa("a key of 16,384 bits", `dkim=policy reason="inappropriate key size: the key has 16384 bits`, hugeRSA(16384)),
		rsa("a key of 65,536 bits", `dkim=policy reason="inappropriate key size: the key has 65536 bits`, hugeRSA(65536)),
		rsa("a key of 262,144 bits", `dkim=policy reason="inappropriate key size: the key has 262144 bits`, hugeRSA(262144)),
		rsa("a key of 390,000 bits", `dkim=policy reason="inappropriate key size: the key has 390000 bits`, hugeRSA(390000)),
		rsa("a key of 400,000 bits", `dkim=permerror reason="key syntax error`, hugeRSA(400000)),
		rsa("keys of 8,192 bits, as many as are tried", `dkim=fail reason="signature did not verify`, hugeRSA(8192), hugeRSA(8192), hugeRSA(8192), hugeRSA(8192), hugeRSA(8192)),
		rsa("a key of 8 bits", `dkim=`, hugeRSA(8)),
		row("64 KB of notes before the key", "dkim=pass", "v=DKIM1; n="+strings.Repeat("x", 65000)+"; "+strings.TrimPrefix(good, "v=DKIM1; ")),
		row("more than 64 KB of notes", `dkim=permerror reason="key syntax error`, strings.Replace(good, "p=", "n="+strings.Repeat("x", 66000)+"; p=", 1)),
		row("64 KB that are no record", `dkim=permerror reason="key syntax error`, strange),
		row("thousands of tags", `dkim=permerror reason="key syntax error: more than 100 tags`, manyTags()+"; a=1; c=1;"+good),
		row("p= twice", `dkim=permerror reason="key syntax error: tag p= comes twice`, good+"; p="+data),
		row("p= of garbage", `dkim=permerror reason="key syntax error: p=`, "v=DKIM1; k=ed25519; p=!!!!"),
		row("p= of an octet too few", `dkim=permerror reason="key syntax error`, "v=DKIM1; k=ed25519; p="+base64.StdEncoding.EncodeToString(make([]byte, 31))),
		row("k= of another type", `dkim=permerror reason="key syntax error`, "v=DKIM1; k=rsa; p="+data),
		row("k= that nobody knows", `dkim=fail reason="inappropriate key algorithm`, "v=DKIM1; k=md5; p="+data),
		row("an RSA key for an Ed25519 signature", `dkim=fail reason="inappropriate key algorithm`, hugeRSA(2048)),
		row("v= in the middle", `dkim=permerror reason="key syntax error: v= is not the first tag`, "k=ed25519; v=DKIM1; p="+data),
		row("v= of another version", `dkim=fail reason="unknown key version`, "v=DKIM2; k=ed25519; p="+data),
		row("p= empty", `dkim=fail reason="key revoked`, "v=DKIM1; k=ed25519; p="),
		row("s= of another service", `dkim=fail reason="inappropriate service type`, "v=DKIM1; s=tlsrpt; k=ed25519; p="+data),
		row("h= without SHA-256", `dkim=fail reason="inappropriate hash algorithm`, "v=DKIM1; h=sha1; k=ed25519; p="+data),
		row("p= with blanks in it", "dkim=pass", "v=DKIM1;k=ed25519;p="+blanks),
		row("nothing", `dkim=fail reason="no key for signature`),
		row("an empty text", `dkim=permerror reason="key syntax error`, ""),
		row("another record before the key", "dkim=pass", "v=spf1 -all", good),
		row("a key behind four others", `dkim=fail`, hugeRSA(2048), hugeRSA(2048), hugeRSA(2048), hugeRSA(2048), good),
		row("3,000 other records and the key", "dkim=pass", append(strings.Split(strings.Repeat("v=spf1 -all\n", 3000), "\n"), good)...),
	}
}
