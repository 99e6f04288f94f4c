package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/keys/zone"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// updateFlags say how DNS is changed by dynamic update.
type updateFlags struct {
	update  bool
	server  string
	keyFile string
	replace bool
}

func (f *updateFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.update, "update", false, "hand the records to the zones' name servers by dynamic update (RFC 2136)")
	fl.StringVar(&f.server, "server", "", "with --update, the `ADDRESS[:PORT]` of the name server that takes it (default: each zone's primary, as its SOA names it)")
	fl.StringVar(&f.keyFile, "tsig-key", "", "with --update, the `file` of the TSIG key, as tsig-keygen writes it")
	fl.BoolVar(&f.replace, "replace", false, "with --update, put the records in the place of others that stand there")
}

// check refuses what does not belong together.
func (f *updateFlags) check(cmd *cobra.Command) error {
	if !f.update && (f.server != "" || f.keyFile != "" || f.replace) {
		return usage(cmd, "--server, --tsig-key and --replace are for --update")
	}
	return nil
}

// open is the name servers' side; the caller closes it. asker finds zones and primaries
// where no --server is given.
func (f *updateFlags) open(cmd *cobra.Command, asker resolver.Asker) (*zone.Updater, error) {
	u := &zone.Updater{Server: f.server, DNS: resolver.Lookup{Asker: asker}}
	if err := u.Check(); err != nil {
		return nil, usage(cmd, "--server: %w", err)
	}
	if f.server == "" && asker == nil {
		return nil, usage(cmd, "DNS cannot be asked for the primary of the zones: give --server")
	}
	if f.keyFile == "" {
		return u, nil
	}
	key, err := zone.ReadTSIG(f.keyFile)
	if err != nil {
		return nil, exitError{exitNoInput, fmt.Errorf("--tsig-key: %w", err)}
	}
	u.Key = key
	return u, nil
}

// updated is what became of a record.
type updated struct {
	// State is how it stood in DNS before, "" if that could not be found out.
	State zone.State
	// Changed: it stands there now; with --dry-run, it would.
	Changed bool
	// Was are the values that it takes the place of.
	Was []string
	Err error
}

// atOnce is how many records are taken to their name servers at once.
const atOnce = 8

// publish has the records stand in DNS, or with dryRun looks what that would change; done
// counts them. One that takes the place of another is left alone unless --replace is
// given. Trouble with the key or the way there ends it, for the others would fail as well.
func (f *updateFlags) publish(ctx context.Context, u *zone.Updater, records []zone.Record, dryRun bool, done func(int)) []updated {
	results := make([]updated, len(records))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	var mu sync.Mutex
	count := 0
	for i, r := range records {
		group.Go(func() error {
			if ctx.Err() != nil {
				results[i].Err = errNotTried
				return nil
			}
			results[i] = f.one(ctx, u, r, dryRun)
			mu.Lock()
			defer mu.Unlock()
			count++
			done(count)
			if err := results[i].Err; hopeless(err) {
				return err
			}
			return nil
		})
	}
	_ = group.Wait() // it is among the results
	return results
}

// errNotTried is the error of a record whose turn did not come.
var errNotTried = errors.New("not tried")

// hopeless reports whether an error is one of the key or the connection.
func hopeless(err error) bool {
	var refusal *zone.Refusal
	if errors.As(err, &refusal) {
		return refusal.Rcode == dns.RcodeBadKey || refusal.Rcode == dns.RcodeBadSig || refusal.Rcode == dns.RcodeBadTime
	}
	return errors.Is(err, zone.ErrUnreachable)
}

// troubles are what to say of each result, "" for nothing, and what is to be said once:
// why the work ended, and what is left of it.
func troubles(results []updated) (reasons, left []string) {
	reasons = make([]string, len(results))
	untried := 0
	for i, r := range results {
		switch {
		case r.Err == nil:
		case errors.Is(r.Err, errNotTried), errors.Is(r.Err, context.Canceled):
			untried++
		case hopeless(r.Err):
			if text := r.Err.Error(); !slices.Contains(left, text) {
				left = append(left, text)
			}
			untried++
		default:
			reasons[i] = r.Err.Error()
		}
	}
	if untried > 0 {
		left = append(left, fmt.Sprintf("%d of %d records are left; run this again: it goes on with what DNS lacks", untried, len(results)))
	}
	return reasons, left
}

// one has one record stand in DNS.
func (f *updateFlags) one(ctx context.Context, u *zone.Updater, r zone.Record, dryRun bool) (to updated) {
	standing, err := u.Look(ctx, r.Name)
	if err != nil {
		if alias := (*zone.Alias)(nil); errors.As(err, &alias) && leadsTo(ctx, u, alias, r) {
			return updated{State: zone.Published}
		}
		return updated{Err: err}
	}
	var change zone.Change
	to.State, change = r.Compare(standing)
	switch {
	case to.State == zone.Published:
		return to
	case to.State == zone.Different && !f.replace:
		to.Err = fmt.Errorf("%s: another record stands there (%s); --replace puts this one in its place", r.Name, zone.Excerpt(standing))
		return to
	}
	to.Was = change.Replaced()
	if !dryRun {
		to.Err = u.Update(ctx, change)
	}
	to.Changed = to.Err == nil
	return to
}

// leadsTo reports whether the record stands where an alias leads.
func leadsTo(ctx context.Context, u *zone.Updater, alias *zone.Alias, r zone.Record) bool {
	const most = 8
	for range most {
		standing, err := u.Look(ctx, alias.Target)
		if err == nil {
			state, _ := r.Compare(standing)
			return state == zone.Published
		}
		if !errors.As(err, &alias) {
			return false
		}
	}
	return false
}

// showProgress counts parts of work on standard error.
func showProgress(cmd *cobra.Command, label string, total int) (done func(int), end func()) {
	p := terminal.NewProgress(cmd.ErrOrStderr(), time.Now, label, 0, total)
	return func(n int) { p.Set(n, "") }, p.Done
}
