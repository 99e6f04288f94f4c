package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

const key = "s._domainkey.example.com"

// patience is a deadline that only a broken test reaches.
const patience = 30 * time.Second

func serve(t *testing.T, h Handler) *Server {
	t.Helper()
	s, err := Serve("127.0.0.1:0", h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLookupTXT(t *testing.T) {
	long := strings.Repeat("0123456789", 200)
	octets := make([]byte, 256)
	for i := range octets {
		octets[i] = byte(i)
	}
	zone := map[string]Answer{
		key:                      {TXT: []string{"v=DKIM1; p=AAAA"}},
		"two.example.com":        {TXT: []string{"one", "two"}},
		"long.example.com":       {TXT: []string{long}},
		"octets.example.com":     {TXT: []string{string(octets)}},
		"escapes.example.com":    {TXT: []string{`n="a\b"\; \065`}},
		"empty.example.com":      {TXT: []string{""}},
		"truncated.example.com":  {TXT: []string{"by tcp"}, Truncate: true},
		"ad.example.com":         {TXT: []string{"x"}, Authentic: true},
		"nodata.example.com":     {},
		"inside.example.com":     {CNAME: "target.example.net", TXT: []string{"aliased"}},
		"outside.example.com":    {CNAME: "two.example.com"},
		"ad-alias.example.com":   {CNAME: "two.example.com", Authentic: true},
		"to-ad.example.com":      {CNAME: "ad.example.com"},
		"dangling.example.com":   {CNAME: "nowhere.example.com"},
		"ad-dangling.example.co": {CNAME: "nowhere.example.com", Rcode: dns.RcodeNameError, Authentic: true},
	}
	s := serve(t, func(name string) Answer {
		a, ok := zone[name]
		if !ok {
			a.Rcode = dns.RcodeNameError
		}
		return a
	})
	c := client(t, Options{Nameservers: []string{s.Addr()}})
	tests := []struct {
		name      string
		want      []string
		authentic bool
	}{
		{key, []string{"v=DKIM1; p=AAAA"}, false},
		{"S._DomainKey.EXAMPLE.com.", []string{"v=DKIM1; p=AAAA"}, false},
		{"two.example.com", []string{"one", "two"}, false},
		{"long.example.com", []string{long}, false},
		{"octets.example.com", []string{string(octets)}, false},
		{"escapes.example.com", []string{`n="a\b"\; \065`}, false},
		{"empty.example.com", []string{""}, false},
		{"truncated.example.com", []string{"by tcp"}, false},
		{"ad.example.com", []string{"x"}, true},
		{"nodata.example.com", nil, false},
		{"nxdomain.example.com", nil, false},
		{"inside.example.com", []string{"aliased"}, false},
		{"outside.example.com", []string{"one", "two"}, false},
		{"ad-alias.example.com", []string{"one", "two"}, false}, // the target's answer is not authentic
		{"to-ad.example.com", []string{"x"}, false},             // the alias is not
		{"dangling.example.com", nil, false},
		{"ad-dangling.example.co", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, authentic, err := c.LookupTXT(t.Context(), tt.name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if authentic != tt.authentic {
				t.Errorf("authentic = %t, want %t", authentic, tt.authentic)
			}
		})
	}
}

// With TCP nothing is asked by UDP: this server does not even listen there.
func TestTCPAtOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	zone := NewRecords(map[string][]string{key: {"by tcp"}})
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc((&Server{handler: zone.Answer}).serve)}
	var started sync.WaitGroup
	started.Add(1)
	server.NotifyStartedFunc = started.Done
	go func() { _ = server.ActivateAndServe() }()
	started.Wait()
	t.Cleanup(func() { _ = server.Shutdown() })
	addr := []string{listener.Addr().String()}
	if txt, _, err := client(t, Options{Nameservers: addr, TCP: true}).LookupTXT(t.Context(), key); err != nil || len(txt) != 1 {
		t.Errorf("by TCP: %q, %v", txt, err)
	}
	if txt, _, err := client(t, Options{Nameservers: addr}).LookupTXT(t.Context(), key); err == nil {
		t.Errorf("by UDP: %q, want an error", txt)
	}
}

func TestLookupInvalidNames(t *testing.T) {
	s := serve(t, func(name string) Answer {
		t.Errorf("asked for %q", name)
		return Answer{}
	})
	c := client(t, Options{Nameservers: []string{s.Addr()}})
	for _, name := range []string{
		"", ".", "..", "a..b", ".a", "a..", "a b.example", "a\\.b.example", "ä.example", "a\x00.example", "*.example.com",
		strings.Repeat("a", 64) + ".example",
		strings.Repeat("abcdefg.", 32),
	} {
		if txt, _, err := c.LookupTXT(t.Context(), name); txt != nil || err != nil {
			t.Errorf("%q: %q, %v; want nothing", name, txt, err)
		}
	}
}

