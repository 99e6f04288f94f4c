package opendkim

import "github.com/postseal/postseal/config"

// signingParameters are about keys and what a signature looks like.
func signingParameters() []parameter {
	return []parameter{
		{name: "BodyLengthDB", class: useful, field: func(c *config.Config) any { return &c.BodyLengthDB }},
		{name: "Canonicalization", class: core, use: (*reading).canonicalization},
		{name: "CheckSigningTable", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.CheckSigningTable }},
		{name: "Diagnostics", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.Diagnostics }},
		{name: "Domain", class: core, use: (*reading).singleKey},
		{name: "FixCRLF", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.FixCRLF }},
		{name: "KeyFile", class: core, use: (*reading).singleKey},
		{name: "KeyTable", class: core, field: func(c *config.Config) any { return &c.KeyTable }},
		{name: "MaximumSignedBytes", kind: integer, class: useful, use: (*reading).maximumSignedBytes},
		{name: "MultipleSignatures", kind: boolean, class: core, field: func(c *config.Config) any { return &c.MultipleSignatures }},
		{name: "OmitHeaders", class: core, use: (*reading).omitHeaders},
		{name: "OversignHeaders", class: core, use: literalNames(func(c *config.Config) any { return &c.OversignHeaders })},
		{name: "RemoveOldSignatures", kind: boolean, class: core, field: func(c *config.Config) any { return &c.RemoveOldSignatures }},
		{name: "ReplaceHeaders", class: useful, use: literalNames(func(c *config.Config) any { return &c.ReplaceHeaders })},
		{name: "ReplaceRules", class: useful, use: (*reading).replaceRules},
		{name: "RequestReports", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.RequestReports }},
		{name: "RequireSafeKeys", kind: boolean, class: core, field: func(c *config.Config) any { return &c.RequireSafeKeys }},
		{name: "Selector", class: core, use: (*reading).singleKey},
		{name: "SenderHeaders", class: core, use: (*reading).senderHeaders},
		{name: "SenderMacro", class: useful, field: func(c *config.Config) any { return &c.SenderMacro }},
		{name: "SignHeaders", class: core, use: (*reading).signHeaders},
		{name: "SignatureAlgorithm", class: core, use: (*reading).signatureAlgorithm},
		{name: "SignatureTTL", kind: integer, class: core, use: (*reading).signatureTTL},
		{name: "SigningTable", class: core, field: func(c *config.Config) any { return &c.SigningTable }},
		{name: "SoftwareHeader", kind: boolean, class: core, field: func(c *config.Config) any { return &c.SoftwareHeader }},
		{name: "SubDomains", kind: boolean, class: core, field: func(c *config.Config) any { return &c.SubDomains }},
		{name: "X-Header", kind: boolean, class: compat, use: (*reading).xHeader},
	}
}

// originParameters are about whose mail is signed, and what mail is touched.
func originParameters() []parameter {
	return []parameter{
		{name: "DontSignMailTo", class: core, field: func(c *config.Config) any { return &c.DontSignMailTo }},
		{name: "ExemptDomains", class: core, field: func(c *config.Config) any { return &c.ExemptDomains }},
		{name: "ExternalIgnoreList", class: core, field: func(c *config.Config) any { return &c.ExternalIgnoreList }},
		{name: "IgnoreMalformedMail", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.IgnoreMalformedMail }},
		{name: "InternalHosts", class: core, field: func(c *config.Config) any { return &c.InternalHosts }},
		{name: "MTA", class: core, field: func(c *config.Config) any { return &c.MTA }},
		{name: "MacroList", class: core, use: (*reading).macroList},
		{name: "MaximumHeaders", kind: integer, class: useful, use: (*reading).maximumHeaders},
		{name: "PeerList", class: core, field: func(c *config.Config) any { return &c.PeerList }},
		{name: "RequiredHeaders", kind: boolean, class: core, field: func(c *config.Config) any { return &c.RequiredHeaders }},
		{name: "StrictHeaders", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.StrictHeaders }},
		{name: "WeakSyntaxChecks", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.WeakSyntaxChecks }},
	}
}
