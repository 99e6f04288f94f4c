package postfix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/postseal/postseal/milter/finding"
)

// use is one of our sockets as a service asks it.
type use struct {
	address string // as the list has it
	service *Service
}

// uses are the sockets that services ask, each once for all that see the same file
// system.
func (i *inspection) uses() []use {
	var list []use
	type key struct {
		address string
		chroot  bool
	}
	seen := map[key]bool{}
	note := func(s *Service, name string) {
		for _, e := range i.our(i.elements(s, name)) {
			k := key{e.address, s != nil && s.Chroot}
			if !seen[k] {
				seen[k] = true
				list = append(list, use{e.address, s})
			}
		}
	}
	for _, s := range append(slices.Clone(i.intake), i.reentries...) {
		note(s, smtpList)
	}
	note(i.localCleanup(), otherList)
	return list
}

// sockets looks whether the services of Postfix can reach ours, and asks them.
func (i *inspection) sockets(ctx context.Context) {
	told := map[string]bool{}
	for _, u := range i.uses() {
		before := len(i.found)
		if _, rest, _ := strings.Cut(u.address, ":"); strings.HasPrefix(u.address, "inet:") {
			i.port(ctx, u, rest)
		} else {
			i.path(ctx, u, rest)
		}
		// What is wrong for two services is wrong once.
		for n := before; n < len(i.found); n++ {
			if told[i.found[n].Text] {
				i.found = slices.Delete(i.found, n, n+1)
				n--
				continue
			}
			told[i.found[n].Text] = true
		}
	}
}

// port asks a TCP port.
func (i *inspection) port(ctx context.Context, u use, rest string) {
	if _, err := i.address(i.ours(u)); err != nil {
		i.add(SocketOutside, finding.Problem,
			fmt.Sprintf("Postfix does not use the family of addresses that %s is of (inet_protocols is %s).", shown(u.address), shown(i.Value("inet_protocols"))),
			"It cannot reach postseal: mail is deferred, or does what milter_default_action says.", sentence(err.Error()))
		return
	}
	if !strings.Contains(rest, ":") {
		rest = "localhost:" + rest
	}
	ctx, cancel := context.WithTimeout(ctx, greetingTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", rest)
	if err != nil {
		i.absent("inet:"+rest, err)
		return
	}
	defer conn.Close()
	i.greeted("inet:"+rest, greet(ctx, conn))
}

// absent tells of a socket at which nobody listens.
func (i *inspection) absent(socket string, err error) {
	i.add(SocketMissing, finding.Problem,
		fmt.Sprintf("Nobody answers at %s, which Postfix asks: %v.", socket, cause(err)),
		"Mail is deferred, or does what milter_default_action says.",
		"systemctl restart postseal.socket postseal.service\nsystemctl status postseal.socket postseal.service")
}

// cause is the last of an error's words, "connection refused".
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// greeted tells of a peer that is no milter.
func (i *inspection) greeted(socket string, err error) {
	if err == nil {
		return
	}
	i.add(SocketSilent, finding.Problem,
		fmt.Sprintf("What listens at %s does not answer as a milter does: %v.", socket, err),
		"Mail is deferred, or does what milter_default_action says.",
		"See whether it is postseal, and what its log says:\npostseal ping\njournalctl -u postseal -n 20")
}

// path looks at a unix socket.
func (i *inspection) path(ctx context.Context, u use, path string) {
	root := "/"
	if u.service != nil && u.service.Chroot {
		root = i.Queue()
	}
	full := filepath.Join(i.Queue(), path)
	if strings.HasPrefix(path, "/") {
		full = filepath.Join(root, path)
	}
	inside, visible := "/"+path, true
	if root != "/" {
		inside, visible = i.seenFrom(root, full)
	}
	if !visible || !exists(full) {
		i.misplaced(u, full, visible)
		return
	}
	if os.Geteuid() != 0 {
		i.byModes(ctx, full)
		return
	}
	who, err := i.account()
	if err != nil {
		i.byModes(ctx, full)
		return
	}
	if root == "/" {
		inside = full
	}
	conn, err := dialAs(root, inside, who)
	switch {
	case errors.Is(err, errRights):
		i.byModes(ctx, full)
	case errors.Is(err, fs.ErrPermission):
		i.denied(full, who)
	case err != nil:
		i.absent(full, err)
	default:
		defer conn.Close()
		ctx, cancel := context.WithTimeout(ctx, greetingTimeout)
		defer cancel()
		i.greeted(full, greet(ctx, conn))
	}
}

// seenFrom is a path as a process sees it whose root folder is root. It is false where
// the path leads out of there by a symbolic link.
func (i *inspection) seenFrom(root, full string) (inside string, ok bool) {
	resolved, err := filepath.EvalSymlinks(full)
	if err != nil {
		resolved = full
	}
	base, err := filepath.EvalSymlinks(root)
	if err != nil {
		base = root
	}
	rest, ok := strings.CutPrefix(resolved, strings.TrimSuffix(base, "/")+"/")
	return "/" + rest, ok
}

// exists reports whether a path is a socket, as far as we may look.
func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&fs.ModeSocket != 0 || errors.Is(err, fs.ErrPermission)
}

// ours is the socket of ours that a service asks.
func (i *inspection) ours(u use) Socket {
	return i.Sockets[slices.IndexFunc(i.Sockets, func(s Socket) bool { return i.reaches(u.address, s) })]
}

// misplaced tells of a path without a socket: because the service has another root
// folder than we, or because nobody made one.
func (i *inspection) misplaced(u use, full string, visible bool) {
	ours := i.ours(u)
	if visible && real(full) == real(ours.Address) {
		i.absent(full, syscall.ENOENT)
		return
	}
	where := ""
	if u.service != nil && u.service.Chroot {
		where = fmt.Sprintf(", whose root folder is %s,", i.Queue())
	}
	i.add(SocketOutside, finding.Problem,
		fmt.Sprintf("The service %s%s looks for %s at %s; postseal listens at %s.", i.serviceName(u), where, shown(u.address), shown(full), ours.Address),
		"It cannot reach postseal: mail is deferred, or does what milter_default_action says.",
		i.renamed(u, ours))
}

func (i *inspection) serviceName(u use) string {
	if u.service == nil {
		return "cleanup"
	}
	return shown(u.service.Name)
}

// renamed is what has lists name our socket as the services see it.
func (i *inspection) renamed(u use, ours Socket) string {
	address, err := i.address(ours)
	if err != nil {
		return sentence(err.Error())
	}
	w := i.newWiring(i.Sockets)
	for _, l := range w.lists() {
		items, err := w.items(l)
		if err != nil {
			return sentence(err.Error())
		}
		for _, p := range places(items) {
			if err := w.rewrite(p, func(_ int, e element) []element {
				if e.address == u.address {
					e = parseElement(strings.Replace(e.text, u.address, address, 1))
				}
				return []element{e}
			}); err != nil {
				return sentence(err.Error())
			}
		}
	}
	return i.fix(w.edits()...)
}
