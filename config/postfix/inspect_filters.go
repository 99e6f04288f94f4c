package postfix

import (
	"fmt"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// contentFilters looks at mail that goes through a content filter and comes back: which
// of its two ways in passes us.
func (i *inspection) contentFilters() {
	var before, proxied, after []*Service
	for _, s := range i.intake {
		switch {
		case !i.passes(s):
		case i.Of(s, proxyFilter) != "":
			// smtpd(8) has passed the content on by the time milters would get it.
			proxied = append(proxied, s)
		case i.Of(s, contentFilter) != "":
			before = append(before, s)
		}
	}
	if s := i.service("pickup/unix"); s != nil && i.Of(s, contentFilter) != "" && !i.away(s) && i.has(i.localCleanup(), otherList) {
		before = append(before, s)
	}
	for _, s := range i.reentries {
		if i.passes(s) {
			after = append(after, s)
		}
	}
	switch {
	case len(before) > 0 && len(after) > 0 && i.signs && !i.SignOnce:
		i.filteredTwice(before, after)
	case len(after) > 0 && i.signs && i.Internal != nil && i.Internal(loopback):
		i.strangers(after)
	case len(proxied) > 0 && len(after) == 0:
		i.unseen(proxied)
	case len(before) > 0 && len(after) == 0 && i.signs:
		i.filteredAfter(before)
	}
}

// names joins the names of services.
func names(list []*Service) string {
	var texts []string
	for _, s := range list {
		texts = append(texts, shown(s.Name))
	}
	return strings.Join(texts, ", ")
}

// without is what takes us off services.
func (i *inspection) without(list []*Service) string {
	w := i.newWiring(i.Sockets)
	for _, s := range list {
		if err := w.aside(s); err != nil {
			return sentence(err.Error())
		}
	}
	return i.fix(w.edits()...)
}

func (i *inspection) filteredTwice(before, after []*Service) {
	i.add(FilterTwice, finding.Problem,
		fmt.Sprintf("Mail passes postseal twice: at %s on its way to the content filter, and at %s when it comes back.", names(before), names(after)),
		"It is signed twice. Mail of strangers comes back from this machine and counts as internal: what is forged with your domain gets signed.",
		i.without(after))
}

func (i *inspection) strangers(after []*Service) {
	level := finding.Problem
	if !i.filters() {
		level = finding.Warning // none to be seen: tables outside of main.cf may name one
	}
	i.add(FilterStrangers, level,
		fmt.Sprintf("Mail that comes back from the content filter at %s passes postseal, as if this machine were its client.", names(after)),
		"Mail of strangers counts as internal: it is not verified, and what is forged with your domain gets signed.",
		"Sign and verify before the content filter, and here no more:\n"+i.without(after)+
			"\nIf signing has to come after the filter, let mail of your own clients come back at a port of its own, and only there keep the milter.")
}

func (i *inspection) unseen(proxied []*Service) {
	i.add(FilterUnseen, finding.Problem,
		fmt.Sprintf("smtpd_proxy_filter hands mail that comes in by %s to a filter before milters see its content, and where it comes back it does not pass postseal.", names(proxied)),
		"That mail is neither signed nor verified.",
		"Use content_filter in place of smtpd_proxy_filter; or let mail of your own clients come back at a port of its own, with smtpd_milters="+i.name()+" there.")
}

// filteredAfter tells of a filter behind us. One that hands mail back to sendmail(1)
// has it come in again as mail of this machine.
func (i *inspection) filteredAfter(before []*Service) {
	text := fmt.Sprintf("Mail that comes in by %s passes postseal before it goes to the content filter.", names(before))
	if transport, pipe := i.pipeFilter(before); pipe && len(i.reentries) == 0 && i.has(i.localCleanup(), otherList) {
		i.add(FilterTwice, finding.Warning,
			fmt.Sprintf("%s That is a command, %s; if it hands mail to sendmail(1), this passes postseal once more.", text, shown(transport)),
			"It is signed twice then. Mail of strangers comes in as this machine's own: what is forged with your domain gets signed.",
			"Let the filter hand mail back by SMTP, to a service in master.cf with -o content_filter= -o smtpd_milters=")
		return
	}
	i.add(FilterAfter, finding.Note, text,
		"What the filter changes in a signed field or the body makes the signature fail.",
		"Have the filter add fields at most; a footer or a new subject is for a milter that comes before postseal.")
}

// pipeFilter is the filter of services if it is a command that pipe(8) runs.
func (i *inspection) pipeFilter(list []*Service) (transport string, ok bool) {
	for _, s := range list {
		transport, _, _ = strings.Cut(i.Of(s, contentFilter), ":")
		if t := i.service(transport + "/unix"); t != nil && t.Program == "pipe" {
			return transport, true
		}
	}
	return "", false
}
