package check

import (
	"crypto"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/ledger"
	"github.com/postseal/postseal/keys/zone"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/finding"
)

// sampleLocal is the local part of the address whose mail is looked at.
const sampleLocal = "user"

// decide says what the daemon does with mail of an address: submitted on this machine
// or, with login, by a client that has logged in.
func (c *Checker) decide(address string, login bool) milter.Decision {
	known := map[string]string{strings.Trim(c.Config.SenderMacro, "{}"): address}
	f := milter.Facts{
		Host: "localhost", MailFrom: address, Mode: c.mode(),
		Macro: func(name string) (string, bool) { v, ok := known[name]; return v, ok },
		// Date is there for required_headers.
		Fields: []dkim.Field{{Name: "From", Value: " " + address}, {Name: "Date", Value: " Mon, 2 Nov 2026 10:00:00 +0000"}},
	}
	if login {
		known["auth_type"], known["auth_authen"] = "PLAIN", address
		f.Host, f.Addr = "[192.0.2.1]", netip.AddrFrom4([4]byte{192, 0, 2, 1}) // RFC 5737: nobody's
	}
	if why, peer := c.Snapshot.Peer(f); peer {
		return milter.Decision{Verdict: milter.Pass, Reasons: []milter.Reason{why}}
	}
	return c.Snapshot.Decide(f)
}

// mode is what the daemon does, at any of its sockets.
func (c *Checker) mode() config.Mode {
	mode := c.Config.Mode
	for _, l := range c.Config.Listener {
		mode.Sign, mode.Verify = mode.Sign || l.Mode.Sign, mode.Verify || l.Mode.Verify
	}
	return mode
}

// Signs reports whether the daemon is one that signs; Config is there.
func (c *Checker) Signs() bool { return c.mode().Sign }

// signs finds the keys that mail of the domain is signed with.
func (c *Checker) signs(domain string, s *Section) {
	sender := sampleLocal + "@" + domain
	local, login := c.decide(sender, false), c.decide(sender, true)
	d := local
	if d.Verdict != milter.Sign {
		d = login
	}
	c.take(d, sender, s)
	for _, address := range c.index().senders[domain] {
		if len(s.Keys) < mostKeys {
			c.take(c.decide(address, true), address, s)
		}
	}
	if d.Verdict == milter.Sign {
		if local.Verdict != milter.Sign {
			s.add("", notOurs(local))
		}
		return
	}
	if len(s.Keys) == 0 {
		_, keyed := c.index().byDomain[domain]
		s.add("", notSigned(domain, sender, keyed, d))
		return
	}
	s.add("", finding.Finding{
		Code: SomeSigned, Level: finding.Warning,
		Text:   fmt.Sprintf("Mail of some addresses alone is signed, such as %s; mail from %s is not.", s.Keys[0].Sender, sender),
		Effect: "Mail of the domain's other addresses counts as unsigned.",
		Fix:    fmt.Sprintf("If all of the domain's mail is to be signed, change the pattern of the row in signing_table to \"*@%s\".", domain),
	})
}

// notOurs tells that mail of this machine's own is not signed.
func notOurs(d milter.Decision) finding.Finding {
	f := finding.Finding{
		Code: NotOurs, Level: finding.Warning,
		Text:   fmt.Sprintf("Mail that this machine itself sends leaves without a signature: %s.", milter.Words(d.Reasons)),
		Effect: "What programs on this machine send, and clients who do not log in, counts as unsigned.",
		Fix:    "Add this machine to internal_hosts:\n  127.0.0.1\n  ::1",
	}
	if d.Reasons[0].Code == milter.ReasonPeer {
		f.Code, f.Fix = LeftAlone, "Take this machine out of peer_list."
	}
	return f
}

// mostKeys is how many keys of one domain are looked at.
const mostKeys = 50

// take keeps the keys of a decision to sign.
func (c *Checker) take(d milter.Decision, sender string, s *Section) {
	for _, r := range d.Requests {
		if slices.ContainsFunc(s.Keys, func(k *Key) bool { return k.Key == r.KeyName && k.Domain == r.Domain && k.Selector == r.Selector }) {
			continue
		}
		k := &Key{Key: r.KeyName, Row: r.Row, Domain: r.Domain, Selector: r.Selector, Signs: true, Sender: sender, candidate: d.FirstOnly}
		if info, ok := c.info(r.KeyName); ok {
			k.File = strings.ReplaceAll(info.Path, "%", r.Domain)
		}
		key, err := r.Signer()
		if k.err = err; err == nil {
			k.setPublic(key.Public())
		} else if key, err := keys.ReadPrivate(k.File); err == nil {
			k.setPublic(key.Public()) // one that cannot sign can be compared all the same
		}
		s.Keys = append(s.Keys, k)
	}
}

func (k *Key) setPublic(public crypto.PublicKey) {
	if a, bits, err := dkim.AlgorithmOf(public); err == nil {
		k.public, k.Algorithm, k.Bits = public, a, bits
		k.Publish = keys.RecordText(public)
		k.Zone = zone.Key(k.Selector, k.Domain, k.Publish).String()
	}
}

