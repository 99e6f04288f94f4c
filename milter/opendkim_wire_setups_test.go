package milter

import (
	"slices"
	"strings"
)

// table is a setup of one row for example.com.
func table(name, conf string, mails []mail, differ ...[]difference) setup {
	return setup{name: name, conf: refile + conf, signing: "*@example.com k\n", keys: oneKey, mails: mails, differ: slices.Concat(differ...)}
}

// file adds a file.
func (s setup) file(name, text string) setup {
	s.files = map[string]string{name: text}
	return s
}

// manyFields is a header with fields of all sorts.
var manyFields = withHeaders(strings.Join([]string{
	"Received: r1", "Received: r2", "Return-Path: <x@y>", "From: u@example.com", "Sender: s@x.test", "Reply-To: r", "To: t", "To: t2", "Cc: c",
	"SUBJECT: x", "Date: d", "Message-ID: m", "MIME-Version: 1.0", "Content-Type: t", "Content-Transfer-Encoding: 8bit", "In-Reply-To: q",
	"References: q", "Resent-From: q", "List-Id: l", "List-Unsubscribe: l", "List-Unsubscribe-Post: x", "List-Post: p", "Comments: c",
	"Keywords: k", "X-Foo: 1", "x-foo: 2", "X-Bar: 3", "Autocrypt: x",
	"DKIM-Signature: v=1; a=rsa-sha256; d=x.test; s=nx; h=from; bh=AAAA; b=AAAA", "Authentication-Results: x; dkim=pass",
}, "|"))

var simpleMail = withHeaders("From: u@example.com|Subject: x")

// counted breaks what RFC 5322 §3.6 has of numbers, or does not.
var counted = withHeaders(
	"From: u@example.com", "From: u@example.com|Date: x", "From: u@example.com|From: u@example.com|Date: x", "Date: x", "From: broken",
	"From: u@example.com|Date: x|Date: x", "From: u@example.com|Date: x|To: a|To: b", "From: u@example.com|Date: x|Cc: a|cc: b",
	"From: u@example.com|Date: x|Bcc: a|Bcc: b", "From: u@example.com|Date: x|Message-ID: a|Message-Id: b", "From: u@example.com|Date: x|Reply-To: a|Reply-To: b",
	"From: u@example.com|Date: x|In-Reply-To: a|In-Reply-To: b", "From: u@example.com|Date: x|References: a|References: b",
	"From: u@example.com|Date: x|Subject: a|Subject: b", "From: u@example.com|Date: x|Sender: a|Sender: b",
	"From: u@other.test", "From: u@other.test|Date: x", "From: u@example.com, v@x.test|Date: x",
)

// senderMacro names mails by the value of {sender}.
func senderMacro(values ...string) []mail {
	return mailsOf(values, func(v string, m *mail) {
		m.Fields[0] = "From: z@other.test"
		m.Macros = map[string]string{"{sender}": v}
	})
}

// under sets the macro {sender} for mails.
func under(value string, mails []mail) []mail {
	for i := range mails {
		mails[i].Macros = map[string]string{"{sender}": value}
	}
	return mails
}

// outside has mails come from outside.
func outside(mails []mail) []mail {
	var all []mail
	for _, m := range mails {
		m.name += ", outside"
		m.Host, m.Addr = "out.test", "192.0.2.1"
		all = append(all, m)
	}
	return all
}

// recipientForms are asked for in body_length_db.
var recipientForms = to("u@example.com", "U@Example.COM", "u@sub.example.com", "x@sub.example.com", "x@example.com", "x@other.test", "u@other.test",
	"u@a.b.example.com", "u", `"u"@example.com`, "x@other.test u@example.com", "u@example.com x@other.test")

// subject names mails by the value of Subject, with folds as "\n".
func subject(values ...string) []mail {
	return mailsOf(values, func(v string, m *mail) { m.Fields[1] = "Subject: " + v })
}

