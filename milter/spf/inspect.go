package spf

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// MaxInspectQueries is how many questions Inspect asks of DNS at most, whatever DNS
// answers: one for each term of the tree, the record, the wrong names and types, and
// exp=.
const MaxInspectQueries = MaxTree + 1 + 4 + 1

// Inspect looks at the SPF record of a domain and says what is wrong with it. Trouble
// with DNS is a finding, too, and then nothing is said of what could not be seen: so
// there is no error. ctx bounds the time.
func Inspect(ctx context.Context, resolver Resolver, domain string) *Report {
	r := &Report{Domain: domain}
	name, err := domainName(domain)
	if err != nil {
		r.problem(BadName, fmt.Sprintf("There can be no SPF record: %v.", err), "Nothing can be looked up.", "Correct the domain.")
		return r
	}
	r.Domain = name
	txt, _, err := resolver.LookupTXT(ctx, name)
	if err != nil {
		r.problem(LookupFailed, fmt.Sprintf("The SPF record could not be looked up: %v.", err),
			"Whether there is one is not known.", "Try again later, or ask another name server with --nameserver.")
		return r
	}
	for _, t := range txt {
		if IsRecord(t) {
			r.Records = append(r.Records, t)
		}
	}
	switch len(r.Records) {
	case 0:
		r.missing(ctx, resolver, txt)
	case 1:
		r.inspect(ctx, resolver, r.Records[0])
	default:
		r.problem(SeveralRecords, fmt.Sprintf("%s has %d SPF records, and one is allowed (RFC 7208 §4.5).", name, len(r.Records)),
			permerror, "Delete all of them. "+r.publish(merged(r.Records)))
	}
	return r
}

// missing says why there is no record.
func (r *Report) missing(ctx context.Context, resolver Resolver, txt []string) {
	const effect = "Receivers do not know which hosts send for the domain; many trust its mail less, and DMARC has DKIM alone to go by."
	for _, t := range txt {
		if record, ok := meant(t); ok {
			r.problem(BadVersion, fmt.Sprintf(`The TXT record %s begins otherwise than "v=spf1 ": it is no SPF record.`, excerpt(t)), effect, r.publish(record))
			return
		}
	}
	if record, ok := typed(ctx, resolver, r.Domain); ok {
		r.problem(WrongType, "The SPF record is of the type SPF (99), which nobody asks for any more (RFC 7208 §3.1).", effect, "As a TXT record: "+r.publish(record))
		return
	}
	for _, wrong := range []string{"_spf." + r.Domain, "spf." + r.Domain, r.Domain + "." + r.Domain} {
		txt, _, err := resolver.LookupTXT(ctx, wrong)
		if i := slices.IndexFunc(txt, IsRecord); err == nil && i >= 0 {
			r.problem(Misplaced, fmt.Sprintf("There is no SPF record at %s; one stands at %s, where nobody looks.", r.Domain, wrong), effect, r.publish(txt[i]))
			return
		}
	}
	r.problem(NoRecord, fmt.Sprintf("There is no SPF record at %s.", r.Domain), effect,
		"Publish a record that names the hosts that send for the domain, such as "+finding.Record(r.Domain, Version+" mx ~all"))
}

// typed asks for a record of the type SPF, where the resolver can.
func typed(ctx context.Context, resolver Resolver, name string) (string, bool) {
	d, ok := resolver.(interface {
		LookupSPF(ctx context.Context, name string) ([]string, error)
	})
	if !ok {
		return "", false
	}
	records, err := d.LookupSPF(ctx, name)
	if i := slices.IndexFunc(records, IsRecord); err == nil && i >= 0 {
		return records[i], true
	}
	return "", false
}

// version is what stands in place of v=spf1 by mistake.
var version = regexp.MustCompile(`(?i)^["'\\\s]*v?\s*[=:-]?\s*spf\s*1?[.0-9]*["';,:]*(?:\s+|$)`)

// meant returns the record that a TXT record was meant to be.
func meant(txt string) (record string, ok bool) {
	if len(txt) > MaxRecord || strings.HasPrefix(strings.ToLower(txt), "spf2.0/") {
		return "", false // Sender ID (RFC 4406)
	}
	rest := txt
	if found := version.FindString(txt); found != "" {
		rest = txt[len(found):]
	} else if !isBody(txt) {
		return "", false
	}
	record = strings.TrimRight(Version+" "+rest, "\"' ")
	if _, errs := Parse(record); len(errs) > 0 {
		return corrected(record, errs)
	}
	return record, true
}

// isBody reports whether a text is an SPF record without its version: all its words
// are terms, and the last is all.
func isBody(txt string) bool {
	last := txt[strings.LastIndexByte(txt, ' ')+1:]
	return strings.EqualFold(strings.TrimLeft(last, "+-~?"), "all") && sound(txt)
}

// inspect reads the only record.
func (r *Report) inspect(ctx context.Context, resolver Resolver, text string) {
	if !strings.HasPrefix(text, Version) {
		r.note(VersionCase, fmt.Sprintf("The record begins with %q, not with %q.", text[:len(Version)], Version),
			"Receivers that know lower case alone find no record.", r.publish(Version+text[len(Version):]))
	}
	record, errs := Parse(text)
	if len(errs) > 0 {
		r.spoiled(text, errs)
		return
	}
	r.Record = record
	r.walk(ctx, resolver)
	r.advise(text)
	r.explanation(ctx, resolver)
}

// spoiled tells each error of syntax.
func (r *Report) spoiled(text string, errs []*SyntaxError) {
	better, known := corrected(text, errs)
	for i, e := range errs {
		if i > 0 && e.Offset < errs[i-1].End {
			continue // part of the one before
		}
		fix := fmt.Sprintf("Correct %s in the record.", excerpt(e.Term))
		switch {
		case known:
			fix = r.publish(better)
		case e.Better != "":
			fix = fmt.Sprintf("Write %s in place of %s.", e.Better, excerpt(e.Term))
		}
		r.problem(Syntax, fmt.Sprintf("The SPF record has an error at character %d, %s: %s.", e.Offset+1, excerpt(e.Term), e.Reason), permerror, fix)
	}
}

// explanation looks at the text that exp= leads to (RFC 7208 §6.2).
func (r *Report) explanation(ctx context.Context, resolver Resolver) {
	i := r.Record.find(Exp)
	if i < 0 {
		return
	}
	t := r.Record.Terms[i]
	name, ok := t.name(r.Domain, r.Domain)
	if !ok {
		return
	}
	txt, _, err := resolver.LookupTXT(ctx, name)
	why := ""
	switch {
	case err != nil:
		return
	case len(txt) == 0:
		why = "there is no TXT record"
	case len(txt) > 1:
		why = fmt.Sprintf("there are %d TXT records", len(txt))
	case !isASCII(txt[0]):
		why = "the text is not ASCII"
	default:
		for _, word := range words(txt[0], 0) {
			if _, err := parseMacro(word); err != nil {
				why = err.Error()
			}
		}
	}
	if why != "" {
		r.note(Explanation, fmt.Sprintf("%s leads to no explanation: %s at %s.", t.short(), why, shown(name)),
			"Nobody sees an explanation; the result of SPF is the same.", r.publish(r.Record.without(isTerm(t))))
	}
}
