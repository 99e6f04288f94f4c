package milter

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/load"
)

// manyMessages are of the long form, which has the machine to itself.
const manyMessages = 50_000

var soakMessages = flag.Int("soak", 2500, "how many messages TestSoak sends")

// soaked is what the daemon uses once it has come to rest.
type soaked struct {
	load.Usage
	goroutines int
}

func (s soaked) String() string {
	const MiB = 1 << 20
	return fmt.Sprintf("%.1f MiB resident (%.1f at most), %d goroutines, %d descriptors, %d threads",
		float64(s.RSS)/MiB, float64(s.PeakRSS)/MiB, s.goroutines, s.Descriptors, s.Threads)
}

// TestSoak: what the daemon uses after the first fifth of many messages of all
// kinds is what it uses after the last. -soak says how many.
func TestSoak(t *testing.T) {
	if *soakMessages < manyMessages {
		t.Parallel() // what it uses is measured on the process alone
	}
	d := startSoak(t)
	const parts = 5
	var used [parts]soaked
	start := time.Now()
	for i := range used {
		d.part(t, *soakMessages/parts)
		used[i] = d.rest(t)
		t.Logf("%d messages, %d connections dropped, %d reloads, %v: %v", (i+1)**soakMessages/parts,
			d.dropped.Load(), d.reloads, time.Since(start).Round(time.Second), used[i])
		if testing.Verbose() {
			fmt.Fprintf(os.Stderr, "soak: %d of %d messages: %v\n", (i+1)**soakMessages/parts, *soakMessages, used[i])
		}
	}
	first, last := used[0], used[parts-1]
	// The runtime keeps memory in steps of 4 MiB, and how full they are when it
	// rests varies.
	const slack = 6 << 20
	if last.RSS > first.RSS+first.RSS/10+slack || last.PeakRSS > first.PeakRSS+first.PeakRSS/4+slack {
		t.Errorf("memory grew from %v to %v", first, last)
	}
	if last.goroutines > first.goroutines || last.Descriptors > first.Descriptors {
		t.Errorf("something is left: from %v to %v", first, last)
	}
	// The runtime makes threads as it needs them and keeps them.
	if last.Threads > first.Threads+8 {
		t.Errorf("threads grew from %v to %v", first, last)
	}
	if d.reloads == 0 || d.dropped.Load() == 0 {
		t.Errorf("%d reloads, %d connections dropped", d.reloads, d.dropped.Load())
	}
}

func (d *soak) path(name string) string { return filepath.Join(d.dir, name) }

func (d *soak) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(d.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// soak is a daemon under load and what it is sent.
type soak struct {
	dir               string
	control           Control
	process           *load.Process
	log               *lastLines
	outbound, inbound []load.Message
	dropped           atomic.Int64
	reloads           int
	sequence          *rand.Rand
}

// startSoak starts `postseal serve` with an RSA and an Ed25519 key.
func startSoak(t *testing.T) *soak {
	t.Helper()
	program := buildProgram(t)
	d := &soak{dir: t.TempDir(), log: new(lastLines), sequence: rand.New(rand.NewPCG(1, 2))}
	d.control.Dir = filepath.Join(d.dir, "run")
	var records strings.Builder
	for _, kind := range []string{"rsa", "ed25519"} {
		key, err := keys.Generate(kind, 2048)
		if err == nil {
			err = keys.WritePrivate(d.path(kind+".private"), key)
		}
		if err != nil {
			t.Fatal(err)
		}
		record := keys.RecordText(key.Public())
		for _, domain := range []string{kind + ".example", "both.example"} {
			fmt.Fprintf(&records, "%s._domainkey.%s %s\n", kind, domain, record)
		}
	}
	d.write(t, "records", records.String())
	d.tables(t, 0)
	d.write(t, "postseal.toml", fmt.Sprintf(`
socket = "local:%[1]s/s"
runtime_directory = "%[1]s/run"
authserv_id = "mx.soak.example"
key_table = "file:key.table"
signing_table = "refile:signing.table"
internal_hosts = ["127.0.0.1"]
multiple_signatures = true
always_add_ar_header = true
require_safe_keys = false
watch_files = false
`, d.dir))
	cmd := exec.Command(program, "serve", "-c", d.path("postseal.toml"), "--records", d.path("records"))
	cmd.Stderr = d.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // by the signal
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := d.control.Status(t.Context()); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the daemon does not start\n%s", d.log)
		}
	}
	var err error
	if d.process, err = load.Watch(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	d.mails(t, program)
	return d
}

