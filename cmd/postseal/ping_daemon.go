package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/load"
	"github.com/postseal/postseal/milter/resolver"
)

// What a signature was verified with.
const (
	verifiedPublic = "public key"
	verifiedNames  = "names"
)

// pinger asks a daemon.
type pinger struct {
	cfg      *config.Config // nil: there is none here
	snapshot *milter.Snapshot
	form     form
	targets  []target
	// elsewhere: key files here need not be those of the daemon.
	elsewhere bool

	letters []letter
	asked   map[string]*askedKey
	order   []*askedKey

	sockets         []pingedSocket
	problems, notes []string
	status          *milter.Status // what the daemon says of itself, if it does
	unasked         error          // why it does not
}

func (p *pinger) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

func (p *pinger) fail(format string, args ...any) {
	p.problems = append(p.problems, p.form.words(fmt.Sprintf(format, args...)))
}

// run asks for at most so many keys, and for those that the daemon has trouble with.
func (p *pinger) run(ctx context.Context, most int) {
	p.asked = map[string]*askedKey{}
	if p.cfg != nil {
		also := map[string]bool{}
		for _, k := range p.trouble(ctx) {
			also[k.Name] = true
		}
		p.plan(most, also)
	}
	for _, t := range p.targets {
		start := time.Now()
		n, err := p.talk(ctx, t)
		if err != nil {
			p.fail("%s: %v", t.name, err)
		}
		p.sockets = append(p.sockets, pingedSocket{Socket: t.name, Messages: n, Seconds: time.Since(start).Seconds()})
	}
	p.trouble(ctx) // as the messages have left it
}

// trouble asks the daemon which keys cannot sign.
func (p *pinger) trouble(ctx context.Context) (bad []keys.KeyInfo) {
	if p.elsewhere || p.cfg == nil {
		return nil
	}
	c := milter.Control{Dir: p.cfg.RuntimeDirectory}
	s, err := c.Trouble(ctx)
	if err != nil {
		p.unasked = unreachable(c, err)
		return nil
	}
	s.Keys = slices.DeleteFunc(s.Keys, func(k keys.KeyInfo) bool { return k.State != keys.StateDisabled && k.State != keys.StateStale })
	p.status = &s
	return s.Keys
}

// talk takes the letters through one socket and returns how many were answered.
func (p *pinger) talk(ctx context.Context, t target) (answered int, err error) {
	letters := p.letters
	if !t.mode.Sign || len(letters) == 0 {
		letters = []letter{strange()}
	}
	var conn *load.Conn
	var open load.Answer // to the client
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for i, l := range letters {
		if i == 0 || l.Client != letters[i-1].Client {
			if conn != nil {
				conn.Close()
			}
			if conn, open, err = load.Dial(ctx, t.network, t.address, l.Client); err != nil {
				conn = nil
				return answered, noMilter(ctx, err)
			}
		}
		answer := open
		if open.Code == 'c' {
			if answer, err = conn.Deliver(l.Message); err != nil {
				return answered, fmt.Errorf("the message %s is not answered: %w; the daemon's log says why", l.QueueID, err)
			}
		}
		answered++
		p.judge(ctx, t, l, answer)
	}
	return answered, nil
}

// noMilter says what an error at the beginning of a connection comes from.
func noMilter(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w; the daemon hangs, or no milter listens there", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon listens there: %w; start it (postseal serve)", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run this as root or as the daemon's user", err)
	case errors.Is(err, load.ErrClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w; maximum_connections may be in use (postseal status), or no milter listens there", err)
	}
	return err
}

