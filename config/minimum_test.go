package config

import "testing"

func TestParseMinimum(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int64
		unit MinimumUnit
		bad  bool
	}{
		{in: ""}, {in: "0"}, {in: "0%"},
		{in: "1000", n: 1000, unit: MinimumOctets},
		{in: "80%", n: 80, unit: MinimumPercent},
		{in: "100%", n: 100, unit: MinimumPercent},
		{in: "500+", n: 500, unit: MinimumSlack},
		{in: "0+", unit: MinimumSlack},
		{in: "4294967295", n: 4294967295, unit: MinimumOctets},
		{in: "4294967296", bad: true},
		{in: "101%", bad: true},
		{in: "-1", bad: true}, {in: "+1", bad: true}, {in: "+", bad: true}, {in: "%", bad: true},
		{in: "10%+", bad: true}, {in: "1 0", bad: true}, {in: "1k", bad: true}, {in: "0x10", bad: true},
	} {
		n, unit, err := ParseMinimum(tt.in)
		if n != tt.n || unit != tt.unit || (err != nil) != tt.bad {
			t.Errorf("%q: %d %q, %v", tt.in, n, unit, err)
		}
	}
}

func FuzzParseMinimum(f *testing.F) {
	for _, s := range []string{"", "1", "80%", "500+", "101%", "+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, unit, err := ParseMinimum(s)
		if n < 0 || n > 1<<32 || unit == MinimumPercent && n > 100 || (err != nil || unit == NoMinimum) && n != 0 {
			t.Errorf("%q: %d %q, %v", s, n, unit, err)
		}
	})
}

func TestVerifyingTexts(t *testing.T) {
	for address, good := range map[string]bool{
		"postmaster@example.com": true, "postmaster": true, `a"b@example.com`: true, "jörg@bücher.example": true,
		"<a@b>": false, "a@": false, "@b": false, "a b@c": false, "a@b,c@d": false, "a\n@b": false,
	} {
		c := Default()
		c.RedirectFailuresTo, c.Minimum = address, "x"
		if got, want := len(c.Validate()), 1; good && got != want || !good && got != want+1 {
			t.Errorf("%q: %v", address, c.Validate())
		}
	}
}
