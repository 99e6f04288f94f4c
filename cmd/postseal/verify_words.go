package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/milter/diagnosis"
)

// proofs say what a proven change is; %s is what it is about, in words.
var proofs = map[diagnosis.Code]string{
	diagnosis.Misdeclared:     "the signer used another canonicalization than c= says",
	diagnosis.RelaxedSigned:   "blanks were changed (%s), which relaxed canonicalization does not mind, or the signer used that and says simple",
	diagnosis.Added:           "%s added after signing",
	diagnosis.Emptied:         "the body was empty when it was signed: %s added",
	diagnosis.BareCR:          "a CR without LF has taken the place of a line end (%s)",
	diagnosis.CRPutIn:         "a CR was put into the text (%s)",
	diagnosis.FromQuoted:      "\">\" was put before \"From \" at the beginning of a line, as mailbox files have it (%s)",
	diagnosis.DotsDoubled:     "a dot at the beginning of a line was doubled (%s): dot-stuffing once too often",
	diagnosis.LinesBroken:     "a long line was broken (%s)",
	diagnosis.Blanks:          "blanks were put at the end of a line (%s); relaxed canonicalization does not mind that",
	diagnosis.Recoded:         "8-bit text was converted to quoted-printable (%s): a host on the way does not take 8BITMIME; sign what is 7-bit",
	diagnosis.Restored:        "%s changed after signing: with what z= has of the header the signature is good",
	diagnosis.AsSent:          "%s changed after signing: with the header of the message as it was sent the signature is good",
	diagnosis.Tagged:          "something was put in front of the Subject",
	diagnosis.FieldAdded:      "%s added after signing",
	diagnosis.FieldReplaced:   "%s rewritten after signing",
	diagnosis.FieldsReordered: "%s not the field that was signed: another one of that name was added or has changed places",
	diagnosis.NameCase:        "the letter case of field names was changed; relaxed canonicalization does not mind that",
	diagnosis.Refolded:        "fields were folded anew; relaxed canonicalization does not mind that",
	diagnosis.EncodingChanged: "%s changed after signing",
}

// compare is what to do where nothing is proven.
const compare = "--original FILE compares with the message as it was sent."

func proofWords(p diagnosis.Proof) string {
	words := proofs[p.Code]
	if !strings.Contains(words, "%s") {
		return words
	}
	about, many := "", p.Last > p.First
	switch {
	case len(p.Names) > 0:
		var names []string
		for i, n := range p.Names {
			if i == 5 {
				names = append(names, fmt.Sprintf("%d more", len(p.Names)-i))
				break
			}
			names = append(names, shown(n))
		}
		about, many = strings.Join(names, ", "), len(p.Names) > 1
	case many:
		about = fmt.Sprintf("lines %d to %d", p.First, p.Last)
	default:
		about = fmt.Sprintf("line %d", p.First)
	}
	if strings.HasPrefix(words, "%s ") || strings.HasSuffix(words, ": %s added") {
		verb := " was"
		if many {
			verb = " were"
		}
		if p.Code == diagnosis.FieldsReordered {
			verb = " is"
		}
		about += verb
	}
	return fmt.Sprintf(words, about)
}

// print writes an explanation below its signature.
func (e *explanationOf) print(b *strings.Builder, colors terminal.Palette) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-11s%s\n", name, fmt.Sprintf(format, args...))
	}
	e.Header.print(line, colors)
	e.Body.print(line, colors)
	if e.Exhausted {
		line("", "The message is so large that not all changes were tried.")
	}
}

func (h *explainedHeader) print(line func(name, format string, args ...any), colors terminal.Palette) {
	switch {
	case h.Intact:
		line("header", "%s", colors.Good("is as it was signed, and the key in DNS is the one that signed"))
	case h.Key == diagnosis.RightKey:
		line("header", "%s; the key in DNS is the one that signed", colors.Bad("is not what was signed"))
	case h.Key == diagnosis.OtherKey:
		line("header", "%s, or b= itself was changed: nothing can be said of the fields", colors.Bad("was not signed with the key that is in DNS"))
	case h.Key == diagnosis.NoKey:
		line("header", "cannot be judged: there is no key to verify it with")
	default:
		line("header", "does not verify: it was changed, or another key than the one in DNS signed it")
	}
	for _, d := range h.Differences {
		d.print(line, colors)
	}
	if !h.Intact && len(h.Differences) == 0 && h.Copies {
		line("", "The fields are as z= has them, as far as it has them.")
	}
	printProven(line, colors, h.Proven)
	if h.Intact {
		return
	}
	if h.Key == diagnosis.RightKey && len(h.Proven) == 0 {
		line("", "A field below was changed, added or removed, or the field with the signature was. %s", compare)
	}
	for i, f := range h.Hashed {
		name := ""
		if i == 0 {
			name = "hashed"
		}
		switch {
		case f.Octets == "":
			line(name, "%s", colors.Faint(fmt.Sprintf("(no %s)", shown(f.Name))))
		default:
			line(name, "%s", f.Octets)
		}
	}
}