// judge notes what an answer says of the keys that a letter asks for.
func (p *pinger) judge(ctx context.Context, t target, l letter, a load.Answer) {
	if len(l.want) == 0 {
		if a.Defers() && (p.cfg == nil || p.cfg.OnNoSignature != config.Tempfail && p.cfg.OnNoAlignedPass != config.Tempfail) {
			p.fail("%s: the message %s is deferred (%v); the daemon's log says why", t.name, l.QueueID, a)
		}
		return
	}
	var results []dkim.Result
	if a.Accepts() {
		results = verifyLetter(ctx, l, a.Changes)
	}
	for _, k := range l.want {
		f := missing{by: []*askedKey{k}}
		switch {
		case !a.Accepts():
			f = missing{fmt.Sprintf("the message %s is not let through (%v); the daemon's log says why", l.QueueID, a), l.want}
		default:
			f.text = k.look(results)
		}
		if f.text == "" {
			k.answered++
			continue
		}
		f.text = t.name + ": " + f.text
		k.failures = append(k.failures, f)
	}
}

// verifyLetter verifies the signatures that a letter came back with.
func verifyLetter(ctx context.Context, l letter, changes []load.Change) []dkim.Result {
	var fields []dkim.Field
	for _, c := range changes {
		if (c.Code == 'i' || c.Code == 'h') && strings.EqualFold(c.Name, "DKIM-Signature") {
			value := strings.ReplaceAll(c.Value, "\n", "\r\n")
			if !strings.HasPrefix(value, " ") { // the MTA puts one there
				value = " " + value
			}
			fields = append(fields, dkim.Field{Name: c.Name, Value: value})
		}
	}
	zone := map[string][]string{}
	for _, k := range l.want {
		if k.record != "" {
			zone[k.name] = []string{k.record}
		}
	}
	body := dkim.NewBody()
	rules := config.Default()
	verifier := dkim.NewVerifier(ctx, append(fields, l.fields...), body, resolver.NewRecords(zone), dkim.VerifyOptions{
		MaxSignatures: 2*len(l.want) + len(fields), MaxRSABits: 2 * rules.MaximumKeyBits,
		Now: time.Now(), ClockDrift: rules.ClockDrift.Std(), BodyLength: dkim.BodyLengthAccept,
	})
	_, _ = body.Write(l.Body)
	body.Close()
	return verifier.Results()
}

// look finds the key's signature among those of a letter, and returns what is wrong
// with it.
func (k *askedKey) look(results []dkim.Result) string {
	var others []string
	failure := ""
	for _, r := range results {
		if name, err := published.RecordName(r.Selector, r.Domain); err != nil || name != k.name {
			others = append(others, fmt.Sprintf("d=%q s=%q", r.Domain, r.Selector))
			continue
		}
		switch {
		case k.record == "":
			k.Verified = verifiedNames
			return ""
		case r.Status == dkim.Pass:
			k.Verified = verifiedPublic
			return ""
		}
		failure = fmt.Sprintf("the signature does not verify with the public half of the key here (%v): the daemon has another key, or other settings; postseal reload has it read them anew", r.Err)
	}
	switch {
	case failure != "":
		return failure
	case len(others) > 0:
		return fmt.Sprintf("its signature is not there, only %s; if the tables have changed, postseal reload has the daemon read them anew", strings.Join(others, ", "))
	}
	return "the message came back without a signature; the daemon's log says why, and postseal reload has it read changed tables"
}

// report sums up.
func (p *pinger) report() *pinged {
	told := map[string]bool{}
	for _, k := range p.order {
		p.conclude(k, told)
	}
	p.concludeStatus(told)
	r := &pinged{OK: len(p.problems) == 0, Sockets: p.sockets, Keys: []pingedKey{}, Problems: p.problems, Notes: p.notes}
	for _, k := range p.order {
		r.Keys = append(r.Keys, k.pingedKey)
	}
	if r.Problems == nil {
		r.Problems = []string{}
	}
	if r.Notes == nil {
		r.Notes = []string{}
	}
	return r
}

