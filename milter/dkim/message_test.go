package dkim

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// splitText reads a message of any line ends.
func splitText(t testing.TB, text string) ([]Field, string) {
	t.Helper()
	fields, r, err := ReadMessage(strings.NewReader(text), 2*len(text)) // every LF may get a CR
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return fields, string(body)
}

func TestReadMessage(t *testing.T) {
	tests := []struct {
		name, text string
		fields     []Field
		body       string
	}{
		{"CRLF", "A: 1\r\nB:2\r\n\r\nbody\r\n", []Field{{"A", " 1"}, {"B", "2"}}, "body\r\n"},
		{"LF", "A: 1\nB:2\n\nbody\n\nend\n", []Field{{"A", " 1"}, {"B", "2"}}, "body\r\n\r\nend\r\n"},
		{"mixed", "A: 1\nB:2\r\n\nx\r\ny\nz", []Field{{"A", " 1"}, {"B", "2"}}, "x\r\ny\r\nz"},
		{"folds are kept", "A: 1\r\n\t2 \r\n  3\r\nB: x\r\n\r\n", []Field{{"A", " 1\r\n\t2 \r\n  3"}, {"B", " x"}}, ""},
		{"LF folds become CRLF", "A: 1\n 2\n\n", []Field{{"A", " 1\r\n 2"}}, ""},
		{"fold of blanks alone", "A: 1\r\n \r\n\r\nx", []Field{{"A", " 1\r\n "}}, "x"},
		{"blank before the colon", "Subject : x\r\n\r\n", []Field{{"Subject ", " x"}}, ""},
		{"colons in the value", "A:b:c\r\n\r\n", []Field{{"A", "b:c"}}, ""},
		{"empty value", "A:\r\n\r\n", []Field{{"A", ""}}, ""},
		{"mbox", "From a@b.example Tue Nov 14 22:13:20 2023\nA: 1\n\nbody\n", []Field{{"A", " 1"}}, "body\r\n"},
		{"From with a blank before the colon", "From : a@b.example\n\n", []Field{{"From ", " a@b.example"}}, ""},
		{"mbox line further down", "A: 1\nFrom a@b.example\n\nbody", []Field{{"A", " 1"}}, "From a@b.example\r\n\r\nbody"},
		{"no blank line, end", "A: 1\r\n", []Field{{"A", " 1"}}, ""},
		{"no blank line, no line end", "A: 1", []Field{{"A", " 1"}}, ""},
		{"no blank line, body", "A: 1\r\nhello world\r\nmore: x\r\n", []Field{{"A", " 1"}}, "hello world\r\nmore: x\r\n"},
		{"8-bit line is no field", "A: 1\n\xe9: 2\n", []Field{{"A", " 1"}}, "\xe9: 2\r\n"},
		{"no header", "\r\nbody", nil, "body"},
		{"begins with a blank", " x\nA: 1\n\n", nil, " x\r\nA: 1\r\n\r\n"},
		{"empty", "", nil, ""},
		{"NUL", "A: \x00\n\n\x00\n", []Field{{"A", " \x00"}}, "\x00\r\n"},
		{"bare CR stays", "A: 1\r2\n\nx\ry\r\r\nz\r", []Field{{"A", " 1\r2"}}, "x\ry\r\r\nz\r"},
		{"long line", "A: " + strings.Repeat("x", 100000) + "\r\n\r\n", []Field{{"A", " " + strings.Repeat("x", 100000)}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.text), iotest.OneByteReader(strings.NewReader(tt.text))} {
				fields, rest, err := ReadMessage(r, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(iotest.OneByteReader(rest))
				if err != nil {
					t.Fatal(err)
				}
				if len(tt.fields) != len(fields) || len(fields) > 0 && !cmp.Equal(tt.fields, fields) || string(body) != tt.body {
					t.Errorf("got %q, %q\nwant %q, %q", fields, body, tt.fields, tt.body)
				}
			}
		})
	}
}

func TestReadMessageErrors(t *testing.T) {
	for name, text := range map[string]string{
		"many fields":  strings.Repeat("A: 1\r\n", 1000),
		"one long":     "A: " + strings.Repeat("x", 10000),
		"many folds":   "A: 1" + strings.Repeat("\r\n 2", 2000),
		"before a LF":  "A: " + strings.Repeat("x", 10000) + "\n\n",
		"is no header": strings.Repeat("x", 10000),
	} {
		if _, _, err := ReadMessage(strings.NewReader(text), 5000); !errors.Is(err, ErrHeaderSize) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	broken := errors.New("broken")
	if _, _, err := ReadMessage(iotest.ErrReader(broken), 100); !errors.Is(err, broken) {
		t.Errorf("error of the reader became %v", err)
	}
	_, body, err := ReadMessage(io.MultiReader(strings.NewReader("A: 1\n\nxyz"), iotest.ErrReader(broken)), 100)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); !errors.Is(err, broken) || string(got) != "xyz" {
		t.Errorf("body %q, %v", got, err)
	}
}

// Nothing but line ends changes, and every LF has its CR.
func FuzzReadMessage(f *testing.F) {
	f.Add("From x\nA: 1\n 2\n\nbody\r\n")
	f.Add("A : 1\r\n\r\r\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		fields, body := splitText(t, text)
		whole := ""
		for _, field := range fields {
			if !isFieldName(strings.TrimRight(field.Name, " \t")) {
				t.Fatalf("%q: field name %q", text, field.Name)
			}
			whole += field.Name + ":" + field.Value + "\r\n"
		}
		whole += body
		if strings.Count(whole, "\n") != strings.Count(whole, "\r\n") {
			t.Fatalf("%q: bare LF in %q", text, whole)
		}
		if want, got := lettersOf(text), lettersOf(whole); !strings.HasSuffix(want, got) || !strings.HasPrefix(text, "From ") && want != got {
			t.Fatalf("%q became %q", text, whole)
		}
	})
}

// lettersOf is a text without its line ends.
func lettersOf(s string) string {
	return strings.NewReplacer("\r", "", "\n", "").Replace(s)
}
