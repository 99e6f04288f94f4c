package diagnosis

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"

	"github.com/postseal/postseal/milter/dkim"
)

const (
	// maxChanges is how many changes of single fields are tried, and maxPaired how many
	// of them in pairs.
	maxChanges = 400
	maxPaired  = 60
	// maxNames is how many names of h= and maxFields how many fields are looked at for
	// changes: there may be thousands of both, and each is compared with each.
	maxNames  = 200
	maxFields = 1000
)

// block is a header block: a canonical field for each name of h=, and the signature's
// own.
type block struct {
	names []string
	parts [][]byte
	own   []byte
	canon dkim.Canonicalization
}

// blockOf is the block that a header makes. own is the index of the signature there, -1
// for none.
func (e *examination) blockOf(fields []dkim.Field, own int, canon dkim.Canonicalization) block {
	b := block{own: e.in.Own(canon), canon: canon}
	for _, h := range e.in.HashedOf(fields, own) {
		b.names = append(b.names, h.Name)
		var part []byte
		if h.Field >= 0 {
			part = canon.AppendHeader(nil, fields[h.Field])
		}
		b.parts = append(b.parts, part)
	}
	return b
}

func (b block) size() int {
	n := len(b.own)
	for _, p := range b.parts {
		n += len(p)
	}
	return n
}

// sum is the hash of the block with changes made to it.
func (b block) sum(changes ...change) []byte {
	h := sha256.New()
	for i, p := range b.parts {
		for _, c := range changes {
			if c.part == i {
				p = c.octets
			}
		}
		h.Write(p)
	}
	h.Write(b.own)
	return h.Sum(nil)
}

// change is another form of one part of a block.
type change struct {
	part   int
	octets []byte
	proof  Proof
}

// header compares the header with b= and searches for what was done to it.
func (e *examination) header() Header {
	canon, _ := e.in.Canonicalization()
	now := e.blockOf(e.Fields, e.Field, canon)
	h := Header{Key: UnknownKey}
	if len(e.Keys) == 0 {
		h.Key = NoKey
	}
	for i, p := range now.parts {
		h.Hashed = append(h.Hashed, Hashed{now.names[i], p})
	}
	h.Hashed = append(h.Hashed, Hashed{"", now.own})
	copies := e.in.Copied()
	h.Copies = len(copies) > 0
	differ, copied := compare(now, copies)
	h.Differences = differ
	var sent []change
	if e.Original != nil {
		original := e.blockOf(e.Original.Fields, ownIn(e.Original.Fields, e.Fields[e.Field]), canon)
		differ, sent = differences(now, original)
		h.Differences = append(h.Differences, differ...)
	}
	judge := e.judge(&h)
	if judge == nil || !e.Budget.spend(now.size()) {
		return h
	}
	if h.Intact = judge(now.sum()); h.Intact {
		h.Key = RightKey
		return h
	}
	h.Proofs = e.searchHeader(now, judge, copied, sent)
	if h.Proofs != nil {
		h.Key = RightKey
	}
	return h
}

// judge returns what says of the hash of a block that it is the signed one, nil where
// nobody can say.
func (e *examination) judge(h *Header) func(sum []byte) bool {
	var candidates []*dkim.KeyRecord
	var signed [][]byte
	for _, k := range e.Keys {
		switch s, err := e.in.SignedSum(k); {
		case errors.Is(err, dkim.ErrOtherKey):
		case s != nil:
			signed = append(signed, s)
		default:
			candidates = append(candidates, k)
		}
	}
	switch {
	case len(e.Keys) == 0:
		return nil
	case signed != nil:
		h.Key = RightKey
	case candidates == nil:
		h.Key = OtherKey
		return nil
	}
	return func(sum []byte) bool {
		for _, s := range signed {
			if bytes.Equal(s, sum) {
				return true
			}
		}
		for _, k := range candidates {
			// An Ed25519 verification takes as long as the hash of some 50 KB.
			if e.Budget.spend(50<<10) && e.in.VerifiesHeader(k, sum) {
				return true
			}
		}
		return false
	}
}

// searchHeader tries one change after the other, then two at a time.
func (e *examination) searchHeader(now block, judge func([]byte) bool, copied, sent []change) []Proof {
	try := func(b block, changes ...change) bool { return e.Budget.spend(b.size()) && judge(b.sum(changes...)) }
	if len(copied) > 0 && try(now, copied...) {
		return []Proof{{Code: Restored, Names: namesOf(now, copied)}}
	}
	if len(sent) > 0 && try(now, sent...) {
		return []Proof{{Code: AsSent, Names: namesOf(now, sent)}}
	}
	for _, w := range e.wholes(now) {
		if try(w.block) {
			return []Proof{w.proof}
		}
	}
	changes := e.changes(now)
	for _, c := range changes {
		if try(now, c) {
			return []Proof{c.proof}
		}
	}
	changes = changes[:min(len(changes), maxPaired)]
	for i, a := range changes {
		for _, b := range changes[i+1:] {
			if a.part != b.part && try(now, a, b) {
				return []Proof{a.proof, b.proof}
			}
		}
	}
	return nil
}