// tables writes them with a number of rows that are of no mail.
func (d *soak) tables(t *testing.T, more int) {
	t.Helper()
	keyTable, signingTable := "", ""
	for _, row := range [][2]string{{"rsa", "rsa"}, {"ed25519", "ed25519"}, {"both", "rsa"}, {"both", "ed25519"}} {
		keyTable += fmt.Sprintf("%[1]s-%[2]s %[1]s.example:%[2]s:%[3]s\n", row[0], row[1], d.path(row[1]+".private"))
		signingTable += fmt.Sprintf("*@%[1]s.example %[1]s-%[2]s\n", row[0], row[1])
	}
	for i := range more {
		keyTable += fmt.Sprintf("more%[1]d more%[1]d.example:rsa:%[2]s\n", i, d.path("rsa.private"))
		signingTable += fmt.Sprintf("*@more%[1]d.example more%[1]d\n", i)
	}
	d.write(t, "key.table", keyTable)
	d.write(t, "signing.table", signingTable)
}

// part sends n messages, from inside and from strangers at the same time, while
// other connections break off and the tables are read anew now and then.
func (d *soak) part(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var sending, beside sync.WaitGroup
	for _, messages := range [][]load.Message{d.outbound, d.inbound} {
		sending.Go(func() {
			r, err := load.Run(ctx, load.Options{
				Socket: "unix:" + d.path("s"), Connections: 4, PerConnection: 7, Messages: n / 2, Message: messages,
				Timeout: 5 * time.Minute,
			})
			if err != nil || r.Failed > 0 || r.Messages != n/2 {
				t.Errorf("%d of %d messages, %d failed: %v, %v\n%s", r.Messages, n/2, r.Failed, r.FirstError, err, d.log)
			}
		})
	}
	beside.Go(func() {
		for ctx.Err() == nil {
			if err := d.drop(); err != nil {
				t.Errorf("a connection that breaks off: %v", err)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	beside.Go(func() {
		for ctx.Err() == nil {
			d.tables(t, 20*(d.reloads%2))
			r, err := d.control.Reload(context.WithoutCancel(ctx))
			if err != nil || len(r.Problems) > 0 {
				t.Errorf("reload: %v %q", err, r.Problems)
				return
			}
			d.reloads++
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
	sending.Wait()
	cancel()
	beside.Wait()
}

// drop opens a connection and closes it somewhere in a message.
func (d *soak) drop() error {
	c, err := net.Dial("unix", d.path("s"))
	if err != nil {
		return err
	}
	defer c.Close()
	sent := framesTo("ODCHMRTLNBBB")
	n := 1 + d.sequence.IntN(len(sent))
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := c.Write(sent[:n]); err != nil {
		return err
	}
	if d.sequence.IntN(2) == 0 { // else the answers find nobody
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // the connection is ours and open
		_, _ = c.Read(make([]byte, 100))                             // nothing, where no whole command was sent
	}
	d.dropped.Add(1)
	return nil
}

// rest waits until the connections are closed and what they used is given back.
func (d *soak) rest(t *testing.T) soaked {
	t.Helper()
	pause := 20 * time.Millisecond
	if *soakMessages >= manyMessages {
		pause = 500 * time.Millisecond
	}
	var least soaked
	for i, end := 0, time.Now().Add(time.Minute); i < 10; time.Sleep(pause) {
		s, err := d.control.Status(t.Context())
		if err != nil {
			t.Fatalf("%v\n%s", err, d.log)
		}
		if s.Connections > 0 {
			if time.Now().After(end) {
				t.Fatalf("%d connections stay open", s.Connections)
			}
			continue
		}
		u, err := d.process.Usage()
		if err != nil {
			t.Fatal(err)
		}
		now := soaked{u, s.Goroutines}
		if i == 0 {
			least = now
		}
		least.RSS, least.goroutines = min(least.RSS, now.RSS), min(least.goroutines, now.goroutines)
		least.Descriptors, least.Threads = min(least.Descriptors, now.Descriptors), min(least.Threads, now.Threads)
		least.PeakRSS = now.PeakRSS
		i++
	}
	return least
}

// lastLines keeps the end of a log.
type lastLines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lastLines) Write(p []byte) (int, error) {
	const most = 4000
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if len(l.text) > 2*most {
		l.text = append(l.text[:0], l.text[len(l.text)-most:]...)
	}
	return len(p), nil
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
