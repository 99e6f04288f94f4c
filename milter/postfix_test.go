package milter_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/postfix"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/peers"
	"github.com/postseal/postseal/testdata/program"
)

// The private Postfix of these tests has one mailbox, and postseal signs for
// example.com with an RSA and an Ed25519 key.
const (
	inbox   = "user@inbox.example"
	authID  = "mx.inbox.example"
	timeout = 3 * time.Minute
)

// stranger is an SMTP client of another network.
var stranger = postfix.Client{Addr: "192.0.2.1", Name: "mail.elsewhere.example"}

// site is a private Postfix with postseal as its milter.
type site struct {
	t       testing.TB
	ctx     context.Context
	postfix *postfix.Instance
	daemon  *milter.Daemon
	dir     string // of postseal's configuration
	socket  string // of postseal, as configured
	zone    map[string]string
	log     *milter.LockedLog
	taken   int // messages of the mailbox that were looked at
}

// setup says how a site differs from the ordinary one.
type setup struct {
	tcp      bool
	settings string            // of postseal.toml
	main     map[string]string // of main.cf
	run      func(*site)       // instead of a daemon in this process
}

// start starts Postfix and postseal; both end with the test.
func start(t testing.TB, o setup) *site {
	t.Helper()
	peers.Require(t, postfix.Available())
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	s := &site{t: t, ctx: ctx, dir: t.TempDir(), log: new(milter.LockedLog)}
	main := map[string]string{"milter_default_action": "tempfail"}
	for k, v := range o.main {
		main[k] = v
	}
	var err error
	s.postfix, err = postfix.Start(ctx, postfix.Options{Hostname: authID, Mailboxes: []string{inbox, "jörg@inbox.example"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.postfix.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("postseal's log:\n%s", s.log)
		}
	})
	path := filepath.Join(s.postfix.SocketDir(), "postseal")
	socket, spec := "local:"+path, "unix:"+path
	if o.tcp {
		port := program.FreePort(t)
		socket, spec = fmt.Sprintf("inet:%d@127.0.0.1", port), fmt.Sprintf("inet:127.0.0.1:%d", port)
	}
	for _, name := range []string{"smtpd_milters", "non_smtpd_milters"} {
		if main[name] == "" {
			main[name] = spec
		} else {
			main[name] = strings.ReplaceAll(main[name], "POSTSEAL", spec)
		}
	}
	s.socket = socket
	s.configure(socket, o.settings)
	if o.run == nil {
		o.run = (*site).run
	}
	o.run(s)
	if err := s.postfix.Reconfigure(ctx, main); err != nil {
		t.Fatal(err)
	}
	return s
}

// configure writes postseal.toml, the tables of the seeds' kind and two keys.
func (s *site) configure(socket, settings string) {
	s.t.Helper()
	s.zone = map[string]string{}
	table := ""
	for _, kind := range []string{"rsa", "ed25519"} {
		key, err := keys.Generate(kind, 2048)
		if err != nil {
			s.t.Fatal(err)
		}
		path := filepath.Join(s.dir, kind+".private")
		if err := keys.WritePrivate(path, key); err != nil {
			s.t.Fatal(err)
		}
		s.zone[kind+"._domainkey.example.com"] = keys.RecordText(key.Public())
		table += fmt.Sprintf("%s._domainkey.example.com example.com:%s:%s\n", kind, kind, path)
	}
	for name, text := range map[string]string{
		"key.table":     table,
		"signing.table": "*@example.com rsa._domainkey.example.com\n*@example.com ed25519._domainkey.example.com\n*@mx.inbox.example rsa._domainkey.example.com\n",
		"trusted.hosts": "127.0.0.1\n::1\nlocalhost\n",
		"postseal.toml": fmt.Sprintf("socket = %q\nruntime_directory = %q\nkey_table = \"file:key.table\"\nsigning_table = \"refile:signing.table\"\n"+
			"multiple_signatures = true\ninternal_hosts = \"file:trusted.hosts\"\nrequire_safe_keys = false\nsocket_mode = \"0666\"\n%s\n",
			socket, filepath.Join(s.dir, "run"), settings),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(strings.ReplaceAll(text, "key_table = \"file:key.table\"", "key_table = \"file:key.table\"")), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// resolver answers for the zone.
func (s *site) resolver() *resolver.Records {
	r := resolver.NewRecords(nil)
	for name, txt := range s.zone {
		if err := r.Add(name, txt); err != nil {
			s.t.Fatal(err)
		}
	}
	return r
}

// run runs the daemon from its file, as serve does.
func (s *site) run() {
	s.t.Helper()
	load := func() (*config.Config, error) { return config.Load(filepath.Join(s.dir, "postseal.toml")) }
	d, err := milter.NewDaemon(milter.DaemonOptions{
		Load: load, Resolver: s.resolver(), Hostname: authID, Version: "test",
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.daemon = d
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, nil) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("the daemon: %v", err)
		}
	})
}

