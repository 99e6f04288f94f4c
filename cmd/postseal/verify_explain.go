package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/milter/diagnosis"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/spf13/cobra"
)

// explainFlags ask why signatures fail.
type explainFlags struct {
	on            bool
	original, out string
}

func (f *explainFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.on, "explain", false, "say of each signature that fails what was hashed, and search for what was changed")
	fl.StringVar(&f.original, "original", "", "explain by comparison with the message as it was sent, a `file`")
	fl.StringVar(&f.out, "explain-out", "", "explain, and write what was hashed to files in this `folder`")
}

// begin gets ready to take the body of a message.
func (f *explainFlags) begin(fields []dkim.Field) (*explainer, error) {
	x := &explainer{on: f.on || f.original != "" || f.out != "", out: f.out, fields: fields, budget: diagnosis.NewBudget()}
	if f.original == "" {
		return x, nil
	}
	file, err := os.Open(f.original)
	if err != nil {
		return nil, exitError{exitNoInput, fmt.Errorf("--original: the message cannot be read: %w", err)}
	}
	defer file.Close()
	header, body, err := readMessage(file)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(body, diagnosis.MaxBody+1))
	switch {
	case err != nil:
		return nil, exitError{exitNoInput, fmt.Errorf("--original: the message cannot be read: %w", err)}
	case len(text) > diagnosis.MaxBody:
		return nil, exitError{exitNoInput, fmt.Errorf("--original: the message is larger than %d MB, which is more than can be compared", diagnosis.MaxBody>>20)}
	}
	x.original = &diagnosis.Message{Fields: header, Body: text}
	return x, nil
}

// explainer looks into the signatures of a message that fail.
type explainer struct {
	on       bool
	out      string
	fields   []dkim.Field
	original *diagnosis.Message
	budget   *diagnosis.Budget

	body  bytes.Buffer
	large bool // the body is more than is looked into
}

// Write takes the body, as long as it is not too large.
func (x *explainer) Write(p []byte) (int, error) {
	switch {
	case !x.on || x.large:
	case x.body.Len()+len(p) > diagnosis.MaxBody:
		x.large, x.body = true, bytes.Buffer{}
	default:
		x.body.Write(p)
	}
	return len(p), nil
}

// explain adds to each signature of v that failed why. Its error is about files.
func (x *explainer) explain(v *verification, resolver dkim.Resolver, now time.Time) error {
	if !x.on || x.large {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	for i := range v.Signatures {
		s := &v.Signatures[i]
		if s.Result == dkim.Pass || s.Result == dkim.Neutral {
			continue
		}
		c := diagnosis.Case{Fields: x.fields, Field: s.field, Body: x.body.Bytes(), Original: x.original, Budget: x.budget}
		in, err := dkim.Inspect(x.fields, s.field)
		if err != nil {
			continue // the reason has said so
		}
		c.Keys, _ = in.Keys(ctx, resolver, verifyOptions(now))
		d, err := diagnosis.Examine(c)
		if err != nil {
			continue
		}
		if x.out != "" {
			if err := x.write(i+1, d); err != nil {
				return err
			}
		}
		s.Explanation = explanationFrom(d)
	}
	return nil
}

// write writes what a signature's hashes are of, and never over a file.
func (x *explainer) write(number int, d *diagnosis.Diagnosis) error {
	var header bytes.Buffer
	for _, h := range d.Header.Hashed {
		header.Write(h.Octets)
	}
	if err := os.MkdirAll(x.out, 0o700); err != nil {
		return exitError{exitFailed, fmt.Errorf("--explain-out: %w; name a folder that can be made", err)}
	}
	for kind, octets := range map[string][]byte{"header": header.Bytes(), "body": d.Body.Octets} {
		path := filepath.Join(x.out, fmt.Sprintf("%d.%s", number, kind))
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return exitError{exitFailed, fmt.Errorf("--explain-out: %s is there already, and nothing is overwritten; name another folder", path)}
		}
		if err == nil {
			_, err = f.Write(octets)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return exitError{exitFailed, fmt.Errorf("--explain-out: %w", err)}
		}
	}
	return nil
}

// explanationOf is what --explain says of a signature.
type explanationOf struct {
	Header explainedHeader `json:"header"`
	Body   explainedBody   `json:"body"`
	// Exhausted: the search ended before all was tried.
	Exhausted bool `json:"exhausted,omitempty"`
}

type explainedHeader struct {
	// Key is right, other, none, or unknown where nobody can tell.
	Key    diagnosis.KeyState `json:"key"`
	Intact bool               `json:"intact"`
	// Copies: the signature has copies of the fields (z=).
	Copies      bool             `json:"copies"`
	Hashed      []hashedField    `json:"hashed"`
	Differences []fieldDifferent `json:"differences"`
	Proven      []proven         `json:"proven"`
}

type hashedField struct {
	Name string `json:"name"`
	// Octets is what was hashed, with the escapes of Go.
	Octets string `json:"octets"`
}

type fieldDifferent struct {
	Name string `json:"name"`
	// Signed and Now are canonical; what is not there is left out.
	Signed *string `json:"signed,omitempty"`
	Now    *string `json:"now,omitempty"`
	// Source is z= or original.
	Source string `json:"source"`

	d diagnosis.Difference
}

