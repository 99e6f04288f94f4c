package opendkim

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/keys"
)

const genzoneUsage = `	-C user@host	contact address to include in SOA
	-d domain   	write keys for named domain only
	-D          	include '._domainkey' suffix
	-E secs     	use specified expiration time in SOA
	-F          	include '._domainkey' suffix and domainname
	-M          	restricts the keys for use in e-mail signing only
	-o file     	output file
	-N ns[,...] 	list NS records
	-r secs     	use specified refresh time in SOA
	-R secs     	use specified retry time in SOA
	-s          	with -d, also match subdomains
	-S          	write an SOA record
	-t secs     	use specified per-record TTL
	-T secs     	use specified default TTL in SOA
	-u          	produce output suitable for use by "nsupdate"
	-v          	verbose output
	-x file     	configuration file
`

// genzone is opendkim-genzone(8): the records of all keys of a KeyTable, for a
// zone file or for nsupdate(1). Nothing is written unless all of it can be.
func genzone(c call) int {
	z := zone{refresh: 10800, retry: 1800, expire: 604800, minimum: 86400, ttl: -1, now: time.Now()}
	out, conf, verbose, table, exit := z.options(c)
	if exit != exitOK {
		return exit
	}
	entries, err := keys.ReadTable(table, conf.base())
	if err != nil {
		c.say("dkimf_db_open(): %s", openReason(err))
		return exitFailed
	}
	if verbose > 0 {
		c.say("database opened")
	}
	if err := z.host(); err != nil {
		c.say("%v", err)
		return exitFailed
	}
	var b strings.Builder
	z.begin(&b, c.name)
	for i, e := range entries {
		if !z.wants(c, i, e) {
			continue
		}
		if e.Err != nil && e.Domain == "" {
			c.say("dkimf_db_walk(%d) failed: %v", i, e.Err)
			return exitFailed
		}
		if verbose > 1 {
			c.say("record %d for '%s' retrieved", i, e.Name)
		}
		key, err := e.Private()
		if err != nil {
			c.say("key for '%s' load failed", e.Name)
			c.say("%s: %v", e.Where, err)
			return exitFailed
		}
		if verbose > 1 {
			c.say("key for '%s' loaded", e.Name)
		}
		z.record(&b, e, keys.RecordText(key.Public()))
	}
	z.end(&b)
	// Between the records in a zone file the count would be an error.
	counted := c.err
	if out != "" {
		if err := write(out, b.String()); err != nil {
			c.say("%s: fopen(): %s", out, strerror(err))
			return exitFailed
		}
		counted = c.out
	} else if _, err := fmt.Fprint(c.out, b.String()); err != nil {
		c.say("%v", err)
		return exitFailed
	}
	if verbose > 0 {
		plural := "s"
		if z.written == 1 {
			plural = ""
		}
		fmt.Fprintf(counted, "%s: %d record%s written\n", c.name, z.written, plural)
	}
	return exitOK
}

// openReason is why a data set cannot be opened, in OpenDKIM's words where it
// has some.
func openReason(err error) string {
	if errors.Is(err, dataset.ErrType) {
		return "Unknown database type: " + err.Error()
	}
	return strerror(err)
}

// write replaces a file in one step; what is no regular file is written to, and
// one in a folder of somebody else, too.
func write(path, content string) error {
	fill := func(path string) error { return os.WriteFile(path, []byte(content), 0o666) }
	info, missing := os.Stat(path)
	if missing == nil && !info.Mode().IsRegular() {
		return fill(path)
	}
	commit, err := stage(path, fill)
	switch {
	case missing == nil && errors.Is(err, fs.ErrPermission):
		return fill(path)
	case err != nil:
		return err
	}
	return commit(true)
}

// zone is what opendkim-genzone writes.
type zone struct {
	domain                          string // only keys of this one
	subdomains                      bool   // and of those below it
	domainkey, full, email          bool
	soa, update                     bool
	refresh, retry, expire, minimum int
	ttl                             int // of every record; -1 for none
	contact, nameservers            string
	hasNameservers                  bool
	now                             time.Time

	servers []string // the nameservers, or this machine
	last    string   // the zone of the record before, for nsupdate
	written int
}

// options reads the command line; a code other than exitOK ends the program.
func (z *zone) options(c call) (out string, conf toolConf, verbose int, table dataset.Spec, exit int) {
	usage := func() { fmt.Fprintf(c.err, "%s: usage: %s [opts] [dataset]\n%s", c.name, c.name, genzoneUsage) }
	found, operands, err := getopt(c.args, "C:d:DE:FMo:N:r:R:sSt:T:uvx:")
	path := ""
	for _, o := range found {
		number, text := (*int)(nil), ""
		switch o.letter {
		case 'C':
			z.contact = o.value
		case 'd':
			z.domain = o.value
		case 'D':
			z.domainkey = true
		case 'E':
			number, text = &z.expire, "expire"
		case 'F':
			z.full = true
		case 'M':
			z.email = true
		case 'o':
			out = o.value
		case 'N':
			z.nameservers, z.hasNameservers = o.value, true
		case 'r':
			number, text = &z.refresh, "refresh"
		case 'R':
			number, text = &z.retry, "retry"
		case 's':
			z.subdomains = true
		case 'S':
			z.soa = true
		case 't':
			number, text = &z.ttl, "TTL"
		case 'T':
			number, text = &z.minimum, "default TTL"
		case 'u':
			z.update = true
		case 'v':
			verbose++
		case 'x':
			path = o.value
		}
		if number != nil && !seconds(o.value, number) {
			c.say("invalid %s value", text)
			return out, conf, verbose, table, exitUsage
		}
	}
	if err != nil {
		c.say("%v", err)
		usage()
		return out, conf, verbose, table, exitUsage
	}
	if z.subdomains && z.domain == "" {
		c.say("subdomain matching requires a domain")
		return out, conf, verbose, table, exitUsage
	}
	if err := z.check(); err != nil {
		c.say("%v", err)
		return out, conf, verbose, table, exitUsage
	}
	if conf, exit = readConf(c, path, 0); exit != exitOK {
		return out, conf, verbose, table, exit
	}
	switch {
	case len(operands) > 0:
		table = dataset.Text(operands[0])
	case conf.value("KeyTable") != "":
		table = dataset.Text(conf.value("KeyTable"))
	default:
		usage()
		return out, conf, verbose, table, exitUsage
	}
	return out, conf, verbose, table, exitOK
}

// check refuses words that would end the line that they are written on.
func (z *zone) check() error {
	for _, word := range []string{z.domain, z.contact, z.nameservers} {
		if strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`;"()`, r) }) {
			return fmt.Errorf("%q cannot stand in a zone", word)
		}
	}
	return nil
}

// seconds reads a time as strtol(3) does, with nothing behind it. It is at most
// what DNS can hold (RFC 2181 §8).
func seconds(s string, to *int) bool {
	if s == "" {
		*to = 0
		return true
	}
	n, err := strconv.ParseInt(strings.TrimLeft(s, " \t\n\v\f\r"), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return false
	}
	*to = int(n)
	return true
}
