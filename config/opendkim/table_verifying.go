package opendkim

import "github.com/postseal/postseal/config"

// verifyingParameters are about inbound mail and Authentication-Results.
func verifyingParameters() []parameter {
	return []parameter{
		{name: "AlwaysAddARHeader", kind: boolean, class: core, field: func(c *config.Config) any { return &c.AlwaysAddARHeader }},
		{name: "AuthservID", class: core, field: func(c *config.Config) any { return &c.AuthservID }},
		{name: "AuthservIDWithJobID", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.AuthservIDWithJobID }},
		{name: "ClockDrift", kind: integer, class: useful, use: (*reading).clockDrift},
		{name: "KeepAuthResults", kind: boolean, class: core, field: func(c *config.Config) any { return &c.KeepAuthResults }},
		{name: "MaximumSignaturesToVerify", kind: integer, class: useful, use: (*reading).maximumSignatures},
		{name: "Minimum", class: useful, use: (*reading).minimum},
		{name: "MinimumKeyBits", kind: integer, class: core, use: (*reading).minimumKeyBits},
		{name: "MustBeSigned", class: useful, use: literalNames(func(c *config.Config) any { return &c.MustBeSigned })},
		{name: "NoHeaderB", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.NoHeaderB }},
		{name: "RedirectFailuresTo", class: useful, field: func(c *config.Config) any { return &c.RedirectFailuresTo }},
		{name: "RemoveARAll", kind: boolean, class: core, field: func(c *config.Config) any { return &c.RemoveARAll }},
		{name: "RemoveARFrom", class: core, field: func(c *config.Config) any { return &c.RemoveARFrom }},
		{name: "TrustSignaturesFrom", class: useful, field: func(c *config.Config) any { return &c.TrustSignaturesFrom }},
	}
}

// actionParameters say what happens to mail: see reading.actions.
func actionParameters() []parameter {
	return []parameter{
		{name: "CaptureUnknownErrors", kind: boolean, class: useful},
		{name: "On-BadSignature", class: core},
		{name: "On-DNSError", class: core},
		{name: "On-Default", class: core},
		{name: "On-InternalError", class: core},
		{name: "On-KeyNotFound", class: core},
		{name: "On-NoSignature", class: core},
		{name: "On-Security", class: core},
		{name: "On-SignatureError", class: core},
	}
}

// dnsParameters are about how keys are looked up.
func dnsParameters() []parameter {
	return []parameter{
		{name: "DNSConnect", kind: boolean, class: useful, field: func(c *config.Config) any { return &c.DNSConnect }},
		{name: "DNSTimeout", kind: integer, class: core, use: (*reading).dnsTimeout},
		{name: "Nameservers", class: core, use: (*reading).nameservers},
		{name: "TestDNSData", class: useful, field: func(c *config.Config) any { return &c.TestDNSData }},
		{name: "TestPublicKeys", class: useful, field: func(c *config.Config) any { return &c.TestPublicKeys }},
	}
}
