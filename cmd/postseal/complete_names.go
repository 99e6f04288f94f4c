package main

import (
	"os"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/keys/published"
	"github.com/spf13/cobra"
)

// signer is a domain that signs and a key's name below it.
type signer struct{ domain, selector string }

// completeDomain completes with the domains of the configuration.
func completeDomain(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, s := range signers(cmd) {
		words = append(words, s.domain)
	}
	slices.Sort(words)
	return slices.Compact(words), cobra.ShellCompDirectiveNoFileComp
}

// completeSelector completes with the selectors of the configuration, those of
// one domain where -d is there already.
func completeSelector(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	domain, _ := cmd.Flags().GetString("domain")
	var words []string
	for _, s := range signers(cmd) {
		if domain == "" || strings.EqualFold(s.domain, domain) {
			words = append(words, s.selector+"\t"+s.domain)
		}
	}
	slices.Sort(words)
	return slices.Compact(words), cobra.ShellCompDirectiveNoFileComp
}

// signers are those of the configuration that the command line names, without a
// look at the keys; none where it cannot be read, or has a table so large that
// somebody at a terminal would wait.
func signers(cmd *cobra.Command) []signer {
	path := configPath
	if f := cmd.Flags().Lookup("config"); f != nil {
		path = f.Value.String()
	}
	cfg, err := loadConfig(cmd, path)
	if err != nil {
		return nil
	}
	var found []signer
	add := func(domain, selector string) {
		// A name that is none might mean something to the shell.
		if _, err := published.RecordName(selector, domain); err == nil {
			found = append(found, signer{domain, selector})
		}
	}
	for _, domain := range cfg.Domain.Elements() {
		add(strings.TrimSpace(domain), cfg.Selector)
	}
	for _, row := range smallTable(cfg) {
		domain, rest, _ := strings.Cut(row.Value, ":")
		selector, _, _ := strings.Cut(rest, ":")
		add(strings.TrimSpace(domain), strings.TrimSpace(selector))
	}
	return found
}

// smallTable are the rows of key_table, if they are not very many.
func smallTable(cfg *config.Config) []dataset.Row {
	const most = 1 << 20
	info, err := os.Stat(cfg.KeyTable.File(cfg.BaseDirectory))
	if err == nil && info.Size() > most {
		return nil
	}
	table, err := dataset.Open(cfg.KeyTable, dataset.Options{Base: cfg.BaseDirectory})
	if err != nil {
		return nil
	}
	return table.Rows()
}
