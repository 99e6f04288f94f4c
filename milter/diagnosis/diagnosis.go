// Package diagnosis finds out why a DKIM signature failed: whether body or header are
// not what was signed, where they differ from copies of what was signed, and which
// change in between makes the signature good again when it is undone. It says nothing
// that a hash has not proven.
package diagnosis

import (
	"crypto/sha256"

	"github.com/postseal/postseal/milter/dkim"
)

// MaxBody is the longest body, in octets, that is looked into.
const MaxBody = 16 << 20

// Case is a message with a signature that failed.
type Case struct {
	// Fields is the header, and Field the index of the signature in it.
	Fields []dkim.Field
	Field  int
	// Body is the body, lines ended by CRLF.
	Body []byte
	// Keys are the keys that the signature may have been made with, nil if there are
	// none to be had.
	Keys []*dkim.KeyRecord
	// Original is the message as it was sent, nil where nobody has it.
	Original *Message
	// Budget bounds the work. The signatures of a message share one; nil is a new one.
	Budget *Budget
}

// Message is a header and a body, lines ended by CRLF.
type Message struct {
	Fields []dkim.Field
	Body   []byte
}

// Budget is how much is still hashed in search of a change.
type Budget struct{ octets int64 }

// NewBudget is enough for a message of ordinary size in all its variants, and takes
// about a second to spend.
func NewBudget() *Budget { return &Budget{256 << 20} }

// spend takes n octets, and what a hash costs beside them; false: there are no more.
func (b *Budget) spend(n int) bool {
	if b.octets < 0 {
		return false
	}
	b.octets -= int64(n) + 2*sha256.BlockSize
	return b.octets >= 0
}

// KeyState says what is known of the key in DNS.
type KeyState string

const (
	// RightKey: b= was made with it.
	RightKey KeyState = "right"
	// OtherKey: b= was not made with it, or b= itself was changed.
	OtherKey KeyState = "other"
	// UnknownKey: the header does not verify, and the algorithm does not tell which of
	// the two is wrong.
	UnknownKey KeyState = "unknown"
	// NoKey: there is none to verify with.
	NoKey KeyState = "none"
)

// Diagnosis is what was found out.
type Diagnosis struct {
	Header Header
	Body   Body
	// Exhausted says that the search for changes ended before all had been tried.
	Exhausted bool
}

// Header is what was found out about the header.
type Header struct {
	// Key says whether the signature was made with the key in DNS.
	Key KeyState
	// Intact says that b= verifies: no signed field was changed.
	Intact bool
	// Hashed is the header block as it was hashed: for each name of h= the canonical
	// field, empty where there is none, and in the end the signature's own.
	Hashed []Hashed
	// Copies says that the signature has copies of its fields (z=).
	Copies bool
	// Differences are fields that are not as they were copied, or sent.
	Differences []Difference
	// Proofs are changes that make b= verify when they are undone.
	Proofs []Proof
}

// Hashed is one field of the header block.
type Hashed struct {
	// Name is the name in h=; "" is the signature's own field.
	Name string
	// Octets is the canonical field, CRLF included.
	Octets []byte
}

// Difference is a field that is not what it was. Both are canonical; "" is none.
type Difference struct {
	Name         string
	Signed, Now  string
	FromOriginal bool // and not from z=
}

// Body is what was found out about the body.
type Body struct {
	// Intact says that bh= is the hash of the body.
	Intact bool
	// Canonicalization is that of the signature, Limit its l= or -1.
	Canonicalization dkim.Canonicalization
	Limit            int64
	// Octets are what was hashed; Length of them, and of those of the whole body.
	Octets []byte
	Whole  int64
	// Signed is bh=, Found the hash of Octets.
	Signed, Found []byte
	// Original says whether the body of the message as it was sent has the hash bh=;
	// nil where nobody has it. Diff is where it differs from this one.
	Original *bool
	Diff     *Diff
	// Proofs are changes that make bh= the hash of the body when they are undone.
	Proofs []Proof
}

// Proof is a change that was made to the message after it was signed, or a mistake of
// the signer. Without it the hashes are those of the signature, which nothing but the
// signed text has.
type Proof struct {
	Code Code
	// Lines are the first and the last line of the body that the change is about, from
	// 1, of the body as it came, canonicalized; both 0 where it is about all of it.
	First, Last int
	// Names are the fields that it is about.
	Names []string
	// Text is a part of what was changed, from the message.
	Text string
}

// Code is a kind of change. The words are stable.
type Code string

// What can be proven.
const (
	// Misdeclared: the signer used another canonicalization than it says.
	Misdeclared Code = "other-canonicalization"
	// RelaxedSigned: the relaxed form of a body is what was signed as simple. Blanks
	// were changed, or the signer misdeclared: nobody can tell.
	RelaxedSigned Code = "relaxed-is-signed"
	// Added: lines were added to the body.
	Added Code = "lines-added"
	// Emptied: the signed body was empty.
	Emptied Code = "body-added"
	// BareCR: a CR without LF stood in the body for a line end.
	BareCR Code = "bare-cr"
	// CRPutIn: CRs were put in.
	CRPutIn Code = "cr-put-in"
	// FromQuoted: ">" was put before "From " at the beginning of lines.
	FromQuoted Code = "from-quoted"
	// DotsDoubled: dots at the beginning of lines were doubled.
	DotsDoubled Code = "dots-doubled"
	// LinesBroken: long lines were broken.
	LinesBroken Code = "lines-broken"
	// Blanks: blanks were put in at the end of lines.
	Blanks Code = "blanks-at-line-ends"
	// Recoded: 8-bit text was converted to quoted-printable.
	Recoded Code = "quoted-printable"
	// Restored: the copies of fields in z= are what was signed.
	Restored Code = "copies-are-signed"
	// AsSent: the fields of the message as it was sent are what was signed.
	AsSent Code = "original-is-signed"
	// Tagged: the Subject got a tag in front.
	Tagged Code = "subject-tagged"
	// FieldAdded: a field was added that the signature has as absent.
	FieldAdded Code = "field-added"
	// FieldReplaced: another field has what was signed.
	FieldReplaced Code = "field-moved"
	// FieldsReordered: fields of one name changed places, or one was added.
	FieldsReordered Code = "fields-reordered"
	// NameCase: field names got other letter case.
	NameCase Code = "name-case"
	// Refolded: fields were folded anew.
	Refolded Code = "refolded"
	// EncodingChanged: Content-Transfer-Encoding was changed.
	EncodingChanged Code = "encoding-changed"
)

// Examine looks into a case. The error is that of a signature that cannot be read.
func Examine(c Case) (*Diagnosis, error) {
	in, err := dkim.Inspect(c.Fields, c.Field)
	if err != nil {
		return nil, err
	}
	if c.Budget == nil {
		c.Budget = NewBudget()
	}
	e := examination{Case: c, in: in}
	d := &Diagnosis{Header: e.header(), Body: e.body()}
	d.Exhausted = c.Budget.octets < 0
	return d, nil
}

type examination struct {
	Case
	in *dkim.Inspection
}
