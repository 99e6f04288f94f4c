//go:build deploy

package monitor

import (
	"fmt"
	"image/color"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/testdata/program"
	"github.com/postseal/postseal/testdata/secrets"
)

// outside are elements of which a part is beyond the window's width; what is for
// screen readers alone is not drawn.
const outside = `[...document.querySelectorAll('body, body *')].filter(e => {
	if (e.closest('.hidden, svg svg') || getComputedStyle(e).clipPath != 'none' || e.closest('thead') && getComputedStyle(e.closest('thead')).clipPath != 'none') return false
	const r = e.getBoundingClientRect()
	return r.width > 0 && (r.left < -0.5 || r.right > document.documentElement.clientWidth + 0.5)
}).map(e => e.tagName + '.' + e.className + ' ' + JSON.stringify(e.getBoundingClientRect()) + ' ' + e.textContent.slice(0, 60))
.concat(document.documentElement.scrollWidth > document.documentElement.clientWidth ? ['scrolls to ' + document.documentElement.scrollWidth] : [])`

// squeezed are headings of rows that do not have the whole width of a phone.
const squeezed = `[...document.querySelectorAll('.rows tbody th')].filter(e => innerWidth < 500 && e.clientWidth < innerWidth * 0.8).map(e => e.textContent)`

// faint are texts whose contrast with their ground is below 4.5:1 (WCAG 2.1, 1.4.3).
const faint = `(() => {
	const light = c => c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
	const parts = s => s.match(/[0-9.]+/g).map(Number)
	const ground = e => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor); if (c.length == 3 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] }
	return [...document.querySelectorAll('body *')].filter(e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())).filter(e => {
		const style = getComputedStyle(e)
		const [a, b] = [light(parts(e.closest('svg') ? style.fill : style.color).slice(0, 3)), light(ground(e))]
		return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5
	}).map(e => e.tagName + '.' + e.getAttribute('class') + ' ' + e.textContent.slice(0, 40))
})()`

// wantFine wants a page that keeps to its window, can be read, and asked nobody else
// for anything.
func (b *browser) wantFine(base string) {
	b.t.Helper()
	for _, e := range b.list(outside) {
		b.t.Errorf("outside of the window: %s", e)
	}
	for _, e := range b.list(squeezed) {
		b.t.Errorf("squeezed: %s", e)
	}
	for _, e := range b.list(faint) {
		b.t.Errorf("faint: %s", e)
	}
	if len(b.said) > 0 {
		b.t.Errorf("the console has %q", b.said)
	}
	for _, asked := range b.requested {
		if asked != base+"/" && asked != base+"/favicon.ico" {
			b.t.Errorf("it asked for %s", asked)
		}
	}
	if len(b.requested) == 0 {
		b.t.Error("it asked for nothing at all")
	}
}

// wantDrawn wants a picture of many colours, these among them.
func (b *browser) wantDrawn(colours ...color.RGBA) {
	b.t.Helper()
	drawn := b.picture()
	counts := map[color.Color]int{}
	size := drawn.Bounds()
	for y := size.Min.Y; y < size.Max.Y; y++ {
		for x := size.Min.X; x < size.Max.X; x++ {
			counts[color.RGBAModel.Convert(drawn.At(x, y))]++
		}
	}
	for c, n := range counts {
		if all := size.Dx() * size.Dy(); n > all*97/100 {
			b.t.Errorf("%d of %d points are %v", n, all, c)
		}
	}
	if len(counts) < 30 {
		b.t.Errorf("%d colours", len(counts))
	}
	for _, c := range colours {
		if counts[c] < 20 {
			b.t.Errorf("%d points are %v", counts[c], c)
		}
	}
}

// The colours of the three lines, in light and in dark.
var lineColours = map[string][]color.RGBA{
	"light": {{0x00, 0x72, 0xb2, 255}, {0x00, 0x77, 0x5a, 255}, {0xc0, 0x4a, 0x00, 255}},
	"dark":  {{0x56, 0xb4, 0xe9, 255}, {0x2f, 0xc7, 0x9a, 255}, {0xf0, 0x87, 0x3a, 255}},
}

// In every state, on a screen and on a phone, by day and by night.
func TestPageInBrowser(t *testing.T) {
	b := startBrowser(t)
	for name, s := range states() {
		server := httptest.NewServer(pageOf(t, s))
		t.Cleanup(server.Close)
		for _, width := range []int{1280, 390} {
			for colours, lines := range lineColours {
				t.Run(fmt.Sprintf("%s/%d/%s", name, width, colours), func(t *testing.T) {
					b.t = t
					b.open(server.URL+"/", width, colours)
					b.wantFine(server.URL)
					if name == "fresh" {
						lines = lines[:2] // of the legend
					}
					b.wantDrawn(lines...)
				})
			}
		}
	}
	b.t = t
}

