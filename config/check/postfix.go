package check

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/hosts"
	"github.com/postseal/postseal/milter/spf"
)

// The kinds of findings about Postfix, beside those of package postfix.
const (
	// NoPostfix: this machine has none.
	NoPostfix finding.Code = "no-postfix"
	// PostfixUnread: its configuration cannot be read.
	PostfixUnread finding.Code = "postfix-unread"
)

// ReadPostfix reads the configuration of Postfix in a folder, "" for the usual one and
// "none" where there is to be none, and takes from it what the other sections need:
// Postfix's name, and the host that it hands its mail to.
func (c *Checker) ReadPostfix(ctx context.Context, dir string) {
	if dir == "none" {
		c.mailErr = postfix.ErrNotInstalled
		return
	}
	c.mail, c.mailErr = postfix.Read(ctx, dir)
	if dir != "" && errors.Is(c.mailErr, postfix.ErrNotConfigured) { // somebody thinks that it has
		c.mailErr = fmt.Errorf("there is no main.cf in %s", dir)
	}
	if c.mailErr != nil {
		return
	}
	if c.HELO == "" {
		c.HELO = c.mail.Value("smtp_helo_name")
	}
	c.readRelay()
}

// readRelay finds out whether mail leaves through another host.
func (c *Checker) readRelay() {
	c.Relay, c.RelayBy = c.mail.Value("relayhost"), "relayhost"
	if _, next, ok := strings.Cut(c.mail.Value("default_transport"), ":"); ok && next != "" { // TRANSPORT:NEXTHOP
		c.Relay, c.RelayBy = next, "default_transport"
	}
	for _, name := range []string{"sender_dependent_relayhost_maps", "sender_dependent_default_transport_maps"} {
		if c.mail.Value(name) != "" {
			c.RelayMaps = name
		}
	}
}

// Bound are the addresses that Postfix is told to send from, else those of addrs whose
// family it uses (inet_protocols). One that the world does not see is left out.
func (c *Checker) Bound(addrs []netip.Addr) []netip.Addr {
	if c.mail == nil {
		return addrs
	}
	protocols := strings.FieldsFunc(c.mail.Value("inet_protocols"), func(r rune) bool { return r == ',' || r == ' ' })
	uses := func(name string) bool { return slices.Contains(protocols, name) || slices.Contains(protocols, "all") }
	var list []netip.Addr
	for _, family := range []struct {
		protocol, parameter string
		is                  func(netip.Addr) bool
	}{{"ipv4", "smtp_bind_address", netip.Addr.Is4}, {"ipv6", "smtp_bind_address6", netip.Addr.Is6}} {
		if !uses(family.protocol) {
			continue
		}
		if a, err := netip.ParseAddr(c.mail.Value(family.parameter)); err == nil && a.IsGlobalUnicast() {
			if spf.IsPublic(a) {
				list = append(list, a)
			}
			continue
		}
		for _, a := range addrs {
			if family.is(a) {
				list = append(list, a)
			}
		}
	}
	return list
}

// Postfix is the section about how mail gets to the daemon and back, under the
// configuration cfg. It is for the user who is to look at Postfix's files and sockets,
// mostly root; and comes after ReadPostfix and AskDaemon.
func (c *Checker) Postfix(ctx context.Context, cfg *config.Config) *Section {
	s := newSection(SectionPostfix)
	err := c.mailErr
	for _, none := range []error{postfix.ErrNotInstalled, postfix.ErrNotConfigured} {
		if !errors.Is(err, none) {
			continue
		}
		s.Summary = "not looked at: there is none"
		s.add("", finding.Finding{
			Code: NoPostfix, Level: finding.Note,
			Text:   fmt.Sprintf("Postfix cannot be looked at: %v.", none),
			Effect: "Whether mail passes through the daemon cannot be seen from here.",
			Fix:    "Run this where Postfix is, or leave the section out with --only.",
		})
		s.State = Skipped
		return s
	}
	if err != nil {
		s.Summary = "could not be read"
		s.add("", finding.Finding{
			Code: PostfixUnread, Level: LevelUnknown,
			Text:   fmt.Sprintf("Postfix's configuration cannot be read: %v.", err),
			Effect: "Whether mail passes through the daemon is not known.",
			Fix:    "See what it says, as root:\n  postconf -n",
		})
		return s
	}
	expected, sockets := expect(cfg, c.daemon)
	if len(sockets) == 0 {
		s.State, s.Summary = Skipped, "not looked at: it is not known where the daemon listens"
		return s
	}
	s.addAll("", c.mail.Inspect(ctx, expected))
	s.Summary = "mail passes through " + strings.Join(sockets, ", ")
	if s.State == Problem {
		s.Summary = c.mail.Dir
	}
	return s
}

// expect is what Postfix is held against, with the words for the daemon's sockets.
func expect(cfg *config.Config, daemon *milter.Status) (e postfix.Expect, words []string) {
	var listeners []config.Listener
	for _, s := range cfg.Socket {
		listeners = append(listeners, config.Listener{Socket: s})
	}
	listeners = append(listeners, cfg.Listener...)
	if len(listeners) == 0 && daemon != nil { // it has them from systemd
		for _, s := range daemon.Sockets {
			s, _, _ = strings.Cut(s, " ")
			listeners = append(listeners, config.Listener{Socket: s})
		}
	}
	for _, l := range listeners {
		network, address, err := config.ParseSocket(l.Socket)
		if err != nil {
			continue // the configuration's section says so
		}
		mode := cfg.Mode
		if l.Mode != (config.Mode{}) {
			mode = l.Mode
		}
		e.Sockets = append(e.Sockets, postfix.Socket{Network: network, Address: address, VerifyOnly: !mode.Sign})
		words = append(words, l.Socket)
	}
	e.SignOnce, e.Group = cfg.SignOnce, cfg.SocketGroup
	if !cfg.InternalHosts.IsSet() {
		return e, words
	}
	set, err := dataset.Open(cfg.InternalHosts, dataset.Options{Base: cfg.BaseDirectory})
	if err != nil {
		return e, words
	}
	if list, _, err := hosts.New(set); err == nil {
		e.Internal = func(a netip.Addr) bool { _, ok := list.Match("", a); return ok }
		e.Networks = list.Networks()
	}
	return e, words
}
