package milter

import (
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/dkim"
)

// hostileResults are rows on Authentication-Results that came with a message.
func hostileResults() []hostileRow {
	forged := dkim.Field{Name: "Authentication-Results", Value: " mx.example.org; dkim=pass"}
	row := func(name string, size int, code byte, text, want, settings string, f dkim.Field) hostileRow {
		return hostileRow{name: name, settings: settings, size: size, code: code, text: text, want: want, mail: func(_ testing.TB, n int) hostileMail {
			return hostileMail{fields: fieldsOf(n, f), begin: "Hello.\r\n"}
		}}
	}
	one := func(name, settings string, value func(n int) string) hostileRow {
		return hostileRow{name: name, settings: settings, size: 60 << 10, code: 'a', want: "m1 Authentication-Results:", mail: func(_ testing.TB, n int) hostileMail {
			return short(hostileFrom, dkim.Field{Name: "Authentication-Results", Value: value(n)})
		}}
	}
	const accept = "on_security = \"accept\"\n"
	return []hostileRow{
		row("4,900 results in our name", 4900, 'a', "", "m4900 Authentication-Results:", "", forged),
		row("100,000 results in our name", 100_000, 'y', tooMuch, "exceeds maximum_header", "", forged),
		row("400,000 empty results", 400_000, 'y', tooMuch, "exceeds maximum_header", "", dkim.Field{Name: "Authentication-Results"}),
		row("100,000 results in our name, where limits accept", 100_000, 'y', "550 5.7.0 message exceeds", "exceeds maximum_header", accept, forged),
		row("400,000 empty results, where limits accept", 400_000, 'y', "550 5.7.0 message exceeds", "exceeds maximum_header", accept, dkim.Field{Name: "Authentication-Results"}),
		{name: "2 MB of results of many hosts", settings: "maximum_headers = 65536\nremove_ar_from = [\".a.a.a.a.a.a.a.a.a.a.a.a.a.b\"]\n", size: 2 << 20, code: 'y', text: tooMuch, want: "exceeds maximum_header",
			mail: func(_ testing.TB, n int) hostileMail {
				f := dkim.Field{Name: "Authentication-Results", Value: strings.Repeat("a.", 1<<10)}
				return hostileMail{fields: fieldsOf(n/len(f.Value), f)}
			}},
		one("comments nested to 10,000 before our name", "", func(int) string {
			return strings.Repeat("(", 10000) + strings.Repeat(")", 10000) + " mx.example.org; dkim=pass"
		}),
		one("open comments before our name", "", func(n int) string { return strings.Repeat("(", n) + " mx.example.org; dkim=pass" }),
		one("empty comments before our name", "", func(n int) string { return strings.Repeat("()", n/2) + " mx.example.org; dkim=pass" }),
		one("results without end in our name", "remove_ar_all = false\n", func(n int) string { return " mx.example.org" + strings.Repeat("; dkim=pass", n/11) }),
		one("properties without end in our name", "remove_ar_all = false\n", func(n int) string { return " mx.example.org; dkim=pass" + strings.Repeat(" a.b=c", n/6) }),
		one("quotes without end in our name", "remove_ar_all = false\n", func(n int) string { return " mx.example.org; dkim=pass reason=" + strings.Repeat(`"`, n) }),
	}
}

// hostileAuthors are rows on From and the envelope.
func hostileAuthors() []hostileRow {
	row := func(name, want string, value func(n int) string) hostileRow {
		return hostileRow{name: "From: " + name, size: 60 << 10, code: 'a', want: want, mail: func(t testing.TB, n int) hostileMail {
			from := dkim.Field{Name: "From", Value: value(n)}
			return seal{}.on(t, short(from))
		}}
	}
	repeat := func(unit string) func(n int) string {
		return func(n int) string { return strings.Repeat(unit, n/len(unit)) }
	}
	with := func(before, unit, after string) func(n int) string {
		return func(n int) string { return before + strings.Repeat(unit, n/len(unit)) + after }
	}
	const bad, good = `dkim=permerror reason="the From field `, "dkim=pass"
	rows := []hostileRow{
		row("10,000 addresses", bad, repeat("a@b.c,")),
		row("1,000 addresses", good, func(int) string { return strings.TrimSuffix(strings.Repeat("a@b.c,", 1000), ",") }),
		row("10,000 names without a domain", bad, repeat("root, ")),
		row("names without a domain and an author", good, with("a@example.com", ", root", "")),
		row("10,000 groups", good, with("a@example.com", ",G:;", "")),
		row("nested comments", good, func(n int) string { return strings.Repeat("(", n/2) + strings.Repeat(")", n/2) + "a@example.com" }),
		row("open comments", bad, with("a@example.com ", "(", "")),
		row("an unclosed quote", bad, with(`"`, `x\`, "a@example.com")),
		row("quotes", bad, repeat(`"`)),
		row("angle brackets", bad, repeat("<")),
		row("URIs", bad, repeat("<x://,")),
		row("a route", good, with("<@x", ",@y", ":a@example.com>")),
		row("encoded words", good, with("", "=?utf-8?q?x?= ", "<a@example.com>")),
		row("umlauts", good, with("a@", "\u00fc", ".example")),
		row("30,000 labels", good, with("a@", "a.", "example.com")),
		row("a local part of 60 KB", good, with("", "a", "@example.com")),
		row("NULs", bad, with("a@example.com", "\x00", "")),
		row("folds", good, with("a@example.com", "\r\n ", "")),
		row("control characters", bad, repeat("\x01\x7f")),
	}
	for i := range rows { // as ours, too
		ours := rows[i]
		ours.signs, ours.name = true, ours.name+", signed"
		if long := strings.Contains("umlauts 30,000 labels a local part of 60 KB", strings.TrimPrefix(rows[i].name, "From: ")); long {
			ours.code, ours.want = 't', "the tables cannot sign"
		} else if ours.want == good {
			ours.want = "DKIM-Signature:"
			ours.settings = "signing_table = [\"*=k\"]\n"
		}
		rows = append(rows, ours)
	}
	authors := dkim.Field{Name: "From", Value: strings.TrimSuffix(strings.Repeat("a@example.com,", 1000), ",")}
	envelope := hostileRow{name: "1,000 authors and an envelope sender of 60 KB", signs: true, settings: "author_must_match = [\"login\", \"envelope\"]\n", size: 60 << 10, code: 'a', want: "as author_must_match asks",
		mail: func(_ testing.TB, n int) hostileMail {
			m := short(authors)
			m.from = strings.Repeat("b", n) + "@example.com"
			return m
		}}
	rules := hostileRow{name: "rules without end", signs: true, settings: "replace_rules = \"RULES\"\n", size: 240 << 10, code: 'a', want: "DKIM-Signature:",
		mail: func(_ testing.TB, n int) hostileMail {
			f := dkim.Field{Name: "Subject", Value: strings.Repeat("b", 20<<10) + strings.Repeat("a", 20<<10)}
			return hostileMail{fields: fieldsOf(n/len(f.Value), f)}
		}}
	recipients := hostileRow{name: "20,000 recipients", signs: true, settings: "dont_sign_mail_to = [\"*@never.example\"]\nbody_length_db = [\"*@never.example\"]\n", size: 20_000, code: 'a', want: "DKIM-Signature:",
		mail: func(_ testing.TB, n int) hostileMail {
			m := short(hostileFrom)
			m.rcpts = n
			return m
		}}
	return append(rows, envelope, rules, recipients)
}
