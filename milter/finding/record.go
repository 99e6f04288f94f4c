package finding

import (
	"fmt"
	"strings"
)

const maxString = 255 // octets of one string of a TXT record (RFC 1035 §3.3)

// Record is a TXT record as a Fix ends with it: a line of a zone file (RFC 1035 §5.1)
// with the full name, the value cut into strings. All of it is printable, whatever text
// has in it; name is to be that of a host or a key.
func Record(name, text string) string {
	var b strings.Builder
	b.WriteString(name + `. TXT "`)
	for i, c := range []byte(text) {
		if i > 0 && i%maxString == 0 {
			b.WriteString(`" "`)
		}
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}
