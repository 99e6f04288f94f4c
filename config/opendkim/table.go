package opendkim

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
)

// kind is how a value is written.
type kind uint8

const (
	text    kind = iota // as it stands
	boolean             // by its first letter: t, y, 1 or f, n, 0
	integer             // as in C: 16, 0x10, 020
)

// class is what becomes of a parameter.
type class uint8

const (
	core   class = iota // does what it does in OpenDKIM
	useful              // likewise, or says what this build does not do
	compat              // is accepted and does nothing, or nearly
	refuse              // stops the start, unless its value switches it off
)

// parameter is one name of opendkim.conf. To add one, put a line into the table
// of its topic: table_daemon.go, table_signing.go, table_verifying.go,
// table_absent.go (accepted, without effect) or table_refused.go.
type parameter struct {
	name  string // as OpenDKIM writes it
	kind  kind
	class class
	// field is where a value goes as it stands.
	field func(c *config.Config) any
	// use does what more there is to do with the value.
	use func(r *reading, s setting)
	// note is what this build does not do. There is a notice with it unless the
	// value is idle. Of a refused parameter it says what that was.
	note string
	// instead is what to use in place of a refused parameter.
	instead string
	// idle are the texts, beside a boolean's no and the number 0, that ask for
	// nothing.
	idle []string
}

// parameters are all names that there are or have been.
func parameters() []parameter {
	return slices.Concat(daemonParameters(), logParameters(), signingParameters(), originParameters(),
		verifyingParameters(), actionParameters(), dnsParameters(), absentParameters(), refusedParameters())
}

// names are the parameters by their names in small letters.
type names map[string]parameter

func newNames() names {
	all := make(names)
	for _, p := range parameters() {
		all[strings.ToLower(p.name)] = p
	}
	return all
}

// spellings are the names as OpenDKIM writes them.
func (n names) spellings() []string {
	list := make([]string, 0, len(n))
	for _, p := range n {
		list = append(list, p.name)
	}
	slices.Sort(list)
	return list
}

// isIdle reports whether the value asks for nothing.
func (p parameter) isIdle(s setting) bool {
	switch p.kind {
	case boolean:
		return !s.yes
	case integer:
		return s.number == 0
	}
	return slices.ContainsFunc(p.idle, func(word string) bool { return strings.EqualFold(word, s.value) })
}