// conclude judges a key by all that was seen of it, and notes whether its trouble
// was told.
func (p *pinger) conclude(k *askedKey, told map[string]bool) {
	k.Signs = k.answered > 0 && len(k.failures) == 0
	if !k.Signs {
		k.Verified = ""
	}
	if p.excused(k) {
		return
	}
	why := p.statusOf(k.Name)
	if k.isBad() && !p.elsewhere {
		why = k.err.Error()
	}
	told[k.Name] = why != ""
	switch {
	case len(k.failures) > 0:
		text := fmt.Sprintf("key %q, d=%s s=%s: %s", k.Name, k.Domain, k.Selector, k.failures[0].text)
		if more := len(k.failures) - 1; more > 0 {
			text += fmt.Sprintf("; and so on %d more sockets", more)
		}
		switch {
		case why != "":
			text += ": " + why
		case p.status == nil && p.cfg.UnpublishedKeys != config.SignUnpublished:
			text += "; or unpublished_keys withholds it: postseal explain " + k.Sender
		}
		p.fail("%s", text)
	case why != "" && k.Signs:
		p.fail("%s; the daemon signs with the key from before while it runs", why)
	case why != "":
		p.fail("%s", why)
	case k.err != nil && k.Signs:
		p.note("key %q cannot be read here, so d= and s= alone were compared: %s", k.Name, p.form.words(k.err.Error()))
	}
}

// excused reports whether a key does not sign for no other reason than that
// unpublished_keys withholds it, or another key of its letters: the daemon does what it
// was told. It notes so.
func (p *pinger) excused(k *askedKey) bool {
	withheld := func(k *askedKey) bool { return p.withheld(k) != "" }
	other := func(f missing) bool { return !slices.ContainsFunc(f.by, withheld) }
	if len(k.failures) == 0 || slices.ContainsFunc(k.failures, other) {
		return false
	}
	k.Withheld = p.withheld(k)
	name := fmt.Sprintf("key %q, d=%s s=%s", k.Name, k.Domain, k.Selector)
	switch {
	case k.Withheld == "":
		p.note("%s does not sign: mail of %s is deferred for another key, as unpublished_keys asks", name, k.Sender)
	case p.cfg.UnpublishedKeys == config.DeferUnpublished:
		p.note("%s does not sign, and its mail is deferred, as unpublished_keys asks: %s", name, printable(k.Withheld))
	default:
		p.note("%s does not sign and is passed over, as unpublished_keys asks: %s", name, printable(k.Withheld))
	}
	return true
}

// withheld is why unpublished_keys kept a key from signing, "" if it did not.
func (p *pinger) withheld(k *askedKey) string {
	if p.status == nil {
		return ""
	}
	for _, w := range p.status.Withheld {
		if w.Name == k.Name && w.Record == k.name {
			return w.Why
		}
	}
	return ""
}

// statusOf is what the daemon says is wrong with a key, "" if nothing.
func (p *pinger) statusOf(name string) string {
	if p.status == nil {
		return ""
	}
	for _, k := range p.status.Keys {
		if k.Name == name {
			return p.wordsOf(k)
		}
	}
	return ""
}

// wordsOf is what the daemon says is wrong with a key that it has trouble with.
func (p *pinger) wordsOf(k keys.KeyInfo) string {
	for _, text := range p.status.Disabled {
		if strings.HasPrefix(text, k.Where+": key ") {
			return text
		}
	}
	text := fmt.Sprintf("%s: key %q: ", k.Where, k.Name)
	if k.Path != "" && !strings.Contains(k.Error, k.Path) {
		text += k.Path + ": "
	}
	return text + k.Error
}

// concludeStatus adds what the daemon says of keys and rows that were not asked.
func (p *pinger) concludeStatus(told map[string]bool) {
	if p.status == nil {
		if p.unasked != nil {
			p.note("the daemon was not asked which keys it has trouble with: %v", p.unasked)
		}
		return
	}
	for _, k := range p.status.Keys {
		switch {
		case told[k.Name]:
		case k.State == keys.StateStale:
			p.fail("%s; the daemon signs with the key from before while it runs", p.wordsOf(k))
		default:
			p.fail("%s", p.wordsOf(k))
		}
	}
	for _, text := range p.status.Disabled {
		if words := p.form.words(text); !slices.ContainsFunc(p.problems, func(s string) bool { return strings.Contains(s, words) }) {
			p.fail("%s", text)
		}
	}
}
