package dmarc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// full writes a name of the vectors out: their domains are single letters.
func full(name string) string {
	for short, long := range map[string]string{"q": "quay.example", "f": "fen.example", "g": "guild.example", "c": "city.example"} {
		if head, ok := strings.CutSuffix(name, short); ok && (head == "" || strings.HasSuffix(head, ".")) {
			return head + long
		}
	}
	return name
}

var errTrouble = errors.New("SERVFAIL")

// zone answers from memory, and writes down what it was asked.
type zone struct {
	txt    map[string][]string // by the full name
	broken map[string]bool
	exists map[string]bool // of names that may be asked for
	asked  []string
}

// newZone reads lines "NAME: RECORD" for the records below _dmarc.NAME; v=DMARC1 comes
// by itself but for those that begin with "raw ". SERVFAIL is that answer. "@NAME: TEXT"
// is a TXT record of any name.
func newZone(lines string) *zone {
	z := &zone{txt: map[string][]string{}, broken: map[string]bool{}, exists: map[string]bool{}}
	for line := range strings.SplitSeq(lines, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, record, _ := strings.Cut(line, ": ")
		name, elsewhere := strings.CutPrefix(name, "@")
		text, raw := strings.CutPrefix(record, "raw ")
		if !elsewhere {
			name = prefix + full(name)
		}
		switch {
		case record == "SERVFAIL":
			z.broken[name] = true
		case raw || elsewhere:
			z.txt[name] = append(z.txt[name], text)
		default:
			z.txt[name] = append(z.txt[name], "v=DMARC1; "+record)
		}
	}
	return z
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, bool, error) {
	z.asked = append(z.asked, name)
	if z.broken[name] {
		return nil, false, errTrouble
	}
	return z.txt[name], false, nil
}

func (z *zone) Exists(_ context.Context, name string) (bool, error) {
	z.asked = append(z.asked, "exists "+name)
	exists, ok := z.exists[name]
	if !ok {
		return false, fmt.Errorf("whether %s exists was not to be asked", name)
	}
	return exists, nil
}

// identifiers reads "pay.q +, q fail": domains and results, "+" for pass.
func identifiers(text string) []Identifier {
	var list []Identifier
	for one := range strings.SplitSeq(text, ", ") {
		if name, result, ok := strings.Cut(one, " "); ok {
			list = append(list, Identifier{full(name), strings.Replace(result, "+", "pass", 1)})
		}
	}
	return list
}

const guild = "g: p=none; sp=quarantine; np=reject; psd=y\n"