const noReplacement = "Diagnostics yes\nReplaceRules @DIR@/rules\n" // shows in z= what is signed

var wireSetups = slices.Concat(
	[]setup{
		table("signature", "", simpleMail),
		table("relaxed header", "Canonicalization relaxed\n", simpleMail),
		table("relaxed body", "Canonicalization simple/relaxed\n", simpleMail),
		table("capitals", "Canonicalization RELAXED/Relaxed\n", simpleMail),
		table("every tag", "Canonicalization simple/relaxed\nSignatureTTL 3600\nRequestReports yes\nDiagnostics yes\nMaximumSignedBytes 5\nOversignHeaders From\n", simpleMail),
		{name: "every tag with i=", conf: refile + "SignatureTTL 3600\nRequestReports yes\n", signing: "* k:@example.com\n", keys: oneKey, mails: simpleMail},
		table("no time to live", "SignatureTTL 0\n", simpleMail),
		table("l=", "MaximumSignedBytes 3\n", simpleMail),
		table("l= beyond the body", "MaximumSignedBytes 300\n", simpleMail),
		table("two signatures", "MultipleSignatures yes\nSoftwareHeader yes\n", simpleMail),
		{name: "two rows", conf: refile + "MultipleSignatures yes\nSoftwareHeader yes\n", signing: "*@example.com k1\n* k2\n", keys: manyKeys, mails: simpleMail},
	},
	headerSetups,
	[]setup{
		table("SenderMacro", "SenderMacro {sender}\n", senderMacro(macroValues...), macroDiffers),
		table("SenderMacro and the header", "SenderMacro {sender}\n", under("u@example.com", slices.Concat(simpleMail, headers)), macroAndHeader),
		table("SenderMacro and SenderHeaders", "SenderMacro {sender}\nSenderHeaders Sender,From\nExemptDomains exempt.test\n", under("u@example.com",
			withHeaders("From: u@x.test|Sender: a@exempt.test"))),
		table("SenderMacro and ExemptDomains", "SenderMacro {sender}\nExemptDomains exempt.test\n", senderMacro("u@exempt.test", "u@example.com")),
		table("SenderMacro of strangers", "SenderMacro {sender}\n", outside(senderMacro("u@example.com", "root"))),

		table("RequiredHeaders", "RequiredHeaders yes\n", slices.Concat(counted, outside(counted))),
		table("RequiredHeaders, mode s", "RequiredHeaders yes\nMode s\n", slices.Concat(counted, outside(counted)),
			each(unsigned, noResults, "Date: x", "From: broken", "Date: x, outside", "From: broken, outside")),
		table("RequiredHeaders, mode v", "RequiredHeaders yes\nMode v\n", slices.Concat(counted, outside(counted)),
			each("permerror", "a From that cannot be read is treated alike in every mode; in OpenDKIM it is verified in mode v", "From: broken", "From: broken, outside"), doubleFrom),
		table("RequiredHeaders of mail that is left alone", "RequiredHeaders yes\nDontSignMailTo to@example.net\nExemptDomains other.test\n", counted, doubleFrom),
		table("StrictHeaders", "StrictHeaders yes\n", slices.Concat(counted, outside(counted))),
		table("StrictHeaders, mode s", "StrictHeaders yes\nMode s\n", slices.Concat(counted, outside(counted)), strictSigner),
		table("StrictHeaders, RequiredHeaders", "StrictHeaders yes\nRequiredHeaders yes\n", counted),
		table("StrictHeaders, IgnoreMalformedMail", "StrictHeaders yes\nIgnoreMalformedMail yes\n", counted),

		table("SoftwareHeader", "SoftwareHeader yes\n", slices.Concat(simpleMail, outside(simpleMail), headers), withFilter),
		table("SoftwareHeader, AlwaysAddARHeader", "SoftwareHeader yes\nStrictHeaders yes\n", counted),
		table("SoftwareHeader, mail left alone", "SoftwareHeader yes\nDontSignMailTo to@example.net\n", simpleMail),
		table("SoftwareHeader, mode s", "SoftwareHeader yes\nMode s\n", slices.Concat(simpleMail, outside(simpleMail))),
		table("X-Header", "X-Header yes\n", simpleMail),

		table("names with a semicolon", "SignHeaders *,+x-a\n", withHeaders("From: u@example.com|X;A: y|Subject: x", "From;: u@example.com", "From: u@example.com|From;: v@x.test", "From: u@example.com|X A: y")),
		table("DontSignMailTo, mode v", "DontSignMailTo a@x.test\nMode v\n", to("a@x.test", "b@x.test")),
		table("DontSignMailTo, outside", "DontSignMailTo a@x.test\n", outside(to("a@x.test"))),
		table("DontSignMailTo and BodyLengthDB", "DontSignMailTo a@x.test,c@x.test\nBodyLengthDB b@x.test\n", to("a@x.test b@x.test", "b@x.test a@x.test", "b@x.test d@x.test", "d@x.test")),
		table("BodyLengthDB and MaximumSignedBytes", "BodyLengthDB b@x.test\nMaximumSignedBytes 3\n", to("b@x.test", "a@x.test")),
	},
	bodyLengthSetups(),
	replaceSetups(),
	tableSetups,
)

