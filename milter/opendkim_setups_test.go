package milter

import "slices"

const (
	refile   = "SigningTable refile:@DIR@/signing.table\nKeyTable file:@DIR@/key.table\n"
	file     = "SigningTable file:@DIR@/signing.table\nKeyTable file:@DIR@/key.table\n"
	multiple = "MultipleSignatures yes\n"
	oneKey   = "k example.com:s:@DIR@/key\n"
	manyKeys = "k1 example.com:s1:@DIR@/key\nk2 example.com:s2:@DIR@/key\nk3 example.com:s3:@DIR@/key\nk4 example.com:s4:@DIR@/key\n" +
		"k5 example.com:s5:@DIR@/key\nk6 example.com:s6:@DIR@/key\nk7 example.com:s7:@DIR@/key\nk8 example.com:s8:@DIR@/key\nk9 example.com:s9:@DIR@/key\n"
)

var setups = []setup{
	{name: "refile, how-to", conf: refile, signing: "*@example.com default._domainkey.example.com\n*@*.example.com default._domainkey.example.com\n",
		keys: "default._domainkey.example.com example.com:default:@DIR@/key\n", mails: senders},
	{name: "refile, first of several", conf: refile, signing: "u@example.com k1\n*@example.com k2\nv@* k3\n*.test k4\n* k5\n", keys: manyKeys, mails: senders},
	{name: "refile, two of several", conf: refile + multiple, signing: "u@example.com k1\n*@example.com k2\nv@elsewhere.* k3\n*.test k4\n", keys: manyKeys, mails: senders},
	{name: "refile, same pattern twice", conf: refile + multiple, signing: "*@example.com k1\n*@example.com k2\n", keys: manyKeys, mails: senders},
	{name: "refile, all of three", conf: refile + multiple, signing: "*@example.com k1\n*@example.com k2\n*@example.com k3\n", keys: manyKeys, mails: senders, differ: each("d=example.com s=s1, d=example.com s=s2, d=example.com s=s3", "OpenDKIM drops those between the first and the last", ours...)},
	{name: "refile, letter case and blanks", conf: refile, signing: "# comment\n\n*@EXAMPLE.com\t k1 # trailing\r\n  *@example.org k2\nU@Elsewhere.TEST   k3  \n", keys: manyKeys, mails: senders},
	{name: "refile, live metacharacters", conf: refile, signing: "(u|v)@example.com k1\n[a-u]@example.org k2\nu@.ub.example.com k3\n", keys: manyKeys, mails: senders},
	{name: "refile, domain alone", conf: refile, signing: "example.com k1\n.example.com k2\n@example.org k3\n", keys: manyKeys, mails: senders},
	{name: "file, first", conf: file, signing: tableInReverse, keys: manyKeys, mails: senders},
	{name: "file, star", conf: file, signing: "* k1\n", keys: manyKeys, mails: senders},
	{name: "file, user at star", conf: file, signing: "u@* k1\n", keys: manyKeys, mails: senders},
	{name: "file, subdomains", conf: file, signing: ".example.com k1\n", keys: manyKeys, mails: senders},
	{name: "file, user below", conf: file, signing: "u@.example.com k1\n", keys: manyKeys, mails: senders},
	{name: "file, top level", conf: file, signing: ".com k1\n", keys: manyKeys, mails: senders},
	{name: "file, domain", conf: file, signing: "example.com k1\nEXAMPLE.org k2\nu@Sub.Example.com k3\n", keys: manyKeys, mails: senders},
	{name: "file, patterns mean nothing", conf: file, signing: "*@example.com k1\n*.test k2\n", keys: manyKeys, mails: senders},
	{name: "file, duplicates", conf: file + multiple, signing: "example.com k1\nexample.com k2\n", keys: manyKeys, mails: senders},
	{name: "file, two hits", conf: file + multiple, signing: "u@example.com k1\nexample.com k2\n.test k3\nv@* k4\n", keys: manyKeys, mails: senders},
	{name: "bare path", conf: "SigningTable @DIR@/signing.table\nKeyTable @DIR@/key.table\n", signing: "example.com k1\n", keys: manyKeys, mails: senders},
	{name: "csl", conf: "SigningTable csl:u@example.com=k1, example.com = k2 ,.example.com=k3\nKeyTable file:@DIR@/key.table\n", keys: manyKeys, mails: senders},
	{name: "csl of keys", conf: "SigningTable example.com=k1,.test=k2\nKeyTable csl:k1=example.com:s1:@DIR@/key,k2=%:s2:@DIR@/key\n", mails: senders},
	{name: "key table as refile", conf: "SigningTable refile:@DIR@/signing.table\nKeyTable refile:@DIR@/key.table\n",
		signing: "*@example.com k1.example.com\n*@example.org other\n", keys: "k1.* example.com:s1:@DIR@/key\n* example.org:s2:@DIR@/key\n", mails: senders},
	{name: "percent as domain", conf: refile, signing: "* any\n", keys: "any %:s:@DIR@/key\n", mails: senders},
	{name: "percent in path", conf: refile, signing: "* any\n", keys: "any %:s:@DIR@/%.private\n", mails: senders},
	{name: "percent in path of a fixed domain", conf: refile, signing: "* any\n", keys: "any example.org:s:@DIR@/%.private\n", mails: senders},
	{name: "percent as key name", conf: refile, signing: "* %\n", keys: "example.com example.com:s:@DIR@/key\nexample.org %:t:@DIR@/key\n", mails: senders},
	{name: "percent is no part", conf: refile, signing: "*@example.com k\n", keys: "k mail.%:s:@DIR@/key\n", mails: senders, differ: each(deferred, "d=mail.% could never be verified", ours...)},
	{name: "percent as part of a key name", conf: refile, signing: "*@example.com x%\n", keys: "x% example.com:s:@DIR@/key\n", mails: senders},
	{name: "missing key file", conf: refile, signing: "*@example.com k\n*@example.org k2\n", keys: "k example.com:s:@DIR@/absent\nk2 example.org:s:@DIR@/key\n", mails: senders},
	{name: "inline key", conf: refile, signing: "*@example.com k\n", keys: "k example.com:s:@INLINE@\n", mails: senders},
	{name: "domain in capitals", conf: refile, signing: "*@example.com k\n", keys: "k Example.COM:Sel:@DIR@/key\n", mails: senders},
	{name: "signer of the domain", conf: refile, signing: "*@example.com k:@example.com\n*@sub.example.com k:news@sub.example.com\n", keys: oneKey, mails: senders},
	{name: "signer with percent", conf: refile, signing: "* any:signer@%\n", keys: "any %:s:@DIR@/key\n", mails: senders},
	{name: "signer with percents", conf: refile, signing: "* k:%@%\n", keys: oneKey, mails: senders},
	{name: "signer outside", conf: refile, signing: "*@example.com k:@example.org\n*@example.org k:u@notexample.com\n", keys: oneKey, mails: senders},
	{name: "signer below a capital domain", conf: refile, signing: "* k:@Sub.EXAMPLE.com\n", keys: oneKey, mails: senders},
	{name: "signer without at", conf: refile, signing: "*@example.com k:signer\n", keys: oneKey, mails: senders, differ: each(deferred, "OpenDKIM lets the mail out unsigned without a word", ours...)},
	{name: "signer with colon", conf: refile, signing: "*@example.com k:a:b@example.com\n", keys: oneKey, mails: senders},
	{name: "signers of two rows", conf: refile + multiple, signing: "*@example.com k1:@example.com\nu@example.com k1:u@example.com\n", keys: manyKeys, mails: senders},
	{name: "same row twice", conf: refile + multiple, signing: "*@example.com k1\nu@* k1\n", keys: manyKeys, mails: senders, differ: each("d=example.com s=s1", "the same signature twice helps nobody", "u@example.com", "U@Example.COM")},
	{name: "Domain", conf: "Domain example.com\nSelector s\nKeyFile @DIR@/key\n", mails: senders},
	{name: "Domain, list", conf: "Domain example.com,Elsewhere.test\nSelector s\nKeyFile @DIR@/key\n", mails: senders},
	{name: "Domain, star", conf: "Domain *\nSelector s\nKeyFile @DIR@/key\n", mails: senders},
	{name: "Domain, star with subdomains", conf: "Domain *\nSubDomains yes\nSelector s\nKeyFile @DIR@/key\n", mails: senders},
	{name: "Domain, pattern", conf: "Domain *.example.com\nSelector s\nKeyFile @DIR@/key\n", mails: senders},
	{name: "Domain, refile", conf: "Domain refile:@DIR@/signing.table\nSelector s\nKeyFile @DIR@/key\n", signing: "*.example.com\n", mails: senders},
	{name: "Domain, subdomains", conf: "Domain example.com\nSubDomains yes\nSelector s\nKeyFile @DIR@/key\n", mails: senders},
	{name: "Domain, subdomains and one of them", conf: "Domain example.com,sub.example.com,com\nSubDomains yes\nSelector s\nKeyFile @DIR@/key\n", mails: senders},
	{name: "forms of From", conf: refile, signing: "*@example.com k1\n*@example.org k2\n", keys: manyKeys, mails: froms, differ: fromDiffers},
	{name: "forms of From, all rows", conf: refile, signing: "* %\n", keys: "example.com %:s1:@DIR@/key\nexample.org %:s2:@DIR@/key\n", mails: froms, differ: brokenDomains},
	{name: "fields", conf: refile, signing: "*@example.com k1\n*@example.org k2\n", keys: manyKeys, mails: headers, differ: headerDiffers},
	{name: "fields, mode s", conf: refile + "Mode s\n", signing: "*@example.com k1\n*@example.org k2\n", keys: manyKeys, mails: headers, differ: headerDiffers},
	{name: "sender headers", conf: refile + "SenderHeaders Sender,Resent-From,From\n", signing: "*@example.com k1\n*@example.org k2\n", keys: manyKeys, mails: headers, differ: senderDiffers},
	{name: "sender headers without From", conf: refile + "SenderHeaders List-Post\n", signing: "*@example.com k1\n*@example.org k2\n", keys: manyKeys, mails: headers, differ: listPostDiffers},
	{name: "clients", conf: refile, signing: "* k\n", keys: oneKey, mails: clients, differ: mappedLoopback},
	{name: "clients, mode s", conf: refile + "Mode s\n", signing: "* k\n", keys: oneKey, mails: clients, differ: mappedLoopback},
	{name: "clients, mode v", conf: refile + "Mode v\n", signing: "* k\n", keys: oneKey, mails: clients},
	{name: "clients, Domain", conf: "Domain example.com\nSelector s\nKeyFile @DIR@/key\n", mails: clients, differ: mappedLoopback},
	{name: "internal hosts", conf: refile + "InternalHosts @DIR@/key.table\n", signing: "* k\n", keys: oneKey, mails: clients},
	{name: "internal hosts, list", conf: refile + "InternalHosts 127.0.0.1,192.0.2.0/24,!192.0.2.7,.corp.test,!bad.corp.test,host.test,!198.51.100.0/24,198.51.100.9\n",
		signing: "* k\n", keys: oneKey, mails: clients, differ: slices.Concat(mappedLoopback, mappedNetwork)},
	{name: "internal hosts, IPv6", conf: refile + "InternalHosts csl:2001:db8::/32,!2001:db8:1::/48,[2001:db8:1::5],fe80::1\n", signing: "* k\n", keys: oneKey, mails: clients},
	{name: "internal hosts, wide and narrow", conf: refile + "InternalHosts 0.0.0.0/0,!192.0.0.0/8,192.0.2.0/25,!.corp.test\n", signing: "* k\n", keys: oneKey, mails: clients, differ: slices.Concat(mappedLoopback, mappedNetwork)},
	{name: "internal hosts, unknown", conf: refile + "InternalHosts unknown\n", signing: "* k\n", keys: oneKey, mails: clients},
	{name: "internal hosts, not canonical", conf: refile + "InternalHosts 192.0.2.5/24,198.51.100/24\n", signing: "* k\n", keys: oneKey, mails: clients, differ: slices.Concat(mappedNetwork, notCanonical)},
	{name: "internal hosts, capitals", conf: refile + "InternalHosts .CORP.Test,csl:2001:DB8:1::5\n", signing: "* k\n", keys: oneKey, mails: clients},
	{name: "peers", conf: refile + "PeerList 127.0.0.1,host.test\n", signing: "* k\n", keys: oneKey, mails: clients, differ: each(unsigned, "a client without an address is the loopback address in every list; in OpenDKIM not in PeerList", "localhost -")},
	{name: "peers with exceptions", conf: refile + "PeerList .corp.test,!203.0.113.0/24,192.0.2.0/24,!out.test\n", signing: "* k\n", keys: oneKey, mails: clients, differ: mappedLoopback},
	{name: "external ignore", conf: refile + "ExternalIgnoreList 192.0.2.0/24\n", signing: "* k\n", keys: oneKey, mails: clients, differ: mappedLoopback},
	{name: "MTA", conf: refile + "MTA ORIGINATING,submission\n", signing: "* k\n", keys: oneKey, mails: clients, differ: mappedLoopback},
	{name: "MacroList, name", conf: refile + "MacroList daemon_name\n", signing: "* k\n", keys: oneKey, mails: clients, differ: mappedLoopback},
	{name: "MacroList, values", conf: refile + "MacroList daemon_name=ORIGINATING|smtps\n", signing: "* k\n", keys: oneKey, mails: clients, differ: mappedLoopback},
	{name: "MacroList, two", conf: refile + "MacroList daemon_name=ORIGINATING,verify=OK\n", signing: "* k\n", keys: oneKey, mails: clients, differ: slices.Concat(mappedLoopback, lastMacroWins)},
	{name: "MTA and MacroList", conf: refile + "MTA ORIGINATING\nMacroList verify=OK\n", signing: "* k\n", keys: oneKey, mails: clients, differ: slices.Concat(mappedLoopback, lastMacroWins)},
	{name: "exempt domains", conf: refile + "ExemptDomains Example.com,elsewhere.test\n", signing: "* k1\n", keys: manyKeys, mails: senders},
	{name: "exempt domains, refile", conf: refile + "ExemptDomains refile:@DIR@/exempt\n", signing: "* k1\n", keys: manyKeys, mails: senders},
	{name: "recipients", conf: refile + "DontSignMailTo list@lists.test,x@y.test\n", signing: "* k1\n", keys: manyKeys, mails: to(
		"a@b.test", "list@lists.test", "LIST@Lists.Test", "a@b.test list@lists.test", "x@y.test", "y@y.test", "lists.test")},
	{name: "recipients, refile", conf: refile + "DontSignMailTo refile:@DIR@/recipients\n", signing: "* k1\n", keys: manyKeys, mails: to(
		"a@b.test", "list@lists.test", "a@b.test list@lists.test", "other@lists.test")},
}

// tableInReverse has every key that a file is asked for, the last first.
const tableInReverse = "* k8\nu@* k7\n.example.com k6\nu@.example.com k5\n.b.example.com k4\nu@.b.example.com k3\nsub.example.com k2\nu@example.com k1\n"
