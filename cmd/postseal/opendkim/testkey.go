package opendkim

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/milter/dkim"
)

const testkeyUsage = `	-d domain  	domain name
	-k keypath 	path to private key
	-s selector	selector name
	-v         	increase verbose output
	-x conffile	configuration file
`

// lookupTimeout bounds the look-ups for one key or one message.
const lookupTimeout = 10 * time.Second

// keyTest is one run of opendkim-testkey.
type keyTest struct {
	call
	verbose  int
	resolver dkim.Resolver
}

// testkey is opendkim-testkey(8): it compares one key with its DNS record, or
// those of the configuration's KeyTable.
func testkey(c call) int {
	usage := func() int {
		fmt.Fprintf(c.err, "%s: usage: %s [options]\n%s", c.name, c.name, testkeyUsage)
		return exitConfig
	}
	found, _, err := getopt(c.args, "d:k:s:vx:")
	if err != nil {
		c.say("%v", err)
		return usage()
	}
	t := keyTest{call: c}
	var domain, selector, file, path string
	for _, o := range found {
		switch o.letter {
		case 'd':
			domain = o.value
		case 'k':
			file = o.value
		case 's':
			selector = o.value
		case 'v':
			t.verbose++
		case 'x':
			path = o.value
		}
	}
	conf, exit := readConf(c, path, t.verbose)
	if exit != exitOK {
		return exit
	}
	if t.resolver, err = conf.resolver(); err != nil {
		c.say("%v", err)
		return exitConfig
	}
	if domain == "" && selector == "" && file == "" && conf.value("KeyTable") != "" {
		return t.walk(dataset.Text(conf.value("KeyTable")), conf.base())
	}
	if domain == "" {
		if domain = conf.value("Domain"); strings.Contains(domain, ",") {
			c.say("Domain has several domains: choose one with -d")
			return exitConfig
		}
	}
	if selector == "" {
		selector = conf.value("Selector")
	}
	if file == "" && conf.value("KeyFile") != "" {
		file = conf.path(conf.value("KeyFile"))
	}
	if domain == "" || selector == "" {
		return usage()
	}
	return t.one(domain, selector, file)
}

// detail prints a line from this verbosity on.
func (t *keyTest) detail(verbosity int, format string, args ...any) {
	if t.verbose >= verbosity {
		t.say(format, args...)
	}
}

// one tests the key of -d, -s and -k.
func (t *keyTest) one(domain, selector, file string) int {
	var public crypto.PublicKey
	if file != "" {
		key, exit, err := t.load(file)
		if err != nil {
			t.say("%v", err)
			return exit
		}
		public = key.Public()
		t.detail(2, "key loaded from %s", file)
	}
	t.detail(2, "checking key '%s._domainkey.%s'", selector, domain)
	r := t.check(domain, selector, public)
	if r.trouble != "" {
		t.say("%s", r.trouble)
		t.explain(r)
		return exitUnavailable
	}
	t.detail(1, "key %s", secure(r.Authentic))
	switch {
	case r.differs:
		fmt.Fprintf(t.out, "%s: keys do not match\n", t.name)
		t.explain(r)
		return exitDataErr
	case !r.Usable():
		t.problems(r)
		return exitUnavailable
	case t.verbose >= 3:
		fmt.Fprintf(t.out, "%s: key OK\n", t.name)
	}
	return exitOK
}

func secure(authentic bool) string {
	if authentic {
		return "secure"
	}
	return "not secure"
}

// load reads a private key. Of an error it gives the exit code, too.
func (t *keyTest) load(path string) (key crypto.Signer, exit int, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, exitOSErr, fmt.Errorf("%s: stat(): %s", path, strerror(err))
	case !info.Mode().IsRegular():
		return nil, exitOSErr, fmt.Errorf("%s: stat(): not a regular file", path)
	case info.Mode().Perm()&0o066 != 0:
		t.say("%s: WARNING: unsafe permissions", path)
	}
	key, err = keys.ReadPrivate(path)
	switch {
	case err == nil:
		return key, exitOK, nil
	case errors.Is(err, keys.ErrNoPrivateKey):
		return nil, exitUnavailable, err
	}
	return nil, exitOSErr, fmt.Errorf("%s: open(): %s", path, strerror(err))
}

// outcome is what became of one record.
type outcome struct {
	*published.Report
	// trouble is why the record cannot be had or used, in OpenDKIM's words.
	trouble string
	// differs: it is another key than the private one.
	differs bool
}

// check asks for a record and compares it with public, unless that is nil.
func (t *keyTest) check(domain, selector string, public crypto.PublicKey) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	asked := &witness{Resolver: t.resolver}
	r := outcome{Report: published.Check(ctx, asked, domain, selector, public)}
	name := selector + "._domainkey." + domain
	switch {
	case r.Has(published.BadName):
		r.trouble = "syntax error on input" // the name may have anything in it
	case r.Has(published.LookupFailed) && asked.timedOut():
		r.trouble = fmt.Sprintf("'%s' query timed out", name)
	case r.Has(published.LookupFailed):
		r.trouble = fmt.Sprintf("'%s' query failed", name)
	case len(r.Records) == 0:
		r.trouble = fmt.Sprintf("'%s' record not found", name)
	case len(r.Records) > 1:
		r.trouble = fmt.Sprintf("multiple DNS replies for '%s'", name)
	default:
		r.trouble = recordTrouble(r.Records[0])
	}
	// A record without a readable key is another one than ours.
	r.differs = public != nil && !r.Same
	return r
}

// witness remembers the error of a look-up.
type witness struct {
	dkim.Resolver
	err error
}

func (w *witness) LookupTXT(ctx context.Context, name string) ([]string, bool, error) {
	txt, authentic, err := w.Resolver.LookupTXT(ctx, name)
	w.err = errors.Join(w.err, err)
	return txt, authentic, err
}

// timedOut reports whether nobody answered in time.
func (w *witness) timedOut() bool {
	var timeout net.Error
	return errors.Is(w.err, context.DeadlineExceeded) || errors.Is(w.err, os.ErrDeadlineExceeded) ||
		errors.As(w.err, &timeout) && timeout.Timeout()
}

// explain says more about a failure, where anything is to be said.
func (t *keyTest) explain(r outcome) {
	if t.verbose > 0 {
		t.problems(r)
	}
}

// problems prints what is wrong with a record and what to do. That there is none
// was said, and OpenDKIM's words suffice for it; what to do about a look-up that
// failed is said in terms of flags that this command lacks.
func (t *keyTest) problems(r outcome) {
	for _, f := range r.Findings {
		text := strings.TrimSuffix(f.Text, ".") + "."
		switch {
		case f.Level != published.Problem, f.Code == published.NoRecord:
		case f.Code == published.LookupFailed:
			t.say("%s", text)
		default:
			t.say("%s %s", text, f.Fix)
		}
	}
}
