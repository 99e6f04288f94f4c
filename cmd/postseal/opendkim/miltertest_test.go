package opendkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/testdata/peers"
)

// Each scenario is an archive in testdata/miltertest: conf, the tables that it
// names, script.lua, and differ. Debian's opendkim and the program called as
// opendkim run with the same files, miltertest plays the MTA for both, and what
// it prints is the same but for what differ lists:
//
//	# why
//	-what OpenDKIM's run prints
//	+what ours prints instead
func TestMiltertestAsOpenDKIM(t *testing.T) {
	t.Parallel()
	theirs, err := lookPath("opendkim")
	peers.Require(t, err)
	miltertest, err := lookPath("miltertest")
	peers.Require(t, err)
	ours := daemonProgram(t)
	archives, err := filepath.Glob("testdata/miltertest/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := scenarioDir(t, archive)
			want := playScenario(t, miltertest, theirs, dir)
			got := playScenario(t, miltertest, ours, dir)
			differ, _ := os.ReadFile(filepath.Join(dir, "differ"))
			expected, problems := applyDifferences(want, string(differ))
			for _, p := range problems {
				t.Error(p)
			}
			if diff := lineDiff(expected, got); diff != "" {
				t.Errorf("OpenDKIM with the listed differences (-) and ours (+):\n%s", diff)
			}
		})
	}
}

// lookPath finds a program that may lie in a folder for root.
func lookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("/usr/sbin/" + name)
	if err != nil {
		return "", fmt.Errorf("no %s: %w; testdata/peers.sh installs it", name, err)
	}
	return path, nil
}

// scenarioDir unpacks an archive, with keys, their records and signed.lua.
func scenarioDir(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	// Not t.TempDir: its path may be too long for a unix socket.
	dir, err := os.MkdirTemp("", "postseal-mt-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	prelude, err := os.ReadFile("testdata/miltertest/prelude.lua")
	if err != nil {
		t.Fatal(err)
	}
	lua, records := signedMessages(t, dir)
	script := string(prelude) + lua
	for _, f := range archive.Files {
		text := strings.ReplaceAll(string(f.Data), "@DIR@", dir)
		if f.Name == "script.lua" {
			script += text
			continue
		}
		write(f.Name, text)
	}
	write("script.lua", script)
	write("records", records)
	return dir
}

// signedMessages makes the keys "key" and "ed25519.key" in dir, and the
// signatures of the message that prelude.lua sends by default, as a table of Lua.
func signedMessages(t *testing.T, dir string) (lua, records string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]crypto.Signer{"key": key, "ed25519.key": edKey} {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record := keys.RecordText(key.Public())
	_, public, _ := strings.Cut(record, "p=")
	for name, value := range map[string]string{
		"good._domainkey.example.com":    record,
		"good._domainkey.example.org":    record,
		"ed._domainkey.example.com":      keys.RecordText(edKey.Public()),
		"revoked._domainkey.example.com": "v=DKIM1; k=rsa; p=",
		"version._domainkey.example.com": "v=DKIM2; k=rsa; p=" + public,
		"hash._domainkey.example.com":    "v=DKIM1; h=sha1; k=rsa; p=" + public,
		"service._domainkey.example.com": "v=DKIM1; s=other; k=rsa; p=" + public,
		"testing._domainkey.example.com": "v=DKIM1; t=y; k=rsa; p=" + public,
		"strict._domainkey.example.com":  "v=DKIM1; t=s; k=rsa; p=" + public,
	} {
		records += name + " " + value + "\n"
	}

	now := time.Now()
	selection, err := dkim.NewHeaderSelection([]string{"From", "Date", "Subject"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	base := dkim.SignOptions{
		Domain: "example.com", Selector: "good", Key: key, Header: dkim.Relaxed, Body: dkim.Relaxed,
		Selection: selection, Time: now.Add(-time.Hour), BodyLimit: -1,
	}
	variants := []struct {
		name   string
		change func(*dkim.SignOptions)
	}{
		{"good", func(*dkim.SignOptions) {}},
		{"ed", func(o *dkim.SignOptions) { o.Selector, o.Key = "ed", edKey }},
		{"other", func(o *dkim.SignOptions) { o.Domain = "example.org" }},
		{"part", func(o *dkim.SignOptions) { o.BodyLimit = 6 }},
		{"expired", func(o *dkim.SignOptions) { o.Expiration = now.Add(-30 * time.Minute) }},
		{"future", func(o *dkim.SignOptions) { o.Time = now.Add(time.Hour) }},
		{"sub", func(o *dkim.SignOptions) { o.Selector, o.AUID = "strict", "user@sub.example.com" }},
	}
	for _, selector := range []string{"missing", "revoked", "version", "hash", "service", "testing"} {
		variants = append(variants, struct {
			name   string
			change func(*dkim.SignOptions)
		}{selector, func(o *dkim.SignOptions) { o.Selector = selector }})
	}
	fields := []dkim.Field{
		{Name: "From", Value: " user@example.com"}, {Name: "Date", Value: " Tue, 3 Nov 2026 10:00:00 +0000"}, {Name: "Subject", Value: " a test"},
	}
	var b strings.Builder
	b.WriteString("signed = {\n")
	for _, v := range variants {
		o := base
		v.change(&o)
		body := dkim.NewBody()
		s, err := dkim.NewSigner(fields, body, o)
		if err != nil {
			t.Fatal(v.name, err)
		}
		_, _ = body.Write([]byte("This is a test.\r\n"))
		body.Close()
		f, err := s.Sign()
		if err != nil {
			t.Fatal(v.name, err)
		}
		fmt.Fprintf(&b, "\t%s = {\"DKIM-Signature\", [[%s]]},\n", v.name, strings.ReplaceAll(f.Value, "\r\n", "\n"))
	}
	b.WriteString("}\n")
	return b.String(), records
}

// playScenario runs the daemon and the script in dir, and returns the script's
// lines in a form in which two runs can be compared.
func playScenario(t *testing.T, miltertest, program, dir string) []string {
	t.Helper()
	conf, err := os.ReadFile(filepath.Join(dir, "conf"))
	if err != nil {
		t.Fatal(err)
	}
	full := "Background no\nRequireSafeKeys no\nTestPublicKeys records\nAuthservID mx.test\n" + string(conf)
	if err := os.WriteFile(filepath.Join(dir, "opendkim.conf"), []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	cmd := exec.Command(program, "-x", "opendkim.conf", "-p", "local:"+socket)
	cmd.Dir = dir
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // SIGTERM takes Debian's five seconds
		<-ended
		os.Remove(socket)
	}()
	awaitSocket(t, socket, ended, &output)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	mt := exec.CommandContext(ctx, miltertest, "-D", "SOCKET=local:"+socket, "-s", filepath.Join(dir, "script.lua"))
	mt.Dir = dir
	out, err := mt.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: miltertest: %v\n%s\n%s", program, err, out, output.Bytes())
	}
	return comparable(string(out))
}

func awaitSocket(t *testing.T, socket string, ended <-chan struct{}, output io.Reader) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			text, _ := io.ReadAll(output)
			t.Fatalf("the daemon ended: %s", text)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the daemon does not answer on its socket")
		}
	}
}