// What wantFine looks for is found where it is.
func TestBrowserFindsFaults(t *testing.T) {
	b := startBrowser(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src http://elsewhere.example")
		_, _ = w.Write([]byte(`<!DOCTYPE html><title>x</title><meta name="viewport" content="width=device-width"><p style="width: 500px; color: #999">text</p><script>1</script><img src="http://elsewhere.example/x">`))
	}))
	t.Cleanup(server.Close)
	b.open(server.URL+"/", 390, "light")
	if found := b.list(outside); len(found) != 2 {
		t.Errorf("outside: %q", found)
	}
	if found := b.list(faint); len(found) != 1 {
		t.Errorf("faint: %q", found)
	}
	if said := strings.Join(b.said, "\n"); !strings.Contains(said, "Content Security Policy") {
		t.Errorf("said %q", said)
	}
	if asked := strings.Join(b.requested, " "); !strings.Contains(asked, "elsewhere.example/x") {
		t.Errorf("requested %q", asked)
	}
}

// A daemon as it is installed, with mail that it signs, mail that it cannot sign, a
// key that DNS has and one that it has not.
func TestDaemonInBrowser(t *testing.T) {
	b := startBrowser(t)
	dir, err := os.MkdirTemp("", "ps")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	at := func(name string) string { return filepath.Join(dir, name) }
	program.Build(t, at("postseal"))
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	com, err := keys.Generate("rsa", 2048)
	if err != nil {
		t.Fatal(err)
	}
	net_, err := keys.Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]error{"com": keys.WritePrivate(at("com.private"), com), "net": keys.WritePrivate(at("net.private"), net_)} {
		if write != nil {
			t.Fatalf("%s: %v", name, write)
		}
	}
	put("records", "s1._domainkey.example.com "+keys.RecordText(com.Public())+"\n")
	put("key.table", "com example.com:s1:"+at("com.private")+"\nnet example.net:s1:"+at("net.private")+"\norg example.org:s1:"+at("org.private")+"\n")
	put("signing.table", "*@example.com com\n*@example.net net\n*@example.org org\n")
	port := program.FreePort(t)
	put("postseal.toml", fmt.Sprintf(`socket = "unix:%s"
runtime_directory = %q
monitor_socket = "inet:%d"
key_table = "file:key.table"
signing_table = "refile:signing.table"
test_public_keys = %q
require_safe_keys = false
`, at("s"), at("run"), port, at("records")))
	log := new(program.Output)
	daemon := exec.Command(at("postseal"), "serve", "-c", at("postseal.toml"))
	daemon.Stderr = log
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that times out cleans nothing up
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("the daemon says:\n%s", log)
		}
	})
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	await(t, "the daemon serves", func() bool {
		res, err := http.Get(base + "/healthz")
		if err == nil {
			res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	})
	for range 3 {
		_ = exec.Command(at("postseal"), "ping", "-c", at("postseal.toml")).Run() // fails: a key cannot sign
	}
	text := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(text)
		}
	})
	await(t, "the page has all that comes with time", func() bool {
		b.open(base+"/", 1280, "light")
		text = b.text("document.title + '\\n' + document.body.innerText")
		return strings.Contains(text, "✓ published") && strings.Contains(text, "✕ missing") && b.eval("document.querySelectorAll('.plot path').length") != "0"
	})
	for _, want := range []string{
		`Not ready: 1 reason – postseal`, `1 of 3 keys cannot sign; the first is "org": d=example\.org s=s1\.`, `DNS does not publish 1 key as needed`,
		`Process\s+` + fmt.Sprint(daemon.Process.Pid), `unix:` + regexp.QuoteMeta(at("s")), `Sandbox\s+landlock`,
		`Messages per minute, last hour`, `Time to answer, last hour`, `signed\s+\d+\s+[1-9]\d*`, `tempfail`,
		`The configuration of the start is in force`,
		`example\.org.*: tempfail`, `key 'org' cannot sign`, `no such file`,
		`example\.com\s+s1\s+rsa 2048 com\s+✓ ready\s+✓ published`, `example\.net\s+s1\s+ed25519 net\s+✓ ready\s+✕ missing`, `There is no TXT record at s1\._domainkey\.example\.net\.`,
		`example\.org\s+s1\s+org\s+✕ disabled`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, width := range []int{1280, 390} {
		for colours, lines := range lineColours {
			b.open(base+"/", width, colours)
			b.wantFine(base)
			b.wantDrawn(lines...)
		}
	}
	if found := secrets.Of(t, com, net_).In(b.text("document.documentElement.outerHTML")); found != "" {
		t.Errorf("the page has a part of a key: %s", found)
	}
	if lines := strings.Count(log.String(), "DNS does not publish a key as it signs"); lines != 1 {
		t.Errorf("%d warnings of the key that is missing", lines)
	}
	u, _ := url.Parse(base)
	res, err := http.Get("http://localhost:" + u.Port() + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("as localhost: %s", res.Status)
	}
}

// await waits for a condition.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !met(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: in vain", what)
		}
	}
}
