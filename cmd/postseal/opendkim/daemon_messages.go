package opendkim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	gomilter "github.com/emersion/go-milter"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/proof"
)

// maxTestHeader bounds the header of a message for -t.
const maxTestHeader = 4 << 20

// rehearsal is -t: a daemon in this process that messages of files go through,
// from the loopback.
type rehearsal struct {
	call
	cfg      *config.Config
	snapshot *milter.Snapshot
	client   *gomilter.Client
	now      func() time.Time
	verbose  int
}

// testMode is -t: it prints what the daemon makes of the messages. Its exit code
// is 0 also where a signature fails.
func (c call) testMode(o *daemonOptions) (exit int) {
	f, err := o.load(true)
	if err == nil {
		err = keyFileProblem(f.Config, o.conf)
	}
	if err != nil {
		return c.end(&service.Error{Exit: exitConfig, Err: err})
	}
	r := &rehearsal{call: c, cfg: f.Config, now: time.Now, verbose: o.flags['v']}
	if o.fixed >= 0 {
		r.now = func() time.Time { return time.Unix(o.fixed, 0) }
	}
	strict, _, _ := f.Get("StrictTestMode")
	end, err := r.begin()
	if err != nil {
		return c.end(&service.Error{Exit: exitConfig, Err: err})
	}
	defer end()
	for name := range strings.SplitSeq(o.files, ",") {
		if exit := r.play(name, strings.EqualFold(strict, "true")); exit != exitOK {
			return exit
		}
	}
	return exitOK
}

// begin starts the daemon.
func (r *rehearsal) begin() (end func(), err error) {
	quiet := slog.New(slog.DiscardHandler)
	r.snapshot, err = milter.Load(r.cfg, milter.Environment{Keys: keys.NewCache(0, proof.Prove, quiet), Log: quiet})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "opendkim-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	hostname, _ := os.Hostname() // only names us in a field
	server := milter.NewServer(r.snapshot, milter.ServerOptions{Log: quiet, Hostname: hostname, Now: r.now})
	go func() { _ = server.Serve(l, "test") }()
	r.client = gomilter.NewClientWithOptions("unix", path, gomilter.ClientOptions{
		ActionMask:   gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptAddRcpt | gomilter.OptRemoveRcpt | gomilter.OptQuarantine,
		ProtocolMask: gomilter.OptHeaderLeadingSpace, // it takes SKIP for an error
	})
	return func() {
		r.client.Close()
		l.Close()
		os.RemoveAll(dir)
	}, nil
}

// play sends the message of a file.
func (r *rehearsal) play(name string, strict bool) (exit int) {
	text, err := readMessage(name, r.in)
	if err != nil {
		r.complain(fmt.Sprintf("%s: fopen(): %s", name, strerror(err)))
		return exitUnavailable
	}
	if n := bareLine(text); strict && n > 0 {
		r.complain(fmt.Sprintf("%s: line %d: not CRLF-terminated", name, n))
		return exitDataErr
	}
	fields, body, err := dkim.ReadMessage(strings.NewReader(text), maxTestHeader)
	if err != nil {
		r.complain(name + ": " + err.Error())
		return exitDataErr
	}
	content, err := io.ReadAll(body)
	if err != nil {
		r.complain(name + ": " + err.Error())
		return exitDataErr
	}
	changes, step, err := r.send(name, fields, string(content))
	if err != nil {
		r.complain(name + ": " + err.Error())
		return exitSoftware
	}
	signed := false
	for _, ch := range changes {
		if ch.Code != gomilter.ActInsertHeader && ch.Code != gomilter.ActAddHeader {
			continue
		}
		if r.verbose > 1 {
			fmt.Fprintf(r.out, "### INSHEADER: idx=%d hname='%s' hvalue='%s'\n", ch.HeaderIndex, ch.HeaderName, strings.TrimPrefix(ch.HeaderValue, " "))
		}
		if ch.HeaderName == "DKIM-Signature" {
			signed = true
			fmt.Fprintf(r.out, "%s: %s:\n%s:%s\n", r.name, name, ch.HeaderName, ch.HeaderValue)
		}
	}
	switch {
	case signed:
	case step != "mlfi_eom()": // it was left alone or refused
		r.complain(fmt.Sprintf("%s: %s ended the message", name, step))
		return exitSoftware
	default:
		r.verify(name, fields, content)
	}
	return exitOK
}

