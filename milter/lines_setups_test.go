package milter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/testdata/peers"
)

const (
	tableConf  = "SigningTable refile:@DIR@/signing.table\nKeyTable file:@DIR@/key.table\n"
	domainConf = "Domain example.com\nSelector good\nKeyFile @DIR@/key\n"
	allLines   = "LogWhy yes\nSyslogSuccess yes\nLogResults yes\n"
	oneRow     = "*@example.com k\n"
	oneRowKey  = "k example.com:good:@DIR@/key\n"
)

const (
	twoFrom  = "several From fields: no certain author (RFC 6376 §8.15); OpenDKIM takes the first"
	asSigned = "the mail counts as signed in OpenDKIM, and goes out unsigned"
	readOn   = "a sender header without an address is passed over"
	modeV    = "OpenDKIM looks for a key for the empty domain; a line says what is wrong"
	library  = "we apply no key that cannot be read or does not fit, and have no library that says why"
	early    = "keys are read and proven before they sign; OpenDKIM finds out when it signs, and rejects the mail"
	strict   = "a signature with a broken tag is not computed"
)

func mailNamed(mails []mail, name string) mail {
	return mails[slices.IndexFunc(mails, func(m mail) bool { return m.name == name })]
}

// fewer is all mails but those called so.
func fewer(mails []mail, names ...string) []mail {
	return slices.DeleteFunc(slices.Clone(mails), func(m mail) bool { return slices.Contains(names, m.name) })
}

