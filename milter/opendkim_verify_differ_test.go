package milter

import "slices"

// Why verdicts differ from OpenDKIM's.
const (
	everyKey      = "several key records at one name are tried in turn; OpenDKIM takes them for trouble that may pass"
	noRecord      = "a text that is no key record does not become one by waiting"
	smallFirst    = "a key below minimum_key_bits is a matter of policy; OpenDKIM computes with it first, and this signature is wrong, too"
	dnsTrouble    = "on_dns_error applies and the results tell of it; OpenDKIM prepares its answer and then accepts the mail without a result"
	noSHA1        = "rsa-sha1 neither passes nor fails (RFC 8301 §3.1)"
	malformedOne  = "a malformed signature is told as such, and neither the others nor forged results are let alone for it"
	beyondBody    = "l= beyond the body is an error of the signature (RFC 6376 §3.5)"
	authorFirst   = "the author's own signatures come before those of others, so that no four on top of them hide them"
	severalFrom   = "several From fields: nothing passes (RFC 6376 §8.15)"
	noWords       = "OpenDKIM rejects for a revoked key without a word"
	worstFirst    = "a wrong signature counts before a missing key, whichever stands above"
	onTrial       = "a domain on trial is as one that does not sign (RFC 6376 §3.6.1): on_no_signature applies and nothing is redirected"
	anyBad        = "on_bad_signature is for every signature that cannot pass; in OpenDKIM a broken key record or an x= in the past lets it through"
	everyInstance = "must_be_signed wants every instance covered, the one on top that readers see above all"
	leftOutTold   = "a signature that is left out is told where there is no other, too"
	minimumWorks  = "minimum does nothing in OpenDKIM"
	ownToo        = "remove_ar_from adds names; in OpenDKIM forged results in our own name then stay"
	openEnd       = "OpenDKIM gives no verdict on a body whose last line has no CRLF"
	loneCR        = "a CR that stands alone is text (RFC 6376 §3.4.4); OpenDKIM loses blanks and CRs about it"
	lastCR        = "a CR at the end of the body is an end of line, too; OpenDKIM drops it"
)

// authorOnTop holds where three signatures are verified.
var authorOnTop = slices.Concat(
	each("accept | fail other.example, fail third.example, neutral trusted.example, pass example.com", authorFirst, "fourth passes"),
	each("accept | pass example.com, pass other.example, neutral third.example, neutral trusted.example, pass example.com", authorFirst, "five"),
)

// resultDiffers holds where no action is set, for mail whose keys DNS has or has not.
var resultDiffers = slices.Concat(
	each("accept | pass example.com", everyKey, "two"),
	each("accept | permerror example.com", noRecord, "text"),
	each("accept | policy example.com", smallFirst, "small"),
	each("accept | permerror example.com", noSHA1, "rsa-sha1"),
	each("accept | permerror", malformedOne, "malformed"),
	each("accept | permerror, pass example.com", malformedOne, "malformed beside a pass"),
	each("accept | permerror example.com", beyondBody, "l= beyond the body"),
	authorOnTop,
	each("accept | permerror | m1 Authentication-Results: | m4 Authentication-Results:", malformedOne, "forged results beside a malformed signature"),
	each("accept | permerror", severalFrom, "two From fields"),
)

var defaultsDiffers = slices.Concat(
	resultDiffers,
	each("451 4.7.5 DKIM key retrieval failed", dnsTrouble, "servfail", "silent"),
)

var rejectDiffers = slices.Concat(
	each("550 5.7.0 bad DKIM signature data", noWords, "revoked"),
	each("550 5.7.0 bad DKIM signature data", anyBad, "version", "type", "hash", "service", "corrupt", "text", "spf", "strict, subdomain", "expired", "future", "no bh=", "unknown a=", "From not signed", "i= elsewhere", "v=2", "l= beyond the body"),
	each("accept | pass example.com", everyKey, "two"),
	each("550 5.7.0 DKIM key retrieval failed", dnsTrouble, "servfail", "silent"),
	each("550 5.7.0 no DKIM signature data", onTrial, "trial, body changed"),
	each("550 5.7.0 DKIM signature syntax error", anyBad, "x= before t="),
	each("accept | permerror, pass example.com", malformedOne, "malformed beside a pass"),
	each("550 5.7.0 bad DKIM signature data", worstFirst, "absent and bad", "revoked and bad"),
	authorOnTop,
	each("accept | permerror", severalFrom, "two From fields"),
)

