package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestParseHeader(t *testing.T) {
	tests := []struct {
		name        string
		payload     string
		field       string
		lead, plain string // the value with and without HDR_LEADSPC
	}{
		{"plain", "Subject\x00 hello\x00", "Subject", " hello", "  hello"},
		{"no leading blank", "Subject\x00hello\x00", "Subject", "hello", " hello"},
		{"tab", "Subject\x00\thello\x00", "Subject", "\thello", "\thello"},
		{"empty", "Subject\x00\x00", "Subject", "", " "},
		{"folds", "To\x00 a,\n\tb,\n c\x00", "To", " a,\r\n\tb,\r\n c", "  a,\r\n\tb,\r\n c"},
		{"folds of CRLF", "To\x00 a,\r\n\tb\x00", "To", " a,\r\n\tb", "  a,\r\n\tb"},
		{"fold at once", "To\x00\n a\x00", "To", "\r\n a", " \r\n a"},
		{"bare CR", "To\x00 a\rb\x00", "To", " a\rb", "  a\rb"},
		{"blank before the colon", "Subject \x00 x\x00", "Subject ", " x", "  x"},
		{"NUL inside", "Subject\x00 a\x00b\x00", "Subject", " a\x00b", "  a\x00b"},
		{"NULs at the end", "Subject\x00 a\x00\x00\x00", "Subject", " a\x00\x00", "  a\x00\x00"},
		{"NUL and a fold", "Subject\x00 a\x00\n b\x00", "Subject", " a\x00\r\n b", "  a\x00\r\n b"},
		{"no name", "\x00 x\x00", "", " x", "  x"},
		{"8-bit", "Subject\x00 \xe4\xff\x00", "Subject", " \xe4\xff", "  \xe4\xff"},
	}
	lead, _ := agreed(t, 0, StepHeaderLeadSpace)
	plain, _ := agreed(t, 0, 0)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, side := range []struct {
				conn *Conn
				want string
			}{{lead, tt.lead}, {plain, tt.plain}} {
				name, value, err := side.conn.ParseHeader([]byte(tt.payload))
				if name != tt.field || value != side.want || err != nil {
					t.Errorf("steps %v: got %q, %q, %v, want %q, %q", side.conn.Agreed().Steps, name, value, err, tt.field, side.want)
				}
			}
		})
	}
}

func TestParseHeaderErrors(t *testing.T) {
	c, _ := agreed(t, 0, 0)
	for _, payload := range []string{"", "Subject", "Subject\x00", "Subject\x00 x", "Subject\x00 x\x00y"} {
		if name, value, err := c.ParseHeader([]byte(payload)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %q, %q, %v, want %v", payload, name, value, err, ErrMalformed)
		}
	}
}

// The strings do not share the buffer of Read.
func TestParseHeaderCopies(t *testing.T) {
	c, _ := agreed(t, 0, StepHeaderLeadSpace)
	p := []byte("Subject\x00 hello\x00")
	name, value, err := c.ParseHeader(p)
	if err != nil {
		t.Fatal(err)
	}
	clear(p)
	if name != "Subject" || value != " hello" {
		t.Errorf("got %q, %q after the buffer was used again", name, value)
	}
}

// FuzzParseHeader: no octet is lost, and every LF has its CR.
func FuzzParseHeader(f *testing.F) {
	f.Add([]byte("Subject\x00 a\n b\x00"), true)
	f.Add([]byte("Subject\x00a\r\n\tb\x00"), false)
	f.Add([]byte("Subject\x00a\x00\x00"), false)
	f.Add([]byte("\x00"), false)
	f.Fuzz(func(t *testing.T, p []byte, leadSpace bool) {
		steps := Step(0)
		if leadSpace {
			steps = StepHeaderLeadSpace
		}
		c, _ := agreed(t, 0, steps)
		name, value, err := c.ParseHeader(p)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if strings.Count(value, "\n") != strings.Count(value, "\r\n") {
			t.Fatalf("LF without CR in %q", value)
		}
		if !leadSpace {
			if value == "" || value[0] != ' ' && value[0] != '\t' {
				t.Fatalf("no leading blank in %q", value)
			}
			value = strings.TrimPrefix(value, " ")
		}
		lf := strings.NewReplacer("\r\n", "\n")
		if lf.Replace(name+"\x00"+value+"\x00") != lf.Replace(string(p)) && !strings.Contains(name, "\r") {
			t.Fatalf("%q and %q from %q", name, value, p)
		}
	})
}
