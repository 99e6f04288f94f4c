package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/keys/rotation"
	"github.com/spf13/cobra"
)

// rotateFlags are the command line of rotate.
type rotateFlags struct {
	config, user, now string
	dns               dnsFlags
	kind              string
	keep              days
	auto              days
	update            bool
	server, tsigKey   string

	all, status, abort, dryRun, wait, force, asJSON bool
	cmd                                             *cobra.Command
}

func newRotate() *cobra.Command {
	f := rotateFlags{keep: days(rotation.DefaultKeep)}
	cmd := &cobra.Command{
		Use:   "rotate [DOMAIN...]",
		Short: "Give domains new keys, with no mail that does not verify",
		Long: `Give each key that signs for a domain a successor, or go on with it: do whatever is due
now, and say what comes next and when. Each run may be the last one for days: rotate
keeps what it knows in rotation.json beside key_table. Without a domain it shows all
keys.

A key goes through these states:

pending    It is made and stands in key_table. Its record is to be published: it
           is printed, or handed to the name server with --update.
published  All name servers of the domain show the record. It has to stay there
           for longer than resolvers may remember that there was none.
active     It signs: the rows of signing_table that named the old key name it.
           RSA and Ed25519 keys of a domain take their turn together.
retiring   It signs no more. Its record stays for the mail under way, --keep: 7
           days, and never less than Postfix keeps mail in its queue
           (maximal_queue_lifetime).
retired    Its row is out of key_table, its file is called FILE.retired, and its
           record is to be revoked ("p=" without a key). Once it is, the record
           may also be deleted.

If a record disappears, a published key becomes pending again. Where DNS lacks that of
an active or a retiring one, there is a warning and the exit status 1, except in the run
that begins a rotation; nothing is changed. A key waits for as long as a name server does
not show it, and after three days with a warning at each run.

Keys of any name get successors with dated selectors: 20261122r, 20261122e. These go
into keys/DOMAIN beside key_table. What rotate cannot do, it refuses: keys of "%" rows,
tables that are no files, configurations without tables.

With --update, records go to a name server by dynamic update (RFC 2136), signed with
the key of --tsig-key. That is remembered for the domain, until --update=false.

postseal-rotate.timer, which is not enabled, runs "rotate --auto 90d" every hour: it
goes on with all keys, and begins anew where one is older. --auto 0 begins nothing.
It prints what it did, and the keys that wait for something.

With --json: {keys: [{name, domain, selector, type, bits, file, state, since, until,
next, missing, record: {name, value, zone}}], events: [{key, action, state, from,
handed, note, error}]}; until ends the wait of the state, record is there where
somebody has to publish it, and action is make, publish, switch, revoke, remove,
withdraw or a warning: warn-gone, warn-back, warn-waits, warn-signs.`,
		Example: `  postseal rotate example.com
  postseal rotate example.com --wait
  postseal rotate example.com --update --server 192.0.2.53 --tsig-key /etc/postseal/tsig.key
  postseal rotate --auto 90d   # what the timer does
  postseal rotate              # the keys and their states
  postseal rotate example.com --abort`,
		ValidArgsFunction: completeDomain,
		RunE: func(cmd *cobra.Command, domains []string) error {
			f.cmd = cmd
			if err := f.check(domains); err != nil {
				return err
			}
			return f.run(domains)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "all domains: begin, or go on")
	flags.Var(&f.auto, "auto", "all domains: go on, and begin where a key is older than this `time`, such as 90d; 0 begins nothing")
	flags.BoolVar(&f.status, "status", false, "only show the keys and their states")
	flags.BoolVar(&f.abort, "abort", false, "take new keys back that have not signed yet")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only say what would be done now")
	flags.BoolVar(&f.wait, "wait", false, "go on until the new keys sign, which needs their records in DNS")
	flags.BoolVar(&f.force, "force", false, "begin anew although old keys of the last rotation are not done with, as for a key that has leaked")
	flags.StringVar(&f.kind, "type", "", "only keys of this `kind`: rsa or ed25519")
	flags.Var(&f.keep, "keep", "how long the record of an old key stays after its last signature, a `time` such as 7d")
	flags.BoolVar(&f.update, "update", false, "hand records to a name server by dynamic update, also in later runs")
	flags.StringVar(&f.server, "server", "", "with --update, the name server, `ADDRESS[:PORT]` (default: the zone's primary)")
	flags.StringVar(&f.tsigKey, "tsig-key", "", "with --update, the `file` of the TSIG key, as tsig-keygen writes it")
	addConfig(cmd, &f.config)
	flags.StringVar(&f.user, "user", "", "for root: the `user` whose keys they are (default: the daemon's)")
	f.dns.add(cmd)
	addNow(cmd, &f.now)
	addJSON(cmd, &f.asJSON)
	return cmd
}

// check says what is wrong with the command line.
func (f *rotateFlags) check(domains []string) error {
	changed := f.cmd.Flags().Changed
	modes := 0
	for _, on := range []bool{f.all, changed("auto"), len(domains) > 0} {
		if on {
			modes++
		}
	}
	ways := 0
	for _, on := range []bool{f.status, f.abort, f.dryRun, f.wait} {
		if on {
			ways++
		}
	}
	switch {
	case modes > 1:
		return usage(f.cmd, "name domains, or say --all or --auto: one of them")
	case modes == 0 && ways > 0 && !f.status:
		return usage(f.cmd, "name the domains, or say --all")
	case ways > 1:
		return usage(f.cmd, "--status, --abort, --dry-run and --wait exclude each other")
	case (f.server != "" || f.tsigKey != "") && !f.update:
		return usage(f.cmd, "--server and --tsig-key are for --update")
	case changed("update") && modes == 0:
		return usage(f.cmd, "--update is remembered by domain: name the domains, or say --all")
	case f.kind != "" && f.kind != "rsa" && f.kind != "ed25519":
		return usage(f.cmd, "--type is rsa or ed25519, not %q", f.kind)
	case f.force && (modes == 0 || f.status || f.abort || f.all || changed("auto")):
		return usage(f.cmd, "--force is for domains that are named")
	case f.wait && f.now != "":
		return usage(f.cmd, "--wait needs a clock that runs: it cannot be used with --now")
	}
	return checkUser(f.cmd, f.user)
}

// days is a time of a flag, which may be in days.
type days time.Duration

const aDay = 24 * time.Hour

// String implements pflag.Value.
func (d *days) String() string { return spanWords(time.Duration(*d)) }

// Type implements pflag.Value.
func (d *days) Type() string { return "time" }

// Set implements pflag.Value.
func (d *days) Set(s string) error {
	const most = 10 * 366 * aDay
	v, err := time.ParseDuration(s)
	if n, ok := strings.CutSuffix(s, "d"); ok {
		var number int
		number, err = strconv.Atoi(n)
		number = min(max(number, -1), int(most/aDay)+1)
		v = time.Duration(number) * aDay
	}
	if err != nil || v < 0 || v > most {
		return errors.New("write a number of days or hours, such as 90d or 12h")
	}
	*d = days(v)
	return nil
}

// spanWords is a time as people and --keep write it.
func spanWords(d time.Duration) string {
	if d >= aDay && d%aDay == 0 {
		return fmt.Sprintf("%dd", d/aDay)
	}
	return strings.TrimSuffix(strings.TrimSuffix(d.Round(time.Second).String(), "0s"), "0m")
}
