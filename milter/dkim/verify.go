package dkim

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// What a zero in [VerifyOptions] means.
const (
	DefaultMaxSignatures = 10
	DefaultMinRSABits    = minRSABits // RFC 8301 §3.2: verifiers must not take smaller keys
	DefaultMaxRSABits    = 8192
)

// maxRSABits bounds MaxRSABits: a verification with 16,384 bits takes about
// ten milliseconds, and grows with the square of the bits.
const maxRSABits = 16384

// VerifyOptions are the verifier's own rules. The zero value is usable but for Now.
type VerifyOptions struct {
	// MaxSignatures is how many signatures are verified, from the top; those
	// below are [Neutral]. It bounds the look-ups, too. 0: DefaultMaxSignatures.
	MaxSignatures int
	// Prefer, if not nil, tells the domains (d= in A-labels and lower case) whose
	// signatures are verified before all others. It is asked once a signature,
	// of which there may be thousands, and not where all are verified anyway.
	Prefer func(domain string) bool
	// PreferredOnly leaves all others out: they are [Neutral] with ErrUntrusted.
	PreferredOnly bool
	// MinRSABits and MaxRSABits bound RSA keys, both inclusive; outside them the
	// result is [Policy]. 0: the defaults; less than 1024 counts as 1024.
	MinRSABits, MaxRSABits int
	// Now is the time by which t= and x= are judged.
	Now time.Time
	// ClockDrift is how far t= may be in the future and x= in the past.
	ClockDrift time.Duration
	BodyLength BodyLengthPolicy
	// Minimum bounds what [BodyLengthAccept] takes.
	Minimum BodyMinimum
	// MustCover names header fields, each once, whose every instance a signature
	// has to cover; else it fails with ErrUnprotectedField.
	MustCover []string
}

func (o VerifyOptions) withDefaults() VerifyOptions {
	if o.MaxSignatures <= 0 {
		o.MaxSignatures = DefaultMaxSignatures
	}
	o.MinRSABits = max(o.MinRSABits, DefaultMinRSABits)
	if o.MaxRSABits <= 0 {
		o.MaxRSABits = DefaultMaxRSABits
	}
	o.MaxRSABits = min(o.MaxRSABits, maxRSABits)
	return o
}

// Verifier verifies the signatures of one message. It is not safe for
// concurrent use.
type Verifier struct {
	ctx     context.Context
	fields  []Field
	options VerifyOptions
	checks  []*check
	leftOut []leftOut // those that are not verified, of which there may be thousands
	lookups map[string]*lookup
	ready   chan struct{}
	results []Result
}

// NewVerifier begins to verify, at the end of the header: it reads the
// DKIM-Signature fields, asks body for the hashes of those that can still pass, and asks r for
// their keys, all at once and each name once, before the body has come. Every check that
// needs neither key nor body comes before any question.
//
// fields is the whole header from top to bottom and must not change
// afterwards. ctx bounds the look-ups. Where no result is wanted any more,
// cancelling ctx is all there is to do: goroutines end when r answers.
func NewVerifier(ctx context.Context, fields []Field, body *Body, r Resolver, o VerifyOptions) *Verifier {
	v := &Verifier{
		ctx:     ctx,
		fields:  fields,
		options: o.withDefaults(),
		lookups: make(map[string]*lookup),
		ready:   make(chan struct{}),
	}
	var candidates []int
	for i, f := range fields {
		if f.Is("DKIM-Signature") {
			candidates = append(candidates, i)
		}
	}
	for n, why := range v.choose(candidates) {
		i := candidates[n]
		if why != nil {
			v.leftOut = append(v.leftOut, leftOut{i, why})
		} else {
			v.add(i, body)
		}
	}
	v.ask(r)
	return v
}

