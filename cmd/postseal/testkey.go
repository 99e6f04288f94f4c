package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/finding"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// parallelChecks is how many records are looked up at once.
const parallelChecks = 8

// fileFinding is the code of findings about the private key's file, beside
// those of package published.
const fileFinding published.Code = "file"

// keyTest is one key to test, and what testkey prints of it with --json.
type keyTest struct {
	// Key is the key's name in key_table; File is the private key.
	Key      string `json:"key,omitempty"`
	File     string `json:"file,omitempty"`
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	// Name is where the record stands, Records the TXT records there.
	Name    string   `json:"name"`
	Records []string `json:"records"`
	// Usable: the record works, and belongs to the private key if there is one.
	Usable bool `json:"usable"`
	// Compared: the record was compared with the private key; Same is the outcome.
	Compared bool `json:"compared"`
	Same     bool `json:"same"`
	// DNSSEC: the name server vouches for the answer.
	DNSSEC   bool         `json:"dnssec"`
	Type     string       `json:"type,omitempty"`
	Bits     int          `json:"bits,omitempty"`
	Findings finding.List `json:"findings"`
	// Publish is the record's value for the private key.
	Publish string `json:"publish,omitempty"`

	public crypto.PublicKey
}

// keyTests is the whole of it; Skipped names keys that have no record of their own.
type keyTests struct {
	Usable  bool       `json:"usable"`
	Keys    []*keyTest `json:"keys"`
	Skipped []string   `json:"skipped,omitempty"`
}

func newTestkey() *cobra.Command {
	var dns dnsFlags
	var from source
	var domain, selector, file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "testkey [-d DOMAIN -s SELECTOR [-k FILE]]",
		Short: "Compare a key with its DNS record",
		Long: `Fetch the DNS record of a key, read it as a verifier would, compare it with the private
key (-k), and say in words what is wrong and what to do. Without -d and -s, every key
of the configuration (-c) is tested; root reads them as the daemon's user (--user).

It also says whether the answer is protected by DNSSEC. That is about the domain's
name servers, not about the key's file.

The exit status is 0 only if every tested record is usable; warnings do not count.

With --json: {usable, keys: [{key, file, domain, selector, name, records, usable,
compared, same, dnssec, type, bits, findings: [{code, level, text, effect, fix}],
publish}], skipped}; level is problem, warning or note, publish is the value to be
published.`,
		Example: `  postseal testkey -d example.com -s mail2026
  postseal testkey -d example.com -s mail2026 -k /etc/postseal/keys/mail2026.private
  postseal testkey -c /etc/postseal/postseal.toml
  postseal testkey -d example.com -s mail2026 --nameserver 192.0.2.53`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var tests keyTests
			var resolver dkim.Resolver
			var err error
			switch {
			case domain != "" && selector != "":
				if cmd.Flags().Changed("config") {
					return usage(cmd, "test either one key (-d, -s) or those of the configuration (-c)")
				}
				if resolver, err = dns.open(cmd, lookupTimeout); err == nil {
					err = tests.addOne(domain, selector, file)
				}
			case domain != "" || selector != "" || file != "":
				return usage(cmd, "-d and -s belong together: give the domain and the selector, and the private key with -k if you have it")
			default:
				resolver, err = tests.addConfigured(cmd, from, &dns)
			}
			if err != nil {
				return err
			}
			tests.run(resolver)
			if asJSON {
				err = printJSON(cmd, tests)
			} else {
				err = tests.print(cmd.OutOrStdout(), &dns)
			}
			if err == nil && !tests.Usable {
				err = exitError{code: exitFailed}
			}
			return err
		},
	}
	from.add(cmd)
	f := cmd.Flags()
	f.StringVarP(&domain, "domain", "d", "", "the signing `domain`")
	f.StringVarP(&selector, "selector", "s", "", "the `selector`")
	f.StringVarP(&file, "key", "k", "", "compare with the private key in this `file`")
	dns.add(cmd)
	addJSON(cmd, &asJSON)
	return cmd
}

// addOne adds the key of -d, -s and -k.
func (t *keyTests) addOne(domain, selector, file string) error {
	k := &keyTest{Domain: domain, Selector: selector, File: file}
	if file != "" {
		key, err := readKey(file)
		if err != nil {
			return err
		}
		k.public = key.Public()
		k.checkFile()
	}
	t.Keys = append(t.Keys, k)
	return nil
}