var macroValues = []string{"u@example.com", "v@example.com, w@other.test", "w@other.test, v@example.com", "U Ser <u@Example.COM>", "", "root", "u@", "<u@example.com>",
	"u@other.test", "u@example.com.", "@example.com", "a@b@example.com", "u@example.com extra", `"`, "root@localhost"}

func bodyLengthSetups() (setups []setup) {
	for _, v := range []string{"example.com", ".example.com", "u@example.com", "u@.example.com", "*@example.com", "*@.example.com", "*", "u@*", "*@*", "u"} {
		setups = append(setups,
			table("BodyLengthDB "+v, "BodyLengthDB csl:"+v+"\n", recipientForms),
			table("BodyLengthDB refile "+v, "BodyLengthDB refile:@DIR@/list\n", recipientForms).file("list", v+"\n"))
	}
	return setups
}

func replaceSetups() (setups []setup) {
	for _, r := range []struct {
		rules string
		mails []mail
	}{
		{"X\tY\n", subject("aXb", "none", "a\n X", "X X")},
		{"X\t\nY\tZ\n", subject("aXb", "aYb", "aZb")},
		{"X\tY\nY\tZ\n", subject("aXb")},
		{"Y\tZ\nX\tY\n", subject("aXb")},
		{"X\tY # comment\n# another\n\n   \n", subject("aXb")},
		{"X\tY\tZ\n", subject("aXb", "aX\tYb")},
		{" X\tY \n", subject("aXb", "a Xb")},
		{"\\(X\\)b\t<\\1&>\n", subject("aXb")},
		{"@example\\.com\t@other.test\n", from("u@example.com")},
		{"@old\\.test\t@example.com\n", from("u@old.test")},
		{"u@\t\n", from("u@example.com")},
		{"^ a\tq\n", subject("aXa", "b a")},
		{"c$\tq\n", subject("cXc", "c ")},
		{"X\\{1,2\\}\tq\n", subject("aXXb", "X{1,2}")},
		{"X\\+\tq\n", subject("aXXb", "X+")},
		{"X+\tq\n", subject("aX+b", "XX")},
		{"X\\?b\tq\n", subject("aXb", "ab", "X?b")},
		{"a|X\tq\n", subject("a|X", "aX")},
		{"\\(X\\|XY\\)Y\tq\n", subject("aXYYb", "aXYb")},
		{"*X\tq\n", subject("a*X")},
		{"[[:upper:]-]b\tq\n", subject("aXb", "a-b", "axb")},
		{"[]a]X\tq\n", subject("]X", "aX")},
		{"a.X\tq\n", subject("a X", "aX", "a\n X")},
		{"\\bX\\w\tq\n", subject("aX1 X1", "X ")},
		{"a\\|^X\tq\n", subject("aX", "b^X")},
		{"X^\tq\n", subject("aX^", "X")},
		{"$X\tq\n", subject("$X", "X")},
		{"[\\n]\tq\n", subject("n", "\\")},
	} {
		name := "ReplaceRules " + strings.TrimSuffix(r.rules, "\n")
		setups = append(setups, table(name, noReplacement, r.mails, replaceDiffers[r.rules]).file("rules", r.rules))
	}
	for _, v := range []string{"subject", "To", "sub*", "*", "to,SUBJECT", "*,-subject"} {
		setups = append(setups, table("ReplaceHeaders "+v, noReplacement+"ReplaceHeaders "+v+"\n", subject("aXb")).file("rules", "X\tY\n"))
	}
	return setups
}

