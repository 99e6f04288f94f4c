package postfix

import (
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// Edit is one change to main.cf or master.cf: a run of postconf.
type Edit struct {
	// Argv is the command.
	Argv []string
	// Reason says what it is for, in a sentence. What it quotes is from main.cf.
	Reason string
}

// String is the command for a shell.
func (e Edit) String() string {
	quoted := make([]string, len(e.Argv))
	for i, a := range e.Argv {
		quoted[i] = finding.Word(a)
	}
	return strings.Join(quoted, " ")
}

// isSigner tells a milter in whose place ours is put: two signers would both sign.
func isSigner(e element) bool {
	return strings.Contains(e.address, "opendkim") || strings.Contains(e.address, "dkimpy") || strings.Contains(e.address, "dkim-filter") || hasPort(e, "8891") || hasPort(e, "12301")
}

// isReader tells a milter that reads our Authentication-Results.
func isReader(e element) bool {
	return strings.Contains(e.address, "opendmarc") || strings.Contains(e.address, "openarc") || hasPort(e, "8893")
}

// hasPort reports whether a milter is at a TCP port, also one that is written as in
// opendkim.conf.
func hasPort(e element, port string) bool {
	at, ok := strings.CutPrefix(e.address, "inet:")
	return ok && (strings.HasSuffix(at, ":"+port) || at == port || strings.HasPrefix(at, port+"@"))
}

// Wire returns the edits that put our milter into the lists of milters: socket where it
// is not yet. others are further sockets of ours: a list that has one of them has us.
// Other milters stay, in their order, but for one that would sign, too. Mail that comes
// back from a content filter does not pass us again. There are no edits where nothing is
// to be done.
//
// The error is an [*UnreachableError] where Postfix would not find the socket, or says
// what to edit by hand.
func (c *Config) Wire(socket Socket, others ...Socket) ([]Edit, error) {
	sockets := append([]Socket{socket}, others...)
	return c.wire(c.newWiring(sockets).lists(), sockets)
}

// wire puts the first of sockets into some lists.
func (c *Config) wire(lists []place, sockets []Socket) ([]Edit, error) {
	address, err := c.address(sockets[0])
	if err != nil {
		return nil, err
	}
	w := c.newWiring(sockets)
	signed, err := w.inMain()
	if err != nil {
		return nil, err
	}
	for _, l := range lists {
		if s := w.service(l.service); s != nil && w.reenters(s) {
			// Only in the place of another: it was this one's task to sign.
			items, err := w.items(l)
			if err != nil {
				return nil, err
			}
			if !w.signs(items) {
				continue
			}
		}
		if err := w.add(l, address); err != nil {
			return nil, err
		}
	}
	if now, err := w.inMain(); err != nil || signed || !now {
		return w.edits(), err
	}
	for n := range w.Services {
		if s := &w.Services[n]; w.inheritsBack(s) {
			if err := w.aside(s); err != nil {
				return nil, err
			}
		}
	}
	return w.edits(), nil
}

// inMain reports whether main.cf's smtpd_milters has us.
func (w *wiring) inMain() (bool, error) {
	items, err := w.items(place{name: smtpList})
	return w.has(items), err
}

// Unwire returns the edits that take our milter, at any of the sockets, out of all
// lists. A service that mail comes back by from a content filter keeps its own list.
func (c *Config) Unwire(sockets ...Socket) ([]Edit, error) {
	w := c.newWiring(sockets)
	for _, l := range w.lists() {
		if err := w.remove(l); err != nil {
			return nil, err
		}
	}
	return w.edits(), nil
}
