package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/config/dataset"
)

// signHeaders are signed by default: what a reader sees, what leads answers
// and threads, how the body is to be read, and what lists add (RFC 6376 §5.4.1).
func signHeaders() []string {
	return []string{
		"From", "Reply-To", "Sender", "Subject", "Date", "Message-ID", "To", "Cc", "In-Reply-To", "References",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-ID", "Content-Description",
		"Resent-Date", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID",
		"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post",
		"List-Owner", "List-Archive",
	}
}

// omitHeaders change on the way (RFC 6376 §5.4.1).
func omitHeaders() []string { return []string{"Return-Path", "Received", "Comments", "Keywords"} }

// oversignHeaders are what a second instance of would deceive a reader.
func oversignHeaders() []string { return []string{"From", "Reply-To", "To", "Cc", "Subject"} }

func senderHeaders() []string { return []string{"From"} }

// SignHeaderNames returns the field names of SignHeaders, expanded; a name may
// end in "*". The error names the key and the element, or the file that cannot
// be read.
func (c *Config) SignHeaderNames() ([]string, error) {
	return c.headerNames("sign_headers", c.SignHeaders, signHeaders(), true)
}

// OmitHeaderNames does for OmitHeaders what SignHeaderNames does.
func (c *Config) OmitHeaderNames() ([]string, error) {
	return c.headerNames("omit_headers", c.OmitHeaders, omitHeaders(), true)
}

// OversignHeaderNames does so for OversignHeaders, where no name ends in "*".
func (c *Config) OversignHeaderNames() ([]string, error) {
	return c.headerNames("oversign_headers", c.OversignHeaders, oversignHeaders(), false)
}

// SenderHeaderNames does so for SenderHeaders, which are at least one, and
// where no name ends in "*".
func (c *Config) SenderHeaderNames() ([]string, error) {
	names, err := c.headerNames("sender_headers", c.SenderHeaders, senderHeaders(), false)
	if err == nil && len(names) == 0 {
		err = errors.New("sender_headers: names no field; nobody's mail would be signed")
	}
	return names, err
}

// MustBeSignedNames does so for MustBeSigned, whose default is none and where no
// name ends in "*".
func (c *Config) MustBeSignedNames() ([]string, error) {
	return c.headerNames("must_be_signed", c.MustBeSigned, nil, false)
}

// ReplaceHeaderNames does so for ReplaceHeaders; all says that it is not set.
func (c *Config) ReplaceHeaderNames() (names []string, all bool, err error) {
	names, err = c.headerNames("replace_headers", c.ReplaceHeaders, nil, false)
	return names, !c.ReplaceHeaders.IsSet(), err
}

func (c *Config) headerNames(key string, spec dataset.Spec, defaults []string, wildcards bool) ([]string, error) {
	if !spec.IsSet() {
		return defaults, nil
	}
	set, err := dataset.Open(spec, dataset.Options{Base: c.BaseDirectory})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	names, err := HeaderNames(set, defaults)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	for _, name := range names {
		if !wildcards && strings.HasSuffix(name, "*") {
			return nil, fmt.Errorf("%s: %q: this list takes whole names only", key, name)
		}
	}
	return names, nil
}

// MaxHeaderNames bounds a list of field names.
const MaxHeaderNames = 1000

// HeaderNames expands a list of field names. Without an element "*" the list is
// taken as it stands. With one, defaults come first, "+Name" adds a name and
// "-Name" takes one away; a name that ends in "*" takes away all that begin so.
// "." alone is the empty list. A name that comes twice counts once, without
// regard to case.
//
// An element that would do nothing is an error: a signed name without "*", and
// a bare name beside it.
func HeaderNames(set *dataset.Set, defaults []string) ([]string, error) {
	if !set.Walkable() {
		return nil, fmt.Errorf("%s holds patterns; a list of names is written as file: or csl:", set.Source())
	}
	elements := set.Values()
	if len(elements) > MaxHeaderNames {
		return nil, fmt.Errorf("%s holds %d names, and at most %d are taken; is it the right file?", set.Source(), len(elements), MaxHeaderNames)
	}
	if len(elements) == 1 && elements[0] == "." {
		return nil, nil
	}
	var names []string
	delta := slices.Contains(elements, "*")
	if delta {
		names = slices.Clone(defaults)
	}
	for _, row := range set.Rows() {
		if row.Key == "*" {
			continue
		}
		var err error
		if names, err = applyElement(names, row.Key, delta); err != nil {
			return nil, fmt.Errorf("%s: %w", set.Where(row), err)
		}
	}
	return unique(names), nil
}

func applyElement(names []string, element string, delta bool) ([]string, error) {
	name := strings.TrimLeft(element, "+-")
	if err := checkFieldName(name); err != nil {
		return nil, fmt.Errorf("%q: %w", element, err)
	}
	switch sign := element[:len(element)-len(name)]; {
	case sign == "" && !delta:
		return append(names, name), nil
	case sign == "+" && delta:
		return append(names, name), nil
	case sign == "-" && delta:
		return slices.DeleteFunc(names, func(n string) bool { return covers(name, n) }), nil
	case sign == "":
		return nil, fmt.Errorf(`%q does nothing beside "*"; write "+%s" or "-%s"`, element, name, name)
	case len(sign) == 1:
		return nil, fmt.Errorf(`%q changes the default list; add an element "*", or leave the sign out`, element)
	}
	return nil, fmt.Errorf("%q begins with more than one sign", element)
}

// covers reports whether pattern, a name that may end in "*", stands for name.
func covers(pattern, name string) bool {
	prefix, wild := strings.CutSuffix(pattern, "*")
	return strings.EqualFold(pattern, name) ||
		wild && len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// checkFieldName takes a field name (RFC 5322 §3.6.8) with or without a final "*".
func checkFieldName(name string) error {
	bare := strings.TrimSuffix(name, "*")
	if bare == "" {
		return errors.New("no name of a header field")
	}
	for _, c := range []byte(bare) {
		if c <= ' ' || c > '~' || c == ':' || c == ';' || c == '*' {
			return errors.New("no name of a header field")
		}
	}
	return nil
}

// unique keeps the first of each name.
func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(names, func(name string) bool {
		name = strings.ToLower(name)
		defer func() { seen[name] = true }()
		return seen[name]
	})
}
