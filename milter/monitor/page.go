package monitor

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"time"
	"unicode"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// Page is the status page for people: one document without a script, an image or
// anything else to fetch, that fetches itself anew.
type Page struct {
	status   func() Status
	now      func() time.Time
	history  history
	template *template.Template
}

// NewPage makes the page of what status tells.
func NewPage(status func() Status) *Page {
	return &Page{status: status, now: time.Now, template: template.Must(template.New("page").Parse(pageText))}
}

// Run keeps the history that the page draws, until ctx ends.
func (p *Page) Run(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	p.history.run(ctx, ticker.C, p.status, p.now)
}

// pagePolicy lets the page have its own style sheet and nothing else, wherever it
// may come from (Content Security Policy Level 3).
func pagePolicy() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// ServeHTTP implements http.Handler. The fields that every answer of a [Server] has
// are there already.
func (p *Page) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	end, parts := p.history.parts()
	var page bytes.Buffer
	if err := p.template.Execute(&page, newView(p.status(), end, &parts, p.now())); err != nil {
		http.Error(w, "the page cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy())
	_, _ = w.Write(bytes.Map(visible, page.Bytes())) // an error means that the reader has gone
}

// visible stands for what HTML must not have, and for what would turn the order of
// the text around it.
func visible(r rune) rune {
	if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
		return unicode.ReplacementChar
	}
	return r
}