func TestChains(t *testing.T) {
	s := serve(t, func(name string) Answer {
		n := 0
		switch {
		case name == "loop.example.com":
			return Answer{CNAME: "pool.example.com"}
		case name == "pool.example.com":
			return Answer{CNAME: "loop.example.com"}
		case name == "self.example.com":
			return Answer{CNAME: "self.example.com"}
		}
		if _, err := fmt.Sscanf(name, "c%d.example.com", &n); err != nil {
			return Answer{Rcode: dns.RcodeNameError}
		}
		if n == 0 {
			return Answer{TXT: []string{"end"}}
		}
		return Answer{CNAME: fmt.Sprintf("c%d.example.com", n-1)}
	})
	c := client(t, Options{Nameservers: []string{s.Addr()}})
	if txt, _, err := c.LookupTXT(t.Context(), "c8.example.com"); err != nil || len(txt) != 1 || txt[0] != "end" {
		t.Errorf("8 hops: %q, %v", txt, err)
	}
	for _, name := range []string{"c9.example.com", "loop.example.com", "self.example.com"} {
		_, _, err := c.LookupTXT(t.Context(), name)
		if !errors.Is(err, errChain) {
			t.Errorf("%s: %v, want %v", name, err, errChain)
		}
	}
}

func TestNextServer(t *testing.T) {
	good := serve(t, func(string) Answer { return Answer{TXT: []string{"good"}} })
	for _, rcode := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented, dns.RcodeFormatError} {
		t.Run(dns.RcodeToString[rcode], func(t *testing.T) {
			bad := serve(t, func(string) Answer { return Answer{Rcode: rcode} })
			c := client(t, Options{Nameservers: []string{bad.Addr(), good.Addr()}})
			if txt, _, err := c.LookupTXT(t.Context(), key); err != nil || len(txt) != 1 {
				t.Errorf("with a good second server: %q, %v", txt, err)
			}
			c = client(t, Options{Nameservers: []string{bad.Addr()}})
			_, _, err := c.LookupTXT(t.Context(), key)
			want := fmt.Sprintf("TXT %s: %s answered %s", key, bad.Addr(), dns.RcodeToString[rcode])
			if err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		dead := serve(t, func(string) Answer { return Answer{Drop: true} })
		c := client(t, Options{Nameservers: []string{dead.Addr(), good.Addr()}, Timeout: 2 * time.Second})
		if txt, _, err := c.LookupTXT(t.Context(), key); err != nil || len(txt) != 1 {
			t.Errorf("with a good second server: %q, %v", txt, err)
		}
	})
	t.Run("closed port", func(t *testing.T) {
		gone, err := Serve("127.0.0.1:0", func(string) Answer { return Answer{} })
		if err != nil {
			t.Fatal(err)
		}
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		c := client(t, Options{Nameservers: []string{gone.Addr(), good.Addr()}})
		if txt, _, err := c.LookupTXT(t.Context(), key); err != nil || len(txt) != 1 {
			t.Errorf("with a good second server: %q, %v", txt, err)
		}
	})
}

// A nameserver that needs longer than a try's share is still heard.
func TestSlowAnswerCounts(t *testing.T) {
	var asked atomic.Int32
	s := serve(t, func(string) Answer {
		if asked.Add(1) == 1 {
			return Answer{TXT: []string{"slow"}, Delay: 400 * time.Millisecond}
		}
		return Answer{Drop: true}
	})
	c := client(t, Options{Nameservers: []string{s.Addr()}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reply, err := c.resolve(ctx, question{key, dns.TypeTXT}, 150*time.Millisecond)
	if txt := texts(reply.Records); err != nil || len(txt) != 1 || txt[0] != "slow" {
		t.Errorf("got %q, %v", txt, err)
	}
	if n := asked.Load(); n != minTries {
		t.Errorf("%d questions, want %d", n, minTries)
	}
}

func TestTimeoutText(t *testing.T) {
	s := serve(t, func(string) Answer { return Answer{Drop: true} })
	c := client(t, Options{Nameservers: []string{s.Addr()}, Timeout: 100 * time.Millisecond})
	_, _, err := c.LookupTXT(t.Context(), key)
	want := fmt.Sprintf("TXT %s: no answer from %s within 100ms", key, s.Addr())
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v is no timeout", err)
	}
}

// One query serves many askers; an asker who leaves does not end it.
func TestSharedQuery(t *testing.T) {
	var asked atomic.Int32
	release := make(chan struct{})
	s := serve(t, func(string) Answer {
		asked.Add(1)
		<-release
		return Answer{TXT: []string{"shared"}} // TTL 0: not cached
	})
	c := client(t, Options{Nameservers: []string{s.Addr()}, Timeout: 10 * patience})
	impatient, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, _, err := c.LookupTXT(impatient, key)
		left <- err
	}()
	for asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	var askers sync.WaitGroup
	var entered atomic.Int32
	for range 20 {
		askers.Go(func() {
			entered.Add(1)
			txt, _, err := c.LookupTXT(t.Context(), key)
			if err != nil || len(txt) != 1 || txt[0] != "shared" {
				t.Errorf("asker got %q, %v", txt, err)
			}
		})
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("asker who left got %v", err)
	}
	for entered.Load() < 20 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // let the last of them join the flight
	close(release)
	askers.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
}

func TestCanceledBeforeAsking(t *testing.T) {
	s := serve(t, func(string) Answer { return Answer{TXT: []string{"x"}} })
	c := client(t, Options{Nameservers: []string{s.Addr()}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.LookupTXT(ctx, key); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A panic below a flight is an error of that flight, not the end of the program.
func TestPanicIsAnError(t *testing.T) {
	c := client(t, Options{Nameservers: []string{"127.0.0.1"}})
	c.cache = nil
	a := c.fly(key, time.Second, false)
	if a == nil || a.err == nil || !strings.Contains(a.err.Error(), "panic") {
		t.Errorf("got %+v", a)
	}
}
