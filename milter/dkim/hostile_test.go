package dkim

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"
)

// TestVerifyCostIsLinear makes hostile messages twice as large and compares
// the processor time: linear work takes twice as much, quadratic four times.
func TestVerifyCostIsLinear(t *testing.T) {
	z := oneKey(edRecord())
	// whole reads and verifies a message as it comes from a file or pipe.
	whole := func(text string) func() {
		return func() {
			fields, body, err := ReadMessage(strings.NewReader(text), len(text))
			if err != nil {
				t.Fatal(err)
			}
			b := NewBody()
			v := NewVerifier(t.Context(), fields, b, z, VerifyOptions{Now: now})
			if _, err := io.Copy(b, body); err != nil {
				t.Fatal(err)
			}
			b.Close()
			v.Results()
		}
	}
	// signed signs header and body with template and verifies the outcome, which must pass.
	signed := func(template, header, body string) func() {
		fields := forge(t, edKey, template, fieldsOf(t, header), body)
		if r := verify(fields, body, z, VerifyOptions{}); r[0].Status != Pass {
			t.Fatalf("%s, %v", r[0].Status, r[0].Err)
		}
		return whole(messageText(fields, body))
	}
	const from = "From: a@example.com\r\n"
	simple := strings.Replace(edTemplate, "relaxed/relaxed", "simple/simple", 1)
	withNames := func(names string) string { return strings.Replace(edTemplate, "to:subject:date", names, 1) }
	works := []struct {
		name string
		size int
		do   func(n int) func() // a message of about n octets
	}{
		{"one field of folds, relaxed", 1 << 18, func(n int) func() {
			return signed(withNames("x"), from+"X: a"+strings.Repeat("\r\n ", n/3)+"\r\n", "")
		}},
		{"one field of folds, simple", 1 << 18, func(n int) func() {
			return signed(strings.Replace(simple, "to:subject:date", "x", 1), from+"X: a"+strings.Repeat("\r\n ", n/3)+"\r\n", "")
		}},
		{"fields of 60 KB of folds", 1 << 19, func(n int) func() {
			field := "X: a" + strings.Repeat("\r\n ", 20000) + "b\r\n"
			return signed(withNames(strings.Repeat("x:", 100)+"x"), from+strings.Repeat(field, n/len(field)), "")
		}},
		{"many names in h= and many fields", 60000, func(n int) func() {
			names := min(maxSignedNames, n/16) - 1
			return signed(withNames(strings.TrimSuffix(strings.Repeat("x:", names-1), ":")), from+strings.Repeat("X:\r\n", n/8), "")
		}},
		{"many different absent names", 50000, func(n int) func() {
			var names []string
			for i := range n / 50 {
				names = append(names, fmt.Sprintf("x%d", i))
			}
			return signed(withNames(strings.Join(names, ":")), from+strings.Repeat("Y:\r\n", n/5), "")
		}},
		{"body of CRLFs, simple", 1 << 20, func(n int) func() {
			return signed(simple, letterHeader, strings.Repeat("\r\n", n/2))
		}},
		{"body of LFs, relaxed", 1 << 19, func(n int) func() {
			body := strings.Repeat("\n", n)
			fields := forge(t, edKey, edTemplate, fieldsOf(t, letterHeader), strings.ReplaceAll(body, "\n", "\r\n"))
			return whole(messageText(fields, body))
		}},
		{"one long header line", 1 << 20, func(n int) func() {
			return signed(withNames("x"), from+"X: "+strings.Repeat("x", n)+"\r\n", "")
		}},
		{"one long header line without a colon", 1 << 20, func(n int) func() { return whole(strings.Repeat("x", n)) }},
		{"tiny header fields", 1 << 18, func(n int) func() {
			return signed(edTemplate, letterHeader+strings.Repeat("a:\r\n", n/4), "")
		}},
		{"signatures", 1 << 18, func(n int) func() {
			field := messageText(forgeLetter(t, edTemplate)[:1], "")
			return whole(strings.Repeat(strings.TrimSuffix(field, "\r\n"), n/len(field)) + letterHeader + "\r\n" + letterBody)
		}},
		{"tiny signatures", 1 << 18, func(n int) func() {
			return whole(strings.Repeat("DKIM-Signature: v=1\r\n", n/21) + letterHeader + "\r\n" + letterBody)
		}},
		{"one signature longer than any list", 1 << 18, func(n int) func() {
			return whole("DKIM-Signature: " + strings.Repeat("a=;", n/3) + "\r\n" + letterHeader + "\r\n")
		}},
		{"one signature of colons", 30000, func(n int) func() {
			return whole("DKIM-Signature: " + with("h", strings.Repeat(":", n)) + "\r\n" + letterHeader + "\r\n")
		}},
		{"i= of encoded octets", 30000, func(n int) func() {
			return whole("DKIM-Signature: " + with("i", strings.Repeat("=41", n/3)+"@example.com") + "\r\n" + letterHeader + "\r\n")
		}},
		{"d= of umlauts", 30000, func(n int) func() {
			return whole("DKIM-Signature: " + with("d", strings.Repeat("ü.", n/3)+"example") + "\r\n" + letterHeader + "\r\n")
		}},
		{"b= of blanks", 30000, func(n int) func() {
			return whole("DKIM-Signature: " + with("b", strings.Repeat("a ", n/2)) + "\r\n" + letterHeader + "\r\n")
		}},
	}
	for _, w := range works {
		t.Run(w.name, func(t *testing.T) {
			small, large := w.do(w.size), w.do(2*w.size)
			const floor = 25 * time.Millisecond // below it other tests and the collector are most of it
			var a, b time.Duration
			for range 4 { // on a busy machine, ask again
				a, b = max(cpuTime(t, small), floor), cpuTime(t, large)
				if b <= a*7/2 && b < 3*time.Second {
					return
				}
			}
			t.Errorf("%d octets cost %v, twice as many %v", w.size, a, b)
		})
	}
}