// lineSetups are the configurations that are compared.
func lineSetups(b *bench) []lineSetup {
	clients, signatures := clientMails(), signedMails(b)
	few := []mail{mailNamed(clients, "ours"), mailNamed(clients, "ours, no row"), mailNamed(clients, "stranger")}
	const noSender = "INFO 4XQ1: can't determine message sender; accepting"
	// signing is a setup with the table of one row.
	signing := func(name, conf string, differ ...lineDifference) lineSetup {
		differ = append(differ, lineDifference{"two From", noSender, twoFrom}, lineDifference{"broken signature in ours", "as ours", asSigned})
		return lineSetup{name: name, conf: tableConf + conf, signing: oneRow, keys: oneRowKey, mails: clients, differ: differ}
	}
	unread := func(name, value string) lineDifference {
		return lineDifference{name, "INFO 4XQ1: can't parse From: header value '" + value + "'", modeV}
	}
	verifyOnly := []lineDifference{
		{"two From", noSender, twoFrom}, unread("unreadable From", " root"), unread("stranger, unreadable From", " root"), unread("empty From", " "),
		unread("control characters", ` "x\x1b[31m`), unread("folds", ` a\n\tb\n\tc`), unread("Latin-1", ` \xe4\xf6 <x`),
	}
	byDomain := func(name, conf string) lineSetup {
		s := signing(name, "")
		s.conf, s.signing, s.keys = conf, "", ""
		return s
	}
	// alike is a setup without a difference for a mail.
	alike := func(s lineSetup, mail string) lineSetup {
		s.differ = slices.DeleteFunc(s.differ, func(d lineDifference) bool { return d.mail == mail })
		return s
	}
	return []lineSetup{
		signing("tables", ""),
		signing("tables, all lines", allLines),
		signing("tables, mode s", allLines+"Mode s\n"),
		{name: "tables, mode v", conf: tableConf + allLines + "Mode v\n", signing: oneRow, keys: oneRowKey, mails: clients, differ: verifyOnly},
		byDomain("Domain", domainConf+allLines),
		byDomain("Domain, few lines", domainConf),
		byDomain("Domain, subdomains", domainConf+allLines+"SubDomains yes\n"),
		byDomain("Domain, mode s", domainConf+allLines+"Mode s\n"),
		{name: "Domain, mode v", conf: domainConf + allLines + "Mode v\n", mails: clients, differ: verifyOnly},
		byDomain("Domain, star", "Domain *\nSelector good\nKeyFile @DIR@/key\n"+allLines),
		byDomain("Domain, external ignore", domainConf+allLines+"ExternalIgnoreList 203.0.113.0/24\n"),
		alike(byDomain("no keys", allLines), "broken signature in ours"),
		signing("MTA", allLines+"MTA ORIGINATING\n"),
		signing("MacroList", allLines+"MacroList daemon_name=ORIGINATING\n"),
		signing("MTA and MacroList", allLines+"MTA ORIGINATING\nMacroList foo\n"),
		signing("neither MTA nor MacroList", allLines+"MTA x\nMacroList foo\n"),
		signing("MacroList and not MTA", allLines+"MTA x\nMacroList daemon_name\n"),
		alike(signing("exempt", allLines+"ExemptDomains example.com\n"), "broken signature in ours"),
		alike(signing("exempt, few lines", "ExemptDomains example.com\n"), "broken signature in ours"),
		alike(signing("internal hosts", allLines+"InternalHosts 203.0.113.0/24,::1\n"), "broken signature in ours"),
		{name: "peers", conf: tableConf + allLines + "PeerList 127.0.0.1\n", signing: oneRow, keys: oneRowKey, mails: clients,
			differ: eachLine("", "a client without an address is the loopback address in every list; in OpenDKIM not in PeerList", "no address")},
		signing("recipients", allLines+"DontSignMailTo list@lists.test,l2@lists.test\n"),
		signing("body length", allLines+"BodyLengthDB list@lists.test,l2@lists.test\n"),
		signing("several keys", allLines+"MultipleSignatures yes\n"),
		signing("sender headers", allLines+"SenderHeaders Sender,From\n", lineDifference{"Sender without address",
			"INFO 4XQ1: can't parse sender: header value ' root'\nINFO 4XQ1: DKIM-Signature field added (s=good, d=example.com)", readOn}),
		signing("sender macro", allLines+"SenderMacro {sender_of}\n"),
		alike(signing("required headers", allLines+"RequiredHeaders yes\n"), "two From"),
		signing("strict headers", allLines+"StrictHeaders yes\n"),
		signing("maximum headers", allLines+"MaximumHeaders 1100\n"),
		signing("no signature rejected", "On-NoSignature reject\n"),
		signing("always a result", allLines+"AlwaysAddARHeader yes\n"),

		{name: "no key file", conf: tableConf + allLines, signing: oneRow, keys: "k example.com:good:@DIR@/absent\n", mails: few},
		{name: "unsafe key file", conf: tableConf + allLines + "RequireSafeKeys yes\n", signing: oneRow, keys: oneRowKey, mails: few},
		{name: "corrupt row", conf: tableConf + allLines, signing: oneRow, keys: "k example.com:good\n", mails: few},
		{name: "no key at all", conf: tableConf + allLines, signing: oneRow, keys: "k example.com:good:@DIR@/garbage\n", mails: few,
			differ: eachLine("ERR can't load key from @DIR@/garbage: no private key: this is neither PEM nor DER nor base64 of DER; the path of a key file begins with / or ./ or ../\nERR 4XQ1: error loading key 'k'", early, "ours")},
		{name: "unknown key", conf: tableConf + allLines, signing: "*@example.com k9\n", keys: oneRowKey, mails: few},
		{name: "unknown key of the domain", conf: tableConf + allLines, signing: "* %\n", keys: oneRowKey, mails: few},
		{name: "small key", conf: tableConf + allLines + "MinimumKeyBits 4096\n", signing: oneRow, keys: oneRowKey, mails: few,
			differ: eachLine("ERR can't load key from @DIR@/key: key size: RSA of 2048 bits, at least 4096 are needed (minimum_key_bits): make a new one with postseal genkey\nERR 4XQ1: error loading key 'k'", early, "ours")},

		{name: "verifying", mails: signatures},
		{name: "verifying, all lines", conf: allLines, mails: signatures},
		{name: "verifying, successes", conf: "SyslogSuccess yes\n", mails: signatures},
		{name: "verifying, why", conf: "LogWhy yes\n", mails: signatures},
		{name: "verifying, results", conf: "LogResults yes\n", mails: signatures},
		{name: "verifying, large keys", conf: allLines + "MinimumKeyBits 2048\n", mails: fewer(signatures, "other", "strict, other", "other, strict")},
		{name: "verifying, actions", conf: allLines + "On-Default reject\n", mails: signatures},
		{name: "verifying one", conf: allLines + "MaximumSignaturesToVerify 1\n", mails: signatures},
		// An empty d= ends OpenDKIM's process here.
		{name: "verifying none but the author's", conf: allLines + "MaximumSignaturesToVerify 0\n", mails: fewer(signatures, "empty d")},
		{name: "verifying none but trusted ones", conf: allLines + "MaximumSignaturesToVerify 0\nTrustSignaturesFrom example.org\n", mails: fewer(signatures, "empty d")},
		{name: "verifying, must be signed", conf: allLines + "MustBeSigned subject,x-late\n", mails: signatures},
		{name: "odd signatures", conf: "SyslogSuccess yes\nLogResults yes\n", mails: oddMails(b), differ: oddDiffers},
	}
}

