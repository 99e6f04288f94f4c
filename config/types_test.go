package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStrings(t *testing.T) {
	tests := []struct {
		name string
		in   any
		want Strings
		err  string
	}{
		{"string", "a", Strings{"a"}, ""},
		{"a comma does not split", "a,b", Strings{"a,b"}, ""},
		{"empty string", "", nil, ""},
		{"array", []any{"a", "b"}, Strings{"a", "b"}, ""},
		{"empty array", []any{}, Strings{}, ""},
		{"number", int64(1), nil, "found a number"},
		{"number in an array", []any{"a", int64(1)}, nil, "element 2 is a number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got Strings
			err := got.UnmarshalTOML(tt.in)
			checkError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestMode(t *testing.T) {
	tests := []struct {
		in   string
		want Mode
		err  string
	}{
		{"s", Mode{Sign: true}, ""},
		{"v", Mode{Verify: true}, ""},
		{"sv", Mode{true, true}, ""},
		{"vs", Mode{true, true}, ""},
		{"", Mode{}, `unknown mode ""`},
		{"S", Mode{}, `unknown mode "S"`},
		{"sx", Mode{}, `unknown mode "sx"`},
	}
	for _, tt := range tests {
		var got Mode
		checkError(t, got.UnmarshalText([]byte(tt.in)), tt.err)
		if got != tt.want {
			t.Errorf("%q: %v, want %v", tt.in, got, tt.want)
		}
	}
	if got := (Mode{true, true}).String(); got != "sv" {
		t.Errorf("String() = %q", got)
	}
}

func TestUnpublished(t *testing.T) {
	for text, want := range map[string]Unpublished{
		"sign": SignUnpublished, "skip": SkipUnpublished, "tempfail": DeferUnpublished, "Skip": SkipUnpublished,
	} {
		got := Unpublished(99)
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != strings.ToLower(text) {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "accept", "reject", "skip "} {
		var u Unpublished
		if err := u.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "want sign, skip or tempfail") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAction(t *testing.T) {
	for want := Accept; want <= Tempfail; want++ {
		for _, in := range []string{want.String(), strings.ToUpper(want.String()), want.String()[:1], strings.ToUpper(want.String()[:1])} {
			got := Action(99)
			if err := got.UnmarshalText([]byte(in)); err != nil || got != want {
				t.Errorf("%q: %v, %v", in, got, err)
			}
		}
	}
	for _, in := range []string{"", "x", "rejectt", "re", "banana"} {
		got := Discard
		checkError(t, got.UnmarshalText([]byte(in)), "unknown action")
		if got != Discard {
			t.Errorf("%q changed the value to %v", in, got)
		}
	}
}

func TestDuration(t *testing.T) {
	tests := []struct {
		in   any
		want time.Duration
		err  string
	}{
		{int64(90), 90 * time.Second, ""},
		{int64(0), 0, ""},
		{"90", 90 * time.Second, ""},
		{"1h30m", 90 * time.Minute, ""},
		{"250ms", 250 * time.Millisecond, ""},
		{"5 m", 0, "is no time"},
		{"", 0, "is no time"},
		{1.5, 0, "found a number with a fraction"},
		{true, 0, "found true or false"},
		{int64(1) << 62, 0, "seconds are more than"},
		{int64(-1) << 63, 0, "seconds are more than"},
		{"9223372036854775807", 0, "seconds are more than"},
	}
	for _, tt := range tests {
		var got Duration
		checkError(t, got.UnmarshalTOML(tt.in), tt.err)
		if got.Std() != tt.want {
			t.Errorf("%v: %v, want %v", tt.in, got, tt.want)
		}
	}
}

func TestFileMode(t *testing.T) {
	tests := []struct {
		in   string
		want FileMode
		err  string
	}{
		{"0660", 0o660, ""},
		{"660", 0o660, ""},
		{"0o600", 0o600, ""},
		{"0", 0, ""},
		{"668", 0, "octal number"},
		{"1777", 0, "octal number"},
		{"rw", 0, "octal number"},
		{"", 0, "octal number"},
	}
	for _, tt := range tests {
		var got FileMode
		checkError(t, got.UnmarshalText([]byte(tt.in)), tt.err)
		if got != tt.want {
			t.Errorf("%q: %v, want %v", tt.in, got, tt.want)
		}
	}
	if got := FileMode(0o60).String(); got != "0060" {
		t.Errorf("String() = %q", got)
	}
}
