package diagnosis

import (
	"bytes"
)

const (
	// maxBeginnings is at how many lines the signed body may begin.
	maxBeginnings = 40
	// maxMarks is how many lines at the beginning, and as many at the end, are tried
	// as borders of what was put in.
	maxMarks = 40
	// maxText is how much of a change is shown, in octets.
	maxText = 200
)

// lines are the lines of a canonical body.
type lines struct {
	text []byte
	ends []int // after the CRLF of each
}

func newLines(text []byte) *lines {
	l := &lines{text: text, ends: make([]int, 0, bytes.Count(text, []byte("\n"))+1)}
	for at := 0; at < len(text); {
		n := bytes.Index(text[at:], []byte("\r\n"))
		if n < 0 {
			l.ends = append(l.ends, len(text))
			break
		}
		at += n + 2
		l.ends = append(l.ends, at)
	}
	return l
}

func (l *lines) count() int { return len(l.ends) }

// at is where line i begins; that of count is the end.
func (l *lines) at(i int) int {
	if i == 0 {
		return 0
	}
	return l.ends[i-1]
}

func (l *lines) line(i int) []byte { return l.text[l.at(i):l.at(i+1)] }

func (l *lines) empty(i int) bool { return len(l.line(i)) == 2 }

// border reports whether something of its own may begin at line i: after an empty line,
// at one, or at what looks like a boundary of MIME parts.
func (l *lines) border(i int) bool {
	return i == 0 || i == l.count() || l.empty(i-1) || l.empty(i) || bytes.HasPrefix(l.line(i), []byte("--")) || bytes.HasPrefix(l.line(i-1), []byte("--"))
}

// beginnings are lines at which the signed body may begin, where something was put on
// top: the first few, and borders after them.
func (l *lines) beginnings() (list []int) {
	for i := 1; i < l.count() && len(list) < maxBeginnings; i++ {
		if i <= 8 || l.border(i) {
			list = append(list, i)
		}
	}
	return list
}

// marks are borders near the beginning and near the end, in their order. The end itself
// is none: what was added there is found otherwise.
func (l *lines) marks() (list []int) {
	for i := 1; i < l.count() && len(list) < maxMarks; i++ {
		if l.border(i) {
			list = append(list, i)
		}
	}
	var tail []int
	for i := l.count() - 1; i > 0 && len(tail) < maxMarks; i-- {
		if len(list) > 0 && i <= list[len(list)-1] {
			break
		}
		if l.border(i) {
			tail = append(tail, i)
		}
	}
	for i := len(tail) - 1; i >= 0; i-- {
		list = append(list, tail[i])
	}
	return list
}

// added is the proof that lines first to last, which is the one after them, were added.
func (l *lines) added(c Code, first, last int) Proof {
	return Proof{Code: c, First: first + 1, Last: last, Text: clip(string(bytes.TrimSpace(l.text[l.at(first):l.at(last)])))}
}

func clip(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}
