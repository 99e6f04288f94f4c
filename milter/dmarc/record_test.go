package dmarc

import (
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/postseal/postseal/milter/finding"
)

func TestIsRecord(t *testing.T) {
	for txt, want := range map[string]bool{
		"v=DMARC1": true, "v=DMARC1;": true, "v=DMARC1; p=none": true, "v = DMARC1 ; p=none": true, "v\t=\tDMARC1\t;": true, "V=DMARC1;p=none": true,
		"": false, ";": false, "v": false, "v=": false, "v=dmarc1": false, "v=DMARC1x": false, "v=DMARC1 p=none": false, "v=DMARC1,p=none": false,
		" v=DMARC1": false, "\tv=DMARC1": false, ";v=DMARC1": false, "p=none; v=DMARC1": false, "vv=DMARC1": false, "v==DMARC1": false,
		`"v=DMARC1"`: false, "v=DMARC1\u00a0; p=none": false, "v=DMARC2": false, "v=spf1 -all": false,
	} {
		if got := IsRecord(txt); got != want {
			t.Errorf("%q: %t", txt, got)
		}
	}
}

func TestParseRecord(t *testing.T) {
	with := func(change func(*Record)) *Record {
		r := &Record{PSD: "u", ADKIM: Relaxed, ASPF: Relaxed, FO: "0"}
		change(r)
		return r
	}
	mailto := URI{Text: "mailto:r@quay.example", Scheme: "mailto", Host: "quay.example"}
	for _, tt := range []struct {
		txt  string
		want *Record
	}{
		{"v=DMARC1", with(func(*Record) {})},
		{"v=DMARC1;p=Reject ;\tSP = quarantine; np=NONE", with(func(r *Record) { r.P, r.SP, r.NP = Reject, Quarantine, NoPolicy })},
		{"v=DMARC1; adkim=S; aspf=r; t=Y; psd=N; fo=1:d:s; p=none", with(func(r *Record) {
			r.ADKIM, r.Test, r.PSD, r.FO, r.P = Strict, true, "n", "1:d:s", NoPolicy
		})},
		{"v=DMARC1; adkim=x; aspf=; t=1; psd=x; fo=d:d; p=rejected", with(func(*Record) {})},
		{"v=DMARC1; p=none; p=reject; v=DMARC1", with(func(r *Record) { r.P = NoPolicy })},
		{"v=DMARC1;; p reject; =; p=none;", with(func(r *Record) { r.P = NoPolicy })},
		{"v=DMARC1; p=\"reject\"; sp=re ject", with(func(*Record) {})},
		{"v=DMARC1; rua=mailto:r@quay.example", with(func(r *Record) { r.RUA = []URI{mailto} })},
		{"v=DMARC1; rua = r@quay.example , mailto:r@quay.example!10m, x", with(func(r *Record) {
			sized := mailto
			sized.Sized = true
			r.RUA = []URI{sized}
		})},
		{"v=DMARC1; ruf=https://user@Quay.example:8443/r?x#y", with(func(r *Record) {
			r.RUF = []URI{{Text: "https://user@Quay.example:8443/r?x#y", Scheme: "https", Host: "quay.example"}}
		})},
	} {
		got, ok := ParseRecord(tt.txt)
		if !ok {
			t.Errorf("%q is no record", tt.txt)
			continue
		}
		tt.want.Text = tt.txt
		if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(Record{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.txt, diff)
		}
	}
	long := "v=DMARC1; p=reject; zz=" + strings.Repeat("x", maxText) + "; p=none"
	if r, ok := ParseRecord(long); !ok || r.P != Reject || len(r.items) != 2 || r.Text != long {
		t.Errorf("of a long record: %+v", r)
	}
	if r, ok := ParseRecord("v=DMARC1" + strings.Repeat(" ", maxText) + "; p=none"); !ok || r.P != "" {
		t.Errorf("of a long version: %+v", r)
	}
	if r, ok := ParseRecord("v=dmarc1"); ok || r != nil {
		t.Errorf("%+v", r)
	}
}

