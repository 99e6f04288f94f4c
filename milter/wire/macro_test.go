package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMacros(t *testing.T) {
	tests := []struct {
		name    string
		payload string
		stage   Command
		want    []Macro
	}{
		{"none", "C", CmdConnect, nil},
		{"short and long names", "Mi\x00ABC123\x00{auth_type}\x00PLAIN\x00", CmdMail, []Macro{{"i", "ABC123"}, {"auth_type", "PLAIN"}}},
		{"empty value", "R{rcpt_mailer}\x00\x00", CmdRcpt, []Macro{{"rcpt_mailer", ""}}},
		{"unbalanced brace", "E{i\x00x\x00", CmdEOM, []Macro{{"{i", "x"}}},
		{"empty names", "E{}\x00x\x00\x00y\x00", CmdEOM, []Macro{{"", "x"}, {"", "y"}}},
		{"no stage", "\x00i\x00x\x00", 0, []Macro{{"i", "x"}}},
		{"as many as are read", "E" + strings.Repeat("i\x00x\x00", maxStrings/2), CmdEOM, repeated(Macro{"i", "x"}, maxStrings/2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stage, got, err := ParseMacros([]byte(tt.payload))
			if err != nil || stage != tt.stage {
				t.Fatalf("got stage %v, %v, want %v", stage, err, tt.stage)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func repeated(m Macro, n int) (all []Macro) {
	for range n {
		all = append(all, m)
	}
	return all
}

func TestParseMacrosErrors(t *testing.T) {
	for _, payload := range []string{"", "Mi\x00", "Mi\x00x", "Mi\x00x\x00j\x00", "Mi", "E" + strings.Repeat("i\x00x\x00", maxStrings/2+1)} {
		if _, got, err := ParseMacros([]byte(payload)); !errors.Is(err, ErrMalformed) || got != nil {
			t.Errorf("%.20q: got %v, %v, want %v", payload, got, err, ErrMalformed)
		}
	}
}

// check compares a macro with what it should be; "-" for not known.
func check(t *testing.T, m *Macros, name, want string) {
	t.Helper()
	got, ok := m.Get(name)
	if !ok {
		got = "-"
	}
	if got != want {
		t.Errorf("%s: got %q, want %q", name, got, want)
	}
}

func set(t *testing.T, m *Macros, stage Command, pairs []Macro) {
	t.Helper()
	if err := m.Set(stage, pairs); err != nil {
		t.Fatal(err)
	}
}

// What a connection keeps has a limit over all stages; a stage that is sent
// again counts once.
func TestMacrosLimits(t *testing.T) {
	var m Macros
	long := strings.Repeat("v", maxMacroSize/2-1)
	for range 3 {
		set(t, &m, CmdConnect, []Macro{{"a", long}})
		set(t, &m, CmdMail, []Macro{{"b", long}})
	}
	if err := m.Set(CmdEOM, []Macro{{"c", "1"}}); !errors.Is(err, ErrMalformed) {
		t.Errorf("more than %d octets: %v", maxMacroSize, err)
	}
	check(t, &m, "b", long)
	m.Reset()
	set(t, &m, CmdConnect, slices.Repeat([]Macro{{"a", ""}}, maxMacros))
	if err := m.Set(CmdHelo, []Macro{{"b", ""}}); !errors.Is(err, ErrMalformed) {
		t.Errorf("more than %d macros: %v", maxMacros, err)
	}
	set(t, &m, CmdConnect, slices.Repeat([]Macro{{"a", ""}}, maxMacros))
}

func TestMacrosNewestStageFirst(t *testing.T) {
	var m Macros
	check(t, &m, "i", "-")
	set(t, &m, CmdConnect, []Macro{{"j", "mx"}, {"x", "connect"}})
	set(t, &m, CmdMail, []Macro{{"i", "one"}, {"auth_type", ""}, {"x", "mail"}})
	set(t, &m, CmdRcpt, []Macro{{"x", "rcpt"}})
	set(t, &m, CmdUnknown, []Macro{{"x", "unknown"}})
	set(t, &m, '?', []Macro{{"x", "odd"}})
	check(t, &m, "x", "rcpt")
	check(t, &m, "j", "mx")
	check(t, &m, "i", "one")
	check(t, &m, "{i}", "one")
	check(t, &m, "auth_type", "")
	check(t, &m, "{auth_type}", "")
	set(t, &m, CmdRcpt, nil)
	check(t, &m, "x", "mail")
	for _, stage := range []Command{CmdData, CmdHeader, CmdEOH, CmdBody, CmdEOM} {
		set(t, &m, stage, []Macro{{"x", stage.String()}})
		check(t, &m, "x", stage.String())
	}
}

func TestMacrosOfAnOlderMessage(t *testing.T) {
	fill := func() *Macros {
		m := &Macros{}
		set(t, m, CmdConnect, []Macro{{"j", "mx"}})
		set(t, m, CmdHelo, []Macro{{"tls", "1.3"}})
		set(t, m, CmdMail, []Macro{{"auth_type", "PLAIN"}})
		set(t, m, CmdEOM, []Macro{{"i", "old"}})
		return m
	}
	t.Run("end of message", func(t *testing.T) {
		m := fill()
		m.EndMessage()
		check(t, m, "i", "-")
		check(t, m, "auth_type", "-")
		check(t, m, "tls", "1.3")
		check(t, m, "j", "mx")
	})
	t.Run("the next message without an end", func(t *testing.T) {
		m := fill()
		set(t, m, CmdMail, nil)
		check(t, m, "i", "-")
		check(t, m, "auth_type", "-")
		check(t, m, "tls", "1.3")
	})
	t.Run("a new connection", func(t *testing.T) {
		m := fill()
		set(t, m, CmdConnect, []Macro{{"j", "other"}})
		check(t, m, "tls", "-")
		check(t, m, "i", "-")
		check(t, m, "j", "other")
	})
	t.Run("reset", func(t *testing.T) {
		m := fill()
		m.Reset()
		check(t, m, "j", "-")
		check(t, m, "i", "-")
	})
}

// FuzzParseMacros: the pairs are the payload's strings, in order.
func FuzzParseMacros(f *testing.F) {
	f.Add([]byte("Mi\x00ABC\x00{auth_type}\x00PLAIN\x00"))
	f.Add([]byte("C"))
	f.Add([]byte("E{}\x00\x00"))
	f.Add([]byte("Ei\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		stage, pairs, err := ParseMacros(p)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		rest := string(p[1:])
		for _, m := range pairs {
			after, ok := strings.CutPrefix(rest, m.Name+"\x00"+m.Value+"\x00")
			if !ok {
				after, ok = strings.CutPrefix(rest, "{"+m.Name+"}\x00"+m.Value+"\x00")
			}
			if !ok {
				t.Fatalf("%+v is not next in %q", m, rest)
			}
			rest = after
		}
		if rest != "" || stage != Command(p[0]) || len(pairs) > maxStrings/2 {
			t.Fatalf("left over: %q", rest)
		}
	})
}
