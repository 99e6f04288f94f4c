package main

import "github.com/postseal/postseal/milter"

// advice is what to change so that mail is signed, by the reason why it is not.
// Reasons that say it themselves are not here.
var advice = map[milter.Code]string{
	milter.ReasonNotInternal: "add the client's address or network to internal_hosts (external_ignore_list has no part in signing), or let the client log in",
	milter.ReasonNoRow: `signing_table needs a row that matches the address ("*@example.com" in a refile: has no subdomains, ` +
		`"*@*.example.com" has); one key without tables signs for subdomains with sub_domains`,
	milter.ReasonExemptDomain: "take the domain out of exempt_domains",
	milter.ReasonRecipient:    "take the recipient out of dont_sign_mail_to",
	milter.ReasonPeer:         "take the client out of peer_list, whose mail is neither signed nor verified; internal_hosts is for those whose mail is signed",
}

// advise says what to change where a decision is not to sign.
func advise(d milter.Decision, names form) []string {
	if d.Verdict == milter.Sign {
		return nil
	}
	var all []string
	for _, r := range d.Reasons {
		text := advice[r.Code]
		if r.Code == milter.ReasonModeNoSign {
			text = `set mode = "sv"`
			if names.opendkim {
				text = "set Mode sv"
			}
		}
		if text != "" {
			all = append(all, names.words(text))
		}
	}
	return all
}
