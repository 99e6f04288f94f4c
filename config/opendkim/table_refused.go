package opendkim

const (
	wasADSP       = "ADSP (RFC 5617), which is historic and gone from OpenDKIM since 2.10"
	wasRates      = "the rate limits of a special OpenDKIM build"
	wasReputation = "the reputation service of a special OpenDKIM build"
	wasVBR        = "Vouch By Reference (RFC 5518), which nobody publishes"
	wasResign     = "the resigning of a special OpenDKIM build"
	wasIdentity   = "the i= of a special OpenDKIM build"
	wasATPS       = "RFC 6541 (ATPS), an experiment"

	useDMARC       = "remove the line and leave what an author's domain asks for to DMARC"
	useLimits      = "remove the line and limit rates in the MTA (smtpd_client_message_rate_limit)"
	useFilter      = "remove the line and leave reputation to a spam filter"
	useNothing     = "remove the line"
	useSigner      = "remove the line and name a signer in SigningTable: KEY:user@example.com"
	useNativeRules = "remove the line; SigningTable, MacroList and the On- actions say what is signed and what is rejected, and on_no_aligned_pass in postseal.toml rejects mail without a signature of its author's domain"
)

// refusedParameters stop the start, because mail would be treated otherwise than
// they ask for; switched off they do no harm.
func refusedParameters() []parameter {
	return []parameter{
		{name: "ADSPAction", class: refuse, note: wasADSP, instead: useDMARC, idle: []string{"continue", "none", "no", "accept"}},
		{name: "ADSPNoSuchDomain", kind: boolean, class: refuse, note: wasADSP, instead: "remove the line and let Postfix reject such senders (reject_unknown_sender_domain)"},
		{name: "ATPSDomains", class: refuse, note: wasATPS, instead: "remove the line and have the mail signed by its own domain"},
		{name: "ATPSHashAlgorithm", class: refuse, use: (*reading).atpsHash, note: wasATPS, instead: useNothing, idle: []string{"none", "sha1", "sha256"}},
		{name: "BodyLengths", kind: boolean, class: refuse, note: "l= on every signature", instead: "remove the line: anyone can append to mail that is signed with l=; BodyLengthDB does it for some recipients"},
		{name: "BogusPolicy", class: refuse, note: wasADSP, instead: useDMARC, idle: []string{"none", "neutral", "ignore"}},
		{name: "ConditionalSignatures", class: refuse, note: "the conditional signatures of a draft", instead: useNothing},
		{name: "DefaultSender", class: refuse, note: "the sender of mail without one, in a special OpenDKIM build", instead: "remove the line; SenderHeaders and SenderMacro say where the sender is looked for"},
		{name: "DomainKeysCompat", kind: boolean, class: refuse, note: "DomainKeys (RFC 4870), which is historic", instead: "remove the line; DKIM key records need no such help"},
		{name: "FinalPolicyScript", class: refuse, note: "a Lua script, and this build runs none", instead: useNativeRules},
		{name: "FlowData", class: refuse, note: wasRates, instead: useLimits},
		{name: "FlowDataFactor", kind: integer, class: refuse, note: wasRates, instead: useLimits},
		{name: "FlowDataTTL", kind: integer, class: refuse, note: wasRates, instead: useLimits},
		{name: "IdentityHeader", class: refuse, note: wasIdentity, instead: useSigner},
		{name: "IdentityHeaderRemove", kind: boolean, class: refuse, note: wasIdentity, instead: useSigner},
		{name: "LocalADSP", class: refuse, note: wasADSP, instead: useDMARC},
		{name: "LuaOnlySigning", kind: boolean, class: refuse, note: "a Lua script, and this build runs none", instead: useNativeRules},
		{name: "NoDiscardableMailTo", class: refuse, note: wasADSP, instead: useDMARC},
		{name: "On-ReputationError", class: refuse, note: wasReputation, instead: useFilter, idle: []string{"accept", "a"}},
		{name: "POPDBFile", class: refuse, note: "POP before SMTP", instead: "remove the line and let clients log in (SASL): mail of a login is signed; or name their hosts in InternalHosts"},
		{name: "RateLimits", class: refuse, note: wasRates, instead: useLimits},
		{name: "ReputationCache", class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationCacheTTL", kind: integer, class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationDuplicates", class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationLimitModifiers", class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationLimits", class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationLowTime", class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationMinimum", kind: integer, class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationRRDHashDepth", kind: integer, class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationRRDRoot", class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationRatios", class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationSpamCheck", class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationTest", kind: boolean, class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationTimeFactor", kind: integer, class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationTimeout", kind: integer, class: refuse, note: wasReputation, instead: useFilter},
		{name: "ReputationVerbose", kind: boolean, class: refuse, note: wasReputation, instead: useFilter},
		{name: "ResignAll", kind: boolean, class: refuse, note: wasResign, instead: useNothing + "; a second instance with Mode s behind the list manager signs anew"},
		{name: "ResignMailTo", class: refuse, note: wasResign, instead: useNothing + "; a second instance with Mode s behind the list manager signs anew"},
		{name: "SMTPURI", class: refuse, note: "a way to send failure reports, and this build sends none", instead: useNothing + "; LogResults yes logs each result"},
		{name: "ScreenPolicyScript", class: refuse, note: "a Lua script, and this build runs none", instead: "remove the line; TrustSignaturesFrom says whose signatures count"},
		{name: "SendADSPReports", kind: boolean, class: refuse, note: wasADSP, instead: useDMARC},
		{name: "SetupPolicyScript", class: refuse, note: "a Lua script, and this build runs none", instead: useNativeRules},
		{name: "StatisticsPolicyScript", class: refuse, note: "a Lua script, and this build runs none", instead: useNothing + "; the metrics count results"},
		{name: "UnprotectedPolicy", class: refuse, note: wasADSP, instead: useDMARC, idle: []string{"none", "neutral", "apply"}},
		{name: "VBR-Certifiers", class: refuse, note: wasVBR, instead: useNothing},
		{name: "VBR-PurgeFields", kind: boolean, class: refuse, note: wasVBR, instead: useNothing},
		{name: "VBR-TrustedCertifiers", class: refuse, note: wasVBR, instead: useNothing},
		{name: "VBR-TrustedCertifiersOnly", kind: boolean, class: refuse, note: wasVBR, instead: useNothing},
		{name: "VBR-Type", class: refuse, note: wasVBR, instead: useNothing},
	}
}