// Keys of any size are read at a linear cost and never computed with above the bound.
func TestHugeKeysAreNotUsed(t *testing.T) {
	fields := forge(t, rsaKey(), strings.Replace(edTemplate, "ed25519", "rsa", 1), fieldsOf(t, letterHeader), letterBody)
	for _, bits := range []int{16384, 65536, 262144, 380000} {
		record := pkcs1(modulus(bits), 1<<31-1)
		var r Result
		used := cpuTime(t, func() { r = verifyOne(t, fields, letterBody, oneKey(record), VerifyOptions{}) })
		if r.Status != Policy || !errors.Is(r.Err, ErrKeySize) || r.KeyBits != bits {
			t.Errorf("%d bits: %s, %v, %d bits", bits, r.Status, r.Err, r.KeyBits)
		}
		if used > 200*time.Millisecond {
			t.Errorf("%d bits cost %v", bits, used)
		}
	}
	// What is longer than a tag list is not even decoded.
	r := verifyOne(t, fields, letterBody, oneKey(pkcs1(modulus(400000), 65537)), VerifyOptions{})
	if r.Status != PermError || !errors.Is(r.Err, ErrKeySyntax) {
		t.Errorf("400000 bits: %s, %v", r.Status, r.Err)
	}
	// The dearest key that is computed with.
	used := cpuTime(t, func() { r = verifyOne(t, fields, letterBody, oneKey(pkcs1(modulus(8192), 1<<31-1)), VerifyOptions{}) })
	if r.Status != Fail || used > 500*time.Millisecond {
		t.Errorf("8192 bits: %s, %v, cost %v", r.Status, r.Err, used)
	}
}

