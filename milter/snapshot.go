package milter

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/hosts"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/rewrite"
	"github.com/postseal/postseal/milter/wire"
)

// Snapshot is one configuration, read and checked: settings, tables, lists and
// references to keys. It never changes; a reload makes a new one, and every
// message ends with the one it began with.
type Snapshot struct {
	cfg  *config.Config
	keys *keys.Store

	signing   dkim.SignOptions // of every signature
	verifying verifyRules
	resolver  dkim.Resolver
	dns       resolver.Options // what resolver was made from

	senderHeaders  []string
	internalHosts  *hosts.List
	peers          *hosts.List
	externalIgnore *hosts.List
	mta            nameSet
	exemptDomains  nameSet
	dontSignMailTo nameSet
	bodyLength     mailboxSet
	senderMacro    string         // its name without braces, "" for none
	replaceRules   *rewrite.Rules // nil for none
	replaceHeaders []string       // what they apply to, unless replaceAll
	replaceAll     bool
	removeARFrom   []string
	macroList      []macroRule

	want wire.Want // of the MTA
}

// Environment is what a snapshot takes from outside of its configuration.
type Environment struct {
	// Keys keeps parsed and proven keys from one snapshot to the next.
	Keys *keys.Cache
	// Resolver answers in place of the configured name servers, if not nil.
	Resolver dkim.Resolver
	// DNS, if not nil, counts what name servers are asked.
	DNS *resolver.Stats
	// Log is told what is odd and no problem.
	Log *slog.Logger
	// Previous is the snapshot in force, or nil: its DNS cache is kept where
	// the name servers stay the same, its tables where their files do.
	Previous *Snapshot
	// Signer, if not nil, is the user id that will sign where it is not the
	// process's own; see keys.Options.Later. Snapshot.ReadKeys is for when it is.
	Signer *int
	// Unchanged is keys.Options.Unchanged.
	Unchanged func() bool
	// Outside is keys.Options.Outside.
	Outside func(path string) error
}

// uid is the user that signs.
func (e Environment) uid() int {
	if e.Signer != nil {
		return *e.Signer
	}
	return os.Geteuid()
}

// Load reads and checks everything that cfg names. The error joins all
// problems, each with its place and what to do; a bad key alone is none (see
// keys.Store.Disabled).
func Load(cfg *config.Config, env Environment) (*Snapshot, error) {
	s := &Snapshot{cfg: cfg}
	for _, w := range cfg.Warnings() {
		env.Log.Warn("configuration", "warning", w.String())
	}
	var problems []error
	fail := func(what string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", what, err))
		}
	}
	var err error
	if s.signing, err = SignOptions(cfg); err != nil {
		problems = append(problems, err)
	}
	if s.verifying, err = newVerifyRules(cfg); err != nil {
		problems = append(problems, err)
	}
	if s.senderHeaders, err = cfg.SenderHeaderNames(); err != nil {
		problems = append(problems, err)
	}

	for _, l := range []struct {
		name string
		spec dataset.Spec
		list **hosts.List
	}{
		{"internal_hosts", cfg.InternalHosts, &s.internalHosts},
		{"peer_list", cfg.PeerList, &s.peers},
		{"external_ignore_list", cfg.ExternalIgnoreList, &s.externalIgnore},
	} {
		set, err := open(cfg, l.spec, false)
		if err != nil || set == nil {
			fail(l.name, err)
			continue
		}
		list, warnings, err := hosts.New(set)
		fail(l.name, err)
		for _, w := range warnings {
			env.Log.Warn("host list", "list", l.name, "warning", w)
		}
		*l.list = list
	}
	for _, l := range []struct {
		name  string
		spec  dataset.Spec
		exact bool
		set   *nameSet
	}{
		{"mta", cfg.MTA, true, &s.mta},
		{"exempt_domains", cfg.ExemptDomains, false, &s.exemptDomains},
		{"dont_sign_mail_to", cfg.DontSignMailTo, false, &s.dontSignMailTo},
		{"body_length_db", cfg.BodyLengthDB, false, &s.bodyLength.nameSet},
	} {
		l.set.Set, err = open(cfg, l.spec, l.exact)
		fail(l.name, err)
	}
	s.senderMacro = strings.Trim(cfg.SenderMacro, "{}")
	if s.replaceRules, err = replaceRules(cfg, env.Log); err != nil {
		problems = append(problems, err)
	}
	if s.replaceHeaders, s.replaceAll, err = cfg.ReplaceHeaderNames(); err != nil {
		problems = append(problems, err)
	}
	s.removeARFrom, err = openList(cfg, cfg.RemoveARFrom)
	fail("remove_ar_from", err)
	s.macroList, err = macroRules(cfg)
	fail("macro_list", err)
	if err := s.openResolver(cfg, env); err != nil {
		problems = append(problems, err)
	}

	var previous *keys.Store
	if env.Previous != nil {
		previous = env.Previous.keys
	}
	s.keys, err = keys.Load(keys.Options{
		KeyTable: cfg.KeyTable, SigningTable: cfg.SigningTable,
		Domain: cfg.Domain, Selector: cfg.Selector, KeyFile: cfg.KeyFile,
		SubDomains: cfg.SubDomains, MultipleSignatures: cfg.MultipleSignatures, SkipBadRows: !cfg.CheckSigningTable,
		RequireSafeKeys: cfg.RequireSafeKeys, Base: cfg.BaseDirectory,
		MinBits: cfg.MinimumKeyBits, MaxBits: cfg.MaximumKeyBits, UID: env.uid(), Later: env.Signer != nil,
		Unchanged: env.Unchanged, Outside: env.Outside, Previous: previous,
	}, env.Keys)
	if err != nil {
		problems = append(problems, err)
	}
	s.want = s.wants()
	return s, errors.Join(problems...)
}

