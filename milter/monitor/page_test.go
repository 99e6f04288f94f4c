package monitor

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// document is a page as a browser reads it.
type document struct {
	*html.Node
	header http.Header
	text   string
}

func render(t *testing.T, p *Page) document {
	t.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	text := w.Body.String()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return document{root, w.Header(), text}
}

// elements are those of a name, all for "".
func (d document) elements(name string) (found []*html.Node) {
	for n := range d.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			found = append(found, n)
		}
	}
	return found
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// words are the text of an element, with one blank between two words.
func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		switch {
		case d.Type == html.TextNode:
			b.WriteString(d.Data)
		case slices.Contains([]string{"th", "td", "dt", "dd"}, d.Data):
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// section is the text of the section with a heading.
func (d document) section(t *testing.T, id string) string {
	t.Helper()
	for _, s := range d.elements("section") {
		if attr(s, "aria-labelledby") == id {
			return words(s)
		}
	}
	t.Fatalf("no section %s", id)
	return ""
}

// A key says where it is in its rotation, and DNS may lack one that no mail needs.
func TestPageOfRotation(t *testing.T) {
	for _, tt := range []struct {
		rotation string
		unused   bool
		want     string
		bad      bool
	}{
		{"", false, "✓ ready ✕ missing", true},
		{"", true, "✓ ready not in use · missing", false},
		{"pending", true, "✓ ready pending · missing", false},
		{"published", true, "✓ ready published · missing", false},
		{"active", false, "✓ ready active ✕ missing", true},
		{"retiring", true, "✓ ready retiring ✕ missing", true},
	} {
		t.Run(tt.want, func(t *testing.T) {
			s := fresh()
			s.Keys = s.Keys[:1]
			s.Keys[0].Rotation, s.Keys[0].Unused, s.Keys[0].Published = tt.rotation, tt.unused, Missing
			d := render(t, pageOf(t, s))
			if text := d.section(t, "keys"); !strings.Contains(text, tt.want) {
				t.Errorf("%q is not in %s", tt.want, text)
			}
			bad := slices.ContainsFunc(d.elements("span"), func(n *html.Node) bool {
				return attr(n, "class") == "bad" && strings.Contains(words(n), "missing")
			})
			if bad != tt.bad {
				t.Errorf("alarming: %t", bad)
			}
		})
	}
}

func TestPageSays(t *testing.T) {
	for name, row := range map[string]struct {
		title, heading string
		header         []string // further words at the top
		sections       map[string][]string
	}{
		"fresh": {"Ready – postseal", "✓ postseal: Ready", []string{"As of 12:00:00, 2026-03-14, UTC."}, map[string][]string{
			"daemon": {
				"Version 1.2.3 (go1.26.8)", "Up for 17 s", "Process 4711", "Connections 0 of 500", "Keys 2 ready", "Sandbox landlock, ABI 6",
				"Socket unix:/var/spool/postfix/postseal/postseal.sock (inherited)", "Socket inet:8891@localhost at 127.0.0.1:8891",
			},
			"rate":     {"signed – – –", "verified – – –", "Nothing was seen yet"},
			"latency":  {"median (p50) – – –"},
			"messages": {"None yet."},
			"dns":      {"found 0 0", "Nobody asked for a key yet."},
			"reload":   {"The configuration of the start is in force."},
			"troubles": {"None since the start."},
			"keys":     {"example.com s2026 rsa 2048 main ✓ ready · unknown", "example.com e2026 ed25519 main-ed ✓ ready"},
		}},
		"busy": {"Ready – postseal", "✓ postseal: Ready", nil, map[string][]string{
			"daemon":      {"Up for 49 d 3 h", "Connections 23 of 500"},
			"rate":        {"signed 82 238 420", "Seen so far: 56 min of the last hour."},
			"latency":     {"median (p50) 2.2 ms 2.2 ms 2.2 ms"},
			"messages":    {"signed 13,342 4,014,894", "verified: pass 30,020 9,033,512", "verified: no signature", "tempfail 66 20,074"},
			"dns":         {"failure 16 5,018", "(67.3 %)"},
			"connections": {"open now 23", "closed to make room 4"},
			"reload":      {"The last reload took effect 1 d 2 h ago. (2026-03-13 10:00:00)"},
			"troubles":    {"11:56:00 4Wz1Qr2GkqzB example.net ✕ verify: reject fail d=example.net s=s1", "4Wz1Qm0T5yzC and 1,233 before lists.example.org · verify: accept permerror"},
			"keys":        {"✓ published (11:59:00)"},
		}},
		"troubled": {"Not ready: 1 reason – postseal", "✕ postseal: Not ready", []string{
			"2 of 5 keys cannot sign; the first is \"shop\": d=shop.example s=s1.", "The last reload failed: the configuration before it is in force.",
			"DNS does not publish 2 keys as needed", "1 key in files cannot be used", "497 of at most 500 connections are in use.",
		}, map[string][]string{
			"daemon": {"Keys 2 ready, 1 stale, 2 disabled"},
			"reload": {"The last reload failed 3 min ago.", `row "*@shop.example": no key "shopp"`},
			"keys": {
				"shop.example s1 shop ✕ disabled /etc/postseal/key.table:3: key \"shop\": open /etc/postseal/keys/shop.private: permission denied",
				"✕ stale /etc/postseal/keys/news.private: no PEM block ✕ missing There is no TXT record at n._domainkey.news.example.com. (11:59:40)",
				"✕ different The record publishes another key",
			},
			"troubles": {"✕ refuse: tempfail", "key 'shop' cannot sign"},
		}},
		"unsigned": {"Ready, look: 2 things – postseal", "▲ postseal: Ready, and something to look at", []string{
			"60 messages should have been signed and could not be, in the last 10 minutes.", "607 of 2,110 look-ups in DNS failed in the last 10 minutes.",
		}, nil},
		"many-keys": {"Ready – postseal", "✓ postseal: Ready", nil, map[string][]string{
			"keys": {"there are more than monitor_keys (100)", "customer00199.example", "and 12,145 more"},
		}},
		"stopping": {"Stopping – postseal", "✕ postseal: Stopping", []string{"The daemon is stopping."}, map[string][]string{"daemon": {"Socket ✕ none is open"}}},
	} {
		t.Run(name, func(t *testing.T) {
			d := render(t, pageOf(t, states()[name]))
			if got := words(d.elements("title")[0]); got != row.title {
				t.Errorf("title %q", got)
			}
			if got := words(d.elements("h1")[0]); got != row.heading {
				t.Errorf("heading %q", got)
			}
			top := words(d.elements("header")[0])
			for _, want := range row.header {
				if !strings.Contains(top, want) {
					t.Errorf("the top lacks %q: %s", want, top)
				}
			}
			for id, wants := range row.sections {
				text := d.section(t, id)
				for _, want := range wants {
					if !strings.Contains(text, want) {
						t.Errorf("%s lacks %q: %.600s", id, want, text)
					}
				}
			}
			if name == "many-keys" && len(d.elements("tr")) < MostKeys {
				t.Errorf("%d rows", len(d.elements("tr")))
			}
		})
	}
}

// Every state makes a whole, accessible document that fetches and runs nothing.
func TestPageIsSound(t *testing.T) {
	for name, s := range states() {
		t.Run(name, func(t *testing.T) {
			d := render(t, pageOf(t, s))
			if attr(d.elements("html")[0], "lang") != "en" || !strings.HasPrefix(d.text, "<!DOCTYPE html>") {
				t.Error("no language or no doctype")
			}
			for _, forbidden := range []string{"script", "img", "iframe", "object", "embed", "form", "link", "base", "image", "use"} {
				if len(d.elements(forbidden)) > 0 {
					t.Errorf("it has <%s>", forbidden)
				}
			}
			ids := map[string]bool{}
			for _, n := range d.elements("") {
				id := attr(n, "id")
				if id != "" && ids[id] {
					t.Errorf("two elements are called %q", id)
				}
				ids[id] = true
			}
			for _, n := range d.elements("") {
				for _, a := range n.Attr {
					switch {
					case a.Key == "style" || strings.HasPrefix(a.Key, "on") || a.Key == "src":
						t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
					case a.Key == "href" && (!strings.HasPrefix(a.Val, "#") || !ids[a.Val[1:]]):
						t.Errorf("a link to %q", a.Val)
					case a.Key == "aria-labelledby" && !ids[a.Val]:
						t.Errorf("nothing is called %q", a.Val)
					}
				}
			}
			for _, th := range d.elements("th") {
				if scope := attr(th, "scope"); scope != "col" && scope != "row" || words(th) == "" {
					t.Errorf("<th scope=%q>%s", scope, words(th))
				}
			}
			for _, table := range d.elements("table") {
				columns := 0
				for n := range table.Descendants() {
					if n.Data != "tr" {
						continue
					}
					cells := 0
					for cell := range n.ChildNodes() {
						if cell.Type == html.ElementNode {
							cells++
						}
					}
					if columns == 0 {
						columns = cells
					}
					if cells != columns || cells == 0 {
						t.Errorf("%d cells, want %d: %s", cells, columns, words(n))
					}
				}
			}
			if broken := regexp.MustCompile(`NaN|[+-]Inf|%!|ZgotmplZ|<nil>|0001-01-01`).FindString(d.text); broken != "" {
				t.Errorf("it has %q", broken)
			}
			headings := 0
			for _, n := range d.elements("h2") {
				headings++
				if attr(n.Parent, "aria-labelledby") != attr(n, "id") {
					t.Errorf("the section of %q has another name", words(n))
				}
			}
			if headings != len(d.elements("section")) || len(d.elements("h1")) != 1 {
				t.Errorf("%d headings", headings)
			}
		})
	}
}

// The page comes with a policy that lets it have its style sheet and nothing else.
func TestPagePolicy(t *testing.T) {
	d := render(t, pageOf(t, busy(3600)))
	style := d.elements("style")
	if len(style) != 1 {
		t.Fatalf("%d style sheets", len(style))
	}
	sum := sha256.Sum256([]byte(style[0].FirstChild.Data))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := d.header.Get("Content-Security-Policy"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if regexp.MustCompile(`<|@import|url\(|\\`).MatchString(pageStyle) {
		t.Error("the style sheet fetches something, or could end itself")
	}
	if got := d.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("it is %s", got)
	}
}

// Whatever the texts say, the document has the same elements and attributes.
func TestPageEscapes(t *testing.T) {
	hostile := `</title></style></td></svg>--><script>alert(1)</script><img src=x onerror=alert(1)>"' onmouseover="alert(1)" {{.}} &lt;` + "\x00\x1b[31m\u202e\xff\r\n"
	shape := func(s string) (list []string, text string) {
		st := states()["troubled"]
		fill(reflect.ValueOf(&st).Elem(), s)
		for o := range st.Messages {
			delete(st.Messages, o)
		}
		st.Messages[Outcome{s, s}] = 1
		p := NewPage(func() Status { return st })
		p.now = func() time.Time { return noon }
		p.history.keep(noon.Add(-sampleEvery), Status{})
		p.history.keep(noon, st)
		d := render(t, p)
		for _, n := range d.elements("") {
			list = append(list, n.Data)
			for _, a := range n.Attr {
				list = append(list, n.Data+" "+a.Key)
			}
		}
		return list, d.text
	}
	plain, _ := shape("plain")
	list, text := shape(hostile)
	if !slices.Equal(plain, list) {
		t.Errorf("the document is another one:\n%q\n%q", plain, list)
	}
	if n := strings.Count(text, "&lt;script&gt;alert(1)"); n < 20 {
		t.Errorf("the texts stand there %d times", n)
	}
	for _, control := range []string{"\x1b", "\u202e", "\xff"} {
		if strings.Contains(text, control) {
			t.Errorf("it has %q", control)
		}
	}
}

// fill puts a text into every string below v, but for the words of closed sets.
func fill(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), s)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), s)
		}
	}
}

// The page is what a monitor serves at /, with what every answer of it has.
func TestPageIsServed(t *testing.T) {
	t.Parallel()
	m := serve(t, fresh)
	res, text := m.do(t, http.MethodGet, "/", "localhost")
	if res.StatusCode != http.StatusOK || !strings.Contains(text, "<h1>") || !strings.Contains(res.Header.Get("Content-Security-Policy"), "style-src") ||
		res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s %v: %.200s", res.Status, res.Header, text)
	}
	if code, _ := m.get(t, "/index.html"); code != http.StatusNotFound {
		t.Errorf("another page: %d", code)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if end, _ := m.page.history.parts(); !end.IsZero() {
			break // it keeps samples
		}
		if time.Now().After(end) {
			t.Fatal("no sample is kept")
		}
	}
}
