package milter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// hostileMail is a message that a stranger made up. It is sent as it is made, so
// that what is held of it is held by the daemon.
type hostileMail struct {
	from   string // envelope sender
	rcpts  int
	fields iter.Seq2[string, string]
	// The body is begin, then unit again and again up to size octets, then end.
	begin, unit, end string
	size             int
}

// hostileRow is a line of the table. Its mail has a size, and is sent at half of it
// too, unless that is 0.
type hostileRow struct {
	name     string
	settings string
	signs    bool // the client is ours, so that the mail is signed
	txt      map[string][]string
	size     int
	mail     func(t testing.TB, n int) hostileMail

	code byte   // the last reply; 0: the connection is closed
	text string // the beginning of it
	// want stands in the changes to the header, or in the log where there are none.
	want string
}

// hostileEnd is what became of a message.
type hostileEnd struct {
	ended
	octets int    // sent
	fields int    // of the header
	kept   uint64 // octets of the heap while the message was held
}

// What one message may cost, however hostile: processor time in all, by a wide
// margin, and memory beside a small multiple of the header that is kept.
const (
	hostileTime   = 4 * time.Second
	hostileMemory = 2 << 20
	hostileLog    = 32 << 10 // octets in the log
	// hostileFloor is a time below which the collector is most of it.
	hostileFloor = 60 * time.Millisecond
)

// TestHostileMessages feeds the daemon what no MTA should be sent. Every row ends
// with the result that stands in it, at a bounded cost that grows with the size
// and not with its square.
func TestHostileMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("sends some gigabytes")
	}
	rows := hostileHeaders()
	rows = append(rows, hostileBodyRows()...)
	rows = append(rows, hostileSignatures()...)
	rows = append(rows, hostileKeys()...)
	rows = append(rows, hostileResults()...)
	rows = append(rows, hostileAuthors()...)
	for _, row := range rows {
		t.Run(row.name, row.run)
	}
}

func (row hostileRow) run(t *testing.T) {
	srv := hostileServer(t, row.settings, row.txt)
	if row.size >= 100_000 {
		row.size /= hostileShare
	}
	whole := row.mail(t, row.size)
	log := len(srv.log.String())
	start := processorTime(t)
	e := srv.bombard(t, row.signs, whole, true)
	took := processorTime(t) - start
	row.check(t, srv, e, log)
	if signature := e.inserted("DKIM-Signature"); signature != "" { // by us
		back := srv.bombard(t, false, whole.below(dkim.Field{Name: "DKIM-Signature", Value: strings.ReplaceAll(signature, "\n", "\r\n")}), false)
		if results := strings.Join(back.changes, "\n"); !strings.Contains(results, "dkim=pass") {
			t.Errorf("as a stranger's it ends with %q %.2000s", back.text, results)
		}
	}
	if took > hostileFloor {
		row.checkGrowth(t, srv, whole)
	}
}

// checkGrowth compares what the mail costs with what half of it costs.
func (row hostileRow) checkGrowth(t *testing.T, srv *testServer, whole hostileMail) {
	t.Helper()
	send := func(m hostileMail) time.Duration {
		start := processorTime(t)
		srv.bombard(t, row.signs, m, false)
		return processorTime(t) - start
	}
	half := row.mail(t, row.size/2)
	a, b := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for range 6 { // on a busy machine, ask again
		if b = min(b, send(whole)); b <= hostileFloor {
			return
		}
		if a = b; row.size > 0 {
			a = max(min(a, send(half)), hostileFloor)
		}
		if b <= 3*a && b <= hostileTime {
			t.Logf("half of it costs %v, all of it %v", a, b)
			return
		}
	}
	t.Errorf("the message costs %v, half of it %v", b, a)
}

// check compares the end with the row, and memory and log with their bounds.
func (row hostileRow) check(t *testing.T, srv *testServer, e hostileEnd, logged int) {
	t.Helper()
	if e.code != row.code || !strings.HasPrefix(e.text, row.text) {
		t.Errorf("ended with %q %q at %v, want %q %q", e.code, e.text, e.at, row.code, row.text)
	}
	changes := strings.ReplaceAll(strings.Join(e.changes, "\n"), "\n\t", " ")
	if !strings.Contains(changes, row.want) {
		if changes == "" {
			srv.log.wait(t, row.want)
		} else {
			t.Errorf("got %.2000s\nwant %q", changes, row.want)
		}
	}
	const eachField = 128
	cfg := srv.Snapshot().cfg
	if bound := uint64(hostileMemory + 3*min(e.octets, cfg.MaximumHeaders) + eachField*min(e.fields, cfg.MaximumHeaderFields)); e.kept > bound {
		t.Errorf("%d octets are held, at most %d are allowed", e.kept, bound)
	}
	text := srv.log.String()[logged:]
	if len(text) > hostileLog {
		t.Errorf("%d octets in the log: %.1000s", len(text), text)
	}
	if strings.Contains(text, "panic") {
		t.Error(text)
	}
}