// Thirty cases of RFC 9989 with what they come to. 15 and 20 have results that the RFC
// does not give.
func TestVectors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		zone   string
		from   string // with "NX" or "ex" where it may be asked whether it exists
		spf    string
		dkim   string
		status Status
		policy Policy
		org    string // "" for unknown
	}{
		{"1 null sender, HELO domain", "q: p=reject", "q", "mx.q +", "", Pass, Reject, "q"},
		{"2 one of several", "q: p=reject; sp=quarantine", "news.q ex", "esp.test +", "esp.test +, news.q fail, q +", Pass, Quarantine, "q"},
		{"3 strict", "q: p=reject; adkim=s; aspf=s", "news.q ex", "q +", "q +", Fail, Reject, "q"},
		{"4 nearest record not used", "q: p=reject\nmail.q: p=none", "a.mail.q ex", "", "", Fail, Reject, "q"},
		{"5 policy and organization differ", "q: p=reject\nnews.q: p=none; sp=reject", "news.q", "", "pay.q +", Pass, NoPolicy, "q"},
		{"6 parent has no record", "news.f: p=quarantine", "news.f", "", "f +", Fail, Quarantine, "news.f"},
		{"7 psd=n upward", "f: p=none\ndept.f: p=quarantine; psd=n", "x.dept.f ex", "", "f +", Fail, Quarantine, "dept.f"},
		{"8 psd=n downward", "f: p=reject\nlab.f: p=none; psd=n", "f", "", "lab.f +", Fail, Reject, "f"},
		{"9 below a suffix", guild + "rope.g: p=quarantine", "rope.g", "mail.rope.g +", "", Pass, Quarantine, "rope.g"},
		{"10 policy from suffix, sp", guild + "rope.g: p=reject", "silk.g ex", "", "rope.g +", Fail, Quarantine, "silk.g"},
		{"11 np; suffix does not align", guild, "ghost.g NX", "g +", "", Fail, Reject, "ghost.g"},
		{"12 record between ignored", guild + "b.silk.g: p=reject", "a.b.silk.g ex", "", "silk.g +", Pass, Quarantine, "silk.g"},
		{"13 suffix as sender", "g: p=reject; psd=y", "g", "", "mail.g +", Fail, Reject, "g"},
		{"14 plain record at a suffix", "c: p=none\nshop.c: p=reject", "shop.c", "", "rival.c +", Pass, Reject, "c"},
		{"14 with psd=n", "c: p=none\nshop.c: p=reject; psd=n", "shop.c", "", "rival.c +", Fail, Reject, "shop.c"},
		{"15 two domains", "q: p=reject\nf: p=none", "q f", "q +", "q +", PermError, "", ""},
		{"16 ten labels, eight queries", "fen.example: p=none; sp=quarantine\nc.d.e.f.g.h.fen.example: p=reject; psd=n", "a.b.c.d.e.f.g.h.fen.example ex", "", "", Fail, Quarantine, "fen.example"},
		{"17 eight labels, parent seen", "fen.example: p=none\nb.c.d.e.f.fen.example: p=reject; psd=n", "a.b.c.d.e.f.fen.example ex", "", "c.d.e.f.fen.example +", Fail, Reject, "b.c.d.e.f.fen.example"},
		{"18 two records, walk goes on", "news.q: p=none\nnews.q: p=reject\nq: p=quarantine", "news.q ex", "", "", Fail, Quarantine, "q"},
		{"19 two records, nothing above", "q: p=none\nq: p=reject", "q", "", "q +", None, "", "q"},
		{"20 key lookup failed", "q: p=reject", "q", "q fail", "q temperror", TempError, "", "q"},
		{"21 v not first", "news.q: raw p=none; v=DMARC1\nq: p=quarantine; sp=reject", "news.q ex", "", "", Fail, Reject, "q"},
		{"22 three TXT, one counts", "q: raw v=dmarc1; p=reject\nq: raw site-check=1\nq: raw v = DMARC1 ;p=Quarantine; zz=1; pct=100; t=y;", "q", "", "", Fail, NoPolicy, "q"},
		{"23 bad sp with rua", "q: p=reject; sp=quarantin; rua=mailto:r@quay.example", "q", "", "", Fail, NoPolicy, "q"},
		{"24 bad sp without rua", "q: p=reject; sp=quarantin", "q", "", "q +", None, "", "q"},
		{"25 no p, one URI good", "q: rua=https:bad uri,mailto:r@quay.example!10m; aspf=x", "q", "www.q +", "", Pass, NoPolicy, "q"},
		{"26 t after sp", "q: p=quarantine; sp=reject; t=y", "news.q ex", "", "", Fail, Quarantine, "q"},
		{"27 np falls to sp", "q: p=reject; sp=none", "ghost.q NX", "", "", Fail, NoPolicy, "q"},
		{"28 empty non-terminal exists", "q: p=quarantine; np=reject", "ent.q ex", "", "", Fail, Quarantine, "q"},
		{"29 policy unknown", "news.q: SERVFAIL\nq: p=reject", "news.q", "", "news.q +", TempError, "", ""},
		{"30 not needed", "news.q: p=reject\nq: SERVFAIL", "news.q", "", "news.q +", Pass, Reject, ""},
		{"30 with d=q", "news.q: p=reject\nq: SERVFAIL", "news.q", "", "q +", TempError, "", ""},
		{"30 with a stranger", "news.q: p=reject\nq: SERVFAIL", "news.q", "", "esp.test +", Fail, Reject, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := newZone(tt.zone)
			m := Message{DKIM: identifiers(tt.dkim)}
			if spf := identifiers(tt.spf); len(spf) > 0 {
				m.SPF = spf[0]
			}
			for word := range strings.SplitSeq(tt.from, " ") {
				switch word {
				case "NX", "ex":
					z.exists[m.From[0]] = word == "ex"
				default:
					m.From = append(m.From, full(word))
				}
			}
			got := Evaluate(t.Context(), z, m)
			if got.Status != tt.status || got.Policy != tt.policy || got.Organization != full(tt.org) || got.Reason == "" {
				t.Errorf("%s, policy %q, organization %q: %s; want %s, %q, %q", got, got.Policy, got.Organization, got.Reason, tt.status, tt.policy, full(tt.org))
			}
			if len(z.asked) != len(slices.Compact(slices.Sorted(slices.Values(z.asked)))) {
				t.Errorf("asked twice: %q", z.asked)
			}
			switch tt.name[:2] {
			case "16":
				wantAsked(t, z, "a.b.c.d.e.f.g.h.fen.example", "d.e.f.g.h.fen.example", "e.f.g.h.fen.example", "f.g.h.fen.example", "g.h.fen.example", "h.fen.example", "fen.example", "example")
			case "17":
				wantAsked(t, z, "a.b.c.d.e.f.fen.example", "b.c.d.e.f.fen.example")
			}
		})
	}
}

// wantAsked wants exactly the records of these domains to be asked for, in this order.
func wantAsked(t *testing.T, z *zone, domains ...string) {
	t.Helper()
	for i := range domains {
		domains[i] = prefix + domains[i]
	}
	if diff := cmp.Diff(domains, z.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}
