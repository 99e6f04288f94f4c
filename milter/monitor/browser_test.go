//go:build deploy

package monitor

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/testdata/peers"
)

// browser is a headless Chromium that is told what to do through a pipe (Chrome
// DevTools Protocol), and that reaches this machine alone.
type browser struct {
	t       *testing.T
	in      io.Writer
	events  chan message // what came, answers among it
	session string
	last    int // command
	// said is what the page told the console, breaches of its policy among it, and
	// requested what it asked for.
	said, requested []string
}

// message is what goes through the pipe.
type message struct {
	ID        int             `json:"id,omitempty"`
	Method    string          `json:"method,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Params    any             `json:"params,omitempty"`
	Raw       json.RawMessage `json:"-"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	peers.Require(t, err)
	fromTest, commands, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, toTest, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe", "--user-data-dir="+home)
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.ExtraFiles = []*os.File{fromTest, toTest} // 3 and 4
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fromTest.Close()
	toTest.Close()
	b := &browser{t: t, in: commands, events: make(chan message, 10_000)}
	go b.listen(answers)
	t.Cleanup(func() {
		commands.Close() // it ends with the pipe
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			for line := range strings.Lines(log.String()) {
				if !strings.Contains(line, "dbus") { // which is not there
					t.Logf("the browser says: %s", line)
				}
			}
		}
	})
	var target struct{ TargetID string }
	b.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Network", "Log", "Runtime"} {
		b.do(domain+".enable", nil, nil)
	}
	return b
}

// listen reads messages, which end in a NUL.
func (b *browser) listen(r io.Reader) {
	defer close(b.events)
	for in := bufio.NewReader(r); ; {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		text = text[:len(text)-1]
		if json.Unmarshal(text, &m) == nil {
			m.Raw = text
			b.events <- m
		}
	}
}

// next is the next message. What it says of the page is kept.
func (b *browser) next() message {
	b.t.Helper()
	select {
	case m, ok := <-b.events:
		if !ok {
			b.t.Fatal("the browser has ended")
		}
		b.keep(m)
		return m
	case <-time.After(patience):
		b.t.Fatal("the browser does not answer")
	}
	return message{}
}

func (b *browser) keep(m message) {
	var event struct {
		Params struct {
			Entry   struct{ Level, Source, Text, URL string }
			Request struct{ URL string }
			Args    []any
		}
	}
	switch m.Method {
	case "Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Network.requestWillBeSent":
		if err := json.Unmarshal(m.Raw, &event); err != nil {
			b.t.Fatal(err)
		}
	}
	switch m.Method {
	case "Log.entryAdded":
		b.said = append(b.said, fmt.Sprintf("%+v", event.Params.Entry))
	case "Runtime.exceptionThrown", "Runtime.consoleAPICalled":
		b.said = append(b.said, m.Method+fmt.Sprint(event.Params.Args))
	case "Network.requestWillBeSent":
		b.requested = append(b.requested, event.Params.Request.URL)
	}
}

// do gives a command and waits for its answer.
func (b *browser) do(method string, params, result any) {
	b.t.Helper()
	b.last++
	text, err := json.Marshal(message{ID: b.last, Method: method, SessionID: b.session, Params: params})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		m := b.next()
		switch {
		case m.ID != b.last:
			continue
		case m.Error != nil:
			b.t.Fatalf("%s: %s", method, m.Error)
		case result != nil:
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatalf("%s: %v in %s", method, err, m.Result)
			}
		}
		return
	}
}

// open shows a page in a window of some width, in light or dark colours.
func (b *browser) open(url string, width int, colours string) {
	b.t.Helper()
	b.said, b.requested = nil, nil
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	b.do("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": colours}}}, nil)
	b.do("Page.navigate", map[string]any{"url": url}, nil)
	for b.eval("document.readyState == 'complete' && location.href != 'about:blank'") != "true" {
		time.Sleep(20 * time.Millisecond)
	}
}

// eval is what an expression is in the page, as JSON.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &answer)
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, answer.ExceptionDetails)
	}
	return string(answer.Result.Value)
}

// text is an expression that is a text.
func (b *browser) text(expression string) (text string) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.eval(expression)), &text); err != nil {
		b.t.Fatal(err)
	}
	return text
}

// list is an expression that is a list of texts.
func (b *browser) list(expression string) (list []string) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.eval(expression)), &list); err != nil {
		b.t.Fatal(err)
	}
	return list
}

// picture is the whole page as it is drawn.
func (b *browser) picture() image.Image {
	b.t.Helper()
	var shot struct{ Data []byte }
	b.do("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	drawn, err := png.Decode(bytes.NewReader(shot.Data))
	if err != nil {
		b.t.Fatal(err)
	}
	return drawn
}
