package dkim

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseTimeTag reads t= or x=: seconds since 1970, as digits alone.
func parseTimeTag(tags tagList, name string) (time.Time, error) {
	v, ok := tags.get(name)
	if !ok {
		return time.Time{}, nil
	}
	n, err := parseDecimal(v, maxTimeDigits)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %s=%s: %w", ErrSyntax, name, excerpt(v), err)
	}
	return time.Unix(n, 0), nil
}

// parseDecimal reads 1*DIGIT. What is too large for int64 becomes the largest
// of them: no body is that long.
func parseDecimal(s string, maxDigits int) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errors.New("not a decimal number")
	}
	if len(s) > maxDigits {
		return 0, fmt.Errorf("more than %d digits", maxDigits)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, nil
	}
	return n, nil
}

// isFieldName checks for printable ASCII without colon (RFC 5322 §3.6.8).
func isFieldName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

// decodeQuotedPrintable reads dkim-quoted-printable (RFC 6376 §2.11): white
// space is dropped, =XX is an octet. Decoded control characters are refused: the value
// goes on into logs and header fields.
func decodeQuotedPrintable(s string) (string, error) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isFWS(c):
			continue
		case c == '=':
			if i+2 >= len(s) {
				return "", errors.New("an = without two hexadecimal digits")
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf("%q are not two hexadecimal digits", s[i+1:i+3])
			}
			c = byte(n)
			i += 2
		}
		if c < ' ' || c == 0x7f {
			return "", fmt.Errorf("encoded control character %q", c)
		}
		out = append(out, c)
	}
	return string(out), nil
}
