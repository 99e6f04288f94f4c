package opendkim

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
)

const genkeyUsage = `	--append-domain        include domain name in zone file stub
	--bits=n               use n bits to generate the key
	--directory=path       leave output in the named directory
	--domain=name          generate data for the named domain [%s]
	--ed25519              generate an Ed25519 key instead of an RSA key
	--hash-algorithms=list limit to use of the named algorithm(s)
	--help                 print help and exit
	--note=string          include specified note in zone data
	--restrict             restrict key to email use only
	--selector=name        selector name [%s]
	--subdomains           allow signing of subdomains
	--testmode             indicate key is in test mode
	--verbose              increased output
	--version              print version and exit
`

// exitFailed is what Perl scripts, and the C programs by their own return, end
// with when something went wrong.
const exitFailed = 1

// say prints a line on standard error, behind the command's name.
func (c call) say(format string, args ...any) {
	fmt.Fprintf(c.err, "%s: %s\n", c.name, fmt.Sprintf(format, args...))
}

// genkeyVersion is the version of OpenDKIM whose opendkim-genkey this one
// stands for.
const genkeyVersion = "v2.11.0"

// newKey is what opendkim-genkey is to make.
type newKey struct {
	domain, selector, directory string
	bits                        int
	ed25519                     bool
	hashes, note                string
	hasNote                     bool
	appendDomain, restricted    bool
	subdomains, testing         bool
	verbose                     int
}

// genkey is opendkim-genkey(8): a private key in SELECTOR.private, and its
// record in SELECTOR.txt. Both are overwritten, as scripts expect, but whole and
// never without a word.
func genkey(c call) int {
	k := newKey{domain: "localhost", selector: "default", directory: ".", bits: keys.DefaultRSABits, hashes: "sha256", subdomains: true}
	var help, version, strict bool
	options := longOptions{settings: k.settings(&help, &version, &strict), complain: func(line string) { fmt.Fprintln(c.err, line) }}
	if ok := options.read(c.args); !ok || help {
		// The defaults in the text are the values so far: so it is with OpenDKIM.
		fmt.Fprintf(c.err, "%s: usage: %s [options]\n"+genkeyUsage, c.name, c.name, k.domain, k.selector)
		if help {
			return exitOK
		}
		return exitFailed
	}
	if version {
		fmt.Fprintf(c.out, "%s %s\n", c.name, genkeyVersion)
		return exitOK
	}
	k.subdomains = k.subdomains && !strict
	if info, err := os.Stat(k.directory); err != nil || !info.IsDir() {
		if err == nil {
			err = syscall.ENOTDIR
		}
		c.say("%s: chdir(): %s", k.directory, strerror(err))
		return errno(err)
	}
	if err := k.make(c); err != nil {
		c.say("%v", err)
		return exitFailed
	}
	return exitOK
}

// settings are the options of the command line.
func (k *newKey) settings(help, version, strict *bool) []setting {
	word := func(to *string) func(string, bool) { return func(v string, _ bool) { *to = v } }
	onoff := func(to *bool) func(string, bool) { return func(_ string, on bool) { *to = on } }
	return []setting{
		{[]string{"a", "append-domain"}, isFlag, onoff(&k.appendDomain)},
		{[]string{"b", "bits"}, isNumber, func(v string, _ bool) { k.bits, _ = strconv.Atoi(v) }},
		{[]string{"D", "directory"}, isText, word(&k.directory)},
		{[]string{"d", "domain"}, isText, word(&k.domain)},
		{[]string{"ed25519"}, isFlag, onoff(&k.ed25519)},
		{[]string{"h", "hash-algorithms"}, isText, word(&k.hashes)},
		{[]string{"help"}, isFlag, onoff(help)},
		{[]string{"n", "note"}, isText, func(v string, _ bool) { k.note, k.hasNote = v, true }},
		{[]string{"r", "restrict"}, isFlag, onoff(&k.restricted)},
		{[]string{"s", "selector"}, isText, word(&k.selector)},
		{[]string{"S"}, isFlag, onoff(strict)},
		{[]string{"subdomains"}, isFlag, onoff(&k.subdomains)},
		{[]string{"t", "testmode"}, isFlag, onoff(&k.testing)},
		{[]string{"v", "verbose"}, isCounter, func(string, bool) { k.verbose++ }},
		{[]string{"V", "version"}, isFlag, onoff(version)},
	}
}

