package postfix

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/testdata/peers"
)

func startInstance(t *testing.T, o Options) (*Instance, context.Context) {
	t.Helper()
	peers.Require(t, Available())
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	t.Cleanup(cancel)
	i, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Stop(); err != nil {
			t.Error(err)
		}
	})
	return i, ctx
}

const letter = "From: a@example.com\r\nSubject: s\r\n\r\nhello\r\n"

func TestInstanceDelivers(t *testing.T) {
	i, ctx := startInstance(t, Options{})
	bySMTP := []byte("X-Way: smtp\r\n" + letter)
	if err := smtp.SendMail(i.Addr(), nil, "a@example.com", []string{"user@inbox.example"}, bySMTP); err != nil {
		t.Fatal(err)
	}
	if _, err := i.WaitMail(ctx, "user@inbox.example", 1); err != nil {
		t.Fatal(err)
	}
	if err := i.Sendmail(ctx, "a@example.com", []string{"user@inbox.example", "other@inbox.example"}, []byte("X-Way: sendmail\n"+letter)); err != nil {
		t.Fatal(err)
	}
	got, err := i.WaitMail(ctx, "user@inbox.example", 2)
	if err != nil {
		t.Fatal(err)
	}
	for n, way := range []string{"smtp", "sendmail"} {
		if !bytes.Contains(got[n], []byte("\nX-Way: "+way+"\n")) || !bytes.HasSuffix(got[n], []byte("\n\nhello\n")) {
			t.Errorf("message %d is not the one that came by %s:\n%s", n, way, got[n])
		}
	}
	if other, err := i.WaitMail(ctx, "other@inbox.example", 1); err != nil || len(other) != 1 {
		t.Errorf("other@inbox.example has %d messages, error %v; want 1", len(other), err)
	}
}

// Mail to elsewhere bounces here: nothing leaves, and the null sender's mail
// comes back in.
func TestInstanceBounces(t *testing.T) {
	i, ctx := startInstance(t, Options{})
	if err := i.Sendmail(ctx, "user@inbox.example", []string{"far@elsewhere.example"}, []byte(letter)); err != nil {
		t.Fatal(err)
	}
	got, err := i.WaitMail(ctx, "user@inbox.example", 1)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(got[0], []byte("no mail leaves this private Postfix")) {
		t.Errorf("this is no bounce:\n%s", got[0])
	}
	if err := i.WaitQueueEmpty(ctx); err != nil {
		t.Error(err)
	}
}

// A test can look like a stranger or like a user who has logged in.
func TestInstanceXCLIENT(t *testing.T) {
	i, _ := startInstance(t, Options{Main: map[string]string{"smtpd_sasl_auth_enable": "yes"}})
	for _, row := range []struct {
		name, xclient, rcpt string
		code                int
	}{
		{"stranger to a mailbox", "ADDR=192.0.2.1 NAME=out.example", "user@inbox.example", 250},
		{"stranger to no mailbox", "ADDR=192.0.2.1 NAME=out.example", "nobody@inbox.example", 550},
		{"stranger to elsewhere", "ADDR=192.0.2.1 NAME=out.example", "far@elsewhere.example", 554},
		{"user to elsewhere", "ADDR=192.0.2.1 NAME=out.example LOGIN=user", "far@elsewhere.example", 250},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := textproto.Dial("tcp", i.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, _, err := c.ReadResponse(220); err != nil {
				t.Fatal(err)
			}
			for _, step := range []struct {
				line string
				code int
			}{
				{"EHLO here.example", 250},
				{"XCLIENT " + row.xclient, 220},
				{"EHLO out.example", 250},
				{"MAIL FROM:<a@example.com>", 250},
				{"RCPT TO:<" + row.rcpt + ">", row.code},
			} {
				if err := c.PrintfLine("%s", step.line); err != nil {
					t.Fatal(err)
				}
				if code, text, err := c.ReadResponse(step.code); err != nil {
					t.Fatalf("%s: %d %s, want %d", step.line, code, text, step.code)
				}
			}
		})
	}
}

func TestInstanceReconfigure(t *testing.T) {
	i, ctx := startInstance(t, Options{Main: map[string]string{"message_size_limit": "100"}})
	big := []byte(letter + strings.Repeat("x", 200) + "\r\n")
	send := func() error {
		return smtp.SendMail(i.Addr(), nil, "a@example.com", []string{"user@inbox.example"}, big)
	}
	if err := send(); err == nil {
		t.Fatal("a message above message_size_limit was taken")
	}
	if err := i.Reconfigure(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := send(); err != nil {
		t.Errorf("after the limit was lifted: %v", err)
	}
}

// running lists the processes of a group, by command, except those that have
// ended and that nobody has waited for.
func running(t *testing.T, group int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (command) state ppid pgrp …; a command may hold anything.
		head, tail, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(tail)
		if len(f) > 2 && f[0] != "Z" && f[2] == strconv.Itoa(group) {
			list = append(list, head)
		}
	}
	return list
}

func TestInstanceStopLeavesNothing(t *testing.T) {
	i, _ := startInstance(t, Options{})
	group, root := i.pid, i.layout.root
	if len(running(t, group)) == 0 {
		t.Fatal("no process of the instance is found while it runs")
	}
	// A session that is open does not hold it up.
	c, err := smtp.Dial(i.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := i.Stop(); err != nil {
		t.Fatal(err)
	}
	if left := running(t, group); len(left) > 0 {
		t.Errorf("after Stop these run: %q", left)
	}
	if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s after Stop: %v, want no such file", root, err)
	}
	if err := i.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

// Who started an instance may die without a word.
func TestInstanceEndsWithItsProcess(t *testing.T) {
	const dir = "POSTSEAL_TEST_POSTFIX_DIR"
	if root := os.Getenv(dir); root != "" {
		i, err := Start(t.Context(), Options{Dir: root})
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString(strconv.Itoa(i.pid) + "\n")
		select {}
	}
	peers.Require(t, Available())
	root, err := makeRoot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), dir+"="+root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that times out cleans nothing up
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Error(err)
	}
	group, _ := strconv.Atoi(strings.TrimSpace(line))
	if len(running(t, group)) == 0 {
		t.Errorf("no process of %q runs", line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	for end := time.Now().Add(time.Minute); len(running(t, group)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("these go on: %q", running(t, group))
		}
	}
}

func TestStartReportsPostfixErrors(t *testing.T) {
	peers.Require(t, Available())
	for _, row := range []struct {
		name    string
		options Options
		want    string
	}{
		{"service that is none", Options{Master: "what is this"}, "master.cf"},
		{"mailbox without domain", Options{Mailboxes: []string{"user"}}, `mailbox "user"`},
		{"line break in a parameter", Options{Main: map[string]string{"relayhost": "a\nb"}}, "line break"},
	} {
		t.Run(row.name, func(t *testing.T) {
			i, err := Start(t.Context(), row.options)
			if err == nil {
				i.Stop()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %q does not contain %q", err, row.want)
			}
		})
	}
}
