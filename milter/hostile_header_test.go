package milter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/dkim"
)

// wideSettings take the limits of the header away, for what the engine makes of
// a header that the defaults do not let through.
const wideSettings = "maximum_headers = 67108864\nmaximum_header_fields = 1000000\n"

const tooMuch = "451 4.7.0 message exceeds a limit of this filter"

// hostileHeaders are rows on headers that are large in one way or another.
func hostileHeaders() []hostileRow {
	folds := func(octets int) dkim.Field {
		return dkim.Field{Name: "X", Value: " a" + strings.Repeat("\r\n ", octets/3) + "z"}
	}
	blankLines := func(octets int) dkim.Field {
		return dkim.Field{Name: "X", Value: " a\r\n" + strings.Repeat(" \r\n", octets/3) + " z"}
	}
	sealed := func(canon, names string, n int, f dkim.Field) func(testing.TB) hostileMail {
		return func(t testing.TB) hostileMail {
			return seal{canon: canon, names: names}.on(t, hostileMail{fields: fieldsOf(n, f), begin: "Hello.\r\n"})
		}
	}
	names := func(n int) string { return "from" + strings.Repeat(":x", n-1) }
	var rows []hostileRow
	for _, signs := range []bool{false, true} {
		side, pass := "", "dkim=pass"
		if signs {
			side, pass = ", signed", "DKIM-Signature:"
		}
		group := []hostileRow{
			{name: "60 KB of folds in a field" + side, size: 60 << 10, code: 'a', want: pass, mail: func(t testing.TB, n int) hostileMail {
				return sealed("relaxed/relaxed", "from:x", 1, folds(n))(t)
			}},
			{name: "60 KB of lines of a blank in a field, simple" + side, size: 60 << 10, code: 'a', want: pass, mail: func(t testing.TB, n int) hostileMail {
				return sealed("simple/simple", "from:x", 1, blankLines(n))(t)
			}},
			{name: "10 MB of fields of 60 KB of folds" + side, size: 10 << 20, code: 'y', text: tooMuch, want: "exceeds maximum_headers", mail: func(t testing.TB, n int) hostileMail {
				return hostileMail{fields: fieldsOf(n/(60<<10), folds(60<<10))}
			}},
			{name: "10 MB of fields of 60 KB of folds, without limits" + side, settings: wideSettings, size: 10 << 20, code: 'a', want: pass, mail: func(t testing.TB, n int) hostileMail {
				return sealed("relaxed/relaxed", names(200), n/(60<<10), folds(60<<10))(t)
			}},
			{name: "10 MB of fields of 60 KB of lines of a blank, without limits" + side, settings: wideSettings, size: 10 << 20, code: 'a', want: pass, mail: func(t testing.TB, n int) hostileMail {
				return sealed("relaxed/relaxed", names(200), n/(60<<10), blankLines(60<<10))(t)
			}},
			{name: "2.5 million tiny fields" + side, size: 2_500_000, code: 'y', text: tooMuch, want: "exceeds maximum_header", mail: func(t testing.TB, n int) hostileMail {
				return hostileMail{fields: fieldsOf(n, dkim.Field{Name: "a"})}
			}},
			{name: "300,000 tiny fields, without limits" + side, settings: wideSettings, size: 300_000, code: 'a', want: pass, mail: func(t testing.TB, n int) hostileMail {
				return sealed("", "from:x", n, dkim.Field{Name: "a"})(t)
			}},
			{name: "1 MB of folds in a field" + side, code: 0, want: "milter frame of a forbidden size", mail: func(testing.TB, int) hostileMail {
				return short(hostileFrom, folds(1<<20))
			}},
			{name: "10 MB in a header line" + side, code: 0, want: "milter frame of a forbidden size", mail: func(testing.TB, int) hostileMail {
				return short(hostileFrom, dkim.Field{Name: "X", Value: strings.Repeat("x", 10<<20)})
			}},
			{name: "4,900 trace fields" + side, size: 4900, code: 'a', want: pass, mail: func(t testing.TB, n int) hostileMail {
				return sealed("", "from:received", n, dkim.Field{Name: "Received", Value: " from x by y; Mon, 2 Nov 2026"})(t)
			}},
			{name: "100,000 trace fields" + side, size: 100_000, code: 'y', text: tooMuch, want: "exceeds maximum_header", mail: func(t testing.TB, n int) hostileMail {
				return hostileMail{fields: fieldsOf(n, dkim.Field{Name: "Received", Value: " from x by y; Mon, 2 Nov 2026"})}
			}},
			{name: "NUL, bare CR and LF, 8-bit octets in fields" + side, code: 'a', want: pass, mail: func(t testing.TB, _ int) hostileMail {
				return seal{names: "from:x:x:x:x"}.on(t, short(hostileFrom, dkim.Field{Name: "X", Value: " a\x00b\x00\x00"}, dkim.Field{Name: "X", Value: "\r\r a\rb\r\r\n \r"},
					dkim.Field{Name: "X", Value: " \xff\xfe\x80"}, dkim.Field{Name: "X\t ", Value: "\v\f\x7f\x01"}))
			}},
			{name: "a bare LF in a field" + side, code: 'a', want: pass, mail: func(t testing.TB, _ int) hostileMail {
				// It comes as CRLF from the MTA that delivers it, so it is signed as one.
				m := seal{names: "from:x"}.on(t, short(hostileFrom, dkim.Field{Name: "X", Value: " a\r\nb\r\n\r\nc"}))
				return hostileMail{begin: m.begin, fields: func(yield func(string, string) bool) {
					for name, value := range m.fields {
						if !yield(name, strings.ReplaceAll(value, "\r\n", "\n")) {
							return
						}
					}
				}}
			}},
		}
		for i := range group {
			group[i].signs = signs
		}
		rows = append(rows, group...)
	}
	return append(rows,
		hostileRow{name: "8,000 fields and h= of 16,000 names", size: 8000, code: 'y', text: tooMuch, want: "exceeds maximum_header_fields", mail: func(_ testing.TB, n int) hostileMail {
			return hostileMail{fields: fieldsOf(n, dkim.Field{Name: "x"})}.below(badSignature("h=" + names(2*n)))
		}},
		hostileRow{name: "8,000 fields and h= of 16,000 names, without limits", settings: wideSettings, size: 16000, code: 'a', want: "names in h=", mail: func(_ testing.TB, n int) hostileMail {
			return hostileMail{fields: fieldsOf(n/2, dkim.Field{Name: "x"})}.below(badSignature("h=" + names(max(n, 5000))))
		}},
		hostileRow{name: "50,000 fields and h= of 4,000 names, without limits", settings: wideSettings, size: 50_000, code: 'a', want: "dkim=pass", mail: func(t testing.TB, n int) hostileMail {
			return sealed("", names(4000), n, dkim.Field{Name: "x"})(t)
		}},
		hostileRow{name: "100,000 fields and h= of 4,000 absent names, without limits", settings: wideSettings, size: 100_000, code: 'a', want: "dkim=pass", mail: func(t testing.TB, n int) hostileMail {
			var list strings.Builder
			for i := range 4000 {
				fmt.Fprintf(&list, ":x%d", i)
			}
			return sealed("", "from"+list.String(), n, dkim.Field{Name: "a"})(t)
		}},
		hostileRow{name: "5,000 fields to sign", signs: true, settings: "sign_headers = [\"x\"]\n", size: 4990, code: 'y', text: "550 5.7.0 DKIM signing error", want: "too many header fields to sign", mail: func(_ testing.TB, n int) hostileMail {
			return hostileMail{fields: fieldsOf(max(n, 4900), dkim.Field{Name: "x"})}
		}},
		hostileRow{name: "names that h= cannot hold", signs: true, settings: "sign_headers = \"*\"\n", size: 4000, code: 'a', want: "DKIM-Signature:", mail: func(_ testing.TB, n int) hostileMail {
			return hostileMail{fields: fieldsOf(n, dkim.Field{Name: "a;b\xff" + strings.Repeat("c", 40)})}
		}},
	)
}
