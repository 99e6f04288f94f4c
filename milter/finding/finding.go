// Package finding is the form in which everything that looks at a set-up says
// what it saw: what is wrong, what that causes and what mends it.
package finding

// Finding is one thing that is worth saying.
type Finding struct {
	// Code names the kind of finding.
	Code Code `json:"code"`
	// Level says how bad it is.
	Level Level `json:"level"`
	// Text says what was found, in a sentence. Text from DNS, from mail or from a
	// file is quoted in it.
	Text string `json:"text"`
	// Effect says in a sentence what comes of it for the mail, "" where Text has said
	// that.
	Effect string `json:"effect,omitempty"`
	// Fix says what to do: a command, a record, or a sentence.
	Fix string `json:"fix"`
}

// Level says how bad a finding is.
type Level string

const (
	// Problem: it does not work, or not everywhere.
	Problem Level = "problem"
	// Warning: it works, but not as well as it should.
	Warning Level = "warning"
	// Note: it works; this is for your information.
	Note Level = "note"
)

// Code names a kind of finding. The words are stable: they are fit for JSON, for
// scripts and for the labels of metrics. Each package that finds things has a closed
// set of its own.
type Code string

// List is findings in the order in which they were made.
type List []Finding

// Has reports whether there is a finding with code c.
func (l List) Has(c Code) bool {
	for _, f := range l {
		if f.Code == c {
			return true
		}
	}
	return false
}

// Worst is the worst level among the findings, "" if there are none.
func (l List) Worst() Level {
	for _, level := range []Level{Problem, Warning, Note} {
		for _, f := range l {
			if f.Level == level {
				return level
			}
		}
	}
	return ""
}