// print shows a field as it was and as it is, with a mark where the difference begins.
func (f *fieldDifferent) print(line func(name, format string, args ...any), colors terminal.Palette) {
	was, is, column := around(f.d.Signed, f.d.Now)
	side := func(text, shownText string) string {
		if text == "" {
			return colors.Faint("(not there)")
		}
		return shownText
	}
	source := "z= has"
	if f.Source == "original" {
		source = "sent"
	}
	line("differs", "%s", colors.Bold(shown(f.Name)))
	line("", "%-7s%s", source, side(f.d.Signed, was))
	line("", "%-7s%s", "now", side(f.d.Now, is))
	if f.d.Signed != "" && f.d.Now != "" {
		line("", "%-7s%s%s", "", strings.Repeat(" ", column), colors.Bad("^"))
	}
}

// around shows two texts about the place where they begin to differ, which is in the
// returned column of both.
func around(a, b string) (shownA, shownB string, column int) {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	const before, after = 40, 60
	start, dots := 0, ""
	if n > before {
		start, dots = n-before, "…"
		for start < n && !utf8.RuneStart(a[start]) {
			start++
		}
	}
	cut := func(s string) string {
		if len(s) > n+after {
			return dots + visible(s[start:n+after]) + "…"
		}
		return dots + visible(s[start:])
	}
	return cut(a), cut(b), terminal.Columns(dots + visible(a[start:n]))
}

func (e *explainedBody) print(line func(name, format string, args ...any), colors terminal.Palette) {
	limit := ""
	if e.Limit != nil {
		limit = fmt.Sprintf(" of which the first %d are signed (l=)", *e.Limit)
	}
	size := fmt.Sprintf("%s, %d octets%s", e.Canonicalization, e.Length, limit)
	if e.Intact {
		line("body", "%s (%s)", colors.Good("is as it was signed"), size)
		return
	}
	line("body", "%s (%s)", colors.Bad("is not what was signed"), size)
	line("", "bh= is %s, the hash is %s", e.SignedHash, e.Hash)
	switch {
	case e.OriginalIntact == nil:
	case *e.OriginalIntact:
		line("", "The body of the message as it was sent is the one that was signed.")
	default:
		line("", "The body of the message as it was sent is not the one that was signed, either.")
	}
	if d := e.Difference; d != nil {
		d.print(line, colors)
	}
	printProven(line, colors, e.Proven)
	if len(e.Proven) == 0 && e.OriginalIntact == nil {
		line("", "No change that is often made explains it. %s", compare)
	}
	for i, text := range e.Octets {
		name := ""
		if i == 0 {
			name = "hashed"
		}
		line(name, "%s", text)
	}
	if e.More > 0 {
		line("", "%s", colors.Faint(fmt.Sprintf("(%d octets)", e.More)))
	}
	for _, text := range e.Tail {
		line("", "%s", text)
	}
}

func (d *bodyDiffers) print(line func(name, format string, args ...any), colors terminal.Palette) {
	line("differs", "from line %d on", d.Line)
	side := func(mark string, list []string, more int, paint func(string) string) {
		for _, text := range list {
			line("", "%s", paint(mark+text))
		}
		if more > 0 {
			line("", "%s", paint(fmt.Sprintf("%s(%d more lines)", mark, more)))
		}
	}
	side("  ", d.Before, 0, colors.Faint)
	side("- ", d.Signed, d.MoreSigned, colors.Bad)
	side("+ ", d.Now, d.MoreNow, colors.Good)
}

func printProven(line func(name, format string, args ...any), colors terminal.Palette, list []proven) {
	for _, p := range list {
		line("proven", "%s", colors.Warn(p.Text))
		if p.Excerpt != "" {
			line("", "%s", p.Excerpt)
		}
	}
}
