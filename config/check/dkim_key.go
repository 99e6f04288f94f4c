package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/milter/finding"
	"github.com/postseal/postseal/milter/resolver"
)

// key looks at one key: its file, its record, and whether the daemon has it.
func (c *Checker) key(ctx context.Context, k *Key, s *Section) {
	s.State = OK
	report := published.Check(ctx, c.DNS, k.Domain, k.Selector, k.public)
	k.Name, k.Usable, k.Same = report.Name, report.Usable(), report.Same
	if k.Signs {
		c.file(k, s)
	}
	sight := c.ownServers(ctx, k)
	if k.Signs && !(k.Usable && k.Same) && !report.Has(published.LookupFailed) && sight.Everywhere() {
		s.add(k.Name, notSeen(k, sight))
	} else {
		c.record(k, report, s)
	}
	if len(report.Records) > 0 {
		c.answer(ctx, k, report, sight, s)
	}
	if k.Signs && k.err == nil {
		c.taken(k, s)
	}
	if k.Signs {
		c.age(k, s)
	}
}

// record adds what was found about the record. The first that wants another record
// has it with it. Of a key that does not sign, all but a published private key is a
// note: it may be yet to come, or done with.
func (c *Checker) record(k *Key, report *published.Report, s *Section) {
	told := k.Zone == ""
	for _, f := range report.Findings {
		switch {
		case f.Code == published.PrivateKey:
		case k.resting:
			continue
		case f.Code == published.LookupFailed:
			f.Level = LevelUnknown
			if strings.Contains(f.Text, "SERVFAIL") {
				f.Fix += "\nWhere this shows the record, the DNSSEC of the domain is broken:\n  dig +cd TXT " + k.Name
			}
		case !k.Signs:
			f.Level = finding.Note
		case f.Level == finding.Problem && c.Config.UnpublishedKeys == config.SkipUnpublished:
			f.Effect = "No mail is signed with the key until DNS shows it (unpublished_keys)."
		case f.Level == finding.Problem && c.Config.UnpublishedKeys == config.DeferUnpublished:
			f.Effect = "Mail that the key should sign is deferred until DNS shows it (unpublished_keys)."
		}
		if slices.Contains(renewed, f.Code) && f.Level != finding.Note {
			f.Fix += "\n  postseal rotate " + k.Domain
		}
		if !told && f.Level != finding.Note && !slices.Contains(otherwise, f.Code) {
			told = true
			f.Fix += " The record is:\n" + k.Zone
		}
		s.add(k.Name, f)
	}
}

// otherwise are the findings that are mended otherwise than by the record of the key as
// it is.
var otherwise = []finding.Code{
	published.BadName, published.LookupFailed, published.OtherText, published.SeveralRecords,
	published.PrivateKey, published.ShortKey, published.LongKey, published.Strict,
}

// renewed are the findings that a new key mends.
var renewed = []finding.Code{published.ShortKey, published.LongKey}

// Bounds of how long a record is remembered. A day is what a rotation waits for
// anyway; with less than a minute, each receiver asks anew for nearly each mail.
const (
	longTTL  = 24 * time.Hour
	shortTTL = time.Minute
)

// answer looks at what the answer with the record says beside it.
func (c *Checker) answer(ctx context.Context, k *Key, report *published.Report, sight published.Sight, s *Section) {
	if c.FromFile {
		return
	}
	if report.Authentic {
		k.DNSSEC = secure
	}
	if k.Signs && k.Usable && k.Same {
		shownBySome(k, sight, s)
	}
	ttl, own := sight.TTL, sight.TTL > 0
	if !own {
		reply, err := c.DNS.Ask(ctx, k.Name, dns.TypeTXT)
		if err != nil {
			return // it has just been answered: nobody misses this
		}
		ttl, own = reply.TTL, reply.Authoritative
	}
	k.TTL = int(ttl / time.Second)
	const fix = "Publish it with a TTL of 3600 (an hour)."
	switch {
	case ttl > longTTL:
		s.add(k.Name, finding.Finding{
			Code: LongTTL, Level: finding.Note,
			Text:   fmt.Sprintf("The record may be remembered for %s.", ttl),
			Effect: "A mistake in it, and a rotation of the key, takes as long.", Fix: fix,
		})
	case ttl < shortTTL && own: // what others remember has less and less
		s.add(k.Name, finding.Finding{
			Code: ShortTTL, Level: finding.Note,
			Text:   fmt.Sprintf("The record may be remembered for %s only.", ttl),
			Effect: "Receivers ask for it with nearly each mail, and cannot verify signatures whenever the domain's name servers do not answer.", Fix: fix,
		})
	}
}

