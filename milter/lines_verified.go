package milter

import (
	"context"
	"errors"
	"fmt"
	"log/syslog"
	"os"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/authres"
	"github.com/postseal/postseal/milter/dkim"
)

// maxAlike bounds the lines of one kind that a message gets: it may have
// thousands of fields, and OpenDKIM writes a line for each.
const maxAlike = 20

// seenSignature is one that came with the message.
type seenSignature struct {
	dkim.Result
	tags  signatureTags
	short string // of b=
}

// verified tells of the signatures that came with the message.
func (w *lineWriter) verified() {
	for range min(w.unreadResults, maxAlike) {
		w.add(syslog.LOG_WARNING, "failed to parse Authentication-Results: header field")
	}
	if len(w.outcome.verified) == 0 {
		w.unsigned()
		return
	}
	signatures := w.signatures()
	w.leftOut(signatures)
	if len(signatures) > 1 {
		domains := make([]string, len(signatures))
		for i, s := range signatures {
			domains[i] = s.tags["d"]
		}
		w.add(syslog.LOG_INFO, "message has signatures from %s", strings.Join(domains, ", "))
	}
	signatures = slices.DeleteFunc(signatures, seenSignature.ignored)
	w.results(signatures)
	w.verdict(signatures)
}

func (w *lineWriter) unsigned() {
	switch {
	case w.cfg.AlwaysAddARHeader:
	case w.cfg.OnNoSignature != config.Accept:
		w.add(syslog.LOG_NOTICE, "no signature data")
	case w.cfg.LogWhy:
		w.add(syslog.LOG_DEBUG, "no signature data")
	}
}

// signatures are those that OpenDKIM could read; the others are told of.
func (w *lineWriter) signatures() (list []seenSignature) {
	var texts []string
	told := false
	for _, r := range w.outcome.verified {
		tags, problem := readSignatureTags(w.fields[r.Field].Value)
		switch {
		case problem == "":
			list = append(list, seenSignature{Result: r, tags: tags})
			texts = append(texts, tags["b"])
		case !told: // the first ends it there
			told = true
			w.add(syslog.LOG_ERR, "syntax error: %s", problem)
		}
	}
	for i, short := range authres.ShortSignatures(texts) {
		list[i].short = short
	}
	return list
}

// ignored: the signature was not verified.
func (s seenSignature) ignored() bool {
	return errors.Is(s.Err, dkim.ErrTooManySignatures) || errors.Is(s.Err, dkim.ErrUntrusted)
}

func (w *lineWriter) leftOut(signatures []seenSignature) {
	many, untrusted := 0, 0
	for _, s := range signatures {
		switch {
		case errors.Is(s.Err, dkim.ErrTooManySignatures), s.ignored() && untrusted == maxAlike:
			many++
		case errors.Is(s.Err, dkim.ErrUntrusted):
			untrusted++
			w.add(syslog.LOG_INFO, "ignoring signature from %s", s.tags["d"])
		}
	}
	if many > 0 {
		plural := "s"
		if many == 1 {
			plural = ""
		}
		w.add(syslog.LOG_INFO, "ignoring %d signature%s", many, plural)
	}
}

// results is the line of LogResults.
func (w *lineWriter) results(signatures []seenSignature) {
	if !w.cfg.LogResults {
		return
	}
	var texts []string
	for _, s := range signatures {
		if s.tags["d"] != "" && s.tags["s"] != "" {
			texts = append(texts, fmt.Sprintf(`signature=%s domain=%s selector=%s result="%s"`, s.short, s.tags["d"], s.tags["s"], resultText(s.Result, s.tags)))
		}
	}
	if len(texts) > 0 {
		w.add(syslog.LOG_INFO, "%s", strings.Join(texts, "; "))
	}
}

// verdict tells of the signature that stands for all: the first that passes,
// else the first.
func (w *lineWriter) verdict(signatures []seenSignature) {
	if len(signatures) == 0 {
		return
	}
	s := signatures[0]
	if i := slices.IndexFunc(signatures, func(s seenSignature) bool { return s.Status == dkim.Pass }); i >= 0 {
		s = signatures[i]
		w.success("DKIM verification successful")
	}
	selector, domain, algorithm := s.tags["s"], s.tags["d"], strings.ToLower(s.tags["a"])
	if text, ok := libraryText(s.Result); ok {
		w.add(syslog.LOG_INFO, "s=%s d=%s a=%s SSL %s", selector, domain, algorithm, text)
	}
	name := selector + "._domainkey." + domain
	switch {
	case resultText(s.Result, s.tags) == verificationFailed:
		w.add(syslog.LOG_NOTICE, "bad signature data")
	case errors.Is(s.Err, dkim.ErrKeyRevoked):
		w.add(syslog.LOG_NOTICE, "key revoked (s=%s, d=%s, a=%s)", selector, domain, algorithm)
	case errors.Is(s.Err, dkim.ErrNoKey):
		w.add(syslog.LOG_ERR, "key retrieval failed (s=%s, d=%s): '%s' record not found", selector, domain, name)
	case errors.Is(s.Err, dkim.ErrKeyUnavailable) && (errors.Is(s.Err, context.DeadlineExceeded) || errors.Is(s.Err, os.ErrDeadlineExceeded)):
		w.add(syslog.LOG_ERR, "key retrieval failed (s=%s, d=%s): '%s' query timed out", selector, domain, name)
	case errors.Is(s.Err, dkim.ErrKeyUnavailable):
		w.add(syslog.LOG_ERR, "key retrieval failed (s=%s, d=%s): '%s' unexpected reply class/type (-1/-1)", selector, domain, name)
	}
}
