package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys/ledger"
	"github.com/postseal/postseal/keys/rotation"
	"github.com/postseal/postseal/keys/zone"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
)

// rotating is one run of rotate.
type rotating struct {
	*rotateFlags
	*rotation.Rotation
	cfg      *config.Config
	form     form
	path     string // of the ledger
	updaters map[ledger.Update]*zone.Updater
	// handed says how the records of domains are handed from this run on: nil for what
	// is remembered.
	handed func(*ledger.Ledger, string)
	keepIs string // what --keep was made, and why; "" where it is as it was asked for
}

func (f *rotateFlags) run(domains []string) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.closeUpdaters()
	if r.Ledger, err = ledger.Read(r.path); err != nil {
		return r.unreadable(err)
	}
	if f.status || len(domains) == 0 && !f.all && !f.cmd.Flags().Changed("auto") {
		return r.show()
	}
	if domains, err = r.domains(domains); err != nil {
		return err
	}
	r.Keep, r.keepIs = keepLongEnough(f.cmd.Context(), time.Duration(f.keep))
	if f.wait {
		return r.waitFor(domains)
	}
	return r.once(domains)
}

// open reads the configuration.
func (f *rotateFlags) open() (*rotating, error) {
	cfg, err := loadConfig(f.cmd, f.config)
	if err != nil {
		return nil, err
	}
	r := &rotating{rotateFlags: f, cfg: cfg, form: formOf(f.config), updaters: map[ledger.Update]*zone.Updater{}}
	table := cfg.KeyTable.File(cfg.BaseDirectory)
	if table == "" {
		text := "key_table is no file that a row can be added to"
		if !cfg.KeyTable.IsSet() {
			text = "rotation needs a key_table and a signing_table, where the old and the new key can stand side by side; the configuration names one key (key_file). genkey prints rows for these tables"
		}
		return nil, exitError{exitConfig, errorIn{errors.New(text), r.form}}
	}
	if table, err = filepath.Abs(table); err != nil {
		return nil, exitError{exitFailed, err}
	}
	r.path = filepath.Join(filepath.Dir(table), ledger.FileName)
	_, owner, err := keyOwner(f.cmd, cfg, f.user)
	if err != nil {
		return nil, err
	}
	now, err := parseNow(f.cmd, f.now)
	if err != nil {
		return nil, err
	}
	r.Rotation = &rotation.Rotation{
		KeyTable: cfg.KeyTable, SigningTable: cfg.SigningTable, Base: cfg.BaseDirectory,
		Daemon: &rotatingDaemon{control: milter.Control{Dir: cfg.RuntimeDirectory}, form: r.form}, Owner: owner, Now: time.Now,
	}
	if f.now != "" {
		r.Now = func() time.Time { return now }
	}
	if r.DNS, err = r.zones(); err != nil {
		return nil, err
	}
	return r, r.setUpdate()
}

// zones is the DNS of the flags: the domain's own name servers, or those that were
// named in their place.
func (r *rotating) zones() (*rotation.Zones, error) {
	see, asker, err := r.dns.sights(r.cmd)
	if err != nil {
		return nil, err
	}
	return &rotation.Zones{Ask: asker, Updater: r.updater, Sight: see}, nil
}

// setUpdate takes --update.
func (r *rotating) setUpdate() error {
	if !r.cmd.Flags().Changed("update") {
		return nil
	}
	if !r.update {
		r.handed = func(l *ledger.Ledger, domain string) { l.SetUpdate(domain, nil) }
		return nil
	}
	u := ledger.Update{Server: r.server}
	if r.tsigKey != "" {
		var err error
		if u.TSIGKey, err = filepath.Abs(r.tsigKey); err != nil {
			return exitError{exitFailed, err}
		}
	}
	if _, err := r.updaterOf(u); err != nil {
		return exitError{exitNoInput, err}
	}
	r.handed = func(l *ledger.Ledger, domain string) { l.SetUpdate(domain, &u) }
	return nil
}

// updater is what takes the records of a domain; nil is a person.
func (r *rotating) updater(domain string) (*zone.Updater, error) {
	u, ok := r.Ledger.Updates[domain]
	if !ok {
		return nil, nil
	}
	return r.updaterOf(u)
}

func (r *rotating) updaterOf(u ledger.Update) (*zone.Updater, error) {
	if known := r.updaters[u]; known != nil {
		return known, nil
	}
	asker, err := r.dns.open(r.cmd, lookupTimeout)
	if err != nil {
		return nil, err
	}
	made := &zone.Updater{Server: u.Server, DNS: resolver.Lookup{Asker: asker}}
	if u.TSIGKey != "" {
		if made.Key, err = zone.ReadTSIG(u.TSIGKey); err != nil {
			return nil, fmt.Errorf("the TSIG key: %w", err)
		}
	}
	r.updaters[u] = made
	return made, nil
}

func (r *rotating) closeUpdaters() {
	for _, u := range r.updaters {
		u.Close()
	}
}

