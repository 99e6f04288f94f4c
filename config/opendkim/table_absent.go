package opendkim

const (
	noReports    = "this build sends no failure reports; LogResults yes logs each result, On-BadSignature acts on it"
	noLDAP       = "this build reads no LDAP; it has no effect"
	noStatistics = "this build writes no statistics file; its metrics count instead"
	noDNSSEC     = "this build does not validate DNSSEC itself; let Nameservers name a resolver that does, which answers bogus names with an error (On-DNSError)"
	noADSP       = "ADSP (RFC 5617) is historic and gone from OpenDKIM too; it has no effect"
	noTempFiles  = "this build writes no temporary files"
	noSoftStart  = "there is no data set here that a daemon would have to wait for; it has no effect"
)

// absentParameters are accepted and have no effect, which a notice says.
func absentParameters() []parameter {
	return []parameter{
		{name: "AddAllSignatureResults", kind: boolean, class: compat, note: "all results are always told"},
		{name: "AddCanonicalizedData", kind: boolean, class: compat, note: "this build adds no such fields; Diagnostics yes copies the signed fields into z="},
		{name: "AllowSHA1Only", kind: boolean, class: compat, note: "SHA-256 is always there; rsa-sha1 is not accepted"},
		{name: "BogusKey", class: useful, use: (*reading).keyAction, note: noDNSSEC, idle: []string{"fail"}},
		{name: "DiagnosticDirectory", class: compat, note: "this build writes no such reports; the log tells why a signature failed"},
		{name: "DisableADSP", kind: boolean, class: compat, note: noADSP},
		{name: "DisableCryptoInit", kind: boolean, class: compat, note: "no OpenSSL is used; it has no effect"},
		{name: "EnableCoredumps", kind: boolean, class: compat, note: "this build leaves core dumps to the system (LimitCORE= in the unit)"},
		{name: "KeepTemporaryFiles", kind: boolean, class: compat, note: noTempFiles},
		{name: "LDAPAuthMechanism", class: useful, note: noLDAP},
		{name: "LDAPAuthName", class: compat, note: noLDAP},
		{name: "LDAPAuthRealm", class: compat, note: noLDAP},
		{name: "LDAPAuthUser", class: compat, note: noLDAP},
		{name: "LDAPBindPassword", class: useful, note: noLDAP},
		{name: "LDAPBindUser", class: useful, note: noLDAP},
		{name: "LDAPDisableCache", kind: boolean, class: compat, note: noLDAP},
		{name: "LDAPKeepaliveIdle", class: compat, note: noLDAP},
		{name: "LDAPKeepaliveInterval", class: compat, note: noLDAP},
		{name: "LDAPKeepaliveProbes", class: compat, note: noLDAP},
		{name: "LDAPSoftStart", kind: boolean, class: compat, note: noSoftStart},
		{name: "LDAPTimeout", class: useful, note: noLDAP},
		{name: "LDAPUseTLS", kind: boolean, class: useful, note: noLDAP},
		{name: "MTACommand", class: useful, note: noReports},
		{name: "MilterDebug", kind: integer, class: compat, note: "there is no libmilter here; LogWhy yes tells how each decision was made"},
		{name: "On-PolicyError", class: compat, note: noADSP},
		{name: "Quarantine", kind: boolean, class: compat, note: "OpenDKIM never reads it either; write On-BadSignature quarantine with CaptureUnknownErrors yes"},
		{name: "QueryCache", kind: boolean, class: compat, note: "answers are always kept for as long as DNS lets them be; there is no line of statistics in the log"},
		{name: "ReportAddress", class: useful, note: noReports},
		{name: "ReportBccAddress", class: useful, note: noReports},
		{name: "ResolverConfiguration", class: compat, note: "there is no libunbound here; write Nameservers"},
		{name: "ResolverTracing", kind: boolean, class: compat, note: "there is no libunbound here; LogResults yes tells what a look-up led to"},
		{name: "SelectCanonicalizationHeader", class: compat, note: "OpenDKIM never reads it; no header field changes the canonicalization here"},
		{name: "SendReports", kind: boolean, class: useful, note: noReports},
		{name: "SoftStart", kind: boolean, class: useful, note: noSoftStart},
		{name: "Statistics", class: compat, note: noStatistics},
		{name: "StatisticsName", class: compat, note: noStatistics},
		{name: "StatisticsPrefix", class: compat, note: noStatistics},
		{name: "StrictTestMode", kind: boolean, class: compat, note: "it concerns opendkim -t alone, which this build has not"},
		{name: "TemporaryDirectory", class: compat, note: noTempFiles},
		{name: "TrustAnchorFile", class: compat, note: noDNSSEC},
		{name: "UnprotectedKey", class: useful, use: (*reading).keyAction, note: noDNSSEC, idle: []string{"none"}},
	}
}
