package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/postseal/postseal/config/setup"
	"github.com/postseal/postseal/keys/zone"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// bulkFlags are the flags of setup for what is done with many domains, and with DNS.
type bulkFlags struct {
	file   string
	out    string
	update updateFlags
}

func (f *bulkFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.file, "from-file", "", "the domains are in this `file`, one on a line, \"#\" begins a comment; - is standard input")
	fl.StringVar(&f.out, "records-out", "", "write the records to be published to this `file`, or to one for each domain in this folder")
	f.update.add(cmd)
}

// domains are those of the command line, or of the file.
func (f *bulkFlags) domains(cmd *cobra.Command, args []string) ([]string, error) {
	if err := f.update.check(cmd); err != nil {
		return nil, err
	}
	if f.file == "" {
		return domainNames(cmd, args)
	}
	if len(args) > 0 {
		return nil, usage(cmd, "the domains come either from --from-file or from the command line")
	}
	var text io.Reader = cmd.InOrStdin()
	if f.file != "-" {
		file, err := os.Open(f.file)
		if err != nil {
			return nil, exitError{exitNoInput, fmt.Errorf("--from-file: %w", err)}
		}
		defer file.Close()
		text = file
	}
	names, again, err := setup.ParseDomains(text)
	for _, a := range again {
		fmt.Fprintf(cmd.ErrOrStderr(), "postseal: note: %s: %s\n", f.file, a)
	}
	if err != nil {
		return nil, exitError{exitNoInput, fmt.Errorf("%s: nothing was done:\n%w", f.file, err)}
	}
	return names, nil
}

// many reports whether the domains are too many for one after the other.
func (s *setUp) many() bool { return len(s.names) > mostShown }

// lookUpsAtOnce is how many domains are looked up at once.
const lookUpsAtOnce = 16

// takenMany is recordBook.taken for many domains: it has looked their first choice of
// names up, side by side.
func (s *setUp) takenMany() func(name string) bool {
	var down atomic.Bool
	var mu sync.Mutex
	known := make(map[string]bool, 2*len(s.names))
	done, end := showProgress(s.cmd, "names looked up", len(s.names))
	defer end()
	var group errgroup.Group
	group.SetLimit(lookUpsAtOnce)
	count := 0
	for _, d := range s.names {
		group.Go(func() error {
			for _, name := range s.request.Names(d) {
				if down.Load() {
					continue
				}
				ctx, cancel := context.WithTimeout(s.cmd.Context(), lookupTimeout)
				txt, _, err := s.records.dns.LookupTXT(ctx, name)
				cancel()
				if err != nil {
					down.Store(true) // it would be asked for each of thousands
				}
				mu.Lock()
				known[name] = err == nil && len(txt) > 0
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			count++
			done(count)
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	return func(name string) bool {
		taken, ok := known[name]
		if !ok && !down.Load() {
			return s.records.taken(name)
		}
		return taken
	}
}

// progress shows how many of the keys of a plan are made, if that takes its time; end ends
// it.
func (s *setUp) progress() (made func(setup.Change), end func()) {
	total := 0
	for _, c := range s.plan.Changes {
		if _, ok := c.(*setup.PrivateKey); ok {
			total++
		}
	}
	if total <= 2*mostShown {
		return nil, func() {}
	}
	done, end := showProgress(s.cmd, "keys", total)
	count := 0
	return func(c setup.Change) {
		if _, ok := c.(*setup.PrivateKey); ok {
			count++
			done(count)
		}
	}, end
}

// findMany finds the records of many domains, side by side. Where DNS does not answer
// once, it is not asked for the others.
func (s *setUp) findMany(find func(context.Context, *recordBook, *setup.Domain) *setupDomain) []*setupDomain {
	list := make([]*setupDomain, len(s.domains))
	done, end := showProgress(s.cmd, "domains looked up", len(list))
	defer end()
	var mu sync.Mutex // for the book that all begin with
	count := 0
	var group errgroup.Group
	group.SetLimit(lookUpsAtOnce)
	for i, d := range s.domains {
		group.Go(func() error {
			mu.Lock()
			book := *s.records
			mu.Unlock()
			ctx, cancel := s.withTimeout()
			defer cancel()
			list[i] = find(ctx, &book, d)
			mu.Lock()
			defer mu.Unlock()
			if book.down != nil {
				s.records.down = book.down
			}
			count++
			done(count)
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	return list
}

// writeOut writes the records to --records-out.
func (s *setUp) writeOut() error {
	if s.bulk.out == "" || s.dryRun {
		return nil
	}
	var zones []zoneText
	for _, d := range s.shown.Domains {
		var b strings.Builder
		for _, r := range d.due() {
			b.WriteString(r.lines())
		}
		if b.Len() > 0 {
			zones = append(zones, zoneText{d.Domain, "; records of " + d.Domain + "\n" + b.String()})
		}
	}
	return writeZones(s.bulk.out, zones)
}

// handOver hands the records that are missing to DNS.
func (s *setUp) handOver() error {
	if !s.bulk.update.update || s.dryRun {
		return nil
	}
	u, err := s.bulk.update.open(s.cmd, s.records.dns.Asker)
	if err != nil {
		return err
	}
	defer u.Close()
	var due []*setupRecord
	var records []zone.Record
	var owners []*setupDomain
	for _, d := range s.shown.Domains {
		for _, r := range d.due() {
			switch {
			case r.State == stateUnknown && r.Kind != "dkim" && s.bulk.update.replace:
				d.Advice = append(d.Advice, fmt.Sprintf("the %s record is not handed over: DNS did not say which one --replace would take away; run this again", r.Kind))
				s.failed = true
			case r.Value != "":
				due, records, owners = append(due, r), append(records, r.Record), append(owners, d)
			}
		}
	}
	done, end := showProgress(s.cmd, "records", len(records))
	results := s.bulk.update.publish(s.cmd.Context(), u, records, false, done)
	end()
	reasons, left := troubles(results)
	for i, r := range results {
		if r.Err == nil {
			due[i].State = statePublished
		}
		if reasons[i] != "" {
			owners[i].Advice = append(owners[i].Advice, reasons[i])
			s.failed = true
		}
	}
	s.shown.Advice = append(s.shown.Advice, left...)
	s.failed = s.failed || len(left) > 0
	return nil
}

// due are the records that somebody has to publish.
func (d *setupDomain) due() []*setupRecord {
	var due []*setupRecord
	for _, r := range d.Records {
		if r.due() {
			due = append(due, r)
		}
	}
	return due
}

// lines are a record in a zone file, with what is to be said of it.
func (r *setupRecord) lines() string {
	switch {
	case r.Value == "":
		return fmt.Sprintf("; %s: the record comes with the key\n", r.Name)
	case r.State == stateDifferent:
		return "; in place of the record that is there:\n" + r.Zone
	}
	return r.Zone
}
