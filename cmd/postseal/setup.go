package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config/setup"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/dmarc"
	"github.com/spf13/cobra"
)

// setupFlags are the flags of setup.
type setupFlags struct {
	config    string
	user      string
	selector  string
	addresses []string
	rua       string
	postfix   string
	noService bool
	unwire    bool
	commands  bool
	dryRun    bool
	undo      bool
	all       bool
	journal   string
	bulk      bulkFlags
	waitFlags
	dns  dnsFlags
	now  string
	json bool
}

func newSetup() *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use:   "setup [DOMAIN]...",
		Short: "Have mail of a domain signed: keys, tables, Postfix, service",
		Long: `Have this machine sign mail of a domain, and print the DNS records to publish.

For each domain setup makes an RSA and an Ed25519 key with dated selectors and adds
their rows to key_table and signing_table. Where there is no configuration it makes one;
files that are there get lines at their end, and nothing in them is overwritten or moved.
It puts postseal into Postfix's lists of milters, beside those that are there, makes the
user postseal, and starts or reloads the service where systemd runs. Without a DOMAIN it
does all but the keys. What is done already it leaves as it is: a second run changes
nothing and prints the records again that DNS does not show.

Then it prints the records: the keys', an SPF record that allows this machine's addresses,
and a DMARC record that asks for reports and has nothing refused. What DNS has already is
left out; an SPF record that stands is printed with the addresses added. Behind NAT,
--address says by which address mail leaves.

--dry-run shows every change, files as a diff, and touches nothing. --undo takes back what
the last run has changed, and with --all what all have: files are as they were, byte for
byte; where somebody has changed them since, only what setup added is taken out. Keys that
it made are removed. What setup is about to do stands in its journal first, so that a run
that was interrupted can be taken back, or finished by the same command.

--unwire takes postseal out of Postfix's lists of milters, and changes nothing else. With
--commands it prints postconf's commands for that, which need no postseal, and runs none.

The exit status is 0 if all is done, 1 if something could not be done, 78 if the
configuration that is there has problems or cannot be added to.

--from-file takes thousands of domains. Keys are made on all cores, the tables are written
once, and a run that was interrupted goes on where it was. --records-out writes the records
for them, and --update hands them to the zones' name servers by dynamic update (RFC 2136),
signed with the key of --tsig-key; one that would take the place of another is told, and
left to --replace.

With --wait each domain is signed with its new keys as soon as all of its name servers
show them; SPF and DMARC do not hold that up. When it ends before that, the same command
goes on. --nameserver has these asked in place of the domain's own.

With --json: {dry_run, changes: [{kind, text, diff}], left, domains: [{domain, keys: [{name,
selector, file, new, record, error}], records: [{kind, name, host, value, zone, state,
note}], advice}], waiting: [{key, reason}], advice}. state is "missing", "different" (another is there: replace it),
"published" or "unknown" (DNS did not answer); left is what an undo could not take back.`,
		Example: `  postseal setup example.com --dry-run
  postseal setup example.com
  postseal setup example.com example.net --address 192.0.2.7
  postseal setup example.org -c /etc/opendkim.conf
  postseal setup example.com --wait --timeout 2h
  postseal setup --from-file domains.txt --records-out /root/zones/
  postseal setup --from-file domains.txt --update --server 192.0.2.53 --tsig-key tsig.key --wait
  postseal setup --undo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			// What has begun goes on to its end; the next change does not begin.
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			cmd.SetContext(ctx)
			return f.run(cmd, args)
		},
	}
	addConfig(cmd, &f.config)
	f.bulk.add(cmd)
	f.waitFlags.add(cmd)
	f.dns.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.user, "user", "", "the `user` that the daemon runs as (default: the configuration's, or postseal)")
	fl.StringVar(&f.selector, "selector", "", "begin the selectors of new keys with this `name` (default: the date); r and e are added")
	fl.StringSliceVar(&f.addresses, "address", nil, "mail leaves from this `address`, as the world sees it; may be repeated (default: the system's)")
	fl.StringVar(&f.rua, "rua", "", "where DMARC reports go, a `URI` (default: mailto:postmaster@DOMAIN)")
	fl.StringVar(&f.postfix, "postfix", "", "Postfix's configuration `folder` (default: the one that postconf takes), or none")
	fl.BoolVar(&f.noService, "no-service", false, "neither start nor reload the daemon")
	fl.BoolVar(&f.unwire, "unwire", false, "only take postseal out of Postfix's lists of milters")
	fl.BoolVar(&f.commands, "commands", false, "with --unwire, print the commands and run none")
	fl.BoolVar(&f.dryRun, "dry-run", false, "show what would change, and change nothing")
	fl.BoolVar(&f.undo, "undo", false, "take back what the last run has changed")
	fl.BoolVar(&f.all, "all", false, "with --undo, take back all runs")
	fl.StringVar(&f.journal, "journal", setup.DefaultJournal, "the `file` that notes what is changed")
	addNow(cmd, &f.now)
	addJSON(cmd, &f.json)
	return cmd
}

// setUp is one run of setup.
type setUp struct {
	*setupFlags
	cmd       *cobra.Command
	now       time.Time
	names     []string     // the domains
	addresses []netip.Addr // as the world sees them
	system    setup.System

	site    *setup.Site
	mta     *setup.MTA
	service *setup.Service
	plan    setup.Plan
	domains []*setup.Domain
	signed  []setup.Change // what --wait has had signed
	request *setup.Request
	records *recordBook
	shown   setupShown
	failed  bool // something is told that did not work
}

func (f *setupFlags) run(cmd *cobra.Command, args []string) error {
	s, err := f.prepare(cmd, args)
	if err != nil {
		return err
	}
	if f.undo {
		return s.takeBack()
	}
	if f.commands {
		return s.printUnwire()
	}
	var begun []setup.Change
	var journal *setup.Journal
	if f.dryRun {
		begun = s.unfinished()
	} else {
		if journal, err = s.openJournal(); err != nil {
			return err
		}
		defer journal.Close()
		if begun, err = journal.Mend(cmd.Context(), s.system); err != nil {
			return exitError{exitFailed, err}
		}
	}
	if err := s.makePlan(begun); err != nil {
		return err
	}
	if f.dryRun {
		return s.finish()
	}
	if err := s.allowed(); err != nil {
		return err
	}
	if err := s.apply(journal); err != nil {
		return err
	}
	s.judgeKeys()
	_ = journal.Close() // what comes now may take long; each line of it is on the disk
	return s.finish()
}

// prepare reads the command line.
func (f *setupFlags) prepare(cmd *cobra.Command, args []string) (*setUp, error) {
	s := &setUp{setupFlags: f, cmd: cmd, system: setup.System{Run: runProgram}}
	var err error
	switch {
	case f.undo && (len(args) > 0 || f.bulk.file != "" || f.unwire):
		return nil, usage(cmd, "--undo takes back what the journal has, and takes no domain")
	case f.undo && f.dryRun:
		return nil, usage(cmd, "--dry-run shows what setup would do, not what --undo would")
	case f.all && !f.undo:
		return nil, usage(cmd, "--all is for --undo")
	case f.unwire && (len(args) > 0 || f.bulk.file != ""):
		return nil, usage(cmd, "--unwire is for Postfix as a whole, and takes no domain")
	case f.commands && (!f.unwire || f.json):
		return nil, usage(cmd, "--commands is for --unwire, without --json")
	case f.unwire && f.postfix == noPostfix:
		return nil, usage(cmd, "--unwire is for Postfix")
	}
	if err := f.waitFlags.check(cmd); err != nil {
		return nil, err
	}
	if s.names, err = f.bulk.domains(cmd, args); err != nil {
		return nil, err
	}
	if s.addresses, err = parseAddresses(cmd, f.addresses); err != nil {
		return nil, err
	}
	if _, _, err := dmarc.Propose("example.com", f.rua); err != nil {
		return nil, usage(cmd, "--rua: %w", err)
	}
	if s.now, err = parseNow(cmd, f.now); err != nil {
		return nil, err
	}
	if f.selector == "" {
		f.selector = s.now.UTC().Format("20060102")
	}
	if _, err := dkim.DomainName(f.selector + "r"); err != nil {
		return nil, usage(cmd, "--selector: %w", err)
	}
	if f.config, err = filepath.Abs(f.config); err != nil {
		return nil, exitError{exitFailed, err}
	}
	s.shown.DryRun = f.dryRun
	return s, checkUser(cmd, f.user)
}

// openJournal opens the journal, and waits for another run.
func (s *setUp) openJournal() (*setup.Journal, error) {
	j, err := setup.OpenJournal(s.cmd.Context(), s.journal, func() time.Time { return s.now }, func() {
		fmt.Fprintln(s.cmd.ErrOrStderr(), "postseal: another setup is at work; waiting for it")
	})
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, exitError{exitFailed, fmt.Errorf("%w; run this as root: sudo %s\nor see what it would do: %s --dry-run", err, s.commandLine(), s.commandLine())}
	case err != nil:
		return nil, exitError{exitFailed, err}
	}
	return j, nil
}

// unfinished are the changes of a run that came to no end.
func (s *setUp) unfinished() []setup.Change {
	entries, err := setup.ReadJournal(s.journal)
	if err != nil || len(entries) == 0 || entries[len(entries)-1].Complete {
		return nil // for others than root there is none to be read
	}
	return entries[len(entries)-1].Changes
}

// allowed refuses what takes root to others.
func (s *setUp) allowed() error {
	if c := s.plan.NeedsRoot(); c != nil && os.Geteuid() != 0 {
		return exitError{exitFailed, fmt.Errorf("this takes root (%s); nothing was changed\nrun: sudo %s\nor see what it would do: %s --dry-run", c.Line(), s.commandLine(), s.commandLine())}
	}
	return nil
}

// apply makes the changes.
func (s *setUp) apply(j *setup.Journal) error {
	made, end := s.progress()
	err := s.plan.Apply(s.cmd.Context(), s.system, j, s.about(), made)
	end()
	var stopped *setup.Stopped
	switch {
	case errors.As(err, &stopped):
		return exitError{exitFailed, errorIn{s.stopped(stopped), s.form()}}
	case err != nil:
		return exitError{exitFailed, err}
	}
	return nil
}

// judgeKeys says where a new key is not safe from others: the daemon would refuse it.
func (s *setUp) judgeKeys() {
	uid, err := service.FindUser(s.site.Owner.User)
	if err != nil || !s.site.Config.RequireSafeKeys {
		return
	}
	for _, d := range s.domains {
		for _, k := range d.Keys {
			var unsafe *keys.UnsafeError
			if err := keys.CheckSafe(k.Path, uid); k.New() && errors.As(err, &unsafe) {
				s.shown.Advice = append(s.shown.Advice, fmt.Sprintf("the daemon will refuse the new keys (%s): %s", unsafe.Reason, unsafe.Fix))
				return // the others lie beside it
			}
		}
	}
}

// lookupTimeoutAll bounds all look-ups for what DNS has.
const lookupTimeoutAll = 30 * time.Second

// withTimeout is the command's context for look-ups.
func (s *setUp) withTimeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.cmd.Context(), lookupTimeoutAll)
}
