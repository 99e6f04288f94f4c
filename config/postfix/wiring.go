package postfix

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// place is where a parameter is written: in main.cf, or as an option of a service.
type place struct {
	service string // "smtp/inet", "" for main.cf
	name    string
}

// wiring is a configuration that is being edited.
type wiring struct {
	*Config
	sockets []Socket
	values  map[place]string // those that are changed
	order   []place
	reasons map[place][]string
}

func (c *Config) newWiring(sockets []Socket) *wiring {
	return &wiring{Config: c, sockets: sockets, values: map[place]string{}, reasons: map[place][]string{}}
}

// item is an element of a list of milters and where it is written.
type item struct {
	element
	position
}

// position is one in the list of a place.
type position struct {
	place
	index int
}

// lists are the lists of milters that are written: those of main.cf, and those of
// services that are not empty, which are there to keep milters away. One that refers
// to another comes after it.
func (w *wiring) lists() []place {
	main := []place{{name: smtpList}, {name: otherList}}
	if items, err := w.items(main[0]); err == nil && slices.ContainsFunc(items, func(i item) bool { return i.name == otherList }) {
		slices.Reverse(main)
	}
	for i := range w.Services {
		s := &w.Services[i]
		for _, name := range []string{smtpList, otherList} {
			if strings.Trim(s.written[name], blanks+",") != "" {
				main = append(main, place{s.String(), name})
			}
		}
	}
	return main
}

// value is a parameter as it is written, or as it will be.
func (w *wiring) value(p place) string {
	if v, ok := w.values[p]; ok {
		return v
	}
	if s := w.service(p.service); s != nil {
		return s.written[p.name]
	}
	return w.written[p.name]
}

// service finds an entry of master.cf.
func (c *Config) service(name string) *Service {
	for i := range c.Services {
		if s := &c.Services[i]; s.String() == name {
			return s
		}
	}
	return nil
}

// items are the elements of a list, with those that its references stand for in their
// place. A reference that is empty, or that has nothing to follow, stays.
func (w *wiring) items(p place) ([]item, error) {
	var list []item
	return list, w.follow(p, 0, &list)
}

// maxDepth is how far references are followed; postconf refuses loops.
const maxDepth = 20

func (w *wiring) follow(p place, depth int, list *[]item) error {
	elements, err := parseList(w.value(p))
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	for i, e := range elements {
		to := w.target(p, e)
		if e.reference != "" && w.value(to) != "" && depth < maxDepth {
			if err := w.follow(to, depth+1, list); err != nil {
				return err
			}
			continue
		}
		if len(*list) == maxElements {
			return fmt.Errorf("%s: %w", p.name, errList)
		}
		*list = append(*list, item{e, position{p, i}})
	}
	return nil
}

// target is where the parameter is written that an element of p refers to: a service's
// option, else main.cf.
func (w *wiring) target(p place, e element) place {
	if s := w.service(p.service); s != nil {
		if _, ok := s.written[e.reference]; ok {
			return place{p.service, e.reference}
		}
	}
	return place{name: e.reference}
}

// isOurs reports whether an element is our daemon at one of its sockets.
func (w *wiring) isOurs(e element) bool {
	return slices.ContainsFunc(w.sockets, func(s Socket) bool { return w.reaches(e.address, s) })
}

// wasOurs reports whether an element is the socket of our packages, or of a postseal
// that listened elsewhere; or a socket of ours written as in postseal.toml, which Postfix
// does not understand ("inet:8891@localhost").
func (w *wiring) wasOurs(e element) bool {
	kind, rest, _ := strings.Cut(e.address, ":")
	port, host, ok := strings.Cut(rest, "@")
	return strings.HasSuffix(e.address, "/postseal.sock") ||
		ok && (kind == "inet" || kind == "inet6") && w.isOurs(element{address: "inet:" + net.JoinHostPort(strings.Trim(host, "[]"), port)})
}

// add puts address into a list.
func (w *wiring) add(l place, address string) error {
	items, err := w.items(l)
	if err != nil {
		return err
	}
	if w.has(items) {
		return nil
	}
	mine := parseElement(address)
	if w.actionFor(l) != "tempfail" {
		// Mail must not leave unsigned while we are away, whatever the others are worth.
		mine = parseElement("{" + address + ",default_action=tempfail}")
	}
	if done, err := w.supplant(items, mine); done || err != nil {
		return err
	}
	for _, i := range items {
		if isReader(i.element) {
			w.because(i.place, fmt.Sprintf("before %s, which reads what it writes", i.text))
			return w.rewrite(i.place, func(n int, e element) []element {
				if n == i.index {
					return []element{mine, e}
				}
				return []element{e}
			})
		}
	}
	home := w.home(l)
	w.because(home, addedReason(l))
	elements, err := parseList(w.value(home))
	if err != nil {
		return err
	}
	w.set(home, append(elements, mine))
	return nil
}