// checkFile warns of a private key that others than its owner may read: the
// daemon, running as the owner, would refuse it.
func (k *keyTest) checkFile() {
	info, err := os.Stat(k.File)
	if err != nil {
		return
	}
	uid := os.Geteuid()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		uid = int(st.Uid)
	}
	var unsafe *keys.UnsafeError
	if errors.As(keys.CheckSafe(k.File, uid), &unsafe) {
		k.find(fileFinding, published.Warning,
			fmt.Sprintf("Other users may read or replace the private key: %s, mode %04o.", unsafe.Path, uint32(unsafe.Mode)),
			"The daemon does not use it (require_safe_keys): mail that it should sign is deferred.", "To mend it: "+unsafe.Fix)
	}
}

// addConfigured adds the keys of a configuration, and returns its resolver
// unless the flags name another.
func (t *keyTests) addConfigured(cmd *cobra.Command, from source, dns *dnsFlags) (dkim.Resolver, error) {
	var named dkim.Resolver
	if dns.set() {
		var err error
		if named, err = dns.open(cmd, lookupTimeout); err != nil {
			return nil, err
		}
	}
	l, err := from.load(cmd, named)
	l.printWarnings(cmd)
	if err != nil {
		return nil, withoutConfig(cmd, l.failed(err), "-d and -s")
	}
	for _, info := range l.snapshot.Keys() {
		if strings.Contains(info.Domain, "%") {
			t.Skipped = append(t.Skipped, info.Name)
			continue
		}
		t.Keys = append(t.Keys, configuredKey(info, l.form))
	}
	if len(t.Keys) == 0 && len(t.Skipped) == 0 {
		return nil, exitError{exitFailed, fmt.Errorf("%s has no keys to test; give a domain and a selector with -d and -s", from.path)}
	}
	return l.snapshot.Resolver(), nil
}

func configuredKey(info keys.KeyInfo, names form) *keyTest {
	k := &keyTest{Key: info.Name, File: info.Path, Domain: info.Domain, Selector: info.Selector}
	if info.Error != "" {
		k.find(fileFinding, published.Problem, fmt.Sprintf("The private key cannot sign: %s.", names.words(info.Error)),
			"The mail that it should sign is deferred until it can.", "Mend the file, then test again.")
	}
	if k.public = info.Public; k.public != nil || info.Path == "" {
		return k
	}
	if key, err := readKey(info.Path); err == nil { // one of so many that it was not read yet
		k.public = key.Public()
	} else if info.Error == "" {
		k.find(fileFinding, published.Problem, fmt.Sprintf("%v.", err),
			"The mail that it should sign is deferred.", names.words("Mend the file, or correct its row in key_table."))
	}
	return k
}

// run looks the records up, a few at once.
func (t *keyTests) run(resolver dkim.Resolver) {
	var group errgroup.Group
	group.SetLimit(parallelChecks)
	for _, k := range t.Keys {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
			defer cancel()
			k.take(published.Check(ctx, resolver, k.Domain, k.Selector, k.public))
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	t.Usable = len(t.Keys) > 0
	for _, k := range t.Keys {
		t.Usable = t.Usable && k.Usable
	}
}

// take keeps the report on the key's record.
func (k *keyTest) take(r *published.Report) {
	k.Name, k.Records, k.Same, k.DNSSEC = r.Name, r.Records, r.Same, r.Authentic
	if k.Records == nil {
		k.Records = []string{}
	}
	if r.Key != nil && !r.Key.Revoked {
		k.Type, k.Bits = string(r.Key.Type), r.Key.Bits
		k.Compared = k.public != nil
	}
	k.Findings = append(k.Findings, r.Findings...)
	k.Usable = k.Findings.Worst() != published.Problem
	if k.public != nil {
		k.Publish = keys.RecordText(k.public)
	}
	if k.Findings == nil {
		k.Findings = finding.List{}
	}
}

func (k *keyTest) find(code published.Code, level published.Level, text, effect, fix string) {
	k.Findings = append(k.Findings, finding.Finding{Code: code, Level: level, Text: text, Effect: effect, Fix: fix})
}
