package opendkim

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/postseal/postseal/config/dataset"
)

// openable reports whether a data set has a type and a file that this build can
// read, and notes a problem where not. No row is read.
func (r *reading) openable(s setting) bool {
	err := dataset.Check(dataset.Text(s.value), dataset.Options{Base: r.config.BaseDirectory})
	if err == nil {
		return true
	}
	hint := strings.TrimLeft(strings.TrimPrefix(err.Error(), dataset.ErrType.Error()), ": ")
	r.refuse(s, r.shown(s)+": dkimf_db_open(): "+databaseReason(err), hint)
	return false
}

// databaseReason is OpenDKIM's reason for a data set that cannot be opened.
func databaseReason(err error) string {
	var code syscall.Errno
	switch {
	case errors.Is(err, dataset.ErrType):
		return "Unknown database type"
	case errors.As(err, &code):
		return SystemText(code)
	case strings.Contains(err.Error(), "is a directory"):
		return SystemText(syscall.EISDIR)
	}
	return SystemText(syscall.EINVAL)
}

// dataSet is the data set of a setting. What cannot be an element of a list here
// is left out: OpenDKIM takes it by the letter, and so it matches nothing.
func (r *reading) dataSet(s setting) dataset.Spec {
	spec := dataset.Text(s.value)
	var kept, idle []string
	for _, element := range spec.Elements() {
		if dataset.CheckElement(element) == nil {
			kept = append(kept, element)
		} else {
			idle = append(idle, strings.Trim(element, blanks))
		}
	}
	if idle == nil {
		return spec
	}
	r.notice(s, `%s: no effect, as in OpenDKIM; write a file alone, without a list, and a name before "="`, quoted(idle))
	return dataset.List(kept...)
}

// login is a user and a password in a data set's address, wherever they end.
var login = regexp.MustCompile(`//.*@`)

// shown is a data set's value without a password.
func (r *reading) shown(s setting) string { return login.ReplaceAllString(s.value, "//***@") }

// maxMacros bounds MacroList.
const maxMacros = 1000

// macroList takes what can be listed. OpenDKIM puts braces around a name itself:
// one that has them is never set there, and mail that was not signed is not
// signed here either.
func (r *reading) macroList(s setting) {
	if !r.openable(s) {
		return
	}
	spec := r.dataSet(s)
	set, err := dataset.Open(spec, dataset.Options{Base: r.config.BaseDirectory, ExactCase: true})
	switch {
	case err != nil:
		r.refuse(s, r.shown(s)+": dkimf_db_open(): "+databaseReason(err), err.Error())
		return
	case !set.Walkable():
		r.refuse(s, s.value+": invalid data set type for MacroList", "write file: or csl:")
		return
	case len(set.Rows()) > maxMacros:
		r.errorAt(s.place, "illegal value", fmt.Sprintf("%s: %s holds %d names, and at most %d are taken; is it the right file?", s.name, set.Source(), len(set.Rows()), maxMacros))
		return
	}
	var kept, braced []string
	for _, row := range set.Rows() {
		if strings.HasPrefix(row.Key, "{") {
			braced = append(braced, row.Key)
		} else {
			kept = append(kept, row.Key+"="+row.Value)
		}
	}
	if braced != nil {
		r.notice(s, "%s: no effect, as in OpenDKIM, which puts the braces around a name itself; leave them out", quoted(braced))
		spec = dataset.List(kept...)
	}
	r.config.MacroList = spec
}

// maxRules bounds the file of ReplaceRules.
const maxRules = 1 << 20

// replaceRules checks that the file can be read and that each line has its TAB;
// the expressions are read with the tables.
func (r *reading) replaceRules(s setting) {
	data, err := dataset.ReadFile(r.config.Path(s.value), maxRules)
	if err != nil {
		r.refuse(s, s.value+": fopen(): "+SystemText(err), "name a file of lines PATTERN<TAB>TEXT, or remove the line")
		return
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if strings.Trim(line, blanks) != "" && !strings.Contains(line, "\t") {
			r.refuse(s, "failed to load ReplaceRules from "+s.value, fmt.Sprintf("line %d has no TAB between pattern and text", number))
			return
		}
	}
	r.config.ReplaceRules = s.value
}

