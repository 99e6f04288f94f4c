package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/keys/zone"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// zoneRecord is one record of genzone, as --json has it.
type zoneRecord struct {
	// Key is the name of the first row of key_table that has it.
	Key      string `json:"key"`
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	// Name is the full name, Host the one for web forms, Value the text in one piece,
	// and Zone the record for a zone file.
	Name  string `json:"name"`
	Host  string `json:"host"`
	Value string `json:"value"`
	Zone  string `json:"zone"`
	// State is how it stood in DNS, Changed whether it was, or would be, put there, Was what
	// it takes the place of; with --update.
	State   zone.State `json:"state,omitempty"`
	Changed bool       `json:"changed,omitempty"`
	Was     []string   `json:"was,omitempty"`

	record zone.Record
}

// zoneTrouble is a row of key_table without a record, or a record that did not come into
// DNS.
type zoneTrouble struct {
	Key    string `json:"key,omitempty"`
	Reason string `json:"reason"`
}

// zoneList is what genzone prints with --json.
type zoneList struct {
	DryRun  bool          `json:"dry_run,omitempty"`
	Records []*zoneRecord `json:"records"`
	// Skipped are keys that have no record of their own, Problems what went wrong.
	Skipped  []zoneTrouble `json:"skipped"`
	Problems []zoneTrouble `json:"problems"`
}

// genzoneFlags are the flags of genzone.
type genzoneFlags struct {
	config string
	ttl    int
	dryRun bool
	out    string
	json   bool
	dns    dnsFlags
	update updateFlags
}

func newGenzone() *cobra.Command {
	var f genzoneFlags
	cmd := &cobra.Command{
		Use:   "genzone [DOMAIN]...",
		Short: "Print the DNS records of all keys, or put them into DNS",
		Long: `Print the DNS records of all keys in key_table, or of those of the DOMAINs, as a zone
file. The names are in full, so that it loads into any zone with $INCLUDE. --out writes
a file, or with a folder (or a final /) a file DOMAIN.zone for each domain.

With --update the records are handed to the zones' name servers by dynamic update, signed
with the TSIG key of --tsig-key (a key statement as tsig-keygen writes it; its mode must
be 0600). Only what DNS lacks is sent: a second run changes nothing. A record with another
key at the same name stays, and is told, unless --replace is given; other tags beside the
same key stay, and so does what a person adds just then. --dry-run shows what would change.

A key that cannot be read is told and the rest is done; the exit status is 1 then. Keys for
each sender's own domain (%) have a record in each of these domains: they are told, too.

With --json: {dry_run, records: [{key, domain, selector, name, host, value, zone, state,
changed, was}], skipped: [{key, reason}], problems: [{key, reason}]}. state (published,
missing or different), changed and was (what was replaced) are there with --update.`,
		Example: `  postseal genzone > dkim.zone
  postseal genzone example.com example.net
  postseal genzone --out /etc/bind/dkim/
  postseal genzone --update --server 192.0.2.53 --tsig-key /etc/postseal/tsig.key --dry-run
  postseal genzone --update --server 192.0.2.53 --tsig-key /etc/postseal/tsig.key`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	addConfig(cmd, &f.config)
	fl := cmd.Flags()
	fl.IntVar(&f.ttl, "ttl", 0, "how many `seconds` others may remember the records (default: the zone's; 3600 with --update)")
	fl.StringVar(&f.out, "out", "", "write the records to this `file`, or to one for each domain in this folder")
	f.update.add(cmd)
	fl.BoolVar(&f.dryRun, "dry-run", false, "with --update, show what would change, and change nothing")
	f.dns.add(cmd)
	addJSON(cmd, &f.json)
	return cmd
}

func (f *genzoneFlags) run(cmd *cobra.Command, args []string) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	domains, err := f.domains(cmd, args)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(cmd, f.config)
	if err != nil {
		return err
	}
	if !cfg.KeyTable.IsSet() {
		return exitError{exitConfig, errorIn{fmt.Errorf("%s has no key_table; postseal testkey -c %s shows the record of its key", f.config, f.config), formOf(f.config)}}
	}
	entries, err := keys.ReadTable(cfg.KeyTable, cfg.BaseDirectory)
	if err != nil {
		return exitError{exitConfig, errorIn{fmt.Errorf("key_table: %w", err), formOf(f.config)}}
	}
	list := zoneList{DryRun: f.dryRun, Records: []*zoneRecord{}, Skipped: []zoneTrouble{}, Problems: []zoneTrouble{}}
	list.add(entries, domains, time.Duration(f.ttl)*time.Second)
	switch {
	case f.update.update:
		err = f.send(cmd, &list)
	case f.out != "" && len(list.Records) == 0 && len(list.Problems) > 0:
		list.Problems = append(list.Problems, zoneTrouble{"", fmt.Sprintf("%s is left as it is: there is no record to be written", f.out)})
	case f.out != "":
		err = writeZones(f.out, list.zones())
	}
	if err != nil {
		return err
	}
	return f.print(cmd, &list)
}