type explainedBody struct {
	Intact           bool   `json:"intact"`
	Canonicalization string `json:"canonicalization"`
	// Length is that of the canonical body, Limit l=, in octets.
	Length     int64  `json:"length"`
	Limit      *int64 `json:"limit,omitempty"`
	SignedHash string `json:"signed_hash"`
	Hash       string `json:"hash"`
	// Octets are lines of what was hashed; More is how many octets are left out behind
	// them, and Tail the last ones.
	Octets []string `json:"octets"`
	More   int      `json:"more"`
	Tail   []string `json:"tail,omitempty"`
	// OriginalIntact: the body of the message as it was sent is the one that was signed.
	OriginalIntact *bool        `json:"original_intact,omitempty"`
	Difference     *bodyDiffers `json:"difference,omitempty"`
	Proven         []proven     `json:"proven"`
}

type bodyDiffers struct {
	Line       int      `json:"line"`
	Before     []string `json:"before"`
	Signed     []string `json:"signed"`
	Now        []string `json:"now"`
	MoreSigned int      `json:"more_signed"`
	MoreNow    int      `json:"more_now"`
}

// proven is a change without which the signature is good.
type proven struct {
	Code diagnosis.Code `json:"code"`
	Text string         `json:"text"`
	// First and Last are lines of the canonical body.
	First int      `json:"first,omitempty"`
	Last  int      `json:"last,omitempty"`
	Names []string `json:"names,omitempty"`
	// Excerpt is from the message.
	Excerpt string `json:"excerpt,omitempty"`
}

func explanationFrom(d *diagnosis.Diagnosis) *explanationOf {
	h, b := &d.Header, &d.Body
	e := &explanationOf{Exhausted: d.Exhausted}
	e.Header = explainedHeader{Key: h.Key, Intact: h.Intact, Copies: h.Copies, Proven: provenOf(h.Proofs),
		Hashed: []hashedField{}, Differences: []fieldDifferent{}}
	for i, field := range h.Hashed {
		if i == mostHashed && i < len(h.Hashed)-1 {
			continue
		}
		e.Header.Hashed = append(e.Header.Hashed, hashedField{field.Name, excerptOf(string(field.Octets), mostOctets)})
	}
	for _, d := range h.Differences[:min(len(h.Differences), mostHashed)] {
		f := fieldDifferent{Name: d.Name, Source: "z=", d: d}
		if d.FromOriginal {
			f.Source = "original"
		}
		for _, side := range []struct {
			text string
			to   **string
		}{{d.Signed, &f.Signed}, {d.Now, &f.Now}} {
			if side.text != "" {
				text := excerptOf(side.text, mostOctets)
				*side.to = &text
			}
		}
		e.Header.Differences = append(e.Header.Differences, f)
	}
	e.Body = explainedBody{
		Intact: b.Intact, Canonicalization: b.Canonicalization.String(), Length: b.Whole, OriginalIntact: b.Original,
		SignedHash: base64.StdEncoding.EncodeToString(b.Signed), Hash: base64.StdEncoding.EncodeToString(b.Found), Proven: provenOf(b.Proofs),
	}
	if b.Limit >= 0 {
		e.Body.Limit = &b.Limit
	}
	e.Body.Octets, e.Body.More, e.Body.Tail = excerptLines(b.Octets)
	if diff := b.Diff; diff != nil {
		e.Body.Difference = &bodyDiffers{diff.Line, escapeAll(diff.Before), escapeAll(diff.Signed), escapeAll(diff.Now), diff.MoreSigned, diff.MoreNow}
	}
	return e
}

func provenOf(proofs []diagnosis.Proof) []proven {
	list := make([]proven, 0, len(proofs))
	for _, p := range proofs {
		list = append(list, proven{
			Code: p.Code, Text: proofWords(p), First: p.First, Last: p.Last, Names: escapeAll(p.Names), Excerpt: excerptOf(p.Text, mostOctets),
		})
	}
	return list
}

const (
	// mostHashed is how many fields of a header block are shown, and mostOctets how
	// much of each.
	mostHashed = 100
	mostOctets = 500
	// mostLines is how many lines are shown of a body, at its beginning and at its end.
	mostLines = 8
)

// excerptOf shows octets from mail: what is not printable is escaped as in Go.
func excerptOf(s string, most int) string {
	if len(s) > most {
		return visible(s[:most]) + "…"
	}
	return visible(s)
}

func escapeAll(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, visible(s))
	}
	return out
}

// excerptLines are the first lines of a body and, where there are more, the last. more
// is how many octets are between them.
func excerptLines(octets []byte) (head []string, more int, tail []string) {
	take := func(line []byte) string { return excerptOf(string(line), mostOctets) }
	rest := octets
	head = []string{}
	for len(rest) > 0 && len(head) < mostLines {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		head, rest = append(head, take(rest[:end])), rest[end:]
	}
	for len(rest) > 0 && len(tail) < mostLines {
		start := bytes.LastIndexByte(rest[:len(rest)-1], '\n') + 1
		tail, rest = append([]string{take(rest[start:])}, tail...), rest[:start]
	}
	return head, len(rest), tail
}

// visible is text with everything escaped that is not printable, line ends too.
func visible(s string) string {
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