// SignOptions returns what cfg says of every signature: all but its names, its
// key and its time.
func SignOptions(cfg *config.Config) (o dkim.SignOptions, err error) {
	if o.Header, o.Body, err = dkim.ParseCanonicalization(cfg.Canonicalization); err != nil {
		return o, fmt.Errorf("canonicalization: %w", err)
	}
	sign, err1 := cfg.SignHeaderNames()
	omit, err2 := cfg.OmitHeaderNames()
	oversign, err3 := cfg.OversignHeaderNames()
	if err := errors.Join(err1, err2, err3); err != nil {
		return o, err
	}
	if o.Selection, err = dkim.NewHeaderSelection(sign, omit, oversign); err != nil {
		return o, fmt.Errorf("sign_headers, omit_headers, oversign_headers: %w", err)
	}
	o.BodyLimit = cfg.MaximumSignedBytes
	o.CopyFields, o.RequestReports = cfg.Diagnostics, cfg.RequestReports
	return o, nil
}

// maxRecords bounds the file of test_public_keys, in bytes.
const maxRecords = 64 << 20

// openResolver takes the injected resolver, the previous one while its settings
// are the same, or a new one.
func (s *Snapshot) openResolver(cfg *config.Config, env Environment) error {
	s.dns = resolver.Options{Nameservers: cfg.Nameservers, Timeout: cfg.DNSTimeout.Std(), TCP: cfg.DNSConnect, Stats: env.DNS}
	switch {
	case env.Resolver != nil:
		s.resolver = env.Resolver
		return nil
	case cfg.TestPublicKeys != "":
		path := cfg.Path(cfg.TestPublicKeys)
		text, err := dataset.ReadFile(path, maxRecords)
		if err != nil {
			return fmt.Errorf("test_public_keys: %w", err)
		}
		records, err := resolver.ParseRecords(bytes.NewReader(text))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		s.resolver = records
		return nil
	case cfg.TestDNSData.IsSet():
		set, err := open(cfg, cfg.TestDNSData, false)
		if err != nil {
			return fmt.Errorf("test_dns_data: %w", err)
		}
		s.resolver = dnsData{set}
		return nil
	}
	if p := env.Previous; p != nil && p.dns.Timeout == s.dns.Timeout && p.dns.TCP == s.dns.TCP &&
		slices.Equal(p.dns.Nameservers, s.dns.Nameservers) {
		if client, ok := p.resolver.(*resolver.Client); ok {
			s.resolver = client
			return nil
		}
	}
	client, err := resolver.New(s.dns)
	if err != nil {
		return err
	}
	s.resolver = client
	return nil
}

// open opens a data set; an unset one is nil.
func open(cfg *config.Config, spec dataset.Spec, exact bool) (*dataset.Set, error) {
	if !spec.IsSet() {
		return nil, nil
	}
	return dataset.Open(spec, dataset.Options{Base: cfg.BaseDirectory, ExactCase: exact})
}

// openList opens a data set that is walked.
func openList(cfg *config.Config, spec dataset.Spec) ([]string, error) {
	set, err := open(cfg, spec, false)
	if err != nil || set == nil {
		return nil, err
	}
	if !set.Walkable() {
		return nil, fmt.Errorf("%s is a refile set, which cannot be walked; use file: or a list", set.Source())
	}
	return set.Values(), nil
}

// nameSet is a data set that is asked for whole names; unset, it has none.
type nameSet struct{ *dataset.Set }

func (n nameSet) set() bool { return n.Set != nil }

func (n nameSet) has(name string) bool {
	if n.Set == nil {
		return false
	}
	_, ok := n.Get(name)
	return ok
}

// macroRule is one entry of macro_list.
type macroRule struct {
	name   string
	values []string // none: any value
}