// make makes the key and writes both files. The error is for the user.
func (k *newKey) make(c call) error {
	if err := k.check(); err != nil {
		return err
	}
	detail := func(format string, args ...any) {
		if k.verbose > 0 {
			c.say(format, args...)
		}
	}
	detail("generating private key")
	kind := "ed25519"
	if !k.ed25519 {
		kind = "rsa"
		if k.bits < 1024 {
			c.say("WARNING: RFC6376 advises minimum 1024-bit keys")
		}
		k.bits = max(k.bits, 1) // 0 would be the default
	}
	if !slices.Contains(strings.Split(strings.ToLower(k.hashes), ":"), "sha256") {
		c.say("WARNING: h=%s allows no signature that passes: what is signed today has sha256 (RFC 8301 §3.1)", k.hashes)
	}
	key, err := keys.Generate(kind, k.bits)
	if err != nil {
		return err
	}
	private, record := k.selector+".private", k.selector+".txt"
	commit, err := stage(filepath.Join(k.directory, private), func(path string) error { return keys.WritePrivate(path, key) })
	if err != nil {
		return fmt.Errorf("unable to write to %s: %w", private, err)
	}
	commitText, err := stage(filepath.Join(k.directory, record), func(path string) error {
		return os.WriteFile(path, []byte(k.zoneText(key.Public())), 0o600)
	})
	if err != nil {
		return errors.Join(fmt.Errorf("unable to write to %s: %w", record, err), commit(false))
	}
	if _, err := os.Lstat(filepath.Join(k.directory, private)); err == nil {
		c.say("WARNING: %s was there already; the key that it held is overwritten", private)
	}
	if err := commit(true); err != nil {
		return errors.Join(fmt.Errorf("unable to write to %s: %w", private, err), commitText(false))
	}
	detail("private key written to %s", private)
	detail("extracting public key")
	if err := commitText(true); err != nil {
		return fmt.Errorf("unable to write from %s: %w", record, err)
	}
	detail("DNS TXT record written to %s", record)
	return nil
}

// check refuses what could not stand in a record or would end up elsewhere than
// in the two files.
func (k *newKey) check() error {
	if _, err := dkim.DomainName(k.selector); err != nil {
		return fmt.Errorf("the selector is no domain name: %w", err)
	}
	if strings.ContainsFunc(k.domain, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`;"\()`, r) }) {
		return fmt.Errorf("%q is no domain", k.domain)
	}
	if _, err := dkim.DomainName(strings.TrimSuffix(k.domain, ".")); k.appendDomain && err != nil {
		return fmt.Errorf("the domain is no domain name: %w", err)
	}
	for name := range strings.SplitSeq(k.hashes, ":") {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return fmt.Errorf("%q is no list of hash algorithms such as sha256", k.hashes)
		}
	}
	if strings.ContainsFunc(k.note, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`;"\`, r) }) {
		return fmt.Errorf("the note %q cannot stand in a record: it holds printable ASCII without ; \" and \\", k.note)
	}
	return nil
}

// keyPiece is how many characters of a key stand on one line of SELECTOR.txt.
const keyPiece = 250

// zoneText is the record as Debian's opendkim-genkey writes it: the tags in one
// string, the key in others, for a zone file.
func (k *newKey) zoneText(public crypto.PublicKey) string {
	_, p, _ := strings.Cut(keys.RecordText(public), "p=")
	kind := "rsa"
	if k.ed25519 {
		kind = "ed25519"
	}
	var b strings.Builder
	b.WriteString(zoneLabel(k.selector) + "._domainkey")
	if k.appendDomain {
		b.WriteString("." + zoneLabel(strings.TrimSuffix(k.domain, ".")) + ".")
	}
	b.WriteString("\tIN\tTXT\t( \"v=DKIM1;")
	if k.hasNote {
		b.WriteString(` n=\"` + k.note + `\";`)
	}
	b.WriteString(" h=" + k.hashes + "; k=" + kind + "; " + k.flags() + "\"\n\t  \"p=")
	for len(p) >= keyPiece {
		b.WriteString(p[:keyPiece] + "\"\n\t  \"")
		p = p[keyPiece:]
	}
	b.WriteString(p + "\" ) ")
	if k.domain != "" {
		b.WriteString(" ; ----- DKIM key " + k.selector + " for " + k.domain)
	}
	b.WriteByte('\n')
	return b.String()
}

// flags are the tags between k= and p=, each with a blank after it.
func (k *newKey) flags() string {
	var list []string
	if k.testing {
		list = append(list, "y")
	}
	if !k.subdomains {
		list = append(list, "s")
	}
	flags := ""
	if len(list) > 0 {
		flags = "t=" + strings.Join(list, ":") + "; "
	}
	if k.restricted {
		flags += "s=email; "
	}
	return flags
}

// zoneLabel is a name as a zone file holds it: U-labels as A-labels, and
// everything else as it was typed.
func zoneLabel(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		if ascii, err := dkim.DomainName(name); err == nil {
			return ascii
		}
	}
	return name
}

// errno is the exit code of a Perl script that dies of an error of the system.
func errno(err error) int {
	var number syscall.Errno
	if errors.As(err, &number) {
		return int(number)
	}
	return exitFailed
}