var replaceDiffers = map[string][]difference{
	"X\tY\n": each("d=example.com s=s t=T bh=zS7K h=From:Subject z=From: u@example.com|Subject: Y Y",
		"every match is replaced, and the rest stays; OpenDKIM loses what stands before the second", "X X"),
}

// headerSetups say which fields are signed.
var headerSetups = fieldLists("SignHeaders From,To", "SignHeaders to", "SignHeaders *,+x-foo", "SignHeaders *,+X-*", "SignHeaders *,-subject",
	"SignHeaders *,-to,+message-id", "SignHeaders x-*", "SignHeaders *", "SignHeaders *,Message-ID", "SignHeaders *,-from", "SignHeaders .",
	"SignHeaders @DIR@/list", "SignHeaders *,+received", "SignHeaders received,from", "SignHeaders x-f*,subject", "SignHeaders *,-list-*",
	"SignHeaders dkim-signature,from", "SignHeaders from,from,to", "SignHeaders from , to", "OmitHeaders Subject", "OmitHeaders *,+subject",
	"OmitHeaders *,-received\nSignHeaders *,+received", "OmitHeaders .\nSignHeaders *,+received", "OmitHeaders from", "OmitHeaders *,+list-*",
	"OmitHeaders x-*\nSignHeaders *,+x-*", "OmitHeaders x-foo\nSignHeaders x-*", "OmitHeaders .", "OversignHeaders From",
	"OversignHeaders from,to,X-None", "OversignHeaders From,From", "OversignHeaders Content-Type", "OversignHeaders *,+from",
	"OversignHeaders @DIR@/list", "OversignHeaders Subject\nOmitHeaders subject", "OversignHeaders .", "OversignHeaders DKIM-Signature",
	"OversignHeaders from,FROM", "OversignHeaders x-*", "OversignHeaders X-Foo\nSignHeaders *,+x-foo", "")

func fieldLists(confs ...string) (setups []setup) {
	for _, conf := range confs {
		name := "fields, " + strings.ReplaceAll(conf, "\n", ", ")
		setups = append(setups, table(name, conf+"\n", manyFields, fieldDiffers[conf]).file("list", "From\nTo # x\n\nsubject\n"))
	}
	return setups
}

// signedFields are the fields of manyFields that are signed by default.
const signedFields = "d=example.com s=s t=T bh=zS7K h=From:Reply-To:To:To:Cc:SUBJECT:Date:In-Reply-To:References:Resent-From:List-Id:List-Unsubscribe:List-Post"

func fields(ours, why string) []difference { return each(ours, why, manyFields[0].name) }

const (
	twice     = "a name counts once, however often it is listed"
	noName    = "what is no name of a field is left out of h="
	oversigns = "an oversigned field is signed where it is present; OpenDKIM's signature verifies nowhere"
)

