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
	for _, r := range l.Records {
		if n := len(list); n == 0 || list[n-1].domain != r.Domain {
			list = append(list, zoneText{r.Domain, "; DKIM keys of " + r.Domain + "\n"})
		}
		list[len(list)-1].text += r.Zone
	}
	return list
}

// writeZones writes parts of zones to a file or, into a folder, each to DOMAIN.zone. A file
// that is there is exchanged as a whole.
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
	for _, z := range zones {
		if err := replaceText(filepath.Join(out, z.domain+".zone"), z.text); err != nil {
			return err
		}
	}
	return nil
}

// replaceText puts a file with text in the place of the one that is there.
func replaceText(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".postseal-*")
	if err != nil {
		return exitError{exitFailed, err}
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return exitError{exitFailed, errors.Join(err, os.Remove(f.Name()))}
	}
	return nil
}
