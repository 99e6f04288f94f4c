package milter

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/monitor"
)

const (
	// mostTroubles is how many kinds of messages are kept that the log warns of,
	// mostFailed how many of others whose signatures failed: a flood of these takes no
	// place of those.
	mostTroubles = 50
	mostFailed   = 20
	// maxTroubleReason bounds the reason of one, in octets.
	maxTroubleReason = 400
)

// troubles are the last messages that did not go as they should. The zero value
// has none; nil keeps none, for a daemon that nobody can ask for them.
type troubles struct {
	mu             sync.Mutex
	warned, failed recent
}

// recent are the newest of many, the oldest first. Those that differ in nothing but
// time and queue id are one.
type recent []monitor.Trouble

func (r *recent) add(t monitor.Trouble, most int) {
	t.Times = 1
	alike := slices.IndexFunc(*r, func(o monitor.Trouble) bool {
		o.Time, o.QueueID, o.Times = t.Time, t.QueueID, t.Times
		return o == t
	})
	switch {
	case alike >= 0:
		t.Times += (*r)[alike].Times
		*r = slices.Delete(*r, alike, alike+1)
	case len(*r) == most:
		*r = slices.Delete(*r, 0, 1)
	}
	*r = append(*r, t)
}

// note keeps a message that has ended, if there is something about it.
func (t *troubles) note(m *message, at time.Time) {
	if t == nil {
		return
	}
	warned := m.warns()
	if !warned && !m.failedVerification() {
		return
	}
	trouble := monitor.Trouble{
		Time: at, QueueID: clipText(m.queueID(), 64), Decision: string(m.decision.Verdict),
		Action: m.outcome.disposition.action.String(), Domain: shownName(m.decision.Author.Domain), Reason: m.troubleWords(),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if warned {
		t.warned.add(trouble, mostTroubles)
	} else {
		t.failed.add(trouble, mostFailed)
	}
}

// newest are all that are kept, the newest first.
func (t *troubles) newest() []monitor.Trouble {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	all := slices.Concat(t.warned, t.failed)
	t.mu.Unlock()
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b monitor.Trouble) int { return b.Time.Compare(a.Time) })
	return all
}

// warns reports whether an administrator should see the message.
func (m *message) warns() bool {
	return m.decision.Warn && !m.outcome.passed || m.outcome.disposition.action != config.Accept
}

// failedVerification reports whether it has signatures and none passed.
func (m *message) failedVerification() bool {
	return !m.outcome.passed && slices.ContainsFunc(m.outcome.verified, func(r dkim.Result) bool {
		return r.Status != dkim.Neutral
	})
}

// troubleWords say why a message did not go as it should, in less than the log has:
// of the message itself they have names of domains and selectors alone.
func (m *message) troubleWords() string {
	d, o := &m.decision, &m.outcome
	if d.Verdict != Verify {
		return clipText(shownWords(d.Reasons), maxTroubleReason)
	}
	var parts []string
	if o.disposition.action != config.Accept {
		reply, _, _ := strings.Cut(o.disposition.text, " (") // what follows repeats the signature
		parts = append(parts, reply)
	}
	const most = 3
	for i, r := range o.verified {
		if i == most {
			parts = append(parts, "…")
			break
		}
		text := string(r.Status) + " d=" + shownName(r.Domain) + " s=" + shownName(r.Selector)
		if r.Err != nil {
			text += ": " + cause(r.Err)
		}
		parts = append(parts, text)
	}
	if d.Warn {
		parts = append(parts, shownWords(d.Reasons))
	}
	return clipText(strings.Join(parts, "; "), maxTroubleReason)
}

// cause is the error that others were first made of: constant words.
func cause(err error) string {
	for {
		switch outer := err.(type) {
		case interface{ Unwrap() error }:
			err = outer.Unwrap()
		case interface{ Unwrap() []error }:
			err = outer.Unwrap()[0]
		default:
			return err.Error()
		}
	}
}

// What of the arguments of a reason is shown to those who may see no mail.
const (
	whole   = 'w'
	name    = 'n' // a domain's
	domain  = 'd' // of an address its domain
	about   = 'a' // an error about the address before: all of it, if that has a domain
	nothing = '-'
)

// hidden stands where something is not shown.
const hidden = "…"

// shownArgs has for each reason what is shown of its arguments, one letter each.
var shownArgs = map[Code]string{
	ReasonPeer:            "w",
	ReasonHeaderSize:      "w",
	ReasonHeaderFields:    "w",
	ReasonNoFrom:          "",
	ReasonManyFrom:        "w",
	ReasonBadFrom:         "--",
	ReasonLocalAuthor:     "d",
	ReasonSenderUnread:    "w",
	ReasonSenderMacro:     "wd",
	ReasonMacroUnread:     "w--",
	ReasonReplaceEndless:  "--",
	ReasonExemptDomain:    "n",
	ReasonMTAMatch:        "w",
	ReasonNoMTAMatch:      "w",
	ReasonMacroMatch:      "w-",
	ReasonNoMacroMatch:    "",
	ReasonInternal:        "ww",
	ReasonNotInternal:     "w",
	ReasonAuthenticated:   "-",
	ReasonNotAuthentic:    "",
	ReasonRow:             "ww",
	ReasonNoRow:           "d",
	ReasonRowError:        "da",
	ReasonUnknownKey:      "da",
	ReasonIdentityDropped: "-",
	ReasonKeyUnusable:     "ww",
	ReasonKeyUnpublished:  "ww",
	ReasonKeyUnseen:       "ww",
	ReasonStranger:        "wn",
	ReasonModeNoSign:      "",
	ReasonModeNoVerify:    "",
	ReasonRecipient:       "d",
	ReasonBodyLength:      "d",
	ReasonRequiredFields:  "w",
	ReasonStrictFields:    "w",
	ReasonAuthorMismatch:  "d-d",
	ReasonAlreadySigned:   "ww",
	ReasonSignError:       "www",
	ReasonPanic:           "",
}

// shownWords joins reasons without what they have of the message but domains. The
// last comes first: it is why, and the others what led there.
func shownWords(reasons []Reason) string {
	shown := make([]Reason, 0, len(reasons))
	for _, r := range slices.Backward(reasons) {
		args := make([]string, len(r.Args))
		for i, arg := range r.Args {
			how := rune(nothing)
			if i < len(shownArgs[r.Code]) {
				how = rune(shownArgs[r.Code][i])
			}
			if how == about && !strings.HasSuffix(args[i-1], "@"+hidden) {
				how = whole
			}
			args[i] = shownArg(arg, how)
		}
		shown = append(shown, Reason{r.Code, args})
	}
	return Words(shown)
}

func shownArg(arg string, how rune) string {
	at := strings.LastIndexByte(arg, '@')
	switch {
	case how == whole:
		return clipText(arg, maxTroubleReason)
	case how == name:
		return shownName(arg)
	case how == domain && at >= 0:
		return hidden + "@" + shownName(arg[at+1:])
	}
	return hidden
}

// shownName is a domain or selector from mail, hidden if it is none.
func shownName(name string) string {
	if name == "" {
		return ""
	}
	ascii, err := dkim.DomainName(name)
	if err != nil {
		return hidden
	}
	return ascii
}

// clipText is clipTo for what is not quoted afterwards: UTF-8 stays whole.
func clipText(s string, longest int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= longest {
		return s
	}
	for longest > 0 && !utf8.RuneStart(s[longest]) {
		longest--
	}
	return s[:longest] + "…"
}