// Numbers that are no RSA key are errors, never panics and never a pass.
func TestOddKeys(t *testing.T) {
	fields := forge(t, rsaKey(), strings.Replace(edTemplate, "ed25519", "rsa", 1), fieldsOf(t, letterHeader), letterBody)
	even := new(big.Int).Lsh(big.NewInt(1), 1023)
	for name, record := range map[string]string{
		"even modulus":       pkcs1(even, 65537),
		"exponent 1":         pkcs1(modulus(1024), 1),
		"exponent 2":         pkcs1(modulus(1024), 2),
		"even exponent":      pkcs1(modulus(2048), 65536),
		"exponent 0":         pkcs1(modulus(1024), 0),
		"modulus 1":          pkcs1(big.NewInt(1), 65537),
		"tiny modulus":       pkcs1(big.NewInt(15), 3),
		"another's modulus":  pkcs1(modulus(1024), 65537),
		"longer modulus":     pkcs1(modulus(2048), 65537),
		"empty sequence":     "p=" + base64.StdEncoding.EncodeToString([]byte{0x30, 0}),
		"length beyond data": "p=" + base64.StdEncoding.EncodeToString([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}),
	} {
		if r := verifyOne(t, fields, letterBody, oneKey(record), VerifyOptions{}); r.Status == Pass || r.Err == nil {
			t.Errorf("%s: %s, %v", name, r.Status, r.Err)
		}
	}
	for name, data := range map[string][]byte{"zero": make([]byte, 32), "ones": []byte(strings.Repeat("\xff", 32)), "identity": append([]byte{1}, make([]byte, 31)...)} {
		record := "k=ed25519; p=" + base64.StdEncoding.EncodeToString(data)
		if r := verifyOne(t, forgeLetter(t, edTemplate), letterBody, oneKey(record), VerifyOptions{}); r.Status != Fail {
			t.Errorf("Ed25519 %s: %s, %v", name, r.Status, r.Err)
		}
	}
}

// Signatures of a wrong length fail, whatever the key.
func TestSignatureLengths(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 127, 128, 129, 40000} {
		b := base64.StdEncoding.EncodeToString(make([]byte, n))
		for template, record := range map[string]string{
			edTemplate: edRecord(),
			strings.Replace(edTemplate, "ed25519", "rsa", 1): rsaRecord(&rsaKey().PublicKey),
		} {
			fields := forgeLetter(t, strings.Replace(template, "{b}", b, 1))
			if r := verifyOne(t, fields, letterBody, oneKey(record), VerifyOptions{}); !errors.Is(r.Err, ErrSignature) {
				t.Errorf("%d octets: %s, %v", n, r.Status, r.Err)
			}
		}
	}
}

// However many signatures there are, few are looked up.
func TestManySignatures(t *testing.T) {
	var fields []Field
	for i := range 5000 {
		fields = append(fields, Field{Name: "DKIM-Signature", Value: with("s", fmt.Sprintf("s%d", i))})
	}
	fields = append(fields, fieldsOf(t, letterHeader)...)
	z := oneKey()
	results := verify(fields, letterBody, z, VerifyOptions{MaxSignatures: 7})
	if len(results) != 5000 || z.asked.Load() != 7 {
		t.Fatalf("%d results, %d questions", len(results), z.asked.Load())
	}
	for i, r := range results {
		want := Fail
		if i >= 7 {
			want = Neutral
		}
		if r.Status != want || r.Field != i || r.Selector != fmt.Sprintf("s%d", i) {
			t.Fatalf("result %d: %+v", i, r)
		}
	}
}

// Header fields that are hardly any: nothing of this is a pass or a panic.
func TestOddMessages(t *testing.T) {
	for name, fields := range map[string][]Field{
		"none":             nil,
		"empty field":      {{}},
		"NUL in a name":    {{Name: "Fr\x00om", Value: "x"}, {Name: "DKIM-Signature", Value: with("h", "From")}},
		"8-bit name":       {{Name: "\xff\xfe", Value: "\xff"}, {Name: "dkim-signature", Value: sampleValue}},
		"empty signature":  {{Name: "DKIM-Signature"}},
		"blank signature":  {{Name: "DKIM-Signature", Value: "\r\n \t"}},
		"NUL in it":        {{Name: "DKIM-Signature", Value: sampleValue + "\x00"}},
		"signature alone":  {{Name: "DKIM-Signature", Value: sampleValue}},
		"blank in its end": {{Name: "DKIM-Signature ", Value: sampleValue}},
	} {
		for _, r := range verify(fields, "", oneKey(edRecord()), VerifyOptions{}) {
			if r.Status == Pass || r.Err == nil {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}
