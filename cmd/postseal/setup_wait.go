package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/config/setup"
	"github.com/spf13/cobra"
)

// waitFlags are the flags of setup that put signing off until DNS shows the keys.
type waitFlags struct {
	wait    bool
	timeout time.Duration
}

func (f *waitFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.wait, "wait", false, "wait until all name servers of the domains show the new keys, and begin to sign with them only then")
	fl.DurationVar(&f.timeout, "timeout", 0, "with --wait, end after this `time`, such as 2h (default: never)")
}

func (f *waitFlags) check(cmd *cobra.Command) error {
	switch {
	case !f.wait && f.timeout != 0:
		return usage(cmd, "--timeout is for --wait")
	case f.timeout < 0:
		return usage(cmd, "--timeout %s is no time to wait", f.timeout)
	}
	return nil
}

// waitAndSign waits for the keys that do not sign yet. Each domain is signed as soon as all
// of its keys are to be seen, whatever becomes of the others.
func (s *setUp) waitAndSign() error {
	var list []*setup.Key
	for _, d := range s.domains {
		for _, k := range d.Keys {
			if k.SigningRow != "" {
				list = append(list, k)
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	missing, err := s.await(list)
	if !s.json {
		printChanges(s.cmd.OutOrStdout(), s.signed)
	}
	switch {
	case err == nil:
		return nil
	case s.cmd.Context().Err() != nil:
		return exitError{exitFailed, fmt.Errorf("ended while %d of %d keys were still waited for; nothing signs with them yet\nto go on: %s", len(missing), len(list), s.commandLine())}
	case !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	told := 0
	for _, k := range list {
		if why, ok := missing[k]; ok {
			s.shown.Waiting = append(s.shown.Waiting, setupWaiting{k.Name, why})
			if told++; told <= mostShown {
				fmt.Fprintf(s.cmd.ErrOrStderr(), "postseal: %s: %s\n", k.Name, printable(why))
			}
		}
	}
	fmt.Fprintf(s.cmd.ErrOrStderr(), "postseal: %d of %d keys are not to be seen everywhere after %s, and do not sign; to go on: %s\n", len(missing), len(list), s.timeout, s.commandLine())
	s.failed = true
	return nil
}

// await waits until name servers show the keys, and has each domain signed whose keys they
// show.
func (s *setUp) await(list []*setup.Key) (missing map[*setup.Key]string, err error) {
	see, _, err := s.dns.sights(s.cmd)
	if err != nil {
		return nil, err
	}
	ctx := s.cmd.Context()
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	p := terminal.NewProgress(s.cmd.ErrOrStderr(), time.Now, "keys in DNS", 0, len(list))
	defer p.Done()
	last := ""                   // reason that was told
	left := make(map[string]int) // keys of a domain that are not seen
	for _, k := range list {
		left[k.Domain]++
	}
	return setup.Waiting{
		Look: func(ctx context.Context, k *setup.Key) (bool, string) {
			sight, err := see(ctx, k.Domain, k.Selector, k.Public())
			switch {
			case err != nil:
				return false, err.Error()
			case len(sight.Servers) == 0:
				return false, fmt.Sprintf("DNS knows no name servers of %s", k.Domain)
			}
			for _, n := range sight.Servers {
				if !n.Shows {
					return false, fmt.Sprintf("%s: %s", strings.TrimSpace(n.Server+" "+n.Address), n.Why)
				}
			}
			return true, ""
		},
		Seen: func(list []*setup.Key) error {
			if err := s.cmd.Context().Err(); err != nil {
				return err
			}
			var ready []string
			for _, k := range list {
				if left[k.Domain]--; left[k.Domain] == 0 {
					ready = append(ready, k.Domain)
				}
			}
			return s.sign(ready)
		},
		Pause: setup.Pause,
		Told: func(seen int, why string) {
			if why != last && why != "" {
				p.Print(printable(why)) // the line of the progress is too short for it
			}
			last = why
			p.Set(seen, "")
		},
	}.Wait(ctx, list)
}

// sign adds the rows that have the keys of domains sign, and tells the daemon. The tables
// may have changed while this waited, so that it is planned anew.
func (s *setUp) sign(domains []string) error {
	if len(domains) == 0 {
		return nil
	}
	journal, err := s.openJournal()
	if err != nil {
		return err
	}
	defer journal.Close()
	if _, err := journal.Mend(s.cmd.Context(), s.system); err != nil { // of somebody else's run
		return exitError{exitFailed, err}
	}
	if err := s.findSite(); err != nil {
		return err
	}
	if err := s.findService(s.cmd.Context()); err != nil {
		return err
	}
	s.plan = setup.Plan{}
	s.service.Before(&s.plan, s.site)
	s.request.Site, s.request.Domains, s.request.SignLater, s.request.Begun = s.site, domains, false, nil
	planned, err := s.request.Plan(&s.plan)
	if err != nil {
		return exitError{exitConfig, errorIn{err, s.form()}}
	}
	for _, d := range planned {
		if slices.ContainsFunc(d.Keys, (*setup.Key).New) {
			return exitError{exitFailed, fmt.Errorf("the keys of %s are not in the tables any more; run this again: %s", d.Name, s.commandLine())}
		}
	}
	if s.service.Running {
		if _, err := s.service.Plan(s.cmd.Context(), s.system, &s.plan, s.site); err != nil {
			return exitError{exitFailed, errorIn{err, s.form()}}
		}
	}
	if err := s.apply(journal); err != nil {
		return err
	}
	s.signed = append(s.signed, s.plan.Changes...)
	for _, c := range s.plan.Changes {
		s.shown.add(c)
	}
	return nil
}
