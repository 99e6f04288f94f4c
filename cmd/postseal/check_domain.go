package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/check"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

const (
	// mostDomains is how many are looked at where none is named.
	mostDomains = 100
	// domainTimeout bounds the look-ups for one domain.
	domainTimeout = time.Minute
)

// sections are those that --only can name.
var sections = []string{check.SectionDKIM, check.SectionSPF, check.SectionDMARC, check.SectionDaemon, check.SectionPostfix, check.SectionHost}

// checkFlags are the flags of check.
type checkFlags struct {
	from      source
	dns       dnsFlags
	only      []string
	addresses []string
	helo      string
	postfix   string
	now       string
	json      bool
	notes     bool

	form form // of the configuration
}

func newCheck() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [DOMAIN]...",
		Short: "Check whether mail of a domain is signed and trusted",
		Long: `Look at everything that decides whether mail of a domain leaves this machine signed
and is trusted elsewhere, and say of each thing that is wrong what it causes and
which command or record mends it. Nothing is changed. The sections:

  dkim     would the domain's mail be signed, and with which keys; their files;
           their records: published, the private key's, size, flags, DNSSEC, TTL
  spf      the domain's SPF record, and whether this machine's addresses pass
  dmarc    the DMARC policy, and whether this machine's mail is aligned
  daemon   does it run, with configuration and keys as they are in the files
  postfix  does mail pass through the daemon, once, and what happens without it
  host     the names of this machine's addresses (notes only)

Without a DOMAIN, those are looked at that the configuration has keys for, the first
100. --only takes some of the sections; with neither dkim, daemon nor postfix in it no
configuration is needed. A machine without Postfix gets a note.

Root asks Postfix as root, and reads keys as the daemon's user (--user), as check-config
does. Which addresses mail leaves from is asked of the system, and --address says it where
the world sees another one. DNS is asked through the configuration's name servers.

The exit status is 0 if there is no problem (warnings and notes do not count), 1 if there
is one or if something could not be found out, such as a record that DNS does not give
for now ("unknown"), 78 if the configuration has problems.

With --json: {ok, state, domains: [{domain, state, sections}], left_out, machine: sections};
sections: [{name, state, summary, findings: [{subject, code, level, text, effect, fix}],
keys, spf, dmarc}]. state is ok, warning, unknown, problem or skipped, level is note,
warning, unknown or problem, fix may have several lines; keys: [{key, row, file, domain,
selector, name, algorithm, bits, signs, sender, usable, same, dnssec, ttl (in seconds),
publish, zone}]; spf: {records, lookups, voids, tree}; dmarc: {record, from, source, tag,
policy, organization, walk, rua, ruf}.`,
		Example: `  postseal check example.com
  postseal check
  postseal check example.com --only dkim,spf,dmarc --address 192.0.2.7
  postseal check example.com --nameserver 192.0.2.53 --json | jq '.domains[].sections[].findings[]'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args)
		},
	}
	f.from.add(cmd)
	f.dns.add(cmd)
	fl := cmd.Flags()
	fl.StringSliceVar(&f.only, "only", nil, "look at these `sections` only: "+strings.Join(sections, ", "))
	fl.StringSliceVar(&f.addresses, "address", nil, "mail leaves from this `address`, as the world sees it; may be repeated (default: the system's)")
	fl.StringVar(&f.helo, "helo", "", "the `name` that the mail server gives itself (default: Postfix's myhostname)")
	fl.StringVar(&f.postfix, "postfix", "", "Postfix's configuration `folder` (default: the one that postconf takes), or none")
	fl.BoolVar(&f.notes, "notes", false, "say of notes, too, what they cause and what to do")
	addNow(cmd, &f.now)
	addJSON(cmd, &f.json)
	return cmd
}

// wants reports whether a section is asked for.
func (f *checkFlags) wants(section string) bool {
	return len(f.only) == 0 || slices.Contains(f.only, section)
}

// needsConfig reports whether a section is asked for that is about the configuration.
func (f *checkFlags) needsConfig() bool {
	return slices.ContainsFunc([]string{check.SectionDKIM, check.SectionDaemon, check.SectionPostfix}, f.wants)
}

func (f *checkFlags) run(cmd *cobra.Command, args []string) error {
	c, names, err := f.prepare(cmd, args)
	if err != nil {
		return err
	}
	report := &check.Report{Domains: []*check.Domain{}, Machine: []*check.Section{}}
	// Postfix is asked before root becomes the daemon's user.
	c.ReadPostfix(cmd.Context(), f.postfix)
	if len(f.addresses) == 0 {
		c.Addresses, c.Private = ownAddresses()
		c.Addresses = c.Bound(c.Addresses)
	}
	configOK := true
	if f.needsConfig() {
		configOK = f.machine(cmd, c, report)
	}
	if err := f.openDNS(cmd, c); err != nil {
		return err
	}
	if f.wants(check.SectionHost) {
		ctx, cancel := context.WithTimeout(cmd.Context(), domainTimeout)
		report.Machine = append(report.Machine, c.Host(ctx))
		cancel()
	}
	if len(names) == 0 && c.Snapshot != nil {
		if names = c.Domains(); len(names) == 0 && c.Signs() {
			return usage(cmd, "the configuration has no domain of its own; name one, such as example.com")
		}
		if more := len(names) - mostDomains; more > 0 {
			names, report.LeftOut = names[:mostDomains], more
		}
	}
	report.Domains = lookAt(cmd.Context(), c, names)
	report.Sum()
	switch {
	case f.json:
		err = printJSON(cmd, report)
	default:
		err = f.print(cmd, report)
	}
	switch {
	case err != nil:
		return err
	case !configOK:
		return exitError{code: exitConfig}
	case !report.OK:
		return exitError{code: exitFailed}
	}
	return nil
}

// prepare reads the command line.
func (f *checkFlags) prepare(cmd *cobra.Command, args []string) (c *check.Checker, names []string, err error) {
	for _, s := range f.only {
		if !slices.Contains(sections, s) {
			return nil, nil, usage(cmd, "--only %s: the sections are %s", s, strings.Join(sections, ", "))
		}
	}
	if names, err = domainNames(cmd, args); err != nil {
		return nil, nil, err
	}
	if len(names) == 0 && !f.needsConfig() {
		return nil, nil, usage(cmd, "name the domain to look at, such as example.com")
	}
	c = &check.Checker{Wants: f.wants, HELO: strings.TrimSuffix(f.helo, "."), FromFile: f.dns.records != "", OwnServers: !f.dns.set(), Safe: keys.CheckSafe}
	if c.Now, err = parseNow(cmd, f.now); err != nil {
		return nil, nil, err
	}
	if c.Addresses, err = parseAddresses(cmd, f.addresses); err != nil {
		return nil, nil, err
	}
	if f.dns.set() { // root reads the file of --records, be it root's alone
		if c.DNS, err = f.dns.open(cmd, lookupTimeout); err != nil {
			return nil, nil, err
		}
	}
	return c, names, checkUser(cmd, f.from.user)
}

// machine looks at the configuration, Postfix and the daemon, and reports whether the
// configuration is in order. Root is the daemon's user from then on.
func (f *checkFlags) machine(cmd *cobra.Command, c *check.Checker, report *check.Report) bool {
	var sections []*check.Section
	if cfg := f.daemonConfig(cmd); cfg != nil {
		daemon := c.AskDaemon(cmd.Context(), cfg)
		if f.wants(check.SectionDaemon) {
			sections = append(sections, daemon)
		}
		if f.wants(check.SectionPostfix) {
			sections = append(sections, c.Postfix(cmd.Context(), cfg))
		}
	}
	l, err := f.from.load(cmd, nil)
	problems, hint := []string(nil), ""
	if err != nil {
		problems, hint = strings.Split(err.Error(), "\n"), whoAsked(l.user, err)
	} else {
		c.Config, c.Snapshot = l.cfg, l.snapshot
		c.UID, c.Stranger = os.Geteuid(), isStranger(cmd, l)
	}
	f.form = l.form
	report.Machine = append(append(report.Machine, check.Config(f.from.path, l.warnings, problems, hint)), sections...)
	return err == nil
}

// daemonConfig is the configuration, as far as daemon and Postfix need it; nil where
// there is none. A daemon that was started with one that has problems by now still runs,
// and says itself where it listens.
func (f *checkFlags) daemonConfig(cmd *cobra.Command) *config.Config {
	if cfg, err := loadConfig(cmd, f.from.path); err == nil {
		return cfg
	}
	dir, err := opendkim.FindRuntimeDirectory(f.from.path, environment())
	if err != nil {
		return nil
	}
	cfg := config.Default()
	cfg.RuntimeDirectory, cfg.Socket, cfg.InternalHosts = dir, nil, dataset.Spec{}
	return cfg
}

// isStranger reports whether keys were judged as a user who is not the daemon's.
func isStranger(cmd *cobra.Command, l *loaded) bool {
	if os.Geteuid() == 0 || l.user != "" {
		return false
	}
	name := l.cfg.UserID
	if name == "" {
		name = daemonUser(cmd, l.cfg.RuntimeDirectory)
	}
	uid, err := service.FindUser(name)
	return name != "" && err == nil && uid != os.Geteuid()
}

// openDNS opens what the configuration names, where the flags named nothing.
func (f *checkFlags) openDNS(cmd *cobra.Command, c *check.Checker) (err error) {
	if c.DNS != nil {
		return nil
	}
	if c.Snapshot != nil {
		if asker, ok := c.Snapshot.Resolver().(resolver.Asker); ok {
			c.DNS = asker
			_, c.FromFile = asker.(*resolver.Records)
			return nil
		}
	}
	c.DNS, err = f.dns.open(cmd, lookupTimeout)
	return err
}

// lookAt looks at domains, a few at once.
func lookAt(ctx context.Context, c *check.Checker, names []string) []*check.Domain {
	domains := make([]*check.Domain, len(names))
	var group errgroup.Group
	group.SetLimit(parallelChecks)
	for i, name := range names {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, domainTimeout)
			defer cancel()
			domains[i] = c.Domain(ctx, name)
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	return domains
}