// singleKey takes Domain, Selector and KeyFile, which a KeyTable puts out of
// effect: not even their files are opened then.
func (r *reading) singleKey(s setting) {
	switch {
	case r.given("KeyTable"):
		r.notice(s, "no effect beside KeyTable, as in OpenDKIM; remove it")
	case s.name == "Domain":
		r.put(s, &r.config.Domain)
	case s.name == "Selector":
		r.config.Selector = s.value
	default:
		r.config.KeyFile = s.value
	}
}

// keySources checks that what belongs together is there together.
func (r *reading) keySources() {
	about := func(names ...string) setting {
		for _, name := range names {
			if s, ok := r.setting(name); ok {
				return s
			}
		}
		return setting{place: place{file: r.path}}
	}
	keys, signing := r.given("KeyTable"), r.given("SigningTable")
	file, selector, domain := r.given("KeyFile"), r.given("Selector"), r.given("Domain")
	switch {
	case keys && !signing:
		r.refuse(about("KeyTable"), "KeyTable requires either SigningTable or SetupPolicyScript", "add a SigningTable, which says who signs with which key; this build runs no scripts")
	case signing && !keys:
		r.refuse(about("SigningTable"), "use of SigningTable requires KeyTable", "add a KeyTable, which says where the keys are")
	case keys:
	case file != selector:
		r.refuse(about("KeyFile", "Selector"), "KeyFile and Selector must both be defined or both be undefined", "add the other one")
	case domain && !file:
		r.refuse(about("Domain"), "Domain requires KeyFile and Selector", "add them")
	case file && !domain:
		r.notice(about("KeyFile"), "no Domain says whose mail is signed with it; it signs nothing")
		r.config.KeyFile, r.config.Selector = "", ""
	}
}

// mostBadRows is how many rows are told of.
const mostBadRows = 10

// signingRows looks the rows of a SigningTable up in the KeyTable, as far as
// OpenDKIM does: not in a refile, and no further than to the first row without a
// signer. With CheckSigningTable yes all tables are checked when they are
// loaded, with no nothing is.
func (r *reading) signingRows() {
	c := r.config
	if s, ok := r.setting("CheckSigningTable"); ok && !s.yes || !c.SigningTable.IsSet() || !c.KeyTable.IsSet() {
		return
	}
	s, _ := r.setting("SigningTable")
	if kind, _, _ := strings.Cut(s.value, ":"); strings.EqualFold(kind, "refile") || !r.beginsWithSigner(c.SigningTable.File(c.BaseDirectory)) {
		return // as nearly all do: large tables are not read for this
	}
	signing, err := dataset.Open(c.SigningTable, dataset.Options{Base: c.BaseDirectory})
	if err != nil || !signing.Walkable() {
		return // what is wrong with it shows when the tables are loaded
	}
	var keys *dataset.Set
	found := 0
	for _, row := range signing.Rows() {
		name, signer, _ := strings.Cut(row.Value, ":")
		if row.Value != "" && signer == "" {
			return
		}
		if keys == nil {
			if keys, err = dataset.Open(c.KeyTable, dataset.Options{Base: c.BaseDirectory, ExactCase: true}); err != nil {
				return
			}
		}
		if row, ok := keys.Get(name); ok && usableKey(row.Value) {
			continue
		}
		if found++; found > mostBadRows {
			return
		}
		r.refuse(s, fmt.Sprintf(`could not find valid key record "%s" in KeyTable`, name),
			signing.Where(row)+`: want a KeyTable row "`+name+` DOMAIN:SELECTOR:KEY"; CheckSigningTable no leaves the row for later`)
	}
}

// beginsWithSigner reports whether the first row of a file has a signer, or not
// even a key. Without a path it has.
func (r *reading) beginsWithSigner(path string) bool {
	if path == "" {
		return true
	}
	f, err := os.Open(path) // openable has found that it is a regular file
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if _, value, ok := splitLine(lines.Text()); ok {
			_, signer, _ := strings.Cut(value, ":")
			return value == "" || signer != ""
		}
	}
	return lines.Err() != nil
}

// usableKey reports whether OpenDKIM takes a KeyTable row when it starts.
func usableKey(value string) bool {
	fields := strings.SplitN(value, ":", 3)
	return value == "" || len(fields) == 3 && fields[0] != "" && fields[1] != "" && fields[2] != ""
}

// absolute is a path that starts at BaseDirectory.
func (r *reading) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.config.BaseDirectory, path)
}
