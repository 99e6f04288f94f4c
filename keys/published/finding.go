package published

import "github.com/postseal/postseal/milter/finding"

// The findings of this package are those of package finding.
type (
	Finding = finding.Finding
	Level   = finding.Level
	Code    = finding.Code
)

// The levels of findings.
const (
	Problem = finding.Problem
	Warning = finding.Warning
	Note    = finding.Note
)

// The kinds of findings about a key record.
const (
	// BadName: domain and selector make no domain name.
	BadName Code = "bad-name"
	// LookupFailed: the record could not be looked up for now.
	LookupFailed Code = "lookup-failed"
	// NoRecord: there is no TXT record.
	NoRecord Code = "no-record"
	// Misplaced: the record stands at another name, by a usual mistake.
	Misplaced Code = "misplaced"
	// NotAKey: there are TXT records, and none is a key record.
	NotAKey Code = "not-a-key"
	// OtherText: another TXT record stands beside the key record.
	OtherText Code = "other-text"
	// SeveralRecords: there is more than one key record.
	SeveralRecords Code = "several-records"
	// SplitRecord: the key is cut into several TXT records.
	SplitRecord Code = "split-record"

	// Quotes: quotation marks became part of the value.
	Quotes Code = "quotes"
	// Backslashes: backslashes became part of the value.
	Backslashes Code = "backslashes"
	// NotASCII: characters outside ASCII, which come with copied text.
	NotASCII Code = "not-ascii"
	// NoSemicolon: a semicolon is missing between two tags.
	NoSemicolon Code = "no-semicolon"
	// Syntax: the record is no list of tags.
	Syntax Code = "syntax"
	// NoVersion: v=DKIM1 is missing.
	NoVersion Code = "no-version"
	// Version: v= is not DKIM1, or not first.
	Version Code = "version"

	// Revoked: p= is empty.
	Revoked Code = "revoked"
	// NoKeyData: p= is missing.
	NoKeyData Code = "no-key-data"
	// PEM: p= holds the lines around a key in a PEM file.
	PEM Code = "pem"
	// PrivateKey: the private key is in the DNS.
	PrivateKey Code = "private-key"
	// Truncated: the end of the key is missing.
	Truncated Code = "truncated"
	// KeyData: p= holds no key of the type that k= says.
	KeyData Code = "key-data"
	// KeySpaces: there are blanks in p=.
	KeySpaces Code = "key-spaces"
	// KeyForm: the key stands in a form that not every verifier reads.
	KeyForm Code = "key-form"
	// UnknownType: k= is neither rsa nor ed25519.
	UnknownType Code = "unknown-type"

	// OtherType: the record's key is of another type than the private key.
	OtherType Code = "other-type"
	// OtherKey: the record's key does not belong to the private key.
	OtherKey Code = "other-key"
	// ShortKey: RSA below 1024 bits, or, as a warning, below 2048.
	ShortKey Code = "short-key"
	// LongKey: RSA above 4096 bits.
	LongKey Code = "long-key"
	// NoSHA256: h= is without sha256.
	NoSHA256 Code = "no-sha256"
	// NotForEmail: s= is without email and *.
	NotForEmail Code = "not-for-email"
	// Testing: t=y.
	Testing Code = "testing"
	// Strict: t=s.
	Strict Code = "strict"
)