// domains are those that this run is about.
func (r *rotating) domains(named []string) ([]string, error) {
	var list []string
	for _, n := range named {
		d, err := dkim.DomainName(strings.TrimSuffix(n, "."))
		if err != nil {
			return nil, usage(r.cmd, "%w", err)
		}
		list = append(list, d)
	}
	if len(named) == 0 {
		active, err := r.Active()
		if err != nil {
			return nil, r.unreadable(err)
		}
		for _, k := range append(active, r.Ledger.Keys...) {
			list = append(list, k.Domain)
		}
		slices.Sort(list)
	}
	return slices.Compact(list), nil
}

// once does what is due now.
func (r *rotating) once(domains []string) error {
	events, failed, err := r.advance(domains)
	if err != nil {
		return err
	}
	return r.report(domains, events, failed)
}

// refused is a domain whose keys cannot be rotated.
type refused struct {
	domain string
	err    error
}

// advance is one step for the domains; the ledger is ours meanwhile.
func (r *rotating) advance(domains []string) (events []rotation.Event, failed []refused, err error) {
	ctx := r.cmd.Context()
	if !r.dryRun {
		if r.Ledger, err = ledger.Open(r.path); err != nil {
			return nil, nil, r.unreadable(err)
		}
		defer r.Ledger.Close()
	}
	if r.abort {
		for _, d := range domains {
			done, err := r.Abort(ctx, d, r.kind)
			events = append(events, done...)
			if err != nil {
				return events, nil, r.unreadable(err)
			}
		}
		return events, nil, nil
	}
	begin, err := r.due(domains)
	if err != nil {
		return nil, nil, err
	}
	var going []string
	for _, d := range domains {
		if r.handed != nil {
			r.handed(r.Ledger, d)
		}
		if r.cmd.Flags().Changed("keep") {
			r.Ledger.SetKeep(d, r.Keep)
		}
		if begin[d] {
			if err := r.Begin(ctx, d, r.kind); err != nil {
				failed = append(failed, refused{d, err})
				continue
			}
		}
		going = append(going, d)
	}
	if r.handed != nil || r.cmd.Flags().Changed("keep") {
		if err := r.Ledger.Save(); err != nil {
			return nil, nil, r.unreadable(err)
		}
	}
	if r.dryRun {
		events, err = r.Preview(ctx, going...)
	} else {
		events, err = r.Advance(ctx, going...)
	}
	if err != nil {
		err = r.unreadable(err)
	}
	return events, failed, err
}

// due says for which of the domains a rotation is to begin: a new one waits for the end
// of the last, unless --force says otherwise.
func (r *rotating) due(domains []string) (map[string]bool, error) {
	busy := []ledger.State{ledger.Pending, ledger.Published}
	auto := r.cmd.Flags().Changed("auto")
	switch {
	case r.force:
	case auto: // whoever does not revoke old records gets new keys all the same
		busy = append(busy, ledger.Retiring)
	default:
		busy = append(busy, ledger.Retiring, ledger.Retired)
	}
	begin := map[string]bool{}
	for _, d := range domains {
		begin[d] = !auto && !r.Ledger.Any(d, r.kind, busy...)
	}
	if !auto || r.auto == 0 {
		return begin, nil
	}
	active, err := r.Active()
	if err != nil {
		return nil, r.unreadable(err)
	}
	for _, k := range active {
		if age, ok := k.Age(r.Now()); (!ok || age > time.Duration(r.auto)) && !r.Ledger.Any(k.Domain, r.kind, busy...) {
			begin[k.Domain] = true
		}
	}
	return begin, nil
}

const waitAgain = 5 * time.Second

// waitFor goes on until no key of the domains is on its way to sign any more.
func (r *rotating) waitFor(domains []string) error {
	ctx := r.cmd.Context()
	var progress *terminal.Progress
	var told []rotation.Event
	for {
		events, failed, err := r.advance(domains)
		if err != nil {
			return err
		}
		told = append(told, events...)
		waiting, all, note := r.waiting(domains)
		stuck := slices.ContainsFunc(events, func(e rotation.Event) bool { return e.Err != nil })
		if waiting == 0 || stuck || len(failed) > 0 {
			if progress != nil {
				progress.Done()
			}
			return r.report(domains, told, failed)
		}
		if progress == nil {
			if !r.asJSON {
				r.printRecords(domains)
			}
			progress = terminal.NewProgress(r.cmd.ErrOrStderr(), r.Now, "keys that sign", all-waiting, all)
		}
		progress.Set(all-waiting, printable(note))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(waitAgain):
		}
	}
}

// waiting counts the new keys of the domains that do not sign yet, and says what for.
func (r *rotating) waiting(domains []string) (waiting, all int, note string) {
	for _, d := range domains {
		for _, k := range r.Ledger.Of(d) {
			if len(k.Replaces) == 0 {
				continue
			}
			all++
			switch k.State {
			case ledger.Pending:
				waiting++
				note = "not at every name server yet: " + k.RecordName()
			case ledger.Published:
				waiting++
				note = "at every name server, signs from " + k.Until().Local().Format(time.DateTime)
			}
		}
	}
	return waiting, all, note
}

// unreadable is an error of the tables or of the ledger.
func (r *rotating) unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; run this as root", err)
	}
	return exitError{exitConfig, errorIn{err, r.form}}
}
