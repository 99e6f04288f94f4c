package roff

import (
	"strings"
	"testing"
	"time"
)

// body are the lines of a page behind its head.
func body(t *testing.T, p *Page) string {
	t.Helper()
	_, text, ok := strings.Cut(p.String(), ".ad l\n")
	if !ok {
		t.Fatalf("the page begins with %q", p.String())
	}
	return text
}

func TestText(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"a paragraph", "one\ntwo", "one\ntwo\n"},
		{"paragraphs", "one\n\ntwo", "one\n.PP\ntwo\n"},
		{"empty lines around", "\n\n one \n\n\n", " one\n"},
		{"lines as they are", "one:\n\n    a  b\n      c\n\ntwo", "one:\n.PP\n.EX\n    a  b\n      c\n.EE\n.PP\ntwo\n"},
		{"without an empty line before them", "one:\n  a\ntwo", "one:\n.PP\n.EX\n    a\n.EE\n.PP\ntwo\n"},
		{"a request", ".so /etc/shadow", "\\&.so /etc/shadow\n"},
		{"a request in lines as they are", "  .so x", ".EX\n    .so x\n.EE\n"},
		{"another request", "'so x", "\\(aqso x\n"},
		{"escapes", `\fBbold\fP \n(.z \\ \`, `\efBbold\efP \en(.z \e\e \e` + "\n"},
		{"a hyphen", "--json -c", `\-\-json \-c` + "\n"},
		{"quotes", "\"a\" 'b' `c`", `\(dqa\(dq \(aqb\(aq \(gac\(ga` + "\n"},
		{"what groff draws differently", "^~", `\(ha\(ti` + "\n"},
		{"letters beyond ASCII", "é … 😀", `\[u00E9] \[u2026] \[u1F600]` + "\n"},
		{"controls", "a\x1b[31m\x00\u202e\xffb\tc", `a\[uFFFD][31m\[uFFFD]\[uFFFD]\[uFFFD]b\[uFFFD]c` + "\n"},
		{"what Markdown has uses for", "*@example.com _x_ <file> [a](b) # h", "*@example.com _x_ <file> [a](b) # h\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := New(Head{Name: "x", Section: 1})
			p.Text(tt.text)
			if got := body(t, p); got != tt.want {
				t.Errorf("got\n%q, want\n%q", got, tt.want)
			}
		})
	}
}

func TestParts(t *testing.T) {
	p := New(Head{Name: "x", Section: 1})
	p.Section(`THE "FIRST"`)
	p.Text("one")
	p.Subsection("part")
	p.Line(Bold(".x") + Plain(" -y ") + Italic("z"))
	p.Item([]Term{Bold("-a") + Plain(", ") + Italic("b"), Plain(".c")}, "one\n\n  as it is\n\ntwo")
	p.Text("behind the item")
	want := `.SH "THE \(dqFIRST\(dq"
one
.SS "part"
\fB.x\fP \-y \fIz\fP
.TP
\fB\-a\fP, \fIb\fP
.TQ
\&.c
one
.IP
.EX
    as it is
.EE
.IP
two
.PP
behind the item
`
	if got := body(t, p); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestHead(t *testing.T) {
	zone := time.FixedZone("", 3600)
	tests := []struct {
		name string
		head Head
		want string
	}{
		{"a page", Head{Name: "post-seal", Section: 1, Date: time.Date(2026, 11, 3, 0, 30, 0, 0, zone), Source: "postseal v1.0-x", Manual: `a "b"`},
			`.TH "POST\-SEAL" "1" "2026-11-02" "postseal v1.0\-x" "a \(dqb\(dq"`},
		{"no date", Head{Name: "x.toml", Section: 5}, `.TH "X.TOML" "5" "" "" ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first, _, _ := strings.Cut(New(tt.head).String(), "\n")
			if first != tt.want {
				t.Errorf("got %s, want %s", first, tt.want)
			}
		})
	}
}
