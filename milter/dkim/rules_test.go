package dkim

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestMustCover(t *testing.T) {
	plain := edTemplate
	twice := strings.Replace(edTemplate, "subject", "subject:subject", 1)
	for _, tt := range []struct {
		name     string
		template string
		above    string // put above the letter's header once it is signed
		must     []string
		status   Status
	}{
		{"covered", plain, "", []string{"From", "SUBJECT"}, Pass},
		{"absent", plain, "", []string{"Cc"}, Pass},
		{"present and not covered", plain, "Cc: c@example.com\r\n", []string{"From", "Cc"}, Fail},
		{"a second one above the covered one", plain, "Subject: buy\r\n", []string{"Subject"}, Fail},
		{"a second one that h= knows of breaks the signature", twice, "Subject: buy\r\n", []string{"Subject"}, Fail},
		{"the signature itself", plain, "", []string{"DKIM-Signature"}, Pass},
		{"another signature", plain, "DKIM-Signature: foo\r\n", []string{"DKIM-Signature"}, Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fields := append(fieldsOf(t, tt.above), forgeLetter(t, tt.template)...)
			results := verify(fields, letterBody, oneKey(edRecord()), VerifyOptions{MustCover: tt.must})
			r := results[len(results)-1]
			if r.Status != tt.status || tt.status == Fail && tt.template == plain && !errors.Is(r.Err, ErrUnprotectedField) {
				t.Errorf("%s, %v; want %s", r.Status, r.Err, tt.status)
			}
		})
	}
	// A signature that is bad for another reason keeps that reason.
	fields := append(fieldsOf(t, "Cc: c@example.com\r\n"), forgeLetter(t, plain)...)
	if r := verifyOne(t, fields, letterBody, oneKey(), VerifyOptions{MustCover: []string{"Cc"}}); !errors.Is(r.Err, ErrNoKey) {
		t.Errorf("without a key: %v", r.Err)
	}
}

// The letter's body has 20 canonical octets.
func TestBodyMinimum(t *testing.T) {
	const pass, policy = Pass, Policy
	for _, tt := range []struct {
		l      int
		min    BodyMinimum
		accept Status
	}{
		{5, BodyMinimum{}, pass},
		{5, BodyMinimum{MinimumOctets, 5}, pass},
		{5, BodyMinimum{MinimumOctets, 6}, policy},
		{20, BodyMinimum{MinimumOctets, 1000}, pass}, // the whole of a shorter body
		{19, BodyMinimum{MinimumOctets, 1000}, policy},
		{5, BodyMinimum{MinimumPercent, 25}, pass},
		{5, BodyMinimum{MinimumPercent, 26}, policy},
		{19, BodyMinimum{MinimumPercent, 100}, policy},
		{20, BodyMinimum{MinimumPercent, 100}, pass},
		{5, BodyMinimum{MinimumSlack, 15}, pass},
		{5, BodyMinimum{MinimumSlack, 14}, policy},
		{19, BodyMinimum{MinimumSlack, 0}, policy},
		{20, BodyMinimum{MinimumSlack, 0}, pass},
	} {
		t.Run(fmt.Sprintf("l=%d, %+v", tt.l, tt.min), func(t *testing.T) {
			fields := forgeLetter(t, fmt.Sprintf(" l=%d;%s", tt.l, edTemplate))
			r := verifyOne(t, fields, letterBody, oneKey(edRecord()), VerifyOptions{BodyLength: BodyLengthAccept, Minimum: tt.min})
			if r.Status != tt.accept || (r.Err != nil) != errors.Is(r.Err, ErrUnsignedContent) {
				t.Errorf("%s, %v; want %s", r.Status, r.Err, tt.accept)
			}
			r = verifyOne(t, fields, letterBody, oneKey(edRecord()), VerifyOptions{Minimum: tt.min})
			if want := tt.l == 20; (r.Status == Pass) != want {
				t.Errorf("whole: %s, want pass: %v", r.Status, want)
			}
		})
	}
}

// Preferred signatures come first, then the others, both from the top.
func TestPrefer(t *testing.T) {
	sign := func(d string) Field {
		return forgeLetter(t, strings.Replace(edTemplate, "d=example.com", "d="+d, 1))[0]
	}
	letter := fieldsOf(t, letterHeader)
	for _, tt := range []struct {
		name    string
		domains string // of the signatures, from the top
		limit   int
		only    bool
		want    string // p: verified, n: too many, u: untrusted
	}{
		{"within the limit", "a.example b.example good.example", 3, false, "ppp"},
		{"preferred first", "a.example b.example good.example", 2, false, "pnp"},
		{"preferred alone", "a.example b.example good.example", 1, false, "nnp"},
		{"more preferred than the limit", "good.example a.example Good.Example good.example", 2, false, "pnpn"},
		{"only the preferred", "a.example good.example b.example", 3, true, "upu"},
		{"only the preferred, too many", "good.example a.example good.example", 1, true, "pun"},
		{"none that is preferred", "a.example b.example", 3, true, "uu"},
		{"no domain", "good..example good.example", 3, true, "up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var fields []Field
			for _, d := range strings.Fields(tt.domains) {
				fields = append(fields, sign(d))
			}
			z := &zone{}
			got := ""
			for _, r := range verify(append(fields, letter...), letterBody, z, VerifyOptions{
				MaxSignatures: tt.limit, PreferredOnly: tt.only, Prefer: func(domain string) bool { return domain == "good.example" },
			}) {
				switch {
				case errors.Is(r.Err, ErrTooManySignatures) && r.Status == Neutral:
					got += "n"
				case errors.Is(r.Err, ErrUntrusted) && r.Status == Neutral:
					got += "u"
				case errors.Is(r.Err, ErrNoKey):
					got += "p"
				default:
					t.Errorf("%s, %v", r.Status, r.Err)
				}
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if n := int(z.asked.Load()); n > tt.limit {
				t.Errorf("%d questions", n)
			}
		})
	}
}

// Thousands of signatures cost no look-ups and linear time.
func TestManyUntrustedSignatures(t *testing.T) {
	z := oneKey(edRecord())
	work := func(n int) func() {
		one := forgeLetter(t, edTemplate)[0]
		var fields []Field
		for i := range n {
			f := one
			f.Value = strings.Replace(f.Value, "d=example.com", fmt.Sprintf("d=d%d.example", i), 1)
			fields = append(fields, f)
		}
		fields = append(fields, fieldsOf(t, letterHeader)...)
		return func() {
			results := verify(fields, letterBody, z, VerifyOptions{
				MaxSignatures: 10, PreferredOnly: true, MustCover: []string{"From", "Subject"},
				Prefer: func(d string) bool { return strings.HasSuffix(d, "7.example") },
			})
			if len(results) != n {
				t.Fatalf("%d results", len(results))
			}
		}
	}
	work(5000)()
	if n := z.asked.Load(); n != 10 {
		t.Errorf("%d questions, want 10", n)
	}
	small, large := work(2000), work(8000)
	var ratio float64
	for range 4 { // on a busy machine, ask again
		if ratio = float64(cpuTime(t, large)) / float64(cpuTime(t, small)); ratio < 9 {
			return
		}
	}
	t.Errorf("four times the signatures cost %.1f times as much", ratio)
}