var (
	blankRun    = regexp.MustCompile(`\s+`)
	changing    = regexp.MustCompile(`\b(t|x|b)=[A-Za-z0-9+/= ]+`)
	headerB     = regexp.MustCompile(` header\.b=[^\s;]+`)
	reasonWords = regexp.MustCompile(` reason="(\\.|[^"\\])*"`)
	copies      = regexp.MustCompile(` z=[^;]*;`)
)

// comparable brings the lines of a script into a form that does not depend on
// the time, on folds, on reasons, or on ATPS, which this build does not know. A
// header field that miltertest prints with its folds is one line again.
func comparable(out string) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if n := len(lines); n > 0 && (strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "    ")) {
			lines[n-1] += " " + strings.TrimSpace(line)
			continue
		}
		lines = append(lines, line)
	}
	for i, line := range lines {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		line = blankRun.ReplaceAllString(strings.TrimSpace(line), " ")
		switch {
		case strings.HasPrefix(line, "DKIM-Signature:"):
			line = strings.ReplaceAll(changing.ReplaceAllString(line, "$1=…"), " :", ":")
			line = strings.ReplaceAll(line, ": ", ":")
			line = copies.ReplaceAllStringFunc(line, func(z string) string { return " " + strings.ReplaceAll(z, " ", "") })
		case strings.HasPrefix(line, "Authentication-Results:"):
			line = headerB.ReplaceAllString(line, "")
			line = reasonWords.ReplaceAllString(line, "")
			line = strings.NewReplacer("; unprotected)", ")", "; dkim-atps=neutral", "").Replace(line)
		}
		lines[i] = indent + line
	}
	return lines
}

// applyDifferences changes the lines of OpenDKIM as listed; see
// TestMiltertestAsOpenDKIM. Each block applies once.
func applyDifferences(lines []string, differ string) (changed, problems []string) {
	changed = slices.Clone(lines)
	for block := range strings.SplitSeq(strings.TrimSpace(differ), "\n# ") {
		var from, to []string
		for line := range strings.SplitSeq(block, "\n") {
			switch {
			case strings.HasPrefix(line, "-"):
				from = append(from, line[1:])
			case strings.HasPrefix(line, "+"):
				to = append(to, line[1:])
			}
		}
		if len(from) == 0 {
			if strings.TrimSpace(block) != "" {
				problems = append(problems, fmt.Sprintf("a difference without a line of OpenDKIM: %s", block))
			}
			continue
		}
		at := -1
		for i := range len(changed) - len(from) + 1 {
			if slices.Equal(changed[i:i+len(from)], from) {
				at = i
				break
			}
		}
		if at < 0 {
			problems = append(problems, fmt.Sprintf("OpenDKIM does not print this (or no more): %s", block))
			continue
		}
		changed = slices.Replace(changed, at, at+len(from), to...)
	}
	return changed, problems
}

// lineDiff shows two lists of lines where they differ, with the name of the
// message above.
func lineDiff(want, got []string) string {
	var b strings.Builder
	i, j, title := 0, 0, ""
	for i < len(want) || j < len(got) {
		if i < len(want) && j < len(got) && want[i] == got[j] {
			if !strings.HasPrefix(want[i], " ") {
				title = want[i]
			}
			i, j = i+1, j+1
			continue
		}
		fmt.Fprintf(&b, "%s\n", title)
		// Up to the next message.
		for ; i < len(want) && strings.HasPrefix(want[i], " "); i++ {
			fmt.Fprintf(&b, "-%s\n", want[i])
		}
		for ; j < len(got) && strings.HasPrefix(got[j], " "); j++ {
			fmt.Fprintf(&b, "+%s\n", got[j])
		}
		if i < len(want) && j < len(got) && want[i] != got[j] {
			fmt.Fprintf(&b, "-%s\n+%s\n", want[i], got[j])
			return b.String()
		}
		if (i == len(want)) != (j == len(got)) {
			return b.String() + "one of the two ends here\n"
		}
	}
	return b.String()
}
