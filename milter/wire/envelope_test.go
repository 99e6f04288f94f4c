package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseEnvelope(t *testing.T) {
	tests := []struct {
		name    string
		payload string
		want    Envelope
	}{
		{"plain", "<a@example.org>\x00", Envelope{Address: "a@example.org"}},
		{"parameters", "<a@example.org>\x00BODY=8BITMIME\x00SMTPUTF8\x00", Envelope{"a@example.org", []string{"BODY=8BITMIME", "SMTPUTF8"}}},
		{"null sender", "<>\x00", Envelope{}},
		{"nothing at all", "\x00", Envelope{}},
		{"no brackets", "a@example.org\x00", Envelope{Address: "a@example.org"}},
		{"one bracket", "<a@example.org\x00", Envelope{Address: "<a@example.org"}},
		{"single character", "<\x00", Envelope{Address: "<"}},
		{"brackets in a quoted local part", "<\"<a>\"@example.org>\x00", Envelope{Address: `"<a>"@example.org`}},
		{"SMTPUTF8", "<bücher@bücher.example>\x00", Envelope{Address: "bücher@bücher.example"}},
		{"empty parameter", "<a>\x00\x00X\x00", Envelope{"a", []string{"", "X"}}},
		{"as many as are read", "<a>\x00" + strings.Repeat("x\x00", maxStrings-1), Envelope{"a", strings.Split(strings.Repeat("x", maxStrings-1), "")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseEnvelope([]byte(tt.payload))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseEnvelopeErrors(t *testing.T) {
	for _, payload := range []string{"", "<a@example.org>", "<a>\x00X", "<a>\x00" + strings.Repeat("x\x00", maxStrings)} {
		if got, err := ParseEnvelope([]byte(payload)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.20q: got %v, %v, want %v", payload, got, err, ErrMalformed)
		}
	}
}

// FuzzParseEnvelope: the strings join to the payload again.
func FuzzParseEnvelope(f *testing.F) {
	f.Add([]byte("<a@example.org>\x00BODY=8BITMIME\x00"))
	f.Add([]byte("<>\x00"))
	f.Add([]byte("\x00\x00"))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, p []byte) {
		e, err := ParseEnvelope(p)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if len(e.Args) >= maxStrings {
			t.Fatalf("%d parameters", len(e.Args))
		}
		rest := "\x00"
		if len(e.Args) > 0 {
			rest += strings.Join(e.Args, "\x00") + "\x00"
		}
		if s := string(p); s != e.Address+rest && s != "<"+e.Address+">"+rest {
			t.Fatalf("%+v from %q", e, p)
		}
	})
}
