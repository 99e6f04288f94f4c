package zone

import (
	"strings"
)

// ParseTSIG reads the only key statement of a text in the syntax of named.conf:
//
//	key "name" { algorithm hmac-sha256; secret "base64"; };
//
// Other statements, as ddns-confgen writes beside it, and comments do not count.
func ParseTSIG(text string) (*TSIG, error) {
	l := lexer{text}
	var found *TSIG
	for {
		word, ok, err := l.next()
		switch {
		case err != nil:
			return nil, err
		case !ok && found == nil:
			return nil, noTSIG("there is no key statement; tsig-keygen NAME writes one")
		case !ok:
			return found, nil
		case word != `key`:
			if err := l.skip(word); err != nil {
				return nil, err
			}
		case found != nil:
			return nil, noTSIG("there are several key statements; leave the one to be used")
		default:
			if found, err = l.key(); err != nil {
				return nil, err
			}
		}
	}
}

// lexer cuts the syntax of named.conf into words; what is in quotation marks begins
// with one.
type lexer struct{ rest string }

const (
	blanks = " \t\r\n"
	marks  = "{};"
)

var errCut = noTSIG("the text ends in the middle of a statement: copy the file again, whole")

// next is the next word or mark; ok is false at the end.
func (l *lexer) next() (word string, ok bool, err error) {
	for {
		l.rest = strings.TrimLeft(l.rest, blanks)
		switch s := l.rest; {
		case s == "":
			return "", false, nil
		case strings.HasPrefix(s, "/*"):
			_, rest, closed := strings.Cut(s[2:], "*/")
			if !closed {
				return "", false, errCut
			}
			l.rest = rest
		case s[0] == '#', strings.HasPrefix(s, "//"):
			_, l.rest, _ = strings.Cut(s, "\n")
		case s[0] == '"':
			inside, rest, closed := strings.Cut(s[1:], `"`)
			if !closed {
				return "", false, errCut
			}
			l.rest = rest
			return `"` + inside, true, nil
		default:
			n := strings.IndexAny(s, blanks+marks+`"`)
			if n < 0 {
				n = len(s)
			}
			n = max(n, 1) // a mark
			l.rest = s[n:]
			return s[:n], true, nil
		}
	}
}

// value is the next word without its quotation mark; a mark is an error.
func (l *lexer) value() (string, error) {
	word, ok, err := l.next()
	if err == nil && (!ok || strings.Contains(marks, word)) {
		err = errCut
	}
	return strings.TrimPrefix(word, `"`), err
}

// mark takes the mark that has to follow.
func (l *lexer) mark(want string) error {
	word, _, err := l.next()
	if err == nil && word != want {
		err = noTSIG("the key statement lacks a %q; it is key \"NAME\" { algorithm hmac-sha256; secret \"…\"; };", want)
	}
	return err
}

// skip takes the rest of a statement that begins with word.
func (l *lexer) skip(word string) error {
	for depth := 0; ; {
		switch word {
		case "{":
			depth++
		case "}":
			depth--
		case ";":
			if depth <= 0 {
				return nil
			}
		}
		var ok bool
		var err error
		if word, ok, err = l.next(); err != nil || !ok {
			return err
		}
	}
}

// key takes the rest of a key statement.
func (l *lexer) key() (*TSIG, error) {
	name, err := l.value()
	if err == nil {
		err = l.mark("{")
	}
	if err != nil {
		return nil, err
	}
	var algorithm, secret string
	for {
		word, ok, err := l.next()
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, errCut
		case word == "}":
			if err := l.mark(";"); err != nil {
				return nil, err
			}
			return newTSIG(name, algorithm, secret)
		case word == "algorithm":
			algorithm, err = l.value()
		case word == "secret":
			secret, err = l.value()
		default:
			return nil, noTSIG("a key statement has nothing but algorithm and secret")
		}
		if err == nil {
			err = l.mark(";")
		}
		if err != nil {
			return nil, err
		}
	}
}

// parsePrivate reads the file Kname.+163+12345.private of a dnssec-keygen that still made
// keys for TSIG.
func parsePrivate(name, text string) (*TSIG, error) {
	algorithms := map[string]string{
		"157": "hmac-md5", "161": "hmac-sha1", "162": "hmac-sha224", "163": "hmac-sha256", "164": "hmac-sha384", "165": "hmac-sha512",
	}
	var algorithm, secret string
	for line := range strings.Lines(text) {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch field {
		case "Algorithm":
			number, _, _ := strings.Cut(value, " ")
			if algorithm = algorithms[number]; algorithm == "" {
				return nil, noTSIG("this is a key to sign zones or messages with, and no TSIG key; tsig-keygen %s makes one", name)
			}
		case "Key":
			secret = value
		}
	}
	return newTSIG(name, algorithm, secret)
}
