// Package rotation leads keys through their lives: a new one is made, published, and
// takes the place of an old one, whose record stays until the mail that it has signed
// has arrived. [Step] says what comes next and changes nothing; a [Rotation] does it,
// and a [Ledger] keeps it between runs.
package rotation

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/milter/dkim"
)

// Key is what is kept of a key. Nothing of its private half is in it.
type Key struct {
	// Name is that in key_table.
	Name string `json:"name"`
	// Domain is d= and Selector s=, as DNS has them.
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	// File is the private key, "" for one that stands in key_table itself.
	File string `json:"file,omitempty"`
	// Type is rsa or ed25519, Bits the size of an RSA key.
	Type string `json:"type"`
	Bits int    `json:"bits,omitempty"`
	// Record is the text of its TXT record, "" before it is made.
	Record string `json:"record,omitempty"`
	State  State  `json:"state"`
	// Since is when it came into State, or when its record was first seen everywhere.
	Since time.Time `json:"since"`
	// Memory is for how long a resolver may remember what stood at the record's name
	// before the record did.
	Memory time.Duration `json:"-"`
	// Keep is how long its record stays after its last signature.
	Keep time.Duration `json:"-"`
	// Replaces names the keys whose place it takes, or has taken.
	Replaces []string `json:"replaces,omitempty"`
}

// plainKey is a Key with encoding/json's own form.
type plainKey Key

// keyFile is a Key as the file has it.
type keyFile struct {
	plainKey
	Memory span `json:"memory,omitempty"`
	Keep   span `json:"keep,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (k Key) MarshalJSON() ([]byte, error) {
	return json.Marshal(keyFile{plainKey(k), span(k.Memory), span(k.Keep)})
}

// UnmarshalJSON implements json.Unmarshaler. Fields that it does not know are errors.
func (k *Key) UnmarshalJSON(text []byte) error {
	var f keyFile
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return err
	}
	*k = Key(f.plainKey)
	k.Memory, k.Keep = time.Duration(f.Memory), time.Duration(f.Keep)
	return nil
}

// maxText bounds names, paths and records, in octets.
const maxText = 16 << 10

// check says what a key in the file cannot be.
func (k Key) check() error {
	for _, text := range append([]string{k.Name, k.File, k.Record}, k.Replaces...) {
		if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return errors.New("a text in it is too long, or no text")
		}
	}
	name, err := published.RecordName(k.Selector, k.Domain)
	switch {
	case err != nil:
		return err
	case name != k.Selector+"._domainkey."+k.Domain:
		return fmt.Errorf("%q and %q are not as DNS has them", k.Selector, k.Domain)
	case k.Name == "" || strings.ContainsAny(k.Name, " \t#:"):
		return fmt.Errorf("%q is no name in key_table", k.Name)
	case k.File != "" && !filepath.IsAbs(k.File):
		return fmt.Errorf("%q does not begin with a slash", k.File)
	case k.Type != "rsa" && k.Type != "ed25519":
		return fmt.Errorf("the type %q is neither rsa nor ed25519", k.Type)
	case k.State.order() < 0:
		return fmt.Errorf("there is no state %q", k.State)
	case k.Memory < 0 || k.Keep < 0 || k.Bits < 0:
		return errors.New("a number is less than 0")
	}
	return nil
}

// RecordName is where its record stands.
func (k Key) RecordName() string { return k.Selector + "._domainkey." + k.Domain }

// Public is the public half, nil before it is made.
func (k Key) Public() crypto.PublicKey {
	record, err := dkim.ParseKeyRecord(k.Record)
	if err != nil || k.Record == "" {
		return nil
	}
	return record.Public
}

// Made is the day that a dated selector names, zero for another.
func (k Key) Made() time.Time {
	if len(k.Selector) < len(dated) {
		return time.Time{}
	}
	day, err := time.Parse(dated, k.Selector[:len(dated)])
	if err != nil {
		return time.Time{}
	}
	return day
}

// dated is how a selector begins that rotation makes.
const dated = "20060102"
