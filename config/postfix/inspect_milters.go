package postfix

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// malformed looks for addresses as in opendkim.conf or postseal.toml: "inet:8891@localhost"
// ends smtpd(8) at once, and another kind than inet, unix and local is no milter to it.
func (i *inspection) malformed(l place) {
	w := i.newWiring(i.Sockets)
	items, err := w.items(l)
	if err != nil {
		return
	}
	for _, item := range items {
		kind, rest, _ := strings.Cut(item.address, ":")
		port, host, swapped := strings.Cut(rest, "@")
		known := kind == "unix" || kind == "local" || kind == "inet" && !swapped
		if known || item.address == "" || strings.Contains(item.address, "$") {
			continue
		}
		fix := "Have it be inet:HOST:PORT, or unix:PATH, or take it out."
		if swapped {
			w := i.newWiring(i.Sockets)
			_ = w.rewrite(item.place, func(n int, e element) []element {
				if n == item.index {
					e = parseElement(strings.Replace(e.text, item.address, "inet:"+net.JoinHostPort(strings.Trim(host, "[]"), port), 1))
				}
				return []element{e}
			}) // it was read before
			fix = i.fix(w.edits()...)
		}
		i.add(MilterMalformed, finding.Problem,
			fmt.Sprintf("%s has %s, which Postfix cannot read.", l, shown(item.text)),
			"Postfix takes no mail, or defers it.", fix)
	}
}

// neighbours looks at the milters beside us in a list.
func (i *inspection) neighbours(l place) {
	w := i.newWiring(i.Sockets)
	items, err := w.items(l)
	if err != nil {
		return
	}
	first, signing := -1, 0
	for n, item := range items {
		if !w.isOurs(item.element) {
			continue
		}
		if first < 0 {
			first = n
		}
		if slices.ContainsFunc(i.Sockets, func(s Socket) bool { return !s.VerifyOnly && i.reaches(item.address, s) }) {
			signing++
		}
	}
	if first < 0 {
		return
	}
	if signing > 1 && !i.SignOnce {
		i.add(MilterTwice, finding.Problem, fmt.Sprintf("%s has postseal %d times.", l, signing), "Mail is signed as many times.",
			i.moved(l, func(e element) bool { return w.isOurs(e) }))
	}
	var after []string
	for n, item := range items {
		switch {
		case w.isOurs(item.element):
		case isSigner(item.element) && i.signs:
			i.add(OtherSigner, finding.Problem,
				fmt.Sprintf("%s has another milter that seems to sign: %s.", l, shown(item.text)),
				"Mail is signed twice.",
				i.moved(l, isSigner))
		case isReader(item.element) && n < first:
			i.add(ReaderFirst, finding.Warning,
				fmt.Sprintf("In %s, %s comes before postseal.", l, shown(item.text)),
				"It judges mail without postseal's results.",
				i.moved(l, func(e element) bool { return w.isOurs(e) }))
		case !isReader(item.element) && n > first && item.reference == "":
			after = append(after, shown(item.text))
		}
	}
	if len(after) > 0 && i.signs {
		i.add(MilterAfter, finding.Note,
			fmt.Sprintf("In %s, %s comes after postseal.", l, strings.Join(after, ", ")),
			"What it changes in a signed field or the body makes the signature fail.",
			"Put it before postseal if it changes mail.")
	}
}

