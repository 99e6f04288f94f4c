// Package authres writes and reads the value of the Authentication-Results
// header field (RFC 8601), and tells whether a field that came with a message
// pretends to be ours.
package authres

import "errors"

const (
	// MaxField is the size in octets of the longest value that Parse reads.
	MaxField = 64 << 10
	// MaxResults is the number of results that Parse reads in one field.
	MaxResults = 256
	// MaxProperties is the number of properties that Parse reads in one result.
	MaxProperties = 64
	// MaxValue is the size in octets, escapes included, at which String cuts a
	// value, a reason or a comment, so that no line passes the 998 octets of
	// RFC 5322 §2.1.1.
	MaxValue = 800
	// maxKeyword is where String cuts the name of a method, result or property.
	maxKeyword = 64
	// maxNesting is the depth of comments within comments that Parse follows.
	maxNesting = 64
)

var (
	// ErrSyntax is wrapped by every error of Parse that names a place where the
	// value departs from RFC 8601 §2.2.
	ErrSyntax = errors.New("Authentication-Results syntax error")
	// ErrTooLarge is wrapped when the value passes MaxField, MaxResults,
	// MaxProperties or the permitted nesting of comments.
	ErrTooLarge = errors.New("Authentication-Results field too large")
)

// Header is the value of one Authentication-Results field (RFC 8601 §2.2).
type Header struct {
	// AuthservID names the host or the organisation that made the field, with
	// the job id after a slash where one is added.
	AuthservID string
	// Version of the format; 0 if it is not stated, which means 1.
	Version int
	// Results in the order of the field; none at all is written "none".
	Results []Result
}

// Result is what one authentication method found (RFC 8601 §2.3). Method and
// Value are keywords: letters, digits and inner hyphens, in lower case.
type Result struct {
	Method string
	// Version of the method; 0 if it is not stated, which means 1.
	Version int
	// Value is the result word, such as "pass".
	Value string
	// Reason is the free text of reason=, without its quotes.
	Reason string
	// Comment is the first comment after the result word, without its
	// parentheses. It has no meaning for programs.
	Comment    string
	Properties []Property
}

// Property is one ptype.property=value, such as header.d=example.com: Type
// "header", Name "d" (both keywords in lower case), Value "example.com" without
// quotes and escapes.
type Property struct {
	Type, Name, Value string
}

// isToken tells whether c may stand in a token (RFC 2045 §5.1).
func isToken(c byte) bool {
	if c <= ' ' || c >= 0x7f {
		return false
	}
	switch c {
	case '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '=':
		return false
	}
	return true
}

// isKeyword tells whether c may stand in a Keyword, an Ldh-str of RFC 5321 §4.1.2.
func isKeyword(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
}