func (m macroRule) matches(value string) bool {
	return len(m.values) == 0 || slices.Contains(m.values, value)
}

// macroRules reads macro_list: "name" or "name=a|b" in a list, "name a|b" in a
// file. Braces around the name do not count.
func macroRules(cfg *config.Config) ([]macroRule, error) {
	set, err := open(cfg, cfg.MacroList, true)
	if err != nil || set == nil {
		return nil, err
	}
	if !set.Walkable() {
		return nil, fmt.Errorf("%s is a refile set, which cannot be walked; use file: or a list", set.Source())
	}
	var rules []macroRule
	for _, row := range set.Rows() {
		m := macroRule{name: strings.Trim(row.Key, "{}")}
		if row.Value != "" {
			m.values = strings.Split(row.Value, "|")
		}
		rules = append(rules, m)
	}
	return rules, nil
}

// maxReplaceRules bounds the file of replace_rules, in bytes.
const maxReplaceRules = 1 << 20

// replaceRules reads the file of replace_rules; unset, there are none.
func replaceRules(cfg *config.Config, log *slog.Logger) (*rewrite.Rules, error) {
	if cfg.ReplaceRules == "" {
		return nil, nil
	}
	path := cfg.Path(cfg.ReplaceRules)
	data, err := dataset.ReadFile(path, maxReplaceRules)
	if err != nil {
		return nil, fmt.Errorf("replace_rules: %w", err)
	}
	rules, err := rewrite.Parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("replace_rules: %s: %w", path, err)
	}
	for _, note := range rules.Notes() {
		log.Warn("replace_rules", "file", path, "note", note)
	}
	return rules, nil
}

// wants is what the daemon asks the MTA for under this configuration.
func (s *Snapshot) wants() wire.Want {
	w := wire.Want{
		Actions:  wire.ActAddHeaders,
		Optional: wire.ActSetSymList,
		// What needs no answer gets none. CONNECT (peers), EOH (the decision),
		// BODY (SKIP) and EOM are answered.
		Steps: wire.StepNRHelo | wire.StepNRMail | wire.StepNRRcpt | wire.StepNRHeader | wire.StepNRData | wire.StepNRUnknown |
			wire.StepSkip | wire.StepHeaderLeadSpace,
	}
	if s.cfg.RedirectFailuresTo != "" {
		w.Actions |= wire.ActAddRcpt | wire.ActDelRcpt
	}
	if !s.cfg.KeepAuthResults || s.cfg.RemoveOldSignatures {
		w.Actions |= wire.ActChangeHeaders
	}
	for _, a := range s.cfg.Actions() {
		if a == config.Quarantine {
			w.Actions |= wire.ActQuarantine
		}
	}
	macros := []string{"i", "j", "daemon_name", "auth_type", "auth_authen"}
	for _, m := range s.macroList {
		macros = append(macros, m.name)
	}
	if s.senderMacro != "" {
		macros = append(macros, s.senderMacro)
	}
	seen := make(map[string]bool, len(macros))
	macros = slices.DeleteFunc(macros, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
	w.Macros = map[wire.Command][]string{wire.CmdEOH: macros}
	return w
}

// mode is the listener's mode under this configuration.
func (s *Snapshot) mode(socket string) config.Mode {
	for _, l := range s.cfg.Listener {
		if l.Socket == socket && l.Mode != (config.Mode{}) {
			return l.Mode
		}
	}
	return s.cfg.Mode
}

// ReadKeys reads the keys that Load left to Environment.Signer.
func (s *Snapshot) ReadKeys() { s.keys.ReadKeys() }

// Keys lists the configured keys, for status.
func (s *Snapshot) Keys() []keys.KeyInfo { return s.keys.Keys() }

// KeyStates counts the configured keys by state.
func (s *Snapshot) KeyStates() map[keys.State]int { return s.keys.States() }

// FirstKeys are at most so many of Keys, those that cannot sign first.
func (s *Snapshot) FirstKeys(most int) []keys.KeyInfo { return s.keys.First(most) }

// Samples finds a sender for each key: see [keys.Store.Samples].
func (s *Snapshot) Samples() iter.Seq[keys.Sample] { return s.keys.Samples() }

// KeyCount is how many keys are configured.
func (s *Snapshot) KeyCount() int { return s.keys.Len() }

// KeyFiles are the paths of key files, in the order of the configuration; "%"
// stands for a domain.
func (s *Snapshot) KeyFiles() iter.Seq[string] { return s.keys.Files() }

// Disabled lists the keys and rows that cannot sign, with the reason.
func (s *Snapshot) Disabled() []error { return s.keys.Disabled() }

// Resolver is what the snapshot asks for keys.
func (s *Snapshot) Resolver() dkim.Resolver { return s.resolver }
