package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/postfix"
)

// MTA is the Postfix that is to ask us.
type MTA struct {
	*postfix.Config
	// Dir is its folder of configuration, "" for the usual one.
	Dir string
	// Running: it has to be told of changes.
	Running bool
}

// SocketFor is the socket, as [config.ParseSocket] takes it, of a new configuration: one
// that Postfix finds from its root folder, chrooted or not. mta is nil where there is none.
func SocketFor(mta *MTA) string {
	if mta == nil {
		return "inet:8891@localhost"
	}
	return "local:" + filepath.Join(mta.Queue(), "postseal", "postseal.sock")
}

// sockets are those of a configuration, one that signs first.
func sockets(c *config.Config) []postfix.Socket {
	var signing, verifying []postfix.Socket
	add := func(spec string, mode config.Mode) {
		network, address, err := config.ParseSocket(spec)
		switch {
		case err != nil: // the configuration was read
		case mode.Sign:
			signing = append(signing, postfix.Socket{Network: network, Address: address})
		default:
			verifying = append(verifying, postfix.Socket{Network: network, Address: address, VerifyOnly: true})
		}
	}
	for _, spec := range c.Socket {
		add(spec, c.Mode)
	}
	for _, l := range c.Listener {
		add(l.Socket, l.Mode)
	}
	return append(signing, verifying...)
}

// Reach plans what lets Postfix get to a unix socket below its queue: the folder, and
// the group that may use the socket.
func (t *MTA) Reach(ctx context.Context, m System, plan *Plan, s *Site) error {
	for _, socket := range sockets(s.Config) {
		if socket.Network != "unix" {
			continue
		}
		dir := filepath.Dir(socket.Address)
		if strings.HasPrefix(dir, t.Queue()+"/") {
			plan.folder(dir, 0o750, s.Owner)
		}
		group := s.Config.SocketGroup
		if group == "" {
			group = s.Owner.Group
		}
		if group == "" || s.Config.SocketMode.Mode()&0o002 != 0 {
			continue
		}
		in, err := m.inGroup(ctx, t.Owner(), group)
		if err != nil {
			return err
		}
		if !in && group != t.Owner() && !plan.lets(t.Owner(), group) {
			plan.Add(&Member{User: t.Owner(), Group: group})
		}
	}
	return nil
}

// lets reports whether a user is to be in a group.
func (p *Plan) lets(user, group string) bool {
	for _, c := range p.Changes {
		if m, ok := c.(*Member); ok && *m == (Member{user, group}) {
			return true
		}
	}
	return false
}

// Wire plans our place in the lists of milters.
func (t *MTA) Wire(ctx context.Context, plan *Plan, s *Site) (advice string, err error) {
	all := sockets(s.Config)
	if len(all) == 0 {
		return "", errors.New("the configuration has no socket that Postfix could ask")
	}
	w, err := Wire(ctx, t.Config, t.Dir, all[0], all[1:]...)
	if err != nil {
		return "", err
	}
	return t.edit(plan, w)
}

// Unwire plans to take our milter out of them. Without a configuration those of our
// packages are looked for.
func (t *MTA) Unwire(ctx context.Context, plan *Plan, s *Site) (advice string, err error) {
	w, err := Unwire(ctx, t.Config, t.Dir, sockets(s.Config))
	if err != nil {
		return "", err
	}
	return t.edit(plan, w)
}

// UnwireCommands are the commands for a shell that take our milter out of them.
func (t *MTA) UnwireCommands(s *Site) ([]string, error) {
	edits, err := t.Config.Unwire(sockets(s.Config)...)
	if err != nil || len(edits) == 0 {
		return nil, err
	}
	var list []string
	for _, e := range edits {
		list = append(list, e.String())
	}
	return append(list, postfix.Edit{Argv: t.reload()}.String()), nil
}

// reload is the command that has Postfix read its configuration anew.
func (t *MTA) reload() []string {
	if t.Dir != "" {
		return []string{"postfix", "-c", t.Config.Dir, "reload"}
	}
	return []string{"postfix", "reload"}
}

// edit plans edits of main.cf and master.cf; nil is none.
func (t *MTA) edit(plan *Plan, w *Wiring) (advice string, err error) {
	// Who has been let into a group is so from the next reload on.
	told := plan.has(func(c Change) bool {
		switch c.(type) {
		case *Member, *Wiring:
			return true
		}
		return false
	})
	if w == nil && !told {
		return "", nil
	}
	reload := t.reload()
	if w != nil {
		if t.Running {
			plan.Add(&Command{Undo: reload, Root: true})
		}
		plan.Add(w)
	}
	if !t.Running {
		return "start Postfix: " + strings.Join(reload[:len(reload)-1], " ") + " start", nil
	}
	plan.Add(&Command{Argv: reload, Root: true})
	return "", nil
}

// FindMTA reads Postfix's configuration in dir, "" for the usual one; nil where the
// machine has no Postfix.
func FindMTA(ctx context.Context, m System, dir string) (*MTA, error) {
	c, err := postfix.Read(ctx, dir)
	if errors.Is(err, postfix.ErrNotInstalled) && dir == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := &MTA{Config: c, Dir: dir}
	// Others than root cannot ask whether it runs: it does, usually.
	t.Running = true
	if os.Geteuid() == 0 {
		status := []string{"postfix", "status"}
		if dir != "" {
			status = []string{"postfix", "-c", dir, "status"}
		}
		_, err := m.Run(ctx, status...)
		t.Running = err == nil
	}
	if _, err := os.Stat(c.Queue()); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("Postfix's queue_directory %s is not there; start Postfix once, which makes it", c.Queue())
	}
	return t, nil
}
