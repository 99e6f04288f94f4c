package dkim

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
)

// otherVerdict has an independent verifier judge the uppermost signature.
func otherVerdict(t *testing.T, text string, z *zone) error {
	t.Helper()
	got, err := dkim.VerifyWithOptions(strings.NewReader(text), &dkim.VerifyOptions{
		LookupTXT:        func(name string) ([]string, error) { return z.txt[name], z.err },
		MaxVerifications: 1,
	})
	if len(got) == 0 {
		t.Fatalf("no verification: %v\n%q", err, text)
	}
	return got[0].Err
}

// pick returns one of the choices.
func pick[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

// madeUp returns a signed message of random parts, sometimes altered on its way.
func madeUp(t *testing.T, r *rand.Rand) ([]Field, string) {
	t.Helper()
	fields := []Field{{"From", pick(r, " a@example.com", "a@example.com", "\r\n <a@example.com>  ", "\t \"x\"\r\n\t<a@example.com>")}}
	for range r.IntN(6) {
		f := Field{
			Name:  pick(r, "Subject", "subject", "To", "X-Two ", "Received", "b", "DKIM-Signature-Not"),
			Value: pick(r, "", " ", " x", " b=1; bh=2", "x  y\t z ", " a\r\n b\r\n\tc", " \r\n ", " \xfc\xe9", " ü"),
		}
		fields = append(fields, f)
		if r.IntN(2) == 0 {
			fields[0], fields[len(fields)-1] = fields[len(fields)-1], fields[0]
		}
	}
	body := ""
	for range r.IntN(5) {
		body += pick(r, "", "x", " ", "a  b \t", "\tz") + pick(r, "\r\n", "\r\n", "\r\n\r\n", "")
	}
	var names []string
	for range r.IntN(7) {
		names = append(names, pick(r, "to", "Subject", "received", "X-Two", "b", "absent", "from"))
	}
	names = append(names, "From")
	template := " v=1; a=ed25519-sha256; d=example.com; s=s; h=" + strings.Join(names, pick(r, ":", " : ", ":\r\n\t")) + ";" +
		pick(r, "", " c=relaxed;", " c=simple/relaxed;", "\r\n\tc=relaxed/relaxed;", " c=simple/simple;", " c=relaxed/simple;") +
		pick(r, "", " i=@example.com;", " i=a@sub.example.com;", " t=1600000000;", " q=dns/txt;", " fo=1;") +
		pick(r, " bh={bh}; b={b}", " b={b} ; bh={bh}", "\r\n b={b};\r\n bh={bh};", " bh={bh};\tb={b};", " b=\r\n\t{b}; bh={bh}")
	// forge empties only "{b}": the white space around the value goes too.
	tight := strings.NewReplacer("b={b} ;", "b={b};", "b=\r\n\t{b}", "b={b}").Replace(template)
	fields = forge(t, edKey, tight, fields, body)
	if tight != template {
		value := strings.NewReplacer("; bh=", " ; bh=").Replace(fields[0].Value)
		fields[0].Value = strings.Replace(value, "; b=", "; b=\r\n\t", 1)
	}
	switch r.IntN(4) {
	case 0:
		body += pick(r, "\r\n", " ", "x", "x\r\n")
	case 1:
		i := r.IntN(len(fields))
		fields[i].Value += pick(r, " ", "x", "\r\n\t", ";")
	case 2:
		fields = append(fields, Field{pick(r, "Subject", "To", "From", "absent", "Other"), pick(r, " x", "")})
	}
	return fields, body
}

// Both verifiers give the same verdict on whatever either of them passes.
func TestVerifyOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(6376, 8463))
	z := oneKey(edRecord())
	passed, failed := 0, 0
	for i := range 3000 {
		fields, body := madeUp(t, r)
		ours := verify(fields, body, z, VerifyOptions{})[0]
		theirs := otherVerdict(t, messageText(fields, body), z)
		if (ours.Status == Pass) != (theirs == nil) {
			t.Errorf("message %d: we say %s, %v; they say %v\n%q", i, ours.Status, ours.Err, theirs, messageText(fields, body))
		}
		if theirs == nil {
			passed++
		} else {
			failed++
		}
	}
	if passed < 1000 || failed < 500 {
		t.Errorf("%d passed and %d failed: the corpus has become one-sided", passed, failed)
	}
}

// Where the other verifier is known to be wrong, we differ from it.
func TestVerifyOracleExceptions(t *testing.T) {
	insert := func(tags string) string { return " " + tags + ";" + edTemplate }
	tests := []struct {
		name, template, record string
		ours                   Status
	}{
		{"t=s", insert("i=@sub.example.com"), strings.Replace(edRecord(), ";", ";t=s;", 1), Fail},
		{"z= with b=", insert("z=Subject:web b =2Fx"), edRecord(), Pass},
		{"letters of i=", insert("i=@EXAMPLE.com"), edRecord(), Pass},
		{"i= without @", insert("i=foo.example.com"), edRecord(), PermError},
		{"l=", insert("l=20"), edRecord(), Pass},
		{"t= with a sign", insert("t=+5"), edRecord(), PermError},
		{"t= in the future", insert("t=1800000000"), edRecord(), PermError},
		{"own field in h=", strings.Replace(edTemplate, "h=", "h=dkim-signature:", 1), edRecord(), Pass},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fields, z := forgeLetter(t, tt.template), oneKey(tt.record)
			if r := verifyOne(t, fields, letterBody, z, VerifyOptions{}); r.Status != tt.ours {
				t.Errorf("%s, %v; want %s", r.Status, r.Err, tt.ours)
			}
			if theirs := otherVerdict(t, messageText(fields, letterBody), z); (theirs == nil) == (tt.ours == Pass) {
				t.Errorf("they agree by now (%v): move the row to the corpus", theirs)
			}
		})
	}
}
