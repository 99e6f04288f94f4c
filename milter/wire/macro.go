package wire

import "fmt"

// Macro is one macro of the MTA. Name has no braces: "i", "auth_type".
type Macro struct {
	Name, Value string
}

// ParseMacros reads the payload of MACRO: the command that the macros are for,
// then names and values in turn, each ended by a NUL. The error wraps
// ErrMalformed; more than 512 macros are one.
func ParseMacros(p []byte) (stage Command, pairs []Macro, err error) {
	if len(p) == 0 {
		return 0, nil, fmt.Errorf("macros: %w: no command", ErrMalformed)
	}
	list, err := splitStrings(p[1:])
	if err != nil {
		return 0, nil, fmt.Errorf("macros: %w", err)
	}
	if len(list)%2 != 0 {
		return 0, nil, fmt.Errorf("macros: %w: %q has no value", ErrMalformed, list[len(list)-1])
	}
	if len(list) > 0 {
		pairs = make([]Macro, 0, len(list)/2)
	}
	for i := 0; i < len(list); i += 2 {
		pairs = append(pairs, Macro{Name: bareMacroName(list[i]), Value: list[i+1]})
	}
	return Command(p[0]), pairs, nil
}

// bareMacroName takes the braces of a long name off.
func bareMacroName(name string) string {
	if len(name) >= 2 && name[0] == '{' && name[len(name)-1] == '}' {
		return name[1 : len(name)-1]
	}
	return name
}

// Places of the stages in Macros, in the order in which they come.
const (
	placeConnect = iota
	placeHelo
	placeMail
	placeRcpt
	placeData
	placeHeader
	placeEOH
	placeBody
	placeEOM
	places
)

const (
	// maxMacros is how many macros of all stages a connection keeps. Postfix
	// knows some forty.
	maxMacros = 512
	// maxMacroSize bounds their names and values, in octets.
	maxMacroSize = 64 << 10
)

// Macros keeps the macros of a connection by the stage that they came with. The
// zero value is empty and ready.
type Macros struct {
	stages [places][]Macro
}

// Set puts pairs, which it keeps, in the place of what stage had, and forgets
// the stages further along: they are of an older message, recipient or
// greeting. Macros for UNKNOWN, or for what is no stage, are left out. The error
// wraps ErrMalformed: more than 512 macros of all stages, or more than 64 KiB of
// them; nothing has changed then.
func (m *Macros) Set(stage Command, pairs []Macro) error {
	place, ok := placeOf(stage)
	if !ok {
		return nil
	}
	count, size := extent(pairs)
	for _, list := range m.stages[:place] {
		n, octets := extent(list)
		count, size = count+n, size+octets
	}
	if count > maxMacros || size > maxMacroSize {
		return fmt.Errorf("macros for %v: %w: %d of %d octets are more than the %d of %d octets that are kept",
			stage, ErrMalformed, count, size, maxMacros, maxMacroSize)
	}
	m.stages[place] = pairs
	clear(m.stages[place+1:])
	return nil
}

// extent is how many macros list has, and the octets of their names and values.
func extent(list []Macro) (count, size int) {
	for _, p := range list {
		size += len(p.Name) + len(p.Value)
	}
	return len(list), size
}

// Get looks a macro up by its name, with or without braces, in the newest
// stage first: the one furthest along from CONNECT to EOM.
func (m *Macros) Get(name string) (string, bool) {
	name = bareMacroName(name)
	for place := places - 1; place >= 0; place-- {
		for _, p := range m.stages[place] {
			if p.Name == name {
				return p.Value, true
			}
		}
	}
	return "", false
}

// EndMessage forgets what came with MAIL and later.
func (m *Macros) EndMessage() {
	clear(m.stages[placeMail:])
}

// Reset forgets everything.
func (m *Macros) Reset() {
	clear(m.stages[:])
}

// placeOf is the place of a stage in the order of a session.
func placeOf(stage Command) (int, bool) {
	switch stage {
	case CmdConnect:
		return placeConnect, true
	case CmdHelo:
		return placeHelo, true
	case CmdMail:
		return placeMail, true
	case CmdRcpt:
		return placeRcpt, true
	case CmdData:
		return placeData, true
	case CmdHeader:
		return placeHeader, true
	case CmdEOH:
		return placeEOH, true
	case CmdBody:
		return placeBody, true
	case CmdEOM:
		return placeEOM, true
	}
	return 0, false
}
