package opendkim

import "github.com/postseal/postseal/config"

// actions sets what happens to mail. On-Default comes first, the specific ones
// override it. OpenDKIM keeps the default of a word that it does not know,
// without a word of its own.
func (r *reading) actions() {
	c := r.config
	all := []struct {
		name   string
		action *config.Action
	}{
		{"On-BadSignature", &c.OnBadSignature},
		{"On-DNSError", &c.OnDNSError},
		{"On-InternalError", &c.OnInternalError},
		{"On-KeyNotFound", &c.OnKeyNotFound},
		{"On-NoSignature", &c.OnNoSignature},
		{"On-Security", &c.OnSecurity},
		{"On-SignatureError", &c.OnSignatureError},
	}
	capture, ok := r.setting("CaptureUnknownErrors")
	quarantines := ok && capture.yes
	if quarantines {
		c.OnInternalError = config.Quarantine
	}
	if s, ok := r.setting("On-Default"); ok {
		var action config.Action
		if r.action(s, &action, quarantines) {
			for _, a := range all {
				*a.action = action
			}
		}
	}
	for _, a := range all {
		if s, ok := r.setting(a.name); ok {
			r.action(s, a.action, quarantines)
		}
	}
	// OpenDKIM defers mail whose key or row cannot sign, whatever it is told;
	// nothing else depends on this action here.
	if c.OnInternalError == config.Accept {
		c.OnInternalError = config.Tempfail
	}
}

// action reads a word; false means that it is none.
func (r *reading) action(s setting, to *config.Action, quarantines bool) bool {
	action := *to
	if err := action.UnmarshalText([]byte(s.value)); err != nil {
		r.notice(s, "%v; OpenDKIM ignores such a word, and so it has no effect", err)
		return false
	}
	if action == config.Quarantine && !quarantines {
		r.notice(s, "without CaptureUnknownErrors yes OpenDKIM accepts the mail, and so it is accepted")
		action = config.Accept
	}
	*to = action
	return true
}