// hostileServer signs for example.com with selector s1 and answers for that key
// and for txt.
func hostileServer(t testing.TB, settings string, txt map[string][]string) *testServer {
	t.Helper()
	zone := map[string][]string{"s1._domainkey.example.com": {hostileKey.record}}
	for name, list := range txt {
		zone[name] = list
	}
	rules := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(rules, []byte("ba\tab\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings = strings.ReplaceAll(settings, "RULES", rules)
	tables := "authserv_id = \"mx.example.org\"\n"
	tables += "key_table = [\"k=example.com:s1:" + hostileKey.inline + "\"]\n"
	if !strings.Contains(settings, "signing_table") {
		tables += "signing_table = [\"example.com=k\"]\n"
	}
	return startServer(t, loadText(t, tables+settings, resolver.NewRecords(zone)))
}

// bombard sends a message on a connection of its own, which may end anywhere.
// weigh says that what is held of it is measured.
func (s *testServer) bombard(t testing.TB, ours bool, mail hostileMail, weigh bool) (e hostileEnd) {
	t.Helper()
	m := s.dial(t)
	defer m.c.Close()
	_ = m.c.SetDeadline(time.Now().Add(5 * time.Minute))
	m.negotiate(6, allActions, allSteps)
	if ours {
		m.connect("localhost", "127.0.0.1")
	} else {
		m.connect("mail.elsewhere.example", "192.0.2.9")
	}
	w := bufio.NewWriterSize(m.c, 64<<10)
	frame := func(cmd wire.Command, parts ...string) {
		size := 1
		for _, p := range parts {
			size += len(p)
		}
		var head [5]byte
		binary.BigEndian.PutUint32(head[:], uint32(size))
		head[4] = byte(cmd)
		_, _ = w.Write(head[:])
		for _, p := range parts {
			_, _ = w.WriteString(p) // the reader tells of the end
		}
		e.octets += size
	}
	var before uint64
	if weigh {
		before = heap()
	}
	frame(wire.CmdMail, "<", mail.from, ">\x00")
	for range mail.rcpts {
		frame(wire.CmdRcpt, "<rcpt@elsewhere.example>\x00")
	}
	for name, value := range mail.fields {
		frame(wire.CmdHeader, name, "\x00", value, "\x00")
		e.fields++
	}
	frame(wire.CmdEOH)
	_ = w.Flush()
	e.at = wire.CmdEOH
	if more := m.last(t, &e.ended); !more {
		return e
	}
	e.at = wire.CmdBody
	for chunk := range mail.chunks() {
		frame(wire.CmdBody, chunk)
		_ = w.Flush()
		if more := m.last(t, &e.ended); !more {
			return e
		}
		if e.skipped {
			break
		}
	}
	if weigh {
		if after := heap(); after > before {
			e.kept = after - before
		}
	}
	e.at = wire.CmdEOM
	frame(wire.CmdEOM)
	_ = w.Flush()
	for m.last(t, &e.ended) {
	}
	return e
}

// last reads one reply and notes what it is. It reports whether the message goes
// on after it.
func (m *mta) last(t testing.TB, e *ended) (more bool) {
	t.Helper()
	code, p, err := m.frame()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.Fatal("neither answered nor closed")
	case err != nil:
		return false
	}
	switch code {
	case 'c':
		if e.at == wire.CmdEOM {
			e.code = code
			return false
		}
	case 's':
		e.skipped = true
	case 'p':
	case 'i', 'm':
		name, value, _ := strings.Cut(string(p[4:]), "\x00")
		e.changes = append(e.changes, fmt.Sprintf("%c%d %s:%s", code, binary.BigEndian.Uint32(p), name, strings.TrimSuffix(value, "\x00")))
	default:
		e.code, e.text = code, strings.TrimRight(string(p), "\x00")
		return false
	}
	return true
}

// below is the mail with a field on top.
func (mail hostileMail) below(top dkim.Field) hostileMail {
	fields := mail.fields
	mail.fields = func(yield func(string, string) bool) {
		if yield(top.Name, top.Value) {
			fields(yield)
		}
	}
	return mail
}

// chunks are the pieces in which the body is sent.
func (mail hostileMail) chunks() iter.Seq[string] {
	return func(yield func(string) bool) {
		if mail.begin != "" && !yield(mail.begin) {
			return
		}
		if mail.size > 0 {
			piece := strings.Repeat(mail.unit, (60<<10)/len(mail.unit))
			for left := mail.size; left > 0; left -= len(piece) {
				if !yield(piece[:min(left, len(piece))]) {
					return
				}
			}
		}
		if mail.end != "" {
			yield(mail.end)
		}
	}
}

// writeBody is for those who compute its hash.
func (mail hostileMail) writeBody(w io.Writer) {
	for chunk := range mail.chunks() {
		_, _ = io.WriteString(w, chunk)
	}
}

// heap is what is reachable, in octets.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // pools keep what they have for one round more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// processorTime is what this process has taken, the sender of the mail included.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
