package milter

import "slices"

// each is the same difference for several mails.
func each(ours, why string, mails ...string) []difference {
	var all []difference
	for _, m := range mails {
		all = append(all, difference{m, ours, why})
	}
	return all
}

const (
	doubtful = "readers differ on who is the author; OpenDKIM takes what looks like an address"
	obsolete = "legal (RFC 5322 §4.4), though OpenDKIM does not see the address"
)

// fromDiffers holds for the mails in froms, where the tables sign for
// example.com with s1 and for example.org with s2.
var fromDiffers = slices.Concat(
	each(unsigned, doubtful,
		"u@example.com <v@example.org>", "u@example.com u@example.org", "<u@example.com", "<<u@example.com>>", "@example.com", "u@@example.com",
		"u@example.com@example.org", "U Ser <u@example.com> (x) <v@example.org>", `u\@x@example.com`),
	each("d=example.com s=s1", obsolete, "(a) u (b) @ (c) example.com (d)", "u@ example.com"),
)

// brokenDomains adds what OpenDKIM defers where a row is for all domains.
var brokenDomains = slices.Concat(fromDiffers,
	each(unsigned, "no author with a domain: on_bad_from says what is done; OpenDKIM looks for a key of a broken name",
		"u@example.com.", "u@example.com>", "u@example..com"))

// headerDiffers holds for the mails in headers, where the tables sign for
// example.com with s1.
var headerDiffers = slices.Concat(
	each("d=example.com s=s1", "RFC 5322 §4.5 has fields with a blank before the colon; OpenDKIM finds no From", "From : u@example.com"),
	each(unsigned, "several From fields: no certain author (RFC 6376 §8.15)",
		"From: u@example.com|From: v@example.org", "From: u@example.com|From: u@example.com"),
	each("d=example.com s=s1", "another's broken signature is no reason to send ours unsigned", "From: u@example.com|DKIM-Signature: v=1; rubbish"),
)

const unread = "a sender header without an address is passed over; OpenDKIM lets the mail out unsigned"

var senderDiffers = slices.Concat(headerDiffers, each("d=example.com s=s1", unread, "Sender: |From: u@example.com", "Sender: root|From: u@example.com"))

var listPostDiffers = slices.Concat(headerDiffers,
	each("d=example.com s=s1", unread, "List-Post: NO|From: u@example.com", "List-Post: <https://x.test/>|From: u@example.com"))

const mapped = "an IPv4-mapped address is the IPv4 address"

var (
	mappedLoopback = each("d=example.com s=s", mapped, "localhost ::ffff:127.0.0.1")
	mappedNetwork  = each("d=example.com s=s", mapped, "out.test ::ffff:192.0.2.1")
	notCanonical   = each("d=example.com s=s", "a network with bits behind its prefix is read as the network it lies in, with a warning; in OpenDKIM it never matches",
		"out.test 192.0.2.1", "out.test 192.0.2.7", "out.test 192.0.2.200", "[192.0.2.1] 192.0.2.1")
	lastMacroWins = each("d=example.com s=s", "one macro that matches is enough; in OpenDKIM the last that is set decides, and may clear MTA",
		"out.test 203.0.113.1 daemon_name=ORIGINATING verify=NO")
	ours = []string{"u@example.com", "U@Example.COM", "v@example.com"}
)