var tempfailDiffers = slices.Concat(
	each("451 4.7.0 bad DKIM signature data", noWords, "revoked"),
	each("451 4.7.0 bad DKIM signature data", anyBad, "version", "type", "hash", "service", "corrupt", "text", "spf", "strict, subdomain", "expired", "future", "no bh=", "unknown a=", "From not signed", "i= elsewhere", "v=2", "l= beyond the body"),
	each("accept | pass example.com", everyKey, "two"),
	each("451 4.7.5 DKIM key retrieval failed", dnsTrouble, "servfail"),
	each("451 4.7.0 no DKIM signature data", onTrial, "trial, body changed"),
	each("451 4.7.0 DKIM signature syntax error", anyBad, "x= before t="),
	each("accept | permerror, pass example.com", malformedOne, "malformed beside a pass"),
	each("451 4.7.0 bad DKIM signature data", worstFirst, "absent and bad", "revoked and bad"),
	authorOnTop,
	each("accept | permerror", severalFrom, "two From fields"),
)

var discardDiffers = slices.Concat(
	each("discard", anyBad, "version", "type", "hash", "service", "corrupt", "text", "spf", "strict, subdomain", "expired", "future", "x= before t=", "no bh=", "unknown a=", "From not signed", "i= elsewhere", "v=2", "l= beyond the body"),
	each("accept | pass example.com", everyKey, "two"),
	each("discard", dnsTrouble, "servfail"),
	each("discard", onTrial, "trial, body changed"),
	each("accept | permerror, pass example.com", malformedOne, "malformed beside a pass"),
	authorOnTop,
	each("accept | permerror", severalFrom, "two From fields"),
)

var quarantineDiffers = slices.Concat(
	each("accept | fail example.com | quarantine", anyBad, "version", "type", "hash", "service", "spf", "strict, subdomain"),
	each("accept | pass example.com", everyKey, "two"),
	each("accept | permerror example.com | quarantine", anyBad, "corrupt", "text", "expired", "future", "x= before t=", "no bh=", "unknown a=", "From not signed", "i= elsewhere", "v=2", "l= beyond the body"),
	each("accept | policy example.com | quarantine", smallFirst, "small"),
	each("accept | temperror example.com | quarantine", dnsTrouble, "servfail"),
	each("accept | permerror example.com | quarantine", noSHA1, "rsa-sha1"),
	each("accept | permerror | quarantine", malformedOne, "malformed"),
	each("accept | permerror, pass example.com", malformedOne, "malformed beside a pass"),
	authorOnTop,
	each("accept | permerror | m1 Authentication-Results: | m4 Authentication-Results: | quarantine", malformedOne, "forged results beside a malformed signature"),
	each("accept | permerror", severalFrom, "two From fields"),
)

var acceptDiffers = slices.Concat(
	resultDiffers,
	each("accept | temperror example.com", dnsTrouble, "servfail"),
)

var redirectDiffers = slices.Concat(
	resultDiffers,
	each("accept | fail example.com", onTrial, "trial, body changed"),
	each("accept | fail example.com, fail example.com | +bad@example.org | -rcpt@elsewhere.example | -second@elsewhere.example | h Original-Recipient:rfc822;rcpt@elsewhere.example | h Original-Recipient:rfc822;second@elsewhere.example", worstFirst, "absent and bad", "revoked and bad"),
)