// verify prints the result of every signature.
func (r *rehearsal) verify(name string, fields []dkim.Field, content []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.DNSTimeout.Std())
	defer cancel()
	policy, _ := dkim.ParseBodyLengthPolicy(r.cfg.BodyLength) // Load has parsed it
	body := dkim.NewBody()
	v := dkim.NewVerifier(ctx, fields, body, r.snapshot.Resolver(), dkim.VerifyOptions{
		MaxSignatures: r.cfg.MaximumSignaturesToVerify, MinRSABits: r.cfg.MinimumKeyBits, MaxRSABits: r.cfg.MaximumKeyBits,
		ClockDrift: r.cfg.ClockDrift.Std(), Now: r.now(), BodyLength: policy,
	})
	_, _ = body.Write(content)
	body.Close()
	results := v.Results()
	if len(results) == 0 {
		fmt.Fprintf(r.out, "%s: %s: message not signed\n", r.name, name)
	}
	for _, s := range results {
		if s.Status == dkim.Pass {
			fmt.Fprintf(r.out, "%s: %s: verification (s=%s, d=%s, %d-bit key) succeeded\n", r.name, name, s.Selector, s.Domain, s.KeyBits)
			continue
		}
		security := "unknown"
		if s.Authentic {
			security = "secure"
		}
		fmt.Fprintf(r.out, "%s: %s: verification (s=%s d=%s, %d-bit key, %s) failed: %v\n", r.name, name, s.Selector, s.Domain, s.KeyBits, security, s.Err)
	}
}

// send plays the MTA. It returns what the daemon wants changed and the step at
// which it was done with the message.
func (r *rehearsal) send(name string, fields []dkim.Field, body string) (changes []gomilter.ModifyAction, last string, err error) {
	s, err := r.client.Session()
	if err != nil {
		return nil, "", err
	}
	defer s.Close()
	if err := s.Macros(gomilter.CodeMail, "i", "DEBUG-i", "j", "DEBUG-j"); err != nil {
		return nil, "", err
	}
	type step struct {
		name string
		do   func() (*gomilter.Action, error)
	}
	steps := []step{
		{"mlfi_connect()", func() (*gomilter.Action, error) { return s.Conn("localhost", gomilter.FamilyInet, 25, "127.0.0.1") }},
		{"mlfi_envfrom()", func() (*gomilter.Action, error) { return s.Mail("test@example.com", nil) }},
		{"mlfi_envrcpt()", func() (*gomilter.Action, error) { return s.Rcpt("test@example.com", nil) }},
	}
	for _, f := range fields {
		steps = append(steps, step{"mlfi_header()", func() (*gomilter.Action, error) {
			return s.HeaderField(f.Name, strings.ReplaceAll(f.Value, "\r\n", "\n"))
		}})
	}
	steps = append(steps, step{"mlfi_eoh()", s.HeaderEnd})
	for _, step := range steps {
		a, err := step.do()
		if err != nil {
			return nil, "", err
		}
		if r.verbose > 1 || r.verbose == 1 && a.Code != gomilter.ActContinue {
			r.complain(fmt.Sprintf("%s: %s returned %s", name, step.name, actionName(a.Code)))
		}
		if a.Code != gomilter.ActContinue {
			return nil, step.name, nil
		}
	}
	changes, a, err := s.BodyReadFrom(strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	if r.verbose > 0 {
		r.complain(fmt.Sprintf("%s: mlfi_eom() returned %s", name, actionName(a.Code)))
	}
	return changes, "mlfi_eom()", nil
}

// actionName is libmilter's name of an answer.
func actionName(code gomilter.ActionCode) string {
	switch code {
	case gomilter.ActContinue:
		return "SMFIS_CONTINUE"
	case gomilter.ActAccept:
		return "SMFIS_ACCEPT"
	case gomilter.ActDiscard:
		return "SMFIS_DISCARD"
	case gomilter.ActTempFail:
		return "SMFIS_TEMPFAIL"
	}
	return "SMFIS_REJECT"
}

// readMessage reads a file, "-" for standard input.
func readMessage(name string, in io.Reader) (string, error) {
	const largest = 256 << 20
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, largest+1))
	if err == nil && len(text) > largest {
		err = errors.New("the message is too large")
	}
	return string(text), err
}

// bareLine is the number of the first line that does not end in CRLF, 0 without one.
func bareLine(text string) int {
	n := 0
	for line := range strings.Lines(text) {
		if n++; !strings.HasSuffix(line, "\r\n") {
			return n
		}
	}
	return 0
}
