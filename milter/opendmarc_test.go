package milter_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/peers"
	"github.com/postseal/postseal/testdata/program"
)

// OpenDMARC, as the next milter, reads our Authentication-Results: a valid
// signature of the author's domain is a DMARC pass, an altered one a fail.
func TestPostfixOpenDMARC(t *testing.T) {
	t.Parallel()
	const socket = "inet:127.0.0.1:OPENDMARC"
	port := program.FreePort(t)
	s := start(t, setup{main: map[string]string{"smtpd_milters": "POSTSEAL " + strings.Replace(socket, "OPENDMARC", fmt.Sprint(port), 1)}})
	startOpenDMARC(t, port, map[string][]string{"_dmarc.example.com": {"v=DMARC1; p=reject; adkim=s"}})
	forged := strings.ReplaceAll(strings.Join(forgeries, "\r\n"), "bank.example", "example.com") + "\r\n"
	sealed := s.deliver(postfix.Client{}, "user@example.com", letter("for DMARC", "hello\r\n"))
	for _, row := range []struct{ msg, want string }{
		{string(sealed), "dmarc=pass (p=reject"},
		{strings.Replace(string(sealed), "hello", "hallo", 1), "dmarc=fail (p=reject"},
		{string(letter("not signed", "x\r\n")), "dmarc=fail (p=reject"},
		{forged + string(letter("not signed, forged results", "x\r\n")), "dmarc=fail (p=reject"},
		{forged + strings.Replace(string(sealed), "hello", "hallo", 1), "dmarc=fail (p=reject"},
		{strings.Repeat("DKIM-Signature: v=1; a=rsa-sha256; d=other.example; s=x; i=\"a;b (c\"@other.example; h=from; bh=AAAA; b=BB/BB+B=\r\n", 7) + string(sealed),
			"dmarc=pass (p=reject"},
	} {
		got := s.deliver(stranger, "user@elsewhere.example", []byte(row.msg))
		header, _, _ := bytes.Cut(got, []byte("\r\n\r\n"))
		if bytes.Count(header, []byte("dmarc=")) != 1 || !strings.Contains(string(header), row.want) {
			t.Errorf("OpenDMARC does not say %q:\n%s", row.want, header)
		}
	}
}

// startOpenDMARC runs opendmarc(8) in a mount namespace of its own, in which
// /etc/resolv.conf names a server that knows zone. It ends with the test.
func startOpenDMARC(t *testing.T, port int, zone map[string][]string) {
	t.Helper()
	program := "/usr/sbin/opendmarc"
	if _, err := os.Stat(program); err != nil {
		peers.Require(t, fmt.Errorf("no opendmarc: %w; apt-get install opendmarc", err))
	}
	var dns *resolver.Server
	var addr string
	records := resolver.NewRecords(zone)
	for i := 2; ; i++ { // resolv.conf knows no port: an address of ours on port 53
		addr = fmt.Sprintf("127.83.77.%d", i)
		var err error
		if dns, err = resolver.Serve(addr+":53", records.Answer); err == nil {
			break
		}
		if i == 200 {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { dns.Close() })
	dir := t.TempDir()
	conf, resolv := filepath.Join(dir, "opendmarc.conf"), filepath.Join(dir, "resolv.conf")
	text := fmt.Sprintf("Socket inet:%d@127.0.0.1\nBackground false\nSyslog false\nAuthservID %s\nTrustedAuthservIDs %s\nIgnoreHosts /dev/null\nRejectFailures false\n",
		port, authID, authID)
	for path, text := range map[string]string{conf: text, resolv: "nameserver " + addr + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c",
		`mount --bind "$1" /etc/resolv.conf && exec "$2" -f -c "$3"`, "sh", resolv, program, conf)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("opendmarc ended: %s", output.Bytes())
		default:
		}
		if time.Now().After(end) {
			t.Fatal("opendmarc does not answer")
		}
	}
}
