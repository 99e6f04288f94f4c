package milter

import (
	"errors"
	"io/fs"
	"log/syslog"
	"strings"

	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/keys"
)

// failures tells what keeps the message from being signed.
func (w *lineWriter) failures() {
	for _, err := range w.decision.failures {
		if errors.Is(err, keys.ErrUnknownKey) {
			w.add(syslog.LOG_ERR, "signing table references unknown key '%s'", keyNameOf(err, w.decision.Sender.Domain))
			continue
		}
		var key *keys.KeyError
		if !errors.As(err, &key) {
			w.add(syslog.LOG_ERR, "error reading signing table")
			continue
		}
		var unsafe *keys.UnsafeError
		var path *fs.PathError
		switch {
		case errors.As(err, &unsafe):
			w.bare(syslog.LOG_ERR, "%s: %s", key.Name, unsafe.Brief())
		case errors.As(err, &path):
			w.bare(syslog.LOG_ERR, "can't load key from %s: %s", path.Path, opendkim.SystemText(path.Err))
		case key.Path == "":
			w.bare(syslog.LOG_ERR, "KeyTable entry for '%s' corrupt", key.Name)
		default:
			w.bare(syslog.LOG_ERR, "can't load key from %s: %v", key.Path, key.Err)
		}
		w.add(syslog.LOG_ERR, "error loading key '%s'", key.Name)
	}
	if r := w.reason(ReasonSignError); r != nil {
		w.add(syslog.LOG_ERR, "signature generation error: %s", r.Args[2])
	}
}

// keyNameOf is the name of the key that a row asks for in vain.
func keyNameOf(err error, domain string) string {
	var key *keys.KeyError
	if errors.As(err, &key) {
		return key.Name
	}
	return strings.ToLower(domain) // of a row "%"
}
