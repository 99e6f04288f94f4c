package postfix

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// Expect is what Postfix is held against: our daemon as it is configured.
type Expect struct {
	// Sockets are all of the daemon's listeners; Postfix should use the first of those
	// that sign. Without one nothing is found.
	Sockets []Socket
	// Internal reports whether mail from an address is signed (internal_hosts); nil:
	// that is not looked at.
	Internal func(netip.Addr) bool
	// Networks are all addresses and networks that Internal's list names, those with
	// "!" too: where its answers can change.
	Networks []netip.Prefix
	// SignOnce: no second signature of ours is added.
	SignOnce bool
	// Group is the group that unix sockets have, for advice, where there is none yet.
	Group string
}

// The kinds of findings about Postfix.
const (
	// Instances: there are other Postfix instances.
	Instances finding.Code = "postfix-instances"
	// NotRunning: Postfix does not run.
	NotRunning finding.Code = "postfix-not-running"
	// MilterMissing: a list of milters is without us.
	MilterMissing finding.Code = "milter-missing"
	// MilterOverridden: a service of master.cf has other milters, or none.
	MilterOverridden finding.Code = "milter-overridden"
	// NoMilters: receive_override_options keeps milters away.
	NoMilters finding.Code = "no-milters"
	// ByClient: smtpd_milter_maps gives some clients other milters.
	ByClient finding.Code = "milters-by-client"
	// MilterTwice: a list has us twice.
	MilterTwice finding.Code = "milter-twice"
	// MilterMalformed: a list has an address that Postfix cannot read.
	MilterMalformed finding.Code = "milter-malformed"
	// OtherSigner: another milter beside us seems to sign.
	OtherSigner finding.Code = "other-signer"
	// ReaderFirst: who reads our results comes before us.
	ReaderFirst finding.Code = "reader-first"
	// MilterAfter: others come after us.
	MilterAfter finding.Code = "milter-after"
	// DefaultAction: what happens to mail while we are away.
	DefaultAction finding.Code = "default-action"
	// OldProtocol: milter_protocol is below 6.
	OldProtocol finding.Code = "milter-protocol"
	// FilterTwice: mail passes us before and after a content filter.
	FilterTwice finding.Code = "filter-twice"
	// FilterStrangers: mail of strangers that comes back from a content filter counts
	// as internal.
	FilterStrangers finding.Code = "filter-strangers"
	// FilterUnseen: a proxy filter keeps a message's content from us.
	FilterUnseen finding.Code = "filter-unseen"
	// FilterAfter: a content filter sees mail that is signed already.
	FilterAfter finding.Code = "filter-after"
	// RelayUnsigned: who may relay is not internal.
	RelayUnsigned finding.Code = "relay-unsigned"
	// InternalNoRelay: who is internal may not relay.
	InternalNoRelay finding.Code = "internal-no-relay"
	// SocketOutside: a chrooted service does not see the socket.
	SocketOutside finding.Code = "socket-outside"
	// SocketMissing: the socket is not there, or nobody listens.
	SocketMissing finding.Code = "socket-missing"
	// SocketDenied: Postfix may not use the socket.
	SocketDenied finding.Code = "socket-denied"
	// SocketSilent: who listens is no milter.
	SocketSilent finding.Code = "socket-silent"
	// BouncesUnsigned: Postfix's own mail passes no milter.
	BouncesUnsigned finding.Code = "bounces-unsigned"
	// ChangedAfter: Postfix changes mail on its way out.
	ChangedAfter finding.Code = "changed-after"
)

// inspection is one look at a configuration.
type inspection struct {
	*Config
	Expect
	found finding.List
	// Whether the daemon signs at all; smtpd services, and those of them that take
	// mail back from a content filter.
	signs     bool
	intake    []*Service
	reentries []*Service
}

// Inspect looks at how Postfix is wired to our milter, at the files and sockets that this
// needs, and asks the sockets, as Postfix's user where this process is root. It changes
// nothing.
func (c *Config) Inspect(ctx context.Context, e Expect) finding.List {
	if len(e.Sockets) == 0 {
		return nil
	}
	var signing, verifying []Socket
	for _, s := range e.Sockets {
		if s.VerifyOnly {
			verifying = append(verifying, s)
		} else {
			signing = append(signing, s)
		}
	}
	e.Sockets = append(signing, verifying...)
	i := &inspection{Config: c, Expect: e, signs: len(signing) > 0}
	i.sort()
	i.running()
	i.instances()
	i.missing()
	i.overrides()
	looked := map[place]bool{}
	for _, l := range i.lists() {
		if home := i.newWiring(i.Sockets).home(l); !looked[home] {
			looked[home] = true
			i.malformed(l)
			i.neighbours(l)
		}
	}
	i.actions()
	i.protocol()
	i.contentFilters()
	i.relaying(ctx)
	i.sockets(ctx)
	i.outbound()
	return i.found
}

func (i *inspection) add(code finding.Code, level finding.Level, text, effect, fix string) {
	i.found = append(i.found, finding.Finding{Code: code, Level: level, Text: text, Effect: effect, Fix: fix})
}

// fix is edits as commands.
func (i *inspection) fix(edits ...Edit) string {
	list := make([]string, len(edits))
	for n, e := range edits {
		list[n] = e.String()
	}
	return strings.Join(append(list, i.reload()), "\n")
}

func (i *inspection) reload() string {
	if i.chosen {
		return "postfix -c " + finding.Word(i.Dir) + " reload"
	}
	return "postfix reload"
}

// set is the command that gives a parameter a value, of a service or of main.cf.
func (i *inspection) set(s *Service, name, value string) Edit {
	p := place{name: name}
	if s != nil {
		p.service = s.String()
	}
	return i.edit(p, value, "")
}

// unset is the command that takes an option off a service.
func (i *inspection) unset(s *Service, name string) Edit {
	e := i.set(s, name, "")
	e.Argv = append(e.Argv[:len(e.Argv)-2], "-PX", s.String()+"/"+name)
	return e
}

// lists are the lists of milters that are in use.
func (i *inspection) lists() []place { return i.newWiring(i.Sockets).lists() }

// instances tells of further instances.
func (i *inspection) instances() {
	if len(i.Instances) == 0 {
		return
	}
	i.add(Instances, finding.Note,
		fmt.Sprintf("Beside the Postfix in %s there are others: %q.", i.Dir, i.Instances),
		"Each has milters of its own, which were not looked at.",
		"Look at each, with its folder as --postfix.")
}

// outbound tells of what Postfix makes or changes behind all milters.
func (i *inspection) outbound() {
	if !i.signs {
		return
	}
	if !slices.Contains(words(i.Value("internal_mail_filter_classes")), "bounce") {
		i.add(BouncesUnsigned, finding.Note,
			"Bounces that this Postfix writes pass no milter (internal_mail_filter_classes).",
			"They leave unsigned.",
			i.fix(i.set(nil, "internal_mail_filter_classes", strings.TrimPrefix(i.Written("internal_mail_filter_classes")+", bounce", ", "))))
	}
	var names []string
	for _, name := range []string{"smtp_generic_maps", "smtp_header_checks", "smtp_mime_header_checks", "smtp_nested_header_checks", "smtp_body_checks"} {
		if i.Value(name) != "" {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		i.add(ChangedAfter, finding.Note,
			fmt.Sprintf("Postfix changes mail when it sends it, after it was signed: %s.", strings.Join(names, ", ")),
			"Where that touches a signed field or the body, the signature fails.",
			"Have cleanup(8) do it before mail is signed: canonical_maps, header_checks, body_checks.")
	}
}
