package diagnosis

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/dkim"
)

// Whatever a mail is like, no more is hashed in search of changes than the budget has,
// but for the pieces that the last ones were.
func TestBudget(t *testing.T) {
	key, ed := newSigner(t, false), newSigner(t, true)
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, row := range []struct {
		name   string
		signer signer
		s      signing
		header string // further fields
		body   string
	}{
		{"empty lines", key, signing{}, "", strings.Repeat("\n", 1<<20) + "x\n"},
		{"one line", key, signing{}, "", strings.Repeat("x", 4<<20) + "\n"},
		{"short lines", key, signing{body: dkim.Relaxed}, "", strings.Repeat("x \n", 1<<20)},
		{"boundaries", key, signing{body: dkim.Relaxed}, "", many(1<<17, "--%d\n")},
		{"blanks", key, signing{body: dkim.Relaxed}, "", strings.Repeat(" \t", 1<<21)},
		{"parts", key, signing{}, "", strings.Repeat("--x\nContent-Transfer-Encoding: quoted-printable\n\n=\n", 1<<14)},
		{"many fields", key, signing{header: dkim.Relaxed}, many(20_000, "Subject: [%d] x\n"), "x\n"},
		{"many fields, Ed25519", ed, signing{header: dkim.Relaxed}, many(20_000, "Subject: [%d] x\n"), "x\n"},
		{"large fields", ed, signing{header: dkim.Relaxed}, "Subject: " + strings.Repeat("[x] ", 100_000) + "\n", "x\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			signed := string(row.signer.sign(t, sent, row.s))
			head, _, _ := strings.Cut(signed, "\n\n")
			message := mail(strings.Replace(head, "Subject: dinner", "Subject: lunch", 1) + "\n" + row.header + "\n" + row.body)
			fields, body, err := dkim.ReadMessage(strings.NewReader(string(message)), 8<<20)
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			if _, err := text.ReadFrom(body); err != nil {
				t.Fatal(err)
			}
			budget := &Budget{64 << 20} // a quarter of what there is, for the race detector
			before := budget.octets
			d, err := Examine(Case{Fields: fields, Field: 0, Body: text.Bytes(), Keys: []*dkim.KeyRecord{row.signer.record}, Budget: budget})
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Body.Proofs)+len(d.Header.Proofs) > 0 {
				t.Errorf("proven: %+v %+v", d.Body.Proofs, d.Header.Proofs)
			}
			if over := -budget.octets; over > int64(text.Len()+4<<20) {
				t.Errorf("%d octets over the budget", over)
			}
			t.Logf("%d octets of %d spent", before-budget.octets, before)
		})
	}
}

// Signatures of one message share what there is.
func TestBudgetIsShared(t *testing.T) {
	key := newSigner(t, false)
	m := mail(replace("hungry", "thirsty")(string(key.sign(t, sent, signing{})))).parse(t)
	spent := &Budget{0}
	d, err := Examine(Case{Fields: m.Fields, Body: m.Body, Keys: []*dkim.KeyRecord{key.record}, Budget: spent})
	if err != nil || !d.Exhausted || d.Body.Proofs != nil || d.Body.Intact {
		t.Errorf("%+v, %v", d, err)
	}
}

// FuzzExamine: a proof is one. Undone, the body of a proof has the hash that was
// signed, and no input takes the examination beyond its budget.
func FuzzExamine(f *testing.F) {
	key := newSigner(f, false)
	signed := string(key.sign(f, sent, signing{header: dkim.Relaxed, body: dkim.Relaxed, copies: true}))
	f.Add(signed, "")
	f.Add(strings.Replace(signed, "hungry", "thirsty", 1), string(sent))
	f.Add(strings.Replace(signed, "Subject: dinner", "Subject: [x] dinner", 1)+"\n--\nfooter", "")
	f.Fuzz(func(t *testing.T, text, original string) {
		fields, body, err := dkim.ReadMessage(strings.NewReader(text), 1<<16)
		if err != nil || len(fields) == 0 {
			return
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(body); err != nil || b.Len() > 1<<16 {
			return
		}
		c := Case{Fields: fields, Body: b.Bytes(), Keys: []*dkim.KeyRecord{key.record}, Budget: &Budget{8 << 20}}
		if original != "" {
			o := mail(original).parse(t)
			c.Original = &o
		}
		for i := range fields {
			c.Field = i
			d, err := Examine(c)
			if err != nil {
				continue
			}
			if d.Body.Intact && d.Body.Proofs != nil || d.Header.Intact && d.Header.Proofs != nil {
				t.Fatalf("proofs of a change where there is none: %+v", d)
			}
			if d.Header.Intact && d.Header.Key != RightKey {
				t.Fatalf("the header verifies, and the key is %s", d.Header.Key)
			}
			lines := strings.Count(b.String(), "\n") + 1
			for _, p := range d.Body.Proofs {
				if p.First < 0 || p.Last < p.First-1 || p.Last > lines+1 {
					t.Fatalf("a proof about lines %d to %d of %d", p.First, p.Last, lines)
				}
			}
			if len(d.Header.Hashed) == 0 || !bytes.Equal(d.Body.Found, sum(d.Body.Octets)) {
				t.Fatal("what was hashed is not there")
			}
		}
	})
}