var fieldDiffers = map[string][]difference{
	"SignHeaders .":                  fields(signedFields, "a list without a name is taken for none, with a notice; OpenDKIM signs From alone"),
	"OmitHeaders from":               fields(signedFields, "From is signed always (RFC 6376 §5.4); OpenDKIM signs nothing"),
	"OversignHeaders From,From":      fields(signedFields+":From", twice),
	"OversignHeaders from,FROM":      fields(signedFields+":from", twice),
	"OversignHeaders *,+from":        fields(signedFields, noName),
	"OversignHeaders .":              fields(signedFields, noName),
	"OversignHeaders x-*":            fields(signedFields, noName),
	"OversignHeaders DKIM-Signature": fields(signedFields, "the signature itself would be the one too many"),
	"OversignHeaders Content-Type": fields(
		"d=example.com s=s t=T bh=zS7K h=From:Reply-To:To:To:Cc:SUBJECT:Date:Content-Type:In-Reply-To:References:Resent-From:List-Id:List-Unsubscribe:List-Post:Content-Type", oversigns),
	"OversignHeaders Subject\nOmitHeaders subject": fields(signedFields+":Subject", oversigns),
}

// tableSetups have rows that cannot be used.
var tableSetups = []setup{
	{name: "bad rows, refile", conf: refile, signing: badRows("*@"), keys: badKeys, mails: badSenders},
	{name: "bad rows, file", conf: file, signing: badRows(""), keys: badKeys, mails: badSenders},
	{name: "bad rows, several", conf: refile + "MultipleSignatures yes\n", signing: "*@example.com k\nu@* absent\n", keys: badKeys, mails: badSenders},
}

func badRows(at string) string {
	return at + "example.com absent\n" + at + "b.test k\n" + at + "c.test %\n" + at + "e.test bad\n" + at + "f.test short\n"
}

const badKeys = "k example.com:s:@DIR@/key\nbad :s:@DIR@/key\nshort x:y\nempty\n"

var badSenders = from("u@example.com", "u@b.test", "u@c.test", "u@e.test", "u@f.test", "u@other.test")

const (
	noResults = "a filter that only signs writes no results"
	noAddress = "a macro that is no address signs nothing, and is told of"
)

var macroDiffers = each("permerror", noAddress, "u@example.com.", "@example.com", "a@b@example.com", "u@example.com extra")

var doubleFrom = each("permerror", "mail with several From fields has no certain author, be it one that is left alone", "From: u@example.com|From: u@example.com|Date: x")

const signedFrom = "d=example.com s=s t=T bh=zS7K h=From"

var macroAndHeader = slices.Concat(
	each("permerror", "the author is not certain, whatever the macro says", "From: u@example.com|From: v@example.org", "From: u@example.com|From: u@example.com", "From:"),
	each(signedFrom, "another's broken signature is no reason to send ours unsigned", "From: u@example.com|DKIM-Signature: v=1; rubbish"),
)

// withFilter is headerDiffers on the wire, under software_header.
var withFilter = slices.Concat(
	each(signedFrom+", filter at 0", "see headerDiffers", "From : u@example.com", "From: u@example.com|DKIM-Signature: v=1; rubbish"),
	each("permerror", "see headerDiffers", "From: u@example.com|From: v@example.org", "From: u@example.com|From: u@example.com"),
)

// strictSigner holds for mail that a filter with mode s does not sign.
var strictSigner = each(unsigned, noResults,
	"From: u@example.com", "From: u@example.com|From: u@example.com|Date: x", "Date: x", "From: broken", "From: u@example.com|Date: x|Date: x",
	"From: u@example.com|Date: x|To: a|To: b", "From: u@example.com|Date: x|Cc: a|cc: b", "From: u@example.com|Date: x|Bcc: a|Bcc: b",
	"From: u@example.com|Date: x|Message-ID: a|Message-Id: b", "From: u@example.com|Date: x|Reply-To: a|Reply-To: b",
	"From: u@example.com|Date: x|In-Reply-To: a|In-Reply-To: b", "From: u@example.com|Date: x|References: a|References: b",
	"From: u@example.com|Date: x|Subject: a|Subject: b", "From: u@example.com|Date: x|Sender: a|Sender: b", "Date: x, outside", "From: broken, outside")
