package opendkim

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/peers"
)

const (
	toolDate    = "Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n"
	toolMessage = toolDate + "From: a@example.com\r\nTo: b@example.net\r\nSubject: one\r\n\ttwo\r\nX-A: 1\r\nX-A: 2\r\nReceived: from x\r\n\r\nHello\r\nthere  \r\n\r\n\r\n"
)

func lf(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// Debian's opendkim-testmsg and ours, but for the signature itself.
func TestTestmsgAsOpenDKIM(t *testing.T) {
	t.Parallel()
	prepare := func(t *testing.T, dir string) {
		t.Helper()
		writeToolKeys(t, dir)
		writeFiles(t, dir, map[string]string{"junk": "no key\n"})
	}
	const sign = "-d example.com -s default -k @DIR@/rsa.private"
	compareTool(t, "opendkim-testmsg", prepare, []toolCase{
		{name: "signs CRLF with CRLF", args: "-C " + sign, input: toolMessage},
		{name: "signs CRLF with LF", args: sign, input: toolMessage},
		{name: "signs LF with LF", args: sign, input: lf(toolMessage)},
		{name: "signs LF with CRLF", args: "-C " + sign, input: lf(toolMessage)},
		{name: "mixed line ends", args: "-C " + sign, input: toolDate + "From: a@b\r\n\r\none\ntwo\r\nthree"},
		{name: "no body", args: "-C " + sign, input: toolDate + "From: a@b\r\n\r\n"},
		{name: "header alone", args: "-C " + sign, input: toolDate + "From: a@b\r\n"},
		{name: "header without an end", args: "-C " + sign, input: toolDate + "From: a@b"},
		{name: "blank before the colon", args: "-C " + sign, input: toolDate + "From : a@b\r\nx:y\r\n\r\nhello\r\n"},
		{name: "attached", args: "-Cdexample.com -sdefault -k@DIR@/rsa.private", input: toolMessage},
		{name: "keep temporary files", args: "-KC -t @DIR@ " + sign, input: toolMessage},
		{name: "operands", args: "-C one " + sign + " two", input: toolMessage},
		{name: "no Date", args: sign, input: "From: a@b\r\n\r\nhello\r\n", why: "ours says why", ours: outcomeOf{Exit: 70, Err: "opendkim-testmsg: dkim_chunk(): Syntax error\nopendkim-testmsg: the header has no Date field"}},
		{name: "no From", args: sign, input: toolDate + "\r\nhello\r\n", why: "ours says why", ours: outcomeOf{Exit: 70, Err: "opendkim-testmsg: dkim_chunk(): Syntax error\nopendkim-testmsg: the header has no From field"}},
		{name: "two From", args: sign, input: "From: a@b\r\n" + toolMessage, why: "ours says why", ours: outcomeOf{Exit: 70, Err: "dkim_chunk(): Syntax error\nopendkim-testmsg: the header has 2 fields From"}},
		{name: "nothing", args: sign, why: "ours says why", ours: outcomeOf{Exit: 70, Err: "dkim_chunk(): Syntax error\n"}},
		{name: "mailbox line", args: sign, input: "From a@b Mon\r\n" + toolMessage, why: "ours says why", ours: outcomeOf{Exit: 70, Err: "dkim_chunk(): Syntax error\nopendkim-testmsg: the message begins with the \"From \" line"}},
		{name: "no key file", args: "-d example.com -s default -k @DIR@/absent", input: toolMessage},
		{name: "a folder as key file", args: "-d example.com -s default -k @DIR@", input: toolMessage},
		{name: "no key in the file", args: "-d example.com -s default -k @DIR@/junk", input: toolMessage, why: "ours says why", ours: outcomeOf{Exit: 70, Err: "opendkim-testmsg: dkim_eom(): Resource unavailable\nopendkim-testmsg: @DIR@/junk: no private key: "}},
		{name: "Ed25519", args: "-d example.com -s default -k @DIR@/ed.private", input: toolMessage, why: "Debian's cannot", ours: outcomeOf{Out: "SIGNATURE\n" + toolDate}},
		{name: "no folder for temporary files", args: "-t @DIR@/absent " + sign, input: toolMessage},
		{name: "empty domain", args: "-d '' -s default -k @DIR@/rsa.private", input: toolMessage, why: "d= must be a domain name", ours: outcomeOf{Exit: 70, Err: "dkim_sign(): Syntax error\n"}},
		{name: "blank in the domain", args: "-d a_b -s default -k @DIR@/rsa.private", input: toolMessage, why: "d= must be a domain name", ours: outcomeOf{Exit: 70, Err: "dkim_sign(): Syntax error\n"}},
		{name: "only -d", args: "-d example.com"},
		{name: "no -k", args: "-d example.com -s default"},
		{name: "unknown flag", args: "-h"},
		{name: "value missing", args: "-d"},
		{name: "verifies what is not signed", args: "", input: toolMessage},
		{name: "verifies what is not signed, LF", args: "", input: lf(toolMessage)},
		{name: "verifies nothing", args: "", why: "ours says why", ours: outcomeOf{Exit: 70, Err: "dkim_chunk(): Syntax error\n"}},
		{name: "verifies a broken signature", args: "", input: "DKIM-Signature: v=1; a=b\r\n" + toolMessage, why: "ours says why", ours: outcomeOf{Exit: 70, Err: "dkim_chunk(): Syntax error\n"}},
		{name: "verifies what is no signature", args: "", input: "DKIM-Signature: hello\r\n" + toolMessage, why: "ours says why", ours: outcomeOf{Exit: 70, Err: "dkim_chunk(): Syntax error\n"}},
	})
}

// What ours signs passes, whatever the line ends, with every field signed but
// those of the way.
func TestTestmsgSigns(t *testing.T) {
	t.Parallel()
	dir := toolDir(t)
	writeToolKeys(t, dir)
	records := resolver.NewRecords(map[string][]string{
		"default._domainkey.example.com": toolRecords(t)["default"], "ed._domainkey.example.com": toolRecords(t)["ed"],
	})
	for _, tt := range []struct{ name, args, input string }{
		{"CRLF", "-C -s default -k @DIR@/rsa.private", toolMessage},
		{"LF", "-s default -k @DIR@/rsa.private", lf(toolMessage)},
		{"LF under CRLF", "-C -s default -k @DIR@/rsa.private", lf(toolMessage)},
		{"Ed25519", "-C -s ed -k @DIR@/ed.private", toolMessage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, diagnostics bytes.Buffer
			c := call{name: "opendkim-testmsg", args: toolCase{args: "-d example.com " + tt.args}.words(dir), in: strings.NewReader(tt.input), out: &out, err: &diagnostics}
			if exit := testmsg(c); exit != exitOK {
				t.Fatalf("ended with %d: %s", exit, &diagnostics)
			}
			if !strings.HasSuffix(out.String(), tt.input) {
				t.Errorf("the message is not what it was: %q", out.String())
			}
			fields, text, err := dkim.ReadMessage(&out, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			body := dkim.NewBody()
			v := dkim.NewVerifier(context.Background(), fields, body, records, dkim.VerifyOptions{Now: time.Now()})
			if _, err := io.Copy(body, text); err != nil {
				t.Fatal(err)
			}
			body.Close()
			results := v.Results()
			if len(results) != 1 || results[0].Status != dkim.Pass {
				t.Fatalf("%+v", results)
			}
			if got := strings.Join(results[0].Headers, ":"); got != "Date:From:To:Subject:X-A:X-A" {
				t.Errorf("h=%s", got)
			}
		})
	}
}

// Under a system of their own, with our files at the places where the tools look
// for them: the default configuration, and the nameserver of resolv.conf. Each
// verifies what the other signs, as far as OpenDKIM's signatures pass.
func TestToolsAlone(t *testing.T) {
	const alone = "POSTSEAL_TEST_OWN_SYSTEM"
	if os.Getenv(alone) == "" {
		t.Parallel()
		for _, name := range []string{"opendkim-testkey", "opendkim-testmsg"} {
			_, err := lookPath(name)
			peers.Require(t, err)
		}
		flags := []string{"--net", "--mount"}
		if os.Geteuid() != 0 {
			flags = append(flags, "--map-root-user")
		}
		peers.Require(t, exec.Command("unshare", append(flags, "true")...).Run())
		cmd := exec.Command("unshare", append(flags, "sh", "-c", `ip link set lo up && exec "$@"`, "sh", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")...)
		cmd.Env = append(os.Environ(), alone+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
			t.Errorf("in a system of its own: %v\n%s", err, out)
		}
		return
	}
	z := serveZone(t, "127.0.0.1:53", toolRecords(t))
	dir := toolDir(t)
	writeToolKeys(t, dir)
	writeFiles(t, dir, map[string]string{
		"resolv.conf": "nameserver 127.0.0.1\n", "anchor": z.anchor + "\n",
		"opendkim.conf": "Nameservers 127.0.0.1\nTrustAnchorFile @DIR@/anchor\n",
	})
	for _, name := range []string{"resolv.conf", "opendkim.conf"} {
		if out, err := exec.Command("mount", "--bind", filepath.Join(dir, name), filepath.Join("/etc", name)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	plays := map[string]func(name string, tt toolCase) outcomeOf{
		"OpenDKIM": func(name string, tt toolCase) outcomeOf {
			program, err := lookPath(name)
			peers.Require(t, err)
			return playTheirs(t, program, name, dir, tt)
		},
		"ours": func(name string, tt toolCase) outcomeOf { return playOurs(t, name, dir, tt) },
	}
	for who, play := range plays {
		o := play("opendkim-testkey", toolCase{args: "-d example.com -s default -vvv"})
		want := outcomeOf{Out: "opendkim-testkey: key OK\n", Err: "opendkim-testkey: using default configfile /etc/opendkim.conf\n" +
			"opendkim-testkey: checking key 'default._domainkey.example.com'\nopendkim-testkey: key secure\n"}
		if o.Out != want.Out || o.Err != want.Err || o.Exit != exitOK {
			t.Errorf("%s: opendkim-testkey printed %q and %q and ended with %d", who, o.Out, o.Err, o.Exit)
		}
	}
	signed := func(selector string) string {
		var out bytes.Buffer
		c := call{name: "opendkim-testmsg", args: []string{"-C", "-d", "example.com", "-s", selector, "-k", filepath.Join(dir, "rsa.private")}, in: strings.NewReader(toolMessage), out: &out, err: os.Stderr}
		if exit := testmsg(c); exit != exitOK {
			t.Fatalf("ended with %d", exit)
		}
		return out.String()
	}
	for _, tt := range []struct {
		name, input, err string
		exit             int
	}{
		{"good", signed("default"), "", 0},
		{"good, LF", lf(signed("default")), "", 0},
		{"body changed", signed("default") + "more\r\n", "dkim_eom(): Bad signature\n", 70},
		{"header changed", strings.Replace(signed("default"), "X-A: 2", "X-A: 3", 1), "dkim_eom(): Bad signature\n", 70},
		{"key revoked", signed("revoked"), "dkim_eom(): Revoked key\n", 70},
		{"no key", signed("absent"), "dkim_eom(): Key retrieval failed\n", 70},
	} {
		for who, play := range plays {
			o := play("opendkim-testmsg", toolCase{input: tt.input})
			if o.Exit != tt.exit || !strings.Contains(o.Err, tt.err) || o.Out != "" {
				t.Errorf("%s, %s: ended with %d and printed %q, %q; want %d, %q", tt.name, who, o.Exit, o.Out, o.Err, tt.exit, tt.err)
			}
		}
	}
}
