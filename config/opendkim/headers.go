package opendkim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
)

// signedFields are signed where SignHeaders is not set (RFC 6376 §5.4.1).
func signedFields() []string {
	return []string{
		"From", "Reply-To", "Subject", "Date", "To", "Cc", "Resent-Date", "Resent-From", "Resent-Sender", "Resent-To",
		"Resent-Cc", "In-Reply-To", "References", "List-Id", "List-Help", "List-Unsubscribe", "List-Subscribe",
		"List-Post", "List-Owner", "List-Archive",
	}
}

// omittedFields are not signed where OmitHeaders is not set.
func omittedFields() []string { return []string{"Return-Path", "Received", "Comments", "Keywords"} }

const (
	badLibraryOptions = "can't configure DKIM library: failed to set DKIM library options"
	badArray          = "can't configure DKIM library: failed to generate DB array"
)

// elements are the keys of a list's rows; false means that a problem is noted.
func (r *reading) elements(s setting) ([]string, bool) {
	if !r.openable(s) {
		return nil, false
	}
	set, err := dataset.Open(r.dataSet(s), dataset.Options{Base: r.config.BaseDirectory})
	if err != nil {
		r.refuse(s, r.shown(s)+": dkimf_db_open(): "+databaseReason(err), err.Error())
		return nil, false
	}
	if n := len(set.Rows()); n > config.MaxHeaderNames {
		r.errorAt(s.place, "illegal value", fmt.Sprintf("%s: %s holds %d names, and at most %d are taken; is it the right file?", s.name, set.Source(), n, config.MaxHeaderNames))
		return nil, false
	}
	if set.Walkable() {
		return set.Values(), true
	}
	const hint = "a refile holds patterns; write the names behind file: or csl:"
	switch s.name {
	case "ReplaceHeaders": // the one list that OpenDKIM asks for each name
		return set.Values(), true
	case "SenderHeaders":
		r.errorAt(s.place, "illegal value", s.name+": "+hint)
	case "SignHeaders":
		r.atStart(ExitSoftware, s, badLibraryOptions, hint)
	default:
		r.atStart(ExitSoftware, s, badArray, hint)
	}
	return nil, false
}

// expand applies OpenDKIM's grammar. Without an element "*" the list replaces
// standard, and "-name" does nothing. With one, standard comes first, each
// "+name" is added, and each "-name" takes that very name out of standard; bare
// names do nothing. ok is false where a problem is noted.
func (r *reading) expand(s setting, standard []string, wildcards bool) (list []string, ok bool) {
	elements, ok := r.elements(s)
	if !ok {
		return nil, false
	}
	delta := slices.Contains(elements, "*")
	var without, idle []string
	for _, element := range elements {
		name := strings.TrimLeft(element, "+-")
		sign := element[:len(element)-len(name)]
		switch {
		case element == "*" || element == ".":
		case sign == "+" && !delta:
			r.atStart(ExitSoftware, s, badLibraryOptions, fmt.Sprintf(`%q adds to the default list, which an element "*" stands for; write "*,%s", or %q alone`, element, element, name))
			return nil, false
		case sign == "-" && delta && isFieldName(name, true):
			without = append(without, name)
		case (sign == "+") == delta && len(sign) <= 1 && isFieldName(name, wildcards):
			list = append(list, name)
		default:
			idle = append(idle, element)
		}
	}
	if delta {
		kept := slices.DeleteFunc(slices.Clone(standard), func(name string) bool { return contains(without, name) })
		list = append(kept, list...)
	}
	r.idleElements(s, idle, delta)
	return distinct(list), true
}

// idleElements tells of what a list has that does nothing.
func (r *reading) idleElements(s setting, idle []string, delta bool) {
	switch {
	case len(idle) == 0:
	case delta:
		r.notice(s, `%s: no effect beside "*", as in OpenDKIM; write "+NAME" to add a name`, quoted(idle))
	default:
		r.notice(s, `%s: no effect, for want of a header field's name that can be used here`, quoted(idle))
	}
}

func (r *reading) signHeaders(s setting) {
	list, ok := r.expand(s, signedFields(), true)
	switch {
	case !ok:
		return
	case len(list) == 0:
		r.notice(s, "it names no field; the default list is signed")
		return
	case !contains(list, "From"):
		list = append([]string{"From"}, list...) // RFC 6376 §5.4
	}
	r.config.SignHeaders = dataset.List(list...)
}

// omitHeaders never omits From: OpenDKIM could not sign any mail then.
func (r *reading) omitHeaders(s setting) {
	list, ok := r.expand(s, omittedFields(), true)
	if !ok {
		return
	}
	var omitted []string
	for _, name := range list {
		if prefix, wild := strings.CutSuffix(name, "*"); strings.EqualFold(name, "From") || wild && hasPrefixFold("From", prefix) {
			r.notice(s, "%q: From has to be signed (RFC 6376 §5.4); it is not omitted", name)
			continue
		}
		omitted = append(omitted, name)
	}
	r.config.OmitHeaders = dataset.List(omitted...)
}

func (r *reading) senderHeaders(s setting) {
	list, ok := r.expand(s, []string{"From"}, false)
	switch {
	case !ok:
		return
	case len(list) == 0:
		r.notice(s, "it names no field; From it is")
		return
	}
	r.config.SenderHeaders = dataset.List(list...)
}

// literalNames reads a list of whole names, without OpenDKIM's "+", "-" and "*".
func literalNames(field func(c *config.Config) any) func(r *reading, s setting) {
	return func(r *reading, s setting) {
		elements, ok := r.elements(s)
		if !ok {
			return
		}
		var list, idle []string
		for _, name := range elements {
			switch {
			case !isFieldName(name, false), s.name == "OversignHeaders" && strings.EqualFold(name, "DKIM-Signature"):
				idle = append(idle, name)
			default:
				list = append(list, name)
			}
		}
		r.idleElements(s, idle, false)
		if spec, ok := field(r.config).(*dataset.Spec); ok {
			*spec = dataset.List(distinct(list)...)
		}
	}
}

// isFieldName reports whether name is that of a header field (RFC 5322 §3.6.8)
// and holds no ";", which h= cannot (RFC 6376 §3.5); with wildcards it may end
// in "*".
func isFieldName(name string, wildcards bool) bool {
	if wildcards {
		name = strings.TrimSuffix(name, "*")
	}
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(":;*+", c)
	}) && name[0] != '-'
}

func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// distinct keeps the first of each name.
func distinct(names []string) []string {
	var list []string
	for _, name := range names {
		if !contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

func quoted(list []string) string {
	const most = 5
	var q []string
	for i, s := range list {
		if i == most {
			q = append(q, fmt.Sprintf("%d more", len(list)-i))
			break
		}
		q = append(q, fmt.Sprintf("%q", s))
	}
	return strings.Join(q, ", ")
}
