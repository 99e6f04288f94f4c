package milter

import (
	"slices"
	"strings"
)

// onAll sets the four actions on verified mail.
func onAll(word string) string {
	return strings.ReplaceAll("On-BadSignature W\nOn-KeyNotFound W\nOn-NoSignature W\nOn-DNSError W", "W", word)
}

func verifySetups() []verifySetup {
	return []verifySetup{
		{name: "defaults", differ: defaultsDiffers},
		{name: "reject", conf: onAll("reject"), differ: rejectDiffers},
		{name: "tempfail", conf: onAll("tempfail"), mails: prompt, differ: tempfailDiffers},
		{name: "discard", conf: onAll("discard"), mails: prompt, differ: discardDiffers},
		{name: "quarantine", conf: onAll("quarantine") + "\nCaptureUnknownErrors yes", mails: prompt, differ: quarantineDiffers},
		{name: "accept", conf: onAll("accept"), mails: prompt, differ: acceptDiffers},
		{name: "results for all mail", conf: "AlwaysAddARHeader yes\nOn-NoSignature reject", mails: quick, differ: resultDiffers},
		{name: "redirect", conf: "RedirectFailuresTo bad@example.org", mails: quick, differ: redirectDiffers},
		{name: "redirect and reject", conf: "RedirectFailuresTo bad@example.org\nOn-BadSignature reject", mails: quick, differ: redirectAndRejectDiffers},
		{name: "must be signed", conf: "MustBeSigned Subject,Message-ID,x-test", mails: quick, differ: mustBeSignedDiffers},
		{name: "trusted", conf: "TrustSignaturesFrom trusted.example", mails: several, differ: trustedDiffers},
		{name: "trusted alone", conf: "TrustSignaturesFrom trusted.example\nMaximumSignaturesToVerify 0\nOn-NoSignature reject", mails: several},
		{name: "author alone", conf: "MaximumSignaturesToVerify 0\nAlwaysAddARHeader yes", mails: several, differ: authorAloneDiffers},
		{name: "one signature", conf: "MaximumSignaturesToVerify 1", mails: several, differ: oneSignatureDiffers},
		{name: "ignore malformed mail", conf: "IgnoreMalformedMail yes\nOn-BadSignature reject", mails: malformed, differ: ignoreMalformedMailDiffers},
		{name: "weak syntax checks", conf: "WeakSyntaxChecks yes", mails: malformed, differ: weakSyntaxChecksDiffers},
		{name: "whole minimum", conf: "Minimum 100%", mails: limited, differ: wholeMinimumDiffers},
		{name: "minimum", conf: "Minimum 10+", mails: limited},
		{name: "ends of line", mails: endsOfLine, differ: endsOfLineDiffers},
		{name: "ends of line mended", conf: "FixCRLF yes", mails: endsOfLine, differ: endsOfLineMendedDiffers},
		{name: "keep results", conf: "KeepAuthResults yes", mails: forgedResults, differ: keepResultsDiffers},
		{name: "all results", conf: "RemoveARAll yes", mails: forgedResults, differ: allResultsDiffers},
		{name: "results of another", conf: "RemoveARFrom other.test", mails: forgedResults, differ: resultsOfAnotherDiffers},
		{name: "results with the queue id", conf: "AuthservIDWithJobID yes\nNoHeaderB yes", mails: forgedResults, differ: queueIDDiffers},
		{name: "DNS by TCP", conf: "DNSConnect yes", mails: several, differ: authorOnTop},
		{name: "DNS from a file", conf: "TestDNSData file:@DATA@", mails: oneDomain},
		{name: "local submission", mails: quick, addr: "-", differ: resultDiffers},
	}
}

// named returns those of the mails that are named.
func (f forgery) named(names ...string) (list []signedMail) {
	for _, m := range f.mails() {
		for _, n := range names {
			if m.name == n {
				list = append(list, m)
			}
		}
	}
	if len(list) != len(names) {
		f.t.Fatalf("%d mails of %q", len(list), names)
	}
	return list
}

// prompt are the mails for which no answer of DNS is awaited in vain.
func prompt(f forgery) []signedMail {
	return slices.DeleteFunc(f.mails(), func(m signedMail) bool { return m.name == "silent" })
}

// quick are the mails without trouble of DNS.
func quick(f forgery) []signedMail {
	return slices.DeleteFunc(prompt(f), func(m signedMail) bool { return strings.Contains(m.name, "servfail") })
}

// oneDomain are mails with one key: OpenDKIM takes a name that test data does not
// have for trouble of DNS.
func oneDomain(f forgery) []signedMail { return f.named("none", "pass", "body changed") }

// several are mails with signatures of several domains.
func several(f forgery) []signedMail {
	return f.named("none", "pass", "third party", "bad and pass of a third party", "absent and pass", "two bad", "fourth passes", "five")
}

func malformed(f forgery) []signedMail {
	return f.named("none", "pass", "body changed", "malformed", "forged results", "two From fields", "no From field", "From unreadable")
}

func limited(f forgery) []signedMail {
	return f.named("pass", "body changed", "l= of the whole", "l= and more")
}

func forgedResults(f forgery) []signedMail {
	return f.named("none", "pass", "forged results", "forged results beside a malformed signature")
}

// endsOfLine are mails that were signed with CRLFs and arrive with others, and
// mails that were signed as they arrive.
func endsOfLine(f forgery) (list []signedMail) {
	const text = "one\r\ntwo \r\n\r\nthree\r\n"
	for _, c := range []struct{ name, body string }{
		{"CRLF", text}, {"LF", strings.ReplaceAll(text, "\r", "")}, {"CR", strings.ReplaceAll(text, "\n", "")},
		{"mixed", "one\r\ntwo \n\r\nthree\r"}, {"CR inside", "one\rtwo \r\r\nthree\r\n"}, {"CR CR LF", "one\r\r\ntwo\r\n"},
	} {
		for _, chunk := range []int{0, 1, 4} {
			name := c.name + ", " + string(rune('0'+chunk))
			list = append(list,
				signedMail{name + ", signed with CRLF", with(f.signOver(letterFields, text, "example.com", "s", nil)), c.body, chunk},
				signedMail{name + ", signed as it is", with(f.signOver(letterFields, c.body, "example.com", "s", nil)), c.body, chunk})
		}
	}
	return list
}