// next waits for the next message of the mailbox and returns it with CRLF, from
// the first field that is not the delivery's own.
func (s *site) next() []byte {
	s.t.Helper()
	box, err := s.postfix.WaitMail(s.ctx, inbox, s.taken+1)
	if err != nil {
		s.t.Fatalf("%v\nPostfix:\n%s", err, s.postfix.Log())
	}
	s.taken++
	return withoutDelivery(box[s.taken-1])
}

// withoutDelivery is a message of a mailbox with CRLF, from the first field that is
// not the delivery's own.
func withoutDelivery(msg []byte) []byte {
	msg = bytes.ReplaceAll(msg, []byte("\n"), []byte("\r\n"))
	for _, own := range []string{"Return-Path:", "X-Original-To:", "Delivered-To:"} {
		if bytes.HasPrefix(msg, []byte(own)) {
			msg = msg[bytes.Index(msg, []byte("\r\n"))+2:]
		}
	}
	return msg
}

// deliver sends a message and returns what arrives.
func (s *site) deliver(as postfix.Client, from string, msg []byte) []byte {
	s.t.Helper()
	if err := s.postfix.Deliver(as, from, []string{inbox}, msg); err != nil {
		s.t.Fatalf("%v\nPostfix:\n%s", err, s.postfix.Log())
	}
	return s.next()
}

// results verifies a message with postseal's own engine.
func (s *site) results(msg []byte) []dkim.Result {
	s.t.Helper()
	fields, body, err := dkim.ReadMessage(bytes.NewReader(msg), 1<<20)
	if err != nil {
		s.t.Fatal(err)
	}
	b := dkim.NewBody()
	v := dkim.NewVerifier(s.ctx, fields, b, s.resolver(), dkim.VerifyOptions{
		MaxSignatures: 10, MinRSABits: 1024, MaxRSABits: 8192, ClockDrift: time.Minute, Now: time.Now(),
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		_, _ = b.Write(buf[:n])
		if err != nil {
			break
		}
	}
	b.Close()
	return v.Results()
}

// wantSealed wants both signatures of example.com to verify.
func (s *site) wantSealed(msg []byte) {
	s.t.Helper()
	rs := s.results(msg)
	for _, r := range rs {
		if r.Status != dkim.Pass || r.Domain != "example.com" {
			s.t.Errorf("d=%s s=%s: %s %v", r.Domain, r.Selector, r.Status, r.Err)
		}
	}
	if len(rs) != 2 {
		s.t.Errorf("%d signatures, want 2", len(rs))
	}
	if s.t.Failed() {
		s.t.Fatalf("%.4000s", msg)
	}
}

// wantResult wants our Authentication-Results on top, with a text in it.
func (s *site) wantResult(msg []byte, want string) {
	s.t.Helper()
	top, _, _ := bytes.Cut(msg, []byte("\r\nReceived:"))
	if !bytes.HasPrefix(top, []byte("Authentication-Results: "+authID+";")) || !bytes.Contains(top, []byte(want)) {
		s.t.Errorf("want %q on top of\n%.2000s", want, msg)
	}
}

// letter is a message of example.com.
func letter(subject, body string) []byte {
	return []byte("From: A User <user@example.com>\r\nTo: <" + inbox + ">\r\nSubject: " + subject +
		"\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n" + body)
}