// choose says of each signature, by the index of its field, why it is not
// verified; nil: it is. Those that are preferred come first, then the others,
// both from the top.
func (v *Verifier) choose(candidates []int) []error {
	reasons := make([]error, len(candidates))
	if len(candidates) <= v.options.MaxSignatures && !v.options.PreferredOnly {
		return reasons // all of them, in whatever order
	}
	tooMany := fmt.Errorf("%w: only %d are verified", ErrTooManySignatures, v.options.MaxSignatures)
	var preferred []bool
	if v.options.Prefer != nil {
		preferred = make([]bool, len(candidates))
		for n, i := range candidates {
			domain := signingDomain(v.fields[i])
			preferred[n] = domain != "" && v.options.Prefer(domain)
		}
	}
	left := v.options.MaxSignatures
	take := func(which bool) {
		for n := range candidates {
			switch {
			case preferred != nil && preferred[n] != which:
			case left > 0:
				left--
			default:
				reasons[n] = tooMany
			}
		}
	}
	take(true)
	switch {
	case preferred == nil:
	case v.options.PreferredOnly:
		for n, p := range preferred {
			if !p {
				reasons[n] = ErrUntrusted
			}
		}
	default:
		take(false)
	}
	return reasons
}

// signingDomain reads d= of a signature field and no more, "" where it is no domain name.
func signingDomain(f Field) string {
	tags, _ := parseTagList(f.Value)
	d, _ := tags.get("d")
	domain, err := DomainName(d)
	if err != nil {
		return ""
	}
	return domain
}

// add reads the signature in field i.
func (v *Verifier) add(i int, body *Body) {
	c := newCheck(v.fields[i], i, v.options)
	v.checks = append(v.checks, c)
	if c.settled() {
		return
	}
	c.hash = body.Hash(c.sig.Body, c.sig.BodyLength)
	if c.sig.BodyLength >= 0 && v.options.BodyLength == BodyLengthAccept && v.options.Minimum.needsWhole() {
		c.whole = body.Hash(c.sig.Body, -1)
	}
	c.lookup = v.lookups[c.sig.keyName]
	if c.lookup == nil {
		c.lookup = &lookup{done: make(chan struct{})}
		v.lookups[c.sig.keyName] = c.lookup
	}
}

// ask starts the look-ups. The last one to end closes ready.
func (v *Verifier) ask(r Resolver) {
	if len(v.lookups) == 0 {
		close(v.ready)
		return
	}
	var left atomic.Int64
	left.Store(int64(len(v.lookups)))
	for name, l := range v.lookups {
		go func() {
			l.run(v.ctx, r, name)
			if left.Add(-1) == 0 {
				close(v.ready)
			}
		}()
	}
}

// Ready returns a channel that is closed when every look-up has ended, so
// that [Verifier.Results] does not wait.
func (v *Verifier) Ready() <-chan struct{} { return v.ready }

// Settled reports whether there are signatures and every result stands
// already, whatever keys and body are: Results may be asked at once.
func (v *Verifier) Settled() bool {
	return len(v.checks)+len(v.leftOut) > 0 && !slices.ContainsFunc(v.checks, func(c *check) bool { return !c.settled() })
}

// Results returns one result for each DKIM-Signature field, from the top of
// the header to the bottom; none for a message without a signature. The body must be closed, or
// [Body.Done]. It waits for the look-ups; those that have not ended when the
// context does are temporary errors.
func (v *Verifier) Results() []Result {
	if v.results != nil || len(v.checks)+len(v.leftOut) == 0 {
		return v.results
	}
	var index *headerIndex
	var must []present
	v.results = make([]Result, 0, len(v.checks)+len(v.leftOut))
	rest := v.leftOut
	for _, c := range v.checks {
		for len(rest) > 0 && rest[0].field < c.result.Field {
			v.results = append(v.results, rest[0].result(v.fields))
			rest = rest[1:]
		}
		if !c.settled() {
			if index == nil {
				index = newHeaderIndex(v.fields)
				must = fieldsToCover(v.fields, v.options.MustCover)
			}
			c.conclude(v.ctx, v.fields, index.picker(), must, v.options)
		}
		v.results = append(v.results, c.result)
	}
	for _, l := range rest {
		v.results = append(v.results, l.result(v.fields))
	}
	return v.results
}

// leftOut is a signature that is not verified: the index of its field, and why.
type leftOut struct {
	field int
	why   error
}

// result names the signature and no more.
func (l leftOut) result(fields []Field) Result {
	s := &signature{BodyLength: -1}
	tags, _ := parseTagList(fields[l.field].Value)
	s.identify(tags)
	r := resultOf(s, l.field)
	r.settle(Neutral, l.why)
	return r
}
