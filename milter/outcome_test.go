package milter

import "testing"

func TestAligned(t *testing.T) {
	for _, tt := range []struct {
		domain, author string
		want           bool
	}{
		{"example.com", "example.com", true},
		{"Example.COM", "example.com", true},
		{"example.com", "mail.example.com", true},
		{"mail.example.com", "example.com", true},
		{"badexample.com", "example.com", false},
		{"example.com", "badexample.com", false},
		{"a.example.com", "b.example.com", false},
		{"com", "example.com", false},
		{"co.uk", "example.co.uk", false},
		{"com", "com", true},
		{"xn--bcher-kva.example", "bücher.example", true},
		{"", "example.com", false},
		{"example.com", "", false},
	} {
		if got := Aligned(tt.domain, tt.author); got != tt.want {
			t.Errorf("Aligned(%q, %q) = %v", tt.domain, tt.author, got)
		}
	}
}