// oddDiffers holds for oddMails.
var oddDiffers = slices.Concat(
	eachLine(oddResult("hashes", "signature-key hash mismatch"), "h= without sha256 is one fault here, whatever else it has", "hashes"),
	eachLine(oddResult("junk", "key DNS reply corrupt"), library, "junk"),
	eachLine(oddResult("base64", "key DNS reply corrupt"), library, "base64"),
	eachLine(oddResult("good", "signature timestamp order error"), "the tags are compared before the clock is asked", "x of old before t"),
	eachLine(oddResult("good", "length tag value exceeds body size")+"\nINFO 4XQ1: s=good d=example.com a=rsa-sha256 SSL ", "the signature is not computed for a body that is too short", "l too long"),
	eachLine(oddResult("good", "signature algorithm invalid"), "rsa-sha1 never passes (RFC 8301 §3.1); OpenDKIM looks at the key's h= first", "sha1"),
	eachLine(oddResult("good", verificationFailed)+"\nNOTICE 4XQ1: bad signature data", strict,
		"blank in d", "odd h", "bad bh", "tag twice", "hyphen in a name", "digit"),
	eachLine(strings.ReplaceAll(oddResult("good", verificationFailed), "=*", "=$$$")+"\nNOTICE 4XQ1: bad signature data", strict, "bad b"),
	eachLine("ERR 4XQ1: syntax error: tag without value at end of signature data\n"+oddResult("good", noError)+
		"\nINFO 4XQ1: DKIM verification successful\nINFO 4XQ1: s=good d=example.com a=rsa-sha256 SSL ",
		"another's broken signature is no reason to leave the others unread", "foo and good"),
)

// oddResult is the line of LogResults, with "*" for the beginning of b=.
func oddResult(selector, text string) string {
	return "INFO 4XQ1: signature=* domain=example.com selector=" + selector + ` result="` + text + `"`
}

// altered is a mail with a change, which has macros of its own.
func altered(name string, m peers.Mail, change func(*peers.Mail)) mail {
	m.Macros = maps.Clone(m.Macros)
	m.Fields = append([]string(nil), m.Fields...)
	change(&m)
	return mail{name, m}
}

// author is a mail with another From.
func author(name string, m peers.Mail, from string) mail {
	return altered(name, m, func(m *peers.Mail) { m.Fields[0] = "From: " + from })
}

// macro sets a macro, or removes it.
func macro(name string, m peers.Mail, macro, value string) mail {
	return altered(name, m, func(m *peers.Mail) {
		if m.Macros[macro] = value; value == "" {
			delete(m.Macros, macro)
		}
	})
}

// onTop is a mail with a field above the others.
func onTop(name string, m peers.Mail, field string) mail {
	return altered(name, m, func(m *peers.Mail) { m.Fields = append([]string{field}, m.Fields...) })
}

// below is a mail with a field below the others.
func below(name string, m peers.Mail, field string) mail {
	return altered(name, m, func(m *peers.Mail) { m.Fields = append(m.Fields, field) })
}

