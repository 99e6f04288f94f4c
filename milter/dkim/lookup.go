package dkim

import (
	"context"
	"fmt"
)

// maxKeyRecords is how many key records at one name are tried. RFC 6376
// §3.6.2.2 wants one; some domains keep an old key or an Ed25519 key beside it.
const maxKeyRecords = 4

// lookup is one question for the key records of a name, asked once a message
// however many signatures need it.
type lookup struct {
	done chan struct{} // closed when what follows is set

	txt       []string // at least one if err is nil
	authentic bool
	err       error // ErrNoKey or ErrKeyUnavailable

	keys []keyCandidate // see candidates
}

// keyCandidate is a record at the name of a key, read or refused.
type keyCandidate struct {
	record *KeyRecord
	err    error
}

// run asks r. A panic of the resolver is its failure and nobody else's.
func (l *lookup) run(ctx context.Context, r Resolver, name string) {
	defer close(l.done)
	defer func() {
		if p := recover(); p != nil {
			l.err = fmt.Errorf("%w: the look-up of %s failed inside: %v", ErrKeyUnavailable, name, p)
		}
	}()
	txt, authentic, err := r.LookupTXT(ctx, name)
	if err != nil {
		l.err = fmt.Errorf("%w: %s: %w", ErrKeyUnavailable, name, err)
		return
	}
	l.authentic = authentic
	if len(txt) == 0 {
		l.err = fmt.Errorf("%w: %s has no TXT record", ErrNoKey, name)
		return
	}
	l.txt = txt
}

// candidates reads the key records, once: those who ask share one goroutine. In
// the goroutine of run, whose stack is small, growing the stack for it would
// cost as much as all the reading.
func (l *lookup) candidates() []keyCandidate {
	if l.keys == nil {
		l.keys = readKeys(l.txt)
	}
	return l.keys
}

// readKeys reads the key records among the texts at a name. What is clearly
// something else is passed over; if nothing is left, the first text is read for its error.
func readKeys(txt []string) []keyCandidate {
	var keys []keyCandidate
	for _, t := range txt {
		if len(keys) == maxKeyRecords {
			break
		}
		if isKeyRecord(t) {
			keys = append(keys, readKey(t))
		}
	}
	if keys == nil {
		keys = append(keys, readKey(txt[0]))
	}
	return keys
}

func readKey(txt string) keyCandidate {
	r, err := ParseKeyRecord(txt)
	return keyCandidate{record: r, err: err}
}

// wait returns when the look-up has ended or, for resolvers that do not mind
// their context, when ctx has.
func (l *lookup) wait(ctx context.Context) error {
	select {
	case <-l.done:
		return l.err
	default:
	}
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrKeyUnavailable, context.Cause(ctx))
	}
}