var redirectAndRejectDiffers = slices.Concat(
	each("550 5.7.0 bad DKIM signature data", noWords, "revoked"),
	each("550 5.7.0 bad DKIM signature data", anyBad, "version", "type", "hash", "service", "corrupt", "text", "spf", "strict, subdomain", "expired", "future", "no bh=", "unknown a=", "From not signed", "i= elsewhere", "v=2", "l= beyond the body"),
	each("accept | pass example.com", everyKey, "two"),
	each("accept | fail example.com", onTrial, "trial, body changed"),
	each("550 5.7.0 DKIM signature syntax error", anyBad, "x= before t="),
	each("accept | permerror, pass example.com", malformedOne, "malformed beside a pass"),
	each("550 5.7.0 bad DKIM signature data", worstFirst, "absent and bad", "revoked and bad"),
	authorOnTop,
	each("accept | permerror", severalFrom, "two From fields"),
)

var mustBeSignedDiffers = slices.Concat(
	resultDiffers,
	each("accept | fail example.com", everyInstance, "second Subject on top"),
)

var trustedDiffers = slices.Concat(
	each("accept | fail other.example, neutral third.example, fail trusted.example, pass example.com", authorFirst, "fourth passes"),
	each("accept | pass example.com, neutral other.example, neutral third.example, pass trusted.example, pass example.com", authorFirst, "five"),
)

var authorAloneDiffers = each("accept | neutral other.example", leftOutTold, "third party")

var oneSignatureDiffers = each("accept | neutral other.example, neutral third.example, neutral trusted.example, pass example.com", authorFirst, "fourth passes")

var ignoreMalformedMailDiffers = each("accept", severalFrom, "two From fields")

var weakSyntaxChecksDiffers = slices.Concat(
	each("accept | permerror", malformedOne, "malformed"),
	each("accept | permerror", severalFrom, "two From fields"),
)

var wholeMinimumDiffers = each("accept | policy example.com", minimumWorks, "l= and more")

var endsOfLineDiffers = slices.Concat(
	each("accept | fail example.com", openEnd, "LF, 0, signed with CRLF", "LF, 1, signed with CRLF", "LF, 4, signed with CRLF", "CR, 0, signed with CRLF", "CR, 1, signed with CRLF", "CR, 4, signed with CRLF", "mixed, 0, signed with CRLF", "mixed, 1, signed with CRLF", "mixed, 4, signed with CRLF"),
	each("accept | pass example.com", openEnd, "LF, 0, signed as it is", "LF, 1, signed as it is", "LF, 4, signed as it is", "CR, 0, signed as it is", "CR, 1, signed as it is", "CR, 4, signed as it is", "mixed, 0, signed as it is", "mixed, 1, signed as it is", "mixed, 4, signed as it is"),
	each("accept | pass example.com", loneCR, "CR inside, 0, signed as it is", "CR inside, 1, signed as it is", "CR inside, 4, signed as it is"),
)

var endsOfLineMendedDiffers = each("accept | pass example.com", lastCR, "CR, 0, signed with CRLF", "CR, 1, signed with CRLF", "CR, 4, signed with CRLF", "mixed, 0, signed with CRLF", "mixed, 1, signed with CRLF", "mixed, 4, signed with CRLF")

var keepResultsDiffers = each("accept | permerror", malformedOne, "forged results beside a malformed signature")

var allResultsDiffers = each("accept | permerror | m1 Authentication-Results: | m2 Authentication-Results: | m4 Authentication-Results:", malformedOne, "forged results beside a malformed signature")

var resultsOfAnotherDiffers = slices.Concat(
	each("accept | pass example.com | m1 Authentication-Results: | m3 Authentication-Results: | m4 Authentication-Results:", ownToo, "forged results"),
	each("accept | permerror | m1 Authentication-Results: | m3 Authentication-Results: | m4 Authentication-Results:", malformedOne, "forged results beside a malformed signature"),
)

var queueIDDiffers = each("accept | permerror | m1 Authentication-Results: | m4 Authentication-Results:", malformedOne, "forged results beside a malformed signature")