func (f *genzoneFlags) check(cmd *cobra.Command) error {
	switch {
	case f.dryRun && !f.update.update:
		return usage(cmd, "--dry-run is for --update: without that nothing is changed")
	case f.out != "" && f.update.update:
		return usage(cmd, "--out is for files, and --update for DNS: give one of them")
	case f.ttl < 0 || f.ttl > 1<<31-1:
		return usage(cmd, "--ttl %d is no time that DNS knows", f.ttl)
	case f.dns.set() && (!f.update.update || f.update.server != ""):
		return usage(cmd, "--nameserver and --records find the zones for --update without --server")
	}
	return f.update.check(cmd)
}

// domains are the arguments in A-labels.
func (f *genzoneFlags) domains(cmd *cobra.Command, args []string) ([]string, error) {
	var list []string
	for _, a := range args {
		d, err := dkim.DomainName(strings.TrimSuffix(a, "."))
		if err != nil {
			return nil, usage(cmd, "%w", err)
		}
		if !slices.Contains(list, d) {
			list = append(list, d)
		}
	}
	return list, nil
}

// add makes the records of the rows for domains, or for all, in order of the domains and
// in each of the rows.
func (l *zoneList) add(entries []keys.Entry, domains []string, ttl time.Duration) {
	wanted := make(map[string]bool, len(domains)) // and whether it has a key
	for _, d := range domains {
		wanted[d] = false
	}
	var rows []keys.Entry
	for _, e := range entries {
		domain, err := dkim.DomainName(strings.TrimSuffix(e.Domain, "."))
		_, named := wanted[domain]
		switch {
		case e.SenderDomain():
			l.Skipped = append(l.Skipped, zoneTrouble{e.Name, fmt.Sprintf("it signs for each sender's own domain: each has a record of it, at %s._domainkey.DOMAIN", e.Selector)})
		case len(domains) > 0 && !named && err == nil:
		case e.Err != nil:
			l.Problems = append(l.Problems, zoneTrouble{e.Name, fmt.Sprintf("%s: %v", e.Where, e.Err)})
		default:
			if named {
				wanted[domain] = true
			}
			e.Domain = domain
			rows = append(rows, e)
		}
	}
	for _, d := range domains {
		if !wanted[d] {
			l.Problems = append(l.Problems, zoneTrouble{"", fmt.Sprintf("key_table has no key of %s", d)})
		}
	}
	slices.SortStableFunc(rows, func(a, b keys.Entry) int { return strings.Compare(a.Domain, b.Domain) })
	l.read(rows, ttl)
}

// read reads the keys of rows, on all cores.
func (l *zoneList) read(rows []keys.Entry, ttl time.Duration) {
	texts, errs := make([]string, len(rows)), make([]error, len(rows))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, e := range rows {
		group.Go(func() error {
			private, err := e.Private()
			if errs[i] = err; err == nil {
				texts[i] = keys.RecordText(private.Public()) // which holds nothing of the key
			}
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	at := make(map[string]*zoneRecord, len(rows))
	for i, e := range rows {
		name, err := published.RecordName(e.Selector, e.Domain)
		if errs[i] != nil {
			err = errs[i]
		}
		if err != nil {
			l.Problems = append(l.Problems, zoneTrouble{e.Name, fmt.Sprintf("%s: %v", e.Where, err)})
			continue
		}
		if other := at[name]; other != nil {
			if other.Value != texts[i] {
				l.Problems = append(l.Problems, zoneTrouble{e.Name, fmt.Sprintf("%s: its record is at %s, as that of the key %s is, which is another: give one of them a selector of its own", e.Where, name, other.Key)})
			}
			continue
		}
		r := zone.Record{Name: name, Text: texts[i], TTL: ttl}
		at[name] = &zoneRecord{Key: e.Name, Domain: e.Domain, Selector: e.Selector, Name: name, Host: r.Host(e.Domain), Value: r.Text, Zone: r.String(), record: r}
		l.Records = append(l.Records, at[name])
	}
}

// send hands the records to DNS.
func (f *genzoneFlags) send(cmd *cobra.Command, l *zoneList) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	asker, err := f.dns.open(cmd, lookupTimeout)
	if err != nil {
		return err
	}
	u, err := f.update.open(cmd, asker)
	if err != nil {
		return err
	}
	defer u.Close()
	records := make([]zone.Record, len(l.Records))
	for i, r := range l.Records {
		records[i] = r.record
	}
	done, end := showProgress(cmd, "records", len(records))
	results := f.update.publish(ctx, u, records, f.dryRun, done)
	end()
	for i, r := range results {
		l.Records[i].State, l.Records[i].Changed, l.Records[i].Was = r.State, r.Changed, r.Was
	}
	reasons, left := troubles(results)
	for i, reason := range reasons {
		if reason != "" {
			l.Problems = append(l.Problems, zoneTrouble{l.Records[i].Key, reason})
		}
	}
	for _, reason := range left {
		l.Problems = append(l.Problems, zoneTrouble{"", reason})
	}
	return nil
}