// clientMails are unsigned mails of several clients and authors.
func clientMails() []mail {
	in, out := local(), stranger()
	return []mail{
		{"ours", in}, {"stranger", out},
		author("ours, no row", in, "v@example.org"), author("stranger, no row", out, "v@example.org"),
		author("letter case", in, "U.Ser@Sub.Example.ORG"), author("letter case of ours", in, "U.Ser@EXAMPLE.com"),
		author("subdomain", in, "u@sub.example.com"), author("stranger, subdomain", out, "u@sub.example.com"),
		macro("login", out, "{auth_type}", "PLAIN"), macro("no login", out, "{auth_type}", ""),
		macro("originating", out, "{daemon_name}", "ORIGINATING"), macro("ours, originating", in, "{daemon_name}", "ORIGINATING"),
		macro("no daemon name", out, "{daemon_name}", ""), macro("no name of the MTA", out, "j", ""),
		macro("no queue id", out, "i", ""), macro("ours, no queue id", in, "i", ""),
		macro("macro", out, "{foo}", "x"),
		altered("no From", in, func(m *peers.Mail) { m.Fields = m.Fields[1:] }), altered("stranger, no From", out, func(m *peers.Mail) { m.Fields = m.Fields[1:] }),
		author("unreadable From", in, "root"), author("stranger, unreadable From", out, "root"), author("empty From", in, ""),
		author("control characters", in, "\"x\x1b[31m"), author("folds", in, "a\n\tb\n\tc"), author("Latin-1", in, "\xe4\xf6 <x"),
		author("several authors", in, "a@elsewhere.test, u@example.com"),
		below("two From", in, "From: v@example.org"), below("Sender without address", in, "sender: root"), below("Sender", in, "Sender: s@example.org"),
		below("Sender of ours", author("", in, "v@example.org").Mail, "Sender: s@example.com"),
		altered("recipients", in, func(m *peers.Mail) { m.To = []string{"x@y.test", "list@lists.test", "l2@lists.test"} }),
		altered("stranger, recipients", out, func(m *peers.Mail) { m.To = []string{"list@lists.test"} }),
		altered("recipients, no row", in, func(m *peers.Mail) { m.To, m.Fields[0] = []string{"list@lists.test"}, "From: v@example.org" }),
		altered("no address", out, func(m *peers.Mail) { m.Addr = "" }), altered("literal name", out, func(m *peers.Mail) { m.Host = "[203.0.113.1]" }),
		altered("unknown name", out, func(m *peers.Mail) { m.Host = "unknown" }), altered("IPv6", out, func(m *peers.Mail) { m.Addr = "2001:db8::1" }),
		onTop("broken signature in ours", in, "DKIM-Signature: foo"), below("much", in, "X-Much: "+strings.Repeat("x", 1200)),
		below("semicolon in a name", in, "X-a;b: v"), below("two Subject", in, "Subject: y"), altered("no Date", in, func(m *peers.Mail) { m.Fields = m.Fields[:2] }),
		altered("stranger, no Date", out, func(m *peers.Mail) { m.Fields = m.Fields[:2] }),
		macro("sender", in, "{sender_of}", "s@example.org"), macro("no sender", in, "{sender_of}", "root"),
		onTop("results", out, "Authentication-Results: other.test; spf=pass smtp.mailfrom=x@y.test"),
		onTop("results in ours", in, "Authentication-Results: mx.test; dkim"),
		onTop("broken results", out, "Authentication-Results: mx.test; dkim"),
		onTop("broken results of others", onTop("", out, "Authentication-Results: other.test; dkim=pass header.d").Mail, "Authentication-Results: ====="),
	}
}

// odd are the signed mails that OpenDKIM and we see with other eyes.
var odd = []string{"hashes", "junk", "base64", "x of old before t", "l too long", "sha1", "blank in d", "odd h", "bad bh", "tag twice",
	"hyphen in a name", "digit", "bad b", "foo and good"}

// signedMails are mails of strangers with signatures, but for the odd ones.
func signedMails(b *bench) []mail { return fewer(allSignedMails(b), odd...) }

// oddMails are the odd ones.
func oddMails(b *bench) []mail {
	return slices.DeleteFunc(allSignedMails(b), func(m mail) bool { return !slices.Contains(odd, m.name) })
}

