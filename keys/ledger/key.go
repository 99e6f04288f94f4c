package ledger

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/milter/dkim"
)

// State is where a key is in its life.
type State string

const (
	// Pending: it is made, stands in key_table, and its record is to be published.
	Pending State = "pending"
	// Published: every name server of the domain shows it. It signs once no resolver
	// can remember what stood there before.
	Published State = "published"
	// Active: signing_table names it.
	Active State = "active"
	// Retiring: another has taken its place; its record stays for the mail under way.
	Retiring State = "retiring"
	// Retired: it is out of key_table, and its record is to say that it is revoked.
	Retired State = "retired"
	// Forgotten: nothing is left to be done about it.
	Forgotten State = "forgotten"
)

// States are those that a key can be found in, in their order.
func States() []State { return []State{Pending, Published, Active, Retiring, Retired} }

// order is its place among them, -1 for no state.
func (s State) order() int { return slices.Index(States(), s) }

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

// To is the key in another state.
func (k Key) To(s State, now time.Time) Key {
	k.State, k.Since = s, now
	return k
}

// Until is when the wait of a key's state ends; zero where time alone changes nothing.
func (k Key) Until() time.Time {
	switch k.State {
	case Published:
		return k.Since.Add(k.Memory)
	case Retiring, Retired:
		return k.Since.Add(k.Keep)
	}
	return time.Time{}
}

// Due reports whether that wait is over.
func (k Key) Due(now time.Time) bool {
	until := k.Until()
	return !until.IsZero() && now.After(until)
}

// Age is how old a key is that signs; ok is false where nothing tells.
func (k Key) Age(now time.Time) (age time.Duration, ok bool) {
	return now.Sub(k.Since), !k.Since.IsZero()
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
	if len(k.Selector) < len(Dated) {
		return time.Time{}
	}
	day, err := time.Parse(Dated, k.Selector[:len(Dated)])
	if err != nil {
		return time.Time{}
	}
	return day
}

// Dated is how a selector begins that rotation makes, for time.Format.
const Dated = "20060102"
