package opendkim

import (
	"crypto"
	"fmt"

	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/keys"
)

// walk tests every key of a KeyTable. As with OpenDKIM keys that fail do not
// count for the exit code, so that scripts which run it before all records are
// published go on: a line says so.
func (t *keyTest) walk(table dataset.Spec, base string) int {
	entries, err := keys.ReadTable(table, base)
	if err != nil {
		t.say("dkimf_db_open() failed")
		t.say("%v", err)
		return exitFailed
	}
	pass, fail, exit := 0, 0, exitOK
	for i, e := range entries {
		if e.Domain == "" {
			t.say("dkimf_db_walk(%d) failed", i)
			t.say("%s: %v", e.Where, e.Err)
			fail, exit = fail+1, exitFailed
			continue
		}
		t.detail(2, "record %d for '%s' retrieved", i, e.Name)
		switch ok, code := t.entry(e); {
		case ok:
			pass++
		case code != exitOK:
			exit = code
			fallthrough
		default:
			fail++
		}
	}
	if t.verbose > 0 {
		plural := "s"
		if pass+fail == 1 {
			plural = ""
		}
		fmt.Fprintf(t.out, "%s: %d key%s checked; %d pass, %d fail\n", t.name, pass+fail, plural, pass, fail)
	}
	if fail > 0 && exit == exitOK {
		t.say("%d of %d keys failed; the exit status is 0 nevertheless: \"postseal testkey\" ends with 1", fail, pass+fail)
	}
	return exit
}

// entry tests the key of one row. code is for a key that cannot be read at all.
func (t *keyTest) entry(e keys.Entry) (ok bool, code int) {
	if e.SenderDomain() {
		t.say("key %s: it is for each sender's own domain; test one of them with -d and -s", e.Name)
		return false, exitOK
	}
	key, code, err := t.entryKey(e)
	if code != exitOK {
		t.say("%v", err)
		return false, code
	}
	t.detail(2, "checking key '%s'", e.Name)
	var public crypto.PublicKey
	if key != nil {
		public = key.Public()
	}
	r := t.check(e.Domain, e.Selector, public)
	switch {
	case r.trouble != "":
		t.say("key %s: %s", e.Name, r.trouble)
		t.explain(r)
		return false, exitOK
	case err != nil:
		t.say("key %s: %v", e.Name, err)
	case r.differs:
		t.say("key %s: keys do not match", e.Name)
		t.explain(r)
	case !r.Usable():
		t.say("key %s: the record cannot be used", e.Name)
		t.problems(r)
	default:
		ok = true
		if t.verbose >= 3 {
			fmt.Fprintf(t.out, "%s: key %s: OK\n", t.name, e.Name)
		}
	}
	t.detail(1, "key %s %s", e.Name, secure(r.Authentic))
	return ok, exitOK
}

// entryKey reads the private key of a row. A code other than exitOK: the file
// cannot be read; an error without one: what it holds is no private key.
func (t *keyTest) entryKey(e keys.Entry) (crypto.Signer, int, error) {
	path := e.Path()
	if path == "" {
		key, err := e.Private()
		return key, exitOK, err
	}
	key, exit, err := t.load(path)
	if exit == exitUnavailable {
		exit = exitOK
	}
	return key, exit, err
}
