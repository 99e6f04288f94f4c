package milter

import (
	"fmt"
	"strings"
	"testing"
)

// hostileBodyRows are rows on bodies, signed by us and verified from a stranger.
func hostileBodyRows() (rows []hostileRow) {
	const size = 10 << 20
	for _, body := range []struct{ name, begin, unit, end string }{
		{"CRLFs", "", "\r\n", ""},
		{"CRLFs and a letter", "", "\r\n", "x"},
		{"no line end", "", "x", ""},
		{"NULs", "", "\x00", "\r\n"},
		{"bare CRs", "", "\r", "\r\n"},
		{"bare CRs and letters", "", "\rx", ""},
		{"bare LFs", "", "\n", "\r\n"},
		{"blanks", "x", " \t", "\r\n"},
		{"lines of blanks", "x", " \t \r\n", "\r\n"},
		{"a letter a line", "", "x\r\n", ""},
		{"letters and blanks", "", "x \t", "\r\n"},
		{"8-bit octets", "", "\xff\xfe", ""},
	} {
		for _, canon := range []string{"simple", "relaxed"} {
			for _, settings := range []string{"", "fix_crlf = true\n"} {
				if settings != "" && canon == "simple" && body.unit != "\r\n" {
					continue // mending comes before and is the same for both
				}
				mail := func(_ testing.TB, n int) hostileMail {
					return hostileMail{fields: fieldList(hostileFrom), begin: body.begin, unit: body.unit, size: n / len(body.unit) * len(body.unit), end: body.end}
				}
				suffix := ""
				if settings != "" {
					suffix = ", mended"
				}
				rows = append(rows, hostileRow{
					name: fmt.Sprintf("10 MB of %s, %s%s, signed", body.name, canon, suffix), settings: settings + fmt.Sprintf("canonicalization = \"relaxed/%s\"\n", canon),
					signs: true, size: size, mail: mail, code: 'a', want: "c=relaxed/" + canon,
				})
				if settings != "" && strings.ContainsAny(strings.ReplaceAll(body.unit, "\r\n", ""), "\r\n") {
					continue // a stranger's signature is over what it was before
				}
				rows = append(rows, hostileRow{
					name: fmt.Sprintf("10 MB of %s, %s%s", body.name, canon, suffix), settings: settings, size: size, code: 'a', want: "dkim=pass",
					mail: func(t testing.TB, n int) hostileMail {
						return seal{canon: "relaxed/" + canon}.on(t, mail(t, n))
					},
				})
			}
		}
	}
	return rows
}