// has reports whether a list has us.
func (w *wiring) has(items []item) bool {
	return slices.ContainsFunc(items, func(i item) bool { return w.isOurs(i.element) || w.hides(i.element) })
}

// hides reports whether an element is one that a condition chooses, ${NAME?…}, with us
// in it.
func (w *wiring) hides(e element) bool {
	if e.reference != "" || !strings.Contains(e.text, "$") {
		return false
	}
	return slices.ContainsFunc(strings.FieldsFunc(e.text, func(r rune) bool { return strings.ContainsRune(blanks+",{}?", r) }),
		func(part string) bool { return w.isOurs(parseElement(part)) })
}

// supplant puts mine in the place of what would do the same: the first such element
// becomes mine, the others go.
func (w *wiring) supplant(items []item, mine element) (done bool, err error) {
	var first *item
	for n, i := range items {
		switch {
		case w.wasOurs(i.element):
			w.because(i.place, fmt.Sprintf("in place of %s, where postseal is not", i.text))
		case isSigner(i.element):
			w.because(i.place, fmt.Sprintf("in place of %s, which seems to sign, too", i.text))
		default:
			continue
		}
		if first == nil {
			first = &items[n]
		}
	}
	if first == nil {
		return false, nil
	}
	for _, p := range places(items) {
		err := w.rewrite(p, func(n int, e element) []element {
			switch {
			case p == first.place && n == first.index:
				return []element{mine}
			case w.wasOurs(e) || isSigner(e):
				return nil
			}
			return []element{e}
		})
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// remove takes us out of a list.
func (w *wiring) remove(l place) error {
	items, err := w.items(l)
	if err != nil {
		return err
	}
	gone := func(e element) bool { return w.isOurs(e) || w.wasOurs(e) }
	for _, i := range items {
		if w.hides(i.element) {
			return fmt.Errorf("%s in %s: take postseal's socket out of it by hand", i.text, i.name)
		}
	}
	for _, p := range places(items) {
		w.because(p, "mail passes postseal no more")
		err := w.rewrite(p, func(_ int, e element) []element {
			if gone(e) {
				return nil
			}
			return []element{e}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// places are where items are written, each once.
func places(items []item) (list []place) {
	for _, i := range items {
		if !slices.Contains(list, i.place) {
			list = append(list, i.place)
		}
	}
	return list
}

// rewrite writes a list anew: each element becomes what change makes of it.
func (w *wiring) rewrite(p place, change func(index int, e element) []element) error {
	elements, err := parseList(w.value(p))
	if err != nil {
		return err
	}
	var list []element
	for i, e := range elements {
		list = append(list, change(i, e)...)
	}
	if !slices.EqualFunc(list, elements, func(a, b element) bool { return a.text == b.text }) {
		w.set(p, list)
	}
	return nil
}

// set notes a list's new elements.
func (w *wiring) set(p place, list []element) {
	if _, ok := w.values[p]; !ok {
		w.order = append(w.order, p)
	}
	w.values[p] = joinList(list)
}

// because notes why a parameter changes.
func (w *wiring) because(p place, reason string) { w.reasons[p] = append(w.reasons[p], reason) }

// edits are the commands for what was noted.
func (w *wiring) edits() []Edit {
	var list []Edit
	for _, p := range w.order {
		list = append(list, w.edit(p, w.values[p], strings.Join(w.reasons[p], "; ")))
	}
	return list
}

// edit is the command that gives a parameter a value.
func (c *Config) edit(p place, value, reason string) Edit {
	argv := []string{"postconf"}
	if c.chosen {
		argv = append(argv, "-c", c.Dir)
	}
	flag, name := "-e", p.name
	if p.service != "" {
		flag, name, value = "-P", p.service+"/"+p.name, packed(value)
	}
	return Edit{Argv: append(argv, flag, strings.TrimSuffix(name+" = "+value, " ")), Reason: reason}
}

func addedReason(l place) string {
	switch {
	case l.service != "":
		return fmt.Sprintf("mail that the service %s takes in passes postseal", l.service)
	case l.name == smtpList:
		return "mail that comes by SMTP passes postseal"
	}
	return "mail of programs on this machine, which comes by sendmail(1), passes postseal"
}

// home is where a list goes on: what it refers to, if it is nothing but a reference.
func (w *wiring) home(l place) place {
	for range maxDepth {
		elements, err := parseList(w.value(l))
		if err != nil || len(elements) != 1 || elements[0].reference == "" {
			break
		}
		to := w.target(l, elements[0])
		if w.value(to) == "" {
			break
		}
		l = to
	}
	return l
}

// actionFor is what Postfix does without a milter that says nothing of its own.
func (w *wiring) actionFor(l place) string {
	if s := w.service(l.service); s != nil {
		return w.Of(s, defaultAction)
	}
	return w.Value(defaultAction)
}