func TestParseURI(t *testing.T) {
	for text, want := range map[string]string{ // scheme, host and text
		"mailto:r@quay.example":           "mailto quay.example mailto:r@quay.example",
		"MAILTO:r@Quay.Example?subject=x": "mailto quay.example MAILTO:r@Quay.Example?subject=x",
		"mailto:a%2Cb%21@quay.example":    "mailto quay.example mailto:a%2Cb%21@quay.example",
		"mailto:r@quay.example!10m":       "mailto quay.example mailto:r@quay.example",
		"mailto:r@quay.example!5":         "mailto quay.example mailto:r@quay.example",
		"https://quay.example/r":          "https quay.example https://quay.example/r",
		"https:r":                         "https  https:r",
		"urn:x-y:z":                       "urn  urn:x-y:z",
		"":                                "", "r@quay.example": "", "mailto:": "", "mailto:r": "", "mailto:@quay.example": "", "mailto:r@": "", "mailto:r@a..b": "",
		"mailto:r@quay.example!": "", "mailto:r@quay.example!m": "", "mailto:r@quay.example!10mb": "", "mailto:r!x@quay.example": "",
		"mailto:a b@quay.example": "", "mailto:%zz@quay.example": "", "mailto:%2@quay.example": "", "mailto:<r@quay.example>": "", "1x:y": "", ":x": "", "h\u00e4:x": "", "mailto:r@\u00e4.example": "",
	} {
		u, ok := parseURI(text)
		got := ""
		if ok {
			got = u.Scheme + " " + u.Host + " " + u.Text
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestPolicies(t *testing.T) {
	for _, tt := range []struct {
		tags      string
		p, sp, np Policy
		usable    bool
	}{
		{"p=reject", Reject, Reject, Reject, true},
		{"p=reject; sp=none", Reject, NoPolicy, NoPolicy, true},
		{"p=none; np=reject", NoPolicy, NoPolicy, Reject, true},
		{"p=reject; sp=quarantine; np=none", Reject, Quarantine, NoPolicy, true},
		{"sp=reject", NoPolicy, NoPolicy, NoPolicy, false},
		{"sp=reject; rua=mailto:r@quay.example", NoPolicy, NoPolicy, NoPolicy, true},
		{"p=reject; np=x; rua=mailto:r@quay.example", NoPolicy, NoPolicy, NoPolicy, true},
		{"p=reject; np=x; rua=r@quay.example", NoPolicy, NoPolicy, NoPolicy, false},
		{"p=reject; np=x; ruf=mailto:r@quay.example", NoPolicy, NoPolicy, NoPolicy, false},
		{"p=x; p=reject", NoPolicy, NoPolicy, NoPolicy, false},
	} {
		r, _ := ParseRecord("v=DMARC1; " + tt.tags)
		if p, sp, np, usable := r.Policies(); p != tt.p || sp != tt.sp || np != tt.np || usable != tt.usable {
			t.Errorf("%s: %s %s %s %t", tt.tags, p, sp, np, usable)
		}
	}
}

func TestPropose(t *testing.T) {
	for _, tt := range []struct{ domain, rua, name, text string }{
		{"Quay.Example.", "", "_dmarc.quay.example", "v=DMARC1; p=none; rua=mailto:postmaster@quay.example"},
		{"b\u00fccher.example", "", "_dmarc.xn--bcher-kva.example", "v=DMARC1; p=none; rua=mailto:postmaster@xn--bcher-kva.example"},
		{"quay.example", "dmarc@fen.example", "_dmarc.quay.example", "v=DMARC1; p=none; rua=mailto:dmarc@fen.example"},
		{"quay.example", "mailto:dmarc@fen.example", "_dmarc.quay.example", "v=DMARC1; p=none; rua=mailto:dmarc@fen.example"},
		{"quay.example", "dmarc", "", ""},
		{"quay.example", "a@fen.example,b@fen.example", "", ""},
		{"quay.example", "a@fen.example; p=reject", "", ""},
		{"a..b", "", "", ""},
	} {
		name, text, err := Propose(tt.domain, tt.rua)
		if name != tt.name || text != tt.text || (err != nil) != (tt.text == "") {
			t.Errorf("%q, %q: %s %s, %v", tt.domain, tt.rua, name, text, err)
		}
	}
	z := newZone("")
	name, text, _ := Propose("quay.example", "")
	z.txt[name] = []string{text}
	if r := Inspect(t.Context(), z, "quay.example"); r.Findings.Worst() != finding.Note {
		t.Errorf("what is proposed has %+v", r.Findings)
	}
}

// Who is to get the reports of another organization agrees first.
func TestConsent(t *testing.T) {
	z := newZone("")
	for name, text := range map[string]string{
		"_dmarc.quay.example": "p=none", "agreed.example._report._dmarc.fen.example": "", "_dmarc.broken.example": "p=none",
	} {
		z.txt[name] = []string{"v=DMARC1; " + text}
	}
	z.broken["_dmarc.lost.example"] = true
	for _, tt := range []struct{ domain, rua, name string }{
		{"quay.example", "", ""},
		{"quay.example", "dmarc@quay.example", ""},
		{"quay.example", "dmarc@mail.quay.example", ""},
		{"mail.quay.example", "dmarc@quay.example", ""},
		{"quay.example", "dmarc@fen.example", "quay.example._report._dmarc.fen.example"},
		{"quay.example", "mailto:dmarc@fen.example", "quay.example._report._dmarc.fen.example"},
		{"agreed.example", "dmarc@fen.example", ""},
		{"quay.example", "dmarc@lost.example", "quay.example._report._dmarc.lost.example"},
		{"quay.example", "no address", ""},
	} {
		name, text, host := Consent(t.Context(), z, tt.domain, tt.rua)
		if name != tt.name || name != "" && (text != "v=DMARC1" || !strings.HasSuffix(name, "."+host)) {
			t.Errorf("%s, %s: %q %q %q, want %q", tt.domain, tt.rua, name, text, host, tt.name)
		}
	}
}

// Whatever a domain publishes: what is read is within its bounds, the record that is
// proposed in its place has no fault and stays as it is when it is mended again, and
// nothing in the findings can steer a terminal.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{
		"v=DMARC1; p=none; rua=mailto:r@quay.example", "v=DMARC1; p=x; SP=; pct=0; t=n; fo=0:1; ruf=r@x,y", "p=none; v=DMARC1", `"v=DMARC1\; p=reject"`,
		"v=DMARC1 p=reject", "v=dmarc1,p=reject", "v=DMARC1; \x1b[31m=1; zz=\"\\", "v=DMARC1; psd=y; np=reject; sp=none; t=y", strings.Repeat("v=DMARC1;p=none,", 100),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, txt string) {
		if r, ok := ParseRecord(txt); ok {
			if len(r.items) > maxItems || len(r.RUA) > maxURIs || len(r.RUF) > maxURIs {
				t.Errorf("out of bounds: %+v", r)
			}
			text := r.mended("quay.example").text()
			again, ok := ParseRecord(text)
			if !ok || again.mended("quay.example").text() != text {
				t.Fatalf("%q is mended to %q", txt, text)
			}
			if _, _, _, usable := again.Policies(); !usable || again.bad {
				t.Errorf("%q is mended to %q, which has no policy", txt, text)
			}
			for _, it := range again.items {
				if it.fault != sound && it.fault != unknown {
					t.Errorf("%q is mended to %q, where %q is at fault", txt, text, it.raw)
				}
			}
		}
		z := newZone("")
		z.txt["_dmarc.quay.example"] = []string{txt}
		z.exists[probe+".quay.example"] = true
		for _, f := range Inspect(t.Context(), z, "quay.example").Findings {
			text := f.Text + f.Effect + f.Fix
			if strings.IndexFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) >= 0 {
				t.Errorf("%q is not printable", text)
			}
			if z.publish(t, f.Fix); f.Text == "" || f.Effect == "" || f.Fix == "" {
				t.Errorf("%q: %+v", txt, f)
			}
		}
	})
}