func allSignedMails(b *bench) []mail {
	now := time.Now()
	good, org := signature{selector: "good"}, signature{selector: "good", domain: "example.org"}
	strict := signature{selector: "strict", options: func(o *dkim.SignOptions) { o.AUID = "@sub.example.com" }}
	expired := signature{selector: "good", options: func(o *dkim.SignOptions) { o.Time, o.Expiration = now.Add(-3*time.Hour), now.Add(-2*time.Hour) }}
	sel := func(name string) signature { return signature{selector: name} }
	m := func(name string, s ...signature) mail { return mail{name, b.signed(stranger(), s...)} }
	changed := func(name string, s ...signature) mail {
		m := m(name, s...)
		m.Body = "changed\r\n"
		return m
	}
	edited := func(name, old, new string) mail {
		return m(name, signature{selector: "good", edit: func(s string) string {
			if !strings.Contains(s, old) {
				b.t.Fatalf("%s: no %s in %s", name, old, s)
			}
			return strings.Replace(s, old, new, 1)
		}})
	}
	without := func(name, tag, instead string) mail {
		return m(name, signature{selector: "good", edit: func(s string) string {
			tags := strings.Split(s, ";")
			for i, t := range tags {
				if strings.HasPrefix(strings.TrimSpace(t), tag+"=") {
					tags[i] = " " + instead
				}
			}
			return strings.ReplaceAll(strings.Join(tags, ";"), "; ;", ";")
		}})
	}
	raw := func(value string) mail { return onTop("DKIM-Signature: "+value, stranger(), "DKIM-Signature: "+value) }
	timed := func(name string, t, x int) mail {
		return m(name, signature{selector: "good", options: func(o *dkim.SignOptions) { o.Time = time.Time{} }, edit: func(s string) string {
			return strings.Replace(s, "s=good;", fmt.Sprintf("s=good; t=%d; x=%d;", now.Unix()+int64(t), now.Unix()+int64(x)), 1)
		}})
	}
	return []mail{
		{"unsigned", stranger()}, m("good", good), changed("body", good),
		altered("header", m("", good).Mail, func(m *peers.Mail) { m.Fields[2] = "Subject: changed" }),
		m("absent", sel("absent")), m("revoked", sel("revoked")), m("version", sel("version")), m("type", sel("type")), m("hash", sel("hash")), m("hashes", sel("hashes")),
		m("service", sel("service")), m("strict", strict), changed("trial", sel("trial")),
		m("nokey", sel("nokey")), m("junk", sel("junk")), m("text", sel("text")), m("tags", sel("tags")), m("base64", sel("base64")),
		m("other", sel("other")), m("small", signature{selector: "small", key: b.small}), m("ed25519", signature{selector: "ed", key: b.ed25519}),
		changed("ed25519, body", signature{selector: "ed", key: b.ed25519}), m("ed25519 with an RSA key", signature{selector: "good", key: b.ed25519}),
		m("two", good, org), m("bad and good", sel("absent"), org), m("two bad", sel("absent"), sel("revoked")), changed("two fail", good, sel("revoked")),
		m("five", sel("absent"), sel("revoked"), good, org, signature{selector: "good", domain: "elsewhere.test"}),
		m("revoked, absent", sel("revoked"), sel("absent")), changed("fails, absent", good, sel("absent")), changed("absent, fails", sel("absent"), good),
		changed("expired, fails", expired, good), m("version, absent", sel("version"), sel("absent")), m("strict, other", strict, sel("other")), m("other, strict", sel("other"), strict),
		m("expired", expired), timed("future", 10000, 20000), timed("x before t", 100, 50), timed("x of old before t", 0, -10000),
		m("l too long", signature{selector: "good", options: func(o *dkim.SignOptions) { o.BodyLimit = 5 }, edit: func(s string) string { return strings.Replace(s, "l=5", "l=500", 1) }}),
		altered("l appended", m("", signature{selector: "good", options: func(o *dkim.SignOptions) { o.BodyLimit = 100 }}).Mail, func(m *peers.Mail) { m.Body += "more\r\n" }),
		edited("sha1", "rsa-sha256", "rsa-sha1"), edited("algorithm", "rsa-sha256", "rsa-md5"), without("no a", "a", ""), without("empty a", "a", "a="),
		edited("header canonicalization", "c=relaxed/", "c=nofws/"), edited("body canonicalization", "c=relaxed/relaxed", "c=relaxed/nofws"), edited("empty c", "c=relaxed/relaxed", "c="),
		edited("version 2", "v=1", "v=2"), without("empty v", "v", "v="),
		without("no d", "d", ""), without("empty d", "d", "d="), edited("blank in d", "d=example.com", "d=exa mple.com"), edited("control character", "d=example.com;", "d=example.com\x1b[3;"),
		edited("UTF-8", "d=example.com", "d=bücher.example"), without("no s", "s", ""), without("empty s", "s", "s="),
		edited("q", "s=good;", "s=good; q=http;"), edited("q option", "s=good;", "s=good; q=dns/any;"), edited("i outside", "s=good;", "s=good; i=@elsewhere.test;"),
		edited("empty i", "s=good;", "s=good; i=;"), edited("i without at", "s=good;", "s=good; i=example.com;"),
		edited("no From in h", "h=From:", "h="), without("empty h", "h", "h="), without("no h", "h", ""), edited("odd h", "h=From:", "h=From::x y:"),
		without("empty bh", "bh", "bh="), without("no bh", "bh", ""), without("bad bh", "bh", "bh=$$"), without("empty b", "b", "b="), without("no b", "b", ""), without("bad b", "b", "b=$$$"),
		edited("t", "t=", "t=x"), edited("empty t", "t=", "t=;n="), edited("l", "s=good;", "s=good; l=x;"), edited("negative l", "s=good;", "s=good; l=-1;"), edited("x", "s=good;", "s=good; x=x;"), edited("empty x", "s=good;", "s=good; x=;"),
		edited("tag twice", "s=good;", "s=good; s=good;"), edited("tag without value", "s=good;", "s=good; foo; y=1;"), edited("no tag", "s=good;", "s=good;;"),
		edited("blank in a name", "s=good;", "s=good; f oo=1;"), edited("hyphen in a name", "s=good;", "s=good; f-o=1;"), edited("digit", "s=good;", "s=good; 1=1;"),
		raw("foo"), raw("v=1"), raw(""), raw("v=1; rubbish"), raw("v=1; =x; b=1"),
		onTop("foo and good", m("", good).Mail, "DKIM-Signature: foo"), macro("no queue id", m("", good).Mail, "i", ""),
		onTop("good, broken results", m("", good).Mail, "Authentication-Results: mx.test; dkim"),
	}
}