// shown is text from main.cf within a sentence.
func shown(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// String is a list's name for people.
func (p place) String() string {
	if p.service == "" {
		return p.name
	}
	return p.name + " of the service " + p.service
}

// moved is what takes some elements out of a list and puts us where we belong.
func (i *inspection) moved(l place, out func(element) bool) string {
	w := i.newWiring(i.Sockets)
	items, err := w.items(l)
	if err != nil {
		return sentence(err.Error())
	}
	for _, p := range places(items) {
		if err := w.rewrite(p, func(_ int, e element) []element {
			if out(e) {
				return nil
			}
			return []element{e}
		}); err != nil {
			return sentence(err.Error())
		}
	}
	address, err := i.address(i.Sockets[0])
	if err == nil {
		err = w.add(l, address)
	}
	if err != nil {
		return sentence(err.Error())
	}
	return i.fix(w.edits()...)
}

// actions looks at what happens to mail while we are away, each element of ours once: in
// all lists, and where a service with main.cf's list has an action of its own.
func (i *inspection) actions() {
	seen := map[position]bool{}
	var told []*absence
	for _, l := range i.lists() {
		told = i.actionsOf(l, i.service(l.service), seen, told)
	}
	for _, s := range i.intake {
		if i.overridden(s, defaultAction) && !i.overridden(s, smtpList) {
			told = i.actionsOf(place{name: smtpList}, s, seen, told)
		}
	}
	for _, a := range told {
		fix := a.fix
		if fix == "" {
			fix = i.fix(a.wiring.edits()...)
		}
		i.add(DefaultAction, finding.Warning, fmt.Sprintf("For postseal in %s, %s.", strings.Join(a.lists, " and "), a.text),
			"While postseal is away, "+a.effect+".", fix)
	}
}

// absence is what is said of mail while we are away, in one or several lists.
type absence struct {
	text, effect string
	lists        []string
	wiring       *wiring // as it should be
	fix          string  // why it cannot be changed
}

// actionsOf looks at one list as a service has it; nil: as main.cf says. One parameter
// that is wrong for several lists is told once.
func (i *inspection) actionsOf(l place, s *Service, seen map[position]bool, told []*absence) []*absence {
	w := i.newWiring(i.Sockets)
	items, err := w.items(l)
	if err != nil {
		return told
	}
	for _, item := range items {
		if !w.isOurs(item.element) || seen[item.position] {
			continue
		}
		action, own := item.settings["default_action"]
		text := fmt.Sprintf("%s says default_action=%s", shown(item.text), shown(action))
		if !own {
			action = i.Value(defaultAction)
			text = fmt.Sprintf("milter_default_action is %s", shown(action))
			if i.overridden(s, defaultAction) {
				action = i.Of(s, defaultAction)
				text = fmt.Sprintf("milter_default_action of the service %s is %s", shown(s.Name), shown(action))
			}
		}
		var effect string
		switch action {
		case "accept":
			effect = "mail leaves unsigned, and what arrives is not verified"
		case "reject":
			effect = "mail is refused for good"
		case "quarantine":
			effect = "mail is put on hold until somebody releases it"
		default:
			continue
		}
		seen[item.position] = true
		n := slices.IndexFunc(told, func(a *absence) bool { return !own && a.text == text })
		if n < 0 {
			n = len(told)
			told = append(told, &absence{text: text, effect: effect, wiring: w})
		}
		told[n].lists = append(told[n].lists, l.String())
		if err := tempfail(told[n].wiring, item); err != nil {
			told[n].fix = sentence(err.Error())
		}
	}
	return told
}

// tempfail is what makes one element say that mail is to come again later.
func tempfail(w *wiring, at item) error {
	text := "{" + at.address
	for _, name := range slices.Sorted(maps.Keys(at.settings)) {
		if name != "default_action" {
			text += "," + name + "=" + at.settings[name]
		}
	}
	return w.rewrite(at.place, func(n int, e element) []element {
		if n == at.index {
			e = parseElement(text + ",default_action=tempfail}")
		}
		return []element{e}
	})
}

// protocol looks at milter_protocol. In all versions but the oldest we ask for the macros
// that we need, whatever milter_*_macros say.
func (i *inspection) protocol() {
	const parameter = "milter_protocol"
	version, err := strconv.Atoi(i.Value(parameter)[:min(1, len(i.Value(parameter)))])
	if err != nil || version >= 6 {
		return
	}
	effect := "Blanks at the beginning of a header field get lost on the way to postseal: \"simple\" signatures fail."
	level := finding.Warning
	if version < 3 && !slices.Contains(words(i.Value("milter_mail_macros")), "{auth_type}") {
		level = finding.Problem
		effect += " Mail of clients who log in is not signed, as milter_mail_macros is without {auth_type}."
	}
	i.add(OldProtocol, level, fmt.Sprintf("milter_protocol is %d.", version), effect, i.fix(i.set(nil, parameter, "6")))
}