func namesOf(b block, changes []change) (names []string) {
	for _, c := range changes {
		names = append(names, b.names[c.part])
	}
	return names
}

// whole is a block in which every field is changed in one way.
type whole struct {
	block block
	proof Proof
}

func (e *examination) wholes(now block) []whole {
	other := dkim.Simple + dkim.Relaxed - now.canon
	list := []whole{{e.blockOf(e.Fields, e.Field, other), Proof{Code: Misdeclared}}}
	if now.canon == dkim.Relaxed {
		return list // which evens out all that follows
	}
	as := func(c Code, change func(f *dkim.Field, name string)) {
		b := block{names: now.names, own: now.own, canon: now.canon}
		for _, h := range e.in.Hashed() {
			var part []byte
			if h.Field >= 0 {
				f := e.Fields[h.Field]
				change(&f, h.Name)
				part = now.canon.AppendHeader(nil, f)
			}
			b.parts = append(b.parts, part)
		}
		list = append(list, whole{b, Proof{Code: c}})
	}
	as(NameCase, func(f *dkim.Field, name string) { f.Name = name })
	as(Refolded, func(f *dkim.Field, _ string) { f.Value = strings.ReplaceAll(f.Value, "\r\n\t", "\r\n ") })
	as(Refolded, func(f *dkim.Field, _ string) { f.Value = strings.ReplaceAll(f.Value, "\r\n ", "\r\n\t") })
	as(Refolded, func(f *dkim.Field, _ string) { f.Value = strings.ReplaceAll(f.Value, "\r\n", "") })
	as(Refolded, func(f *dkim.Field, _ string) { f.Value = strings.TrimRight(f.Value, " \t") })
	return list
}

// changes are those of single fields.
func (e *examination) changes(now block) (list []change) {
	add := func(part int, octets []byte, p Proof) {
		if len(list) < maxChanges && !bytes.Equal(octets, now.parts[part]) {
			p.Names = []string{now.names[part]}
			list = append(list, change{part, octets, p})
		}
	}
	hashed := e.in.Hashed()
	hashed = hashed[:min(len(hashed), maxNames)]
	for i, h := range hashed {
		if h.Field < 0 {
			continue
		}
		f := e.Fields[h.Field]
		canonical := func(value string) []byte {
			return now.canon.AppendHeader(nil, dkim.Field{Name: f.Name, Value: value})
		}
		switch {
		case f.Is("Subject"):
			for _, s := range untagged(f.Value) {
				add(i, canonical(s), Proof{Code: Tagged, Text: clip(strings.TrimSpace(f.Value))})
			}
		case f.Is("Content-Transfer-Encoding"):
			for _, was := range []string{"8bit", "7bit", "8BIT", "7BIT", "binary"} {
				add(i, canonical(" "+was), Proof{Code: EncodingChanged, Text: was})
			}
		}
	}
	for i, h := range hashed {
		if h.Field >= 0 {
			add(i, nil, Proof{Code: FieldAdded, Text: clip(strings.TrimSpace(e.Fields[h.Field].Value))})
		}
	}
	for i, h := range hashed {
		for _, f := range e.Fields[:min(len(e.Fields), maxFields)] {
			switch {
			case f.Is(h.Name):
				add(i, now.canon.AppendHeader(nil, f), Proof{Code: FieldsReordered})
			case keeps(f.Name, h.Name):
				moved := dkim.Field{Name: h.Name, Value: f.Value}
				add(i, now.canon.AppendHeader(nil, moved), Proof{Code: FieldReplaced, Text: f.Name})
			}
		}
	}
	return list
}

// keeps reports whether a field may hold what another held before it was rewritten, as
// mailing lists do it for From.
func keeps(field, name string) bool {
	field, name = strings.ToLower(strings.TrimRight(field, " \t")), strings.ToLower(name)
	return field == "x-original-"+name || field == "original-"+name || field == "x-"+name || field == "old-"+name ||
		name == "from" && field == "reply-to"
}

// untagged are forms that a Subject may have had before a mailing list or a spam filter
// put something in front.
func untagged(value string) (forms []string) {
	for _, marks := range [][2]string{{"[", "]"}, {"***", "***"}, {"{", "}"}} {
		open := strings.Index(value, marks[0])
		if open < 0 {
			continue
		}
		end := strings.Index(value[open+len(marks[0]):], marks[1])
		if end < 0 {
			continue
		}
		before, after := value[:open], value[open+len(marks[0])+end+len(marks[1]):]
		trimmed := strings.TrimLeft(after, " \t\r\n")
		forms = append(forms, before+trimmed, before+after, strings.TrimRight(before, " ")+after)
		// "Re: [list] Re: x" was "Re: x".
		if re := strings.TrimSpace(before); re != "" {
			forms = append(forms, " "+trimmed)
		}
	}
	return forms
}