// info is the row of key_table of that name.
func (c *Checker) info(name string) (keys.KeyInfo, bool) {
	i, ok := c.index().byName[name]
	if !ok {
		return keys.KeyInfo{}, false
	}
	return c.index().keys[i], true
}

// findIdle finds the keys that key_table has for the domain and that sign none of its
// mail.
func (c *Checker) findIdle(domain string, s *Section) {
	signed := len(s.Keys) > 0
	for _, i := range c.index().byDomain[domain] {
		info := c.index().keys[i]
		if len(s.Keys) >= mostKeys || slices.ContainsFunc(s.Keys, func(k *Key) bool { return k.Key == info.Name && k.Selector == info.Selector }) {
			continue
		}
		k := &Key{Key: info.Name, File: info.Path, Domain: domain, Selector: info.Selector}
		if info.Public != nil {
			k.setPublic(info.Public)
		} else if key, err := keys.ReadPrivate(info.Path); err == nil {
			k.setPublic(key.Public())
		}
		s.Keys = append(s.Keys, k)
		if r, ok := c.index().resting[info.Name]; ok {
			k.resting = true
			s.add("", restingNote(r))
			continue
		}
		if !signed || c.index().reached[info.Name] {
			continue // nothing is signed, as another finding says; or it signs for other domains
		}
		k.Name = k.Selector + "._domainkey." + k.Domain
		s.add(k.Name, finding.Finding{
			Code: NoRow, Level: finding.Warning,
			Text:   fmt.Sprintf("The key %q is in key_table, and no mail is signed with it: no row of signing_table names it, or another row comes before.", info.Name),
			Effect: "Where it was meant to sign, its signature is missing; mail is signed with the domain's other keys.",
			Fix:    rowFix(domain, k) + "\nOr take the key out of key_table.",
		})
	}
}

// restingNote says where a key of rotation is in its life.
func restingNote(r ledger.Key) finding.Finding {
	effect := "It signs no more; its record stays for the mail that is under way."
	if r.State == ledger.Pending || r.State == ledger.Published {
		effect = "It does not sign yet."
	}
	return finding.Finding{
		Code: Resting, Level: finding.Note,
		Text:   fmt.Sprintf("The key %s is %s since %s.", r.Selector, r.State, r.Since.UTC().Format("2006-01-02 15:04")),
		Effect: effect, Fix: "postseal rotate leads it on.",
	}
}

// tables is what the tables have.
type tables struct {
	keys     []keys.KeyInfo
	byName   map[string]int
	byDomain map[string][]int
	// senders are addresses, by domain, whose mail is signed; reached are the names of
	// the keys with which some mail is.
	senders map[string][]string
	reached map[string]bool
	// resting are the keys of rotation that do not sign, by name.
	resting map[string]ledger.Key
}

// index reads the tables once for all domains.
func (c *Checker) index() *tables {
	c.once.Do(func() {
		c.tables = newTables(c.Snapshot)
		c.tables.resting = restingKeys(c.Config)
	})
	return c.tables
}

// restingKeys reads what rotation keeps beside key_table, if there is anything.
func restingKeys(cfg *config.Config) map[string]ledger.Key {
	keys := map[string]ledger.Key{}
	table := cfg.KeyTable.File(cfg.BaseDirectory)
	if table == "" {
		return keys
	}
	known, err := ledger.Read(filepath.Join(filepath.Dir(table), ledger.FileName))
	if err != nil {
		return keys // postseal rotate says what is wrong with it
	}
	for _, k := range known.Keys {
		if k.State == ledger.Pending || k.State == ledger.Published || k.State == ledger.Retiring {
			keys[k.Name] = k
		}
	}
	return keys
}

func newTables(s *milter.Snapshot) *tables {
	t := &tables{keys: s.Keys(), byName: map[string]int{}, byDomain: map[string][]int{}, senders: map[string][]string{}, reached: map[string]bool{}}
	for i, k := range t.keys {
		if _, again := t.byName[k.Name]; !again { // the first of a name counts
			t.byName[k.Name] = i
		}
		if domain, err := dkim.DomainName(k.Domain); err == nil { // else it is "%", or none
			t.byDomain[domain] = append(t.byDomain[domain], i)
		}
	}
	for sample := range s.Samples() {
		if sample.Why == "" {
			t.reached[sample.KeyName] = true
			t.senders[sample.Sender.Domain] = append(t.senders[sample.Sender.Domain], sample.Sender.Local+"@"+sample.Sender.Domain)
		}
	}
	return t
}

// Domains are those that the configuration has keys for, in the order of the tables.
func (c *Checker) Domains() []string {
	var list []string
	seen := map[string]bool{}
	for _, k := range c.index().keys {
		if domain, err := dkim.DomainName(k.Domain); err == nil && !seen[domain] {
			seen[domain] = true
			list = append(list, domain)
		}
	}
	return list
}