// ownTimeout bounds the questions to the domain's own name servers: a firewall may
// keep this machine from them.
const ownTimeout = 5 * time.Second

// ownServers asks the domain's own name servers, which can differ from what others
// remember. Where they are not to be asked, or cannot be found, nobody is.
func (c *Checker) ownServers(ctx context.Context, k *Key) published.Sight {
	if !c.OwnServers || c.FromFile || k.public == nil {
		return published.Sight{}
	}
	ctx, cancel := context.WithTimeout(ctx, ownTimeout)
	defer cancel()
	sight, err := published.Everywhere(ctx, resolver.Lookup{Asker: c.DNS}, k.Domain, k.Selector, k.public)
	if err != nil {
		return published.Sight{}
	}
	return sight
}

// shownBySome tells of name servers that do not show the record, where others do.
func shownBySome(k *Key, sight published.Sight, s *Section) {
	var lack []string
	for _, seen := range sight.Servers {
		if !seen.Shows && !seen.Silent {
			lack = append(lack, fmt.Sprintf("%s (%s)", seen.Server, seen.Address))
		}
	}
	if len(lack) > 0 {
		s.add(k.Name, finding.Finding{
			Code: NotEverywhere, Level: finding.Problem,
			Text:   fmt.Sprintf("Not all name servers of %s show the record: %s.", sight.Zone, strings.Join(lack, ", ")),
			Effect: "Signatures pass at some receivers and fail at others.",
			Fix:    "Have all name servers of the zone load it: see whether the serial number of its SOA was raised, and whether the transfer of the zone works.",
		})
	}
}

// notSeen tells of a record that stands where it should, and that the name server that
// was asked does not have: it remembers what was before, or has a view of its own.
func notSeen(k *Key, sight published.Sight) finding.Finding {
	return finding.Finding{
		Code: NotSeen, Level: finding.Warning,
		Text:   fmt.Sprintf("All name servers of %s show the record at %s, but the one that was asked does not yet: it remembers an older answer, or has one of its own.", sight.Zone, k.Name),
		Effect: "Signatures fail at receivers who remember the same.",
		Fix:    "Wait until the answer is forgotten, or ask another name server with --nameserver.",
	}
}

// What DNSSEC says of a record.
const (
	secure   = "secure"
	insecure = "insecure"
)

// dnssec tells records that are not signed from name servers that do not validate: one
// that does vouches for the root zone.
func (c *Checker) dnssec(ctx context.Context, s *Section) {
	open := slices.DeleteFunc(slices.Clone(s.Keys), func(k *Key) bool { return k.TTL == 0 || k.DNSSEC == secure })
	if len(open) == 0 {
		return
	}
	validates := slices.ContainsFunc(s.Keys, func(k *Key) bool { return k.DNSSEC == secure })
	if !validates {
		reply, err := c.DNS.Ask(ctx, ".", dns.TypeSOA)
		validates = err == nil && reply.Authentic
	}
	if !validates {
		return
	}
	for _, k := range open {
		k.DNSSEC = insecure
	}
}

// aged is how old a key should not become (M3AAWG recommends to rotate twice a year).
const aged = 365 * 24 * time.Hour

// age looks at the date that begins a selector.
func (c *Checker) age(k *Key, s *Section) {
	if len(k.Selector) < len("20061102") {
		return
	}
	made, err := time.Parse("20060102", k.Selector[:len("20060102")])
	if err != nil || c.Now.Sub(made) < aged {
		return
	}
	s.add(k.Name, finding.Finding{
		Code: OldKey, Level: finding.Note,
		Text:   fmt.Sprintf("By its selector the key is of %s, more than a year ago.", made.Format("2006-01-02")),
		Effect: "The longer a key is in use, the more mail a stolen copy of it can forge.",
		Fix:    "postseal rotate " + strings.TrimSuffix(k.Domain, "."),
	})
}
