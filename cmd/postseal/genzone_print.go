package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/keys/zone"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// print prints the list; the error is the exit status.
func (f *genzoneFlags) print(cmd *cobra.Command, l *zoneList) error {
	var err error
	names := formOf(f.config)
	switch {
	case f.json:
		err = printJSON(cmd, l)
	case f.update.update:
		err = l.printChanges(cmd)
	case f.out == "":
		for _, z := range l.zones() {
			if _, err = fmt.Fprint(cmd.OutOrStdout(), z.text); err != nil {
				break
			}
		}
	}
	if err != nil {
		return err
	}
	for _, s := range l.Skipped {
		fmt.Fprintf(cmd.ErrOrStderr(), "postseal: note: the key %s is left out: %s\n", shown(s.Key), printable(s.Reason))
	}
	for _, p := range l.Problems {
		about := ""
		if p.Key != "" {
			about = fmt.Sprintf("the key %s: ", shown(p.Key))
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "postseal: %s%s\n", about, printable(names.words(p.Reason)))
	}
	if len(l.Problems) > 0 {
		return exitError{code: exitFailed}
	}
	return nil
}

// printChanges prints what --update did or, with --dry-run, would do.
func (l *zoneList) printChanges(cmd *cobra.Command) error {
	var b strings.Builder
	count := make(map[zone.State]int)
	for _, r := range l.Records {
		if r.State == zone.Published {
			count[zone.Published]++
		}
		if !r.Changed {
			continue
		}
		count[r.State]++
		fmt.Fprintf(&b, "+ %s", r.Zone)
		for _, was := range r.Was {
			fmt.Fprintf(&b, "- %s", zone.Record{Name: r.Name, Text: was})
		}
	}
	did := "were"
	if l.DryRun {
		did = "would be"
	}
	fmt.Fprintf(&b, "; of %d records %d %s added, %d %s replaced, %d stand in DNS already\n",
		len(l.Records), count[zone.Missing], did, count[zone.Different], did, count[zone.Published])
	_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
	return err
}

// zoneText is the part of a zone file that a domain has.
type zoneText struct{ domain, text string }

// zones are the records as text, a part for each domain.
func (l *zoneList) zones() []zoneText {
	var list []zoneText
	var text strings.Builder
	for i, r := range l.Records {
		if i == 0 || l.Records[i-1].Domain != r.Domain {
			text.WriteString("; DKIM keys of " + r.Domain + "\n")
		}
		text.WriteString(r.Zone)
		if i == len(l.Records)-1 || l.Records[i+1].Domain != r.Domain {
			list = append(list, zoneText{r.Domain, text.String()})
			text.Reset()
		}
	}
	return list
}

// filesAtOnce is how many files are written at once: a disk takes them together.
const filesAtOnce = 32

// writeZones writes parts of zones to a file or, into a folder, each to DOMAIN.zone.
func writeZones(out string, zones []zoneText) error {
	info, err := os.Stat(out)
	folder := err == nil && info.IsDir() || strings.HasSuffix(out, "/")
	if !folder {
		var all strings.Builder
		for _, z := range zones {
			all.WriteString(z.text)
		}
		return replaceText(out, all.String())
	}
	if err := os.Mkdir(out, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return exitError{exitFailed, err}
	}
	var group errgroup.Group
	group.SetLimit(filesAtOnce)
	for _, z := range zones {
		group.Go(func() error { return replaceText(filepath.Join(out, z.domain+".zone"), z.text) })
	}
	return group.Wait()
}

// replaceText has a file hold text. One that is there is exchanged as a whole, and one
// that has the text is left alone; what is no regular file, such as /dev/stdout, is written
// to.
func replaceText(path, text string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.Mode().IsRegular() {
			return failedIf(os.WriteFile(path, []byte(text), 0))
		}
		if before, err := os.ReadFile(path); err == nil && string(before) == text {
			return nil
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return failedIf(err)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".postseal-*")
	if err != nil {
		return failedIf(err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return failedIf(err)
}

// failedIf is an error with the exit status of work that could not be done.
func failedIf(err error) error {
	if err != nil {
		return exitError{exitFailed, err}
	}
	return nil
}
