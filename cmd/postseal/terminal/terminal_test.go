package terminal

import (
	"os"
	"strings"
	"testing"
)

func TestIs(t *testing.T) {
	tty, _ := pty(t, 100)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	narrow, _ := pty(t, 3)
	unknown, _ := pty(t, 0)
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, row := range []struct {
		name  string
		f     any
		is    bool
		width int
	}{
		{"terminal", tty, true, 100},
		{"pipe, read", r, false, 80},
		{"pipe, write", w, false, 80},
		{"/dev/null", null, false, 80},
		{"no file", &strings.Builder{}, false, 80},
		{"nothing", nil, false, 80},
		{"nil file", (*os.File)(nil), false, 80},
		{"closed", closed, false, 80},
		{"narrow", narrow, true, minWidth},
		{"without a width", unknown, true, 80},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := Is(row.f); got != row.is {
				t.Errorf("Is = %v", got)
			}
			if got := Width(row.f); got != row.width {
				t.Errorf("Width = %d, want %d", got, row.width)
			}
		})
	}
}

func TestColors(t *testing.T) {
	all := func(p Palette) string {
		return p.Good("ok") + p.Warn("hm") + p.Bad("no") + p.Bold("DKIM") + p.Faint("note") + p.Good("")
	}
	const colours = "\x1b[32mok\x1b[0m\x1b[33mhm\x1b[0m\x1b[1;31mno\x1b[0m\x1b[1mDKIM\x1b[0m\x1b[2mnote\x1b[0m"
	const plain = "okhmnoDKIMnote"
	for _, row := range []struct {
		name, noColor, term, want string
		pipe                      bool
	}{
		{name: "terminal", term: "xterm", want: colours},
		{name: "unknown terminal", term: "", want: colours},
		{name: "NO_COLOR", noColor: "1", term: "xterm", want: plain},
		{name: "NO_COLOR says no", noColor: "0", term: "xterm", want: plain},
		{name: "dumb", term: "dumb", want: plain},
		{name: "pipe", term: "xterm", pipe: true, want: plain},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", row.noColor)
			t.Setenv("TERM", row.term)
			w, _ := pty(t, 80)
			if row.pipe {
				var err error
				if _, w, err = os.Pipe(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { w.Close() })
			}
			if got := all(Colors(w)); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	if got := all(Palette{}); got != plain {
		t.Errorf("the zero palette paints: %q", got)
	}
}
