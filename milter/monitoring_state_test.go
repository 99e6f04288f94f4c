package milter

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/milter/wire"
)

func TestMetricsOfReloads(t *testing.T) {
	t.Parallel()
	d := startMonitored(t, "")
	before := d.metrics(t)
	if before["postseal_last_reload_success"] != 1 || before["postseal_last_reload_timestamp_seconds"] != before["postseal_start_time_seconds"] {
		t.Errorf("before a reload: %v", before)
	}
	for _, row := range []struct {
		name, table string
		success     float64
		want        map[string]float64
	}{
		{"good", "*@example.com k\n", 1, map[string]float64{`reloads_total{outcome="success"}`: 1}},
		{"bad", "*@example.com nosuchkey\n", 0, map[string]float64{`reloads_total{outcome="failure"}`: 1, "last_reload_success": -1}},
		{"still bad", "*@example.com nosuchkey\n", 0, map[string]float64{`reloads_total{outcome="failure"}`: 1}},
		{"good again", "*@example.com k\n", 1, map[string]float64{`reloads_total{outcome="success"}`: 1, "last_reload_success": 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := d.metrics(t)
			d.write(t, "signing.table", row.table)
			_, _ = d.Daemon.reload()
			now := d.metrics(t)
			got := change(before, now)
			if got["postseal_last_reload_timestamp_seconds"] <= 0 {
				t.Errorf("the time is not that of this reload: %v", got)
			}
			delete(got, "postseal_last_reload_timestamp_seconds")
			if diff := cmp.Diff(prefixed(row.want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if now["postseal_last_reload_success"] != row.success {
				t.Errorf("last_reload_success is %v", now["postseal_last_reload_success"])
			}
		})
	}
}

func TestMetricsOfConnections(t *testing.T) {
	t.Parallel()
	d := startMonitored(t, "maximum_connections = 2")
	want := func(step string, open, accepted, evicted, refused float64) {
		t.Helper()
		now := d.metrics(t)
		for name, n := range map[string]float64{
			"connections": open, "connections_limit": 2, `connections_total{outcome="accepted"}`: accepted,
			`connections_total{outcome="evicted"}`: evicted, `connections_total{outcome="refused"}`: refused,
		} {
			if got := now["postseal_"+name]; got != n {
				t.Errorf("%s: %s is %v, want %v", step, name, got, n)
			}
		}
	}
	want("the start", 0, 0, 0, 0)
	first, second := d.connect(t), d.connect(t)
	want("two", 2, 2, 0, 0)
	third := d.connect(t)
	first.closed()
	want("a third in place of the first", 2, 3, 1, 0)
	for _, m := range []*mta{second, third} {
		m.send(wire.CmdMail, "<user@example.com>\x00")
		m.macros(wire.CmdEOH, "i", "1")
		m.send(wire.CmdHeader, "From\x00 user@example.com\x00")
		m.send(wire.CmdEOH, "")
		m.answer()
	}
	(&testServer{path: filepath.Join(d.dir, "s")}).dial(t).closed()
	want("none is free for a fourth", 2, 3, 1, 1)
}

// constants are the values of the constants of a type in a folder.
func constants(t *testing.T, dir, typ string) (values []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", dir, err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typ {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					value, _ := strconv.Unquote(lit.Value)
					values = append(values, value)
				}
			}
			return true
		})
	}
	slices.Sort(values)
	return values
}

// labels are the values of a label of a metric, in all its series.
func labels(metrics map[string]float64, name, label string) (values []string) {
	for series := range metrics {
		rest, ok := strings.CutPrefix(series, "postseal_"+name+"{")
		if !ok {
			continue
		}
		_, value, _ := strings.Cut(rest, label+`="`)
		value, _, _ = strings.Cut(value, `"`)
		if !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	slices.Sort(values)
	return values
}

// Every value that a label may ever have is there from the start, and no other, so
// that the first message of a kind is an increase.
func TestMetricSets(t *testing.T) {
	t.Parallel()
	now := startMonitored(t, "").metrics(t)
	without := func(values []string, others ...string) []string {
		return slices.DeleteFunc(values, func(v string) bool { return slices.Contains(others, v) })
	}
	var actions []string
	for a := config.Accept; !strings.HasPrefix(a.String(), "action "); a++ {
		actions = append(actions, a.String())
	}
	slices.Sort(actions)
	statuses := constants(t, "dkim", "Status")
	results := append([]string{resultSigned, resultUnsigned}, statuses...)
	slices.Sort(results)
	for _, row := range []struct {
		metric, label string
		want          []string
	}{
		{"messages_total", "decision", constants(t, ".", "Verdict")},
		{"messages_total", "result", results},
		{"actions_total", "action", actions},
		{"reasons_total", "reason", constants(t, ".", "Code")},
		{"signatures_total", "algorithm", without(constants(t, "dkim", "Algorithm"), "rsa-sha1")}, // it never signs
		{"verified_total", "result", without(statuses, "none")},                                   // no signature has it
		{"dns_lookups_total", "outcome", constants(t, "resolver", "Outcome")},
		{"connections_total", "outcome", []string{"accepted", "evicted", "refused"}},
		{"reloads_total", "outcome", []string{"failure", "success"}},
		{"keys", "state", constants(t, "../keys", "State")},
		{"keys_published", "state", constants(t, "monitor", "Publication")},
	} {
		got := labels(now, row.metric, row.label)
		if len(row.want) < 2 || !slices.Equal(got, row.want) {
			t.Errorf("%s: the values of %s are %q, want %q", row.metric, row.label, got, row.want)
		}
	}
	for _, v := range constants(t, ".", "Verdict") {
		for _, r := range resultsOf(Verdict(v)) {
			if _, ok := now[fmt.Sprintf("postseal_messages_total{decision=%q,result=%q}", v, r)]; !ok {
				t.Errorf("no series for %s and %s", v, r)
			}
		}
	}
}

// Nothing that a stranger writes becomes a series.
func TestMetricsOfHostileMail(t *testing.T) {
	t.Parallel()
	d := startMonitored(t, "always_add_ar_header = true\nauthor_must_match = [\"login\"]")
	before := d.metrics(t)
	const evil = "x\"} 1\npostseal_evil{a=\"b"
	m := (&testServer{path: filepath.Join(d.dir, "s")}).connect(t, evil, "192.0.2.9")
	for _, row := range []letter{
		{header: []string{"From: a@" + evil}},
		{header: []string{"From: \"" + evil + "\" <a@example.com>"}},
		{header: []string{"From: <a@example.com>", evil + ": x"}},
		{header: []string{"From: a@xn--\xff.example\x00"}},
		{header: []string{"DKIM-Signature: v=1; a=" + evil + "; d=" + evil + "; s=" + evil + "; bh=x; h=from; b=y", "From: a@example.com"}},
		{header: []string{"DKIM-Signature: v=1; a=evil-sha512; d=evil.example; s=evil; bh=eA==; h=from; b=eA==", "From: a@example.com"}},
		{header: []string{"DKIM-Signature: v=evil", "Authentication-Results: host.example; evil=pass", "From: a@example.com"}},
		{header: []string{"From: a@evil.example, b@evil.example"}, from: evil, rcpt: []string{evil}, macros: []string{"{auth_type}", evil, "{auth_authen}", evil}},
		{header: header("example.com"), macros: []string{"{auth_type}", "PLAIN", "{auth_authen}", evil}},
	} {
		if e := m.deliver(row); e.code == 0 {
			t.Fatalf("%q is not answered", row.header)
		}
	}
	now := d.metrics(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(now))); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	if now["postseal_message_duration_seconds_count"] != 9 {
		t.Errorf("%v messages are counted", now["postseal_message_duration_seconds_count"])
	}
	if _, text := d.ask(t, "/metrics"); strings.Contains(text, "evil") {
		t.Error("text from mail is among the metrics")
	}
}

// With a hundred thousand keys a scrape costs what it costs with a few, and those
// that cannot sign are among those that are shown.
func TestScrapeOfManyKeys(t *testing.T) {
	const keys = 100_000
	d := startMonitored(t, "", func(o *DaemonOptions) {
		var table strings.Builder
		for i := range keys {
			fmt.Fprintf(&table, "k%[1]d customer%[1]d.example:s:./%[1]d.private\n", i)
		}
		putBeside(t, o, "key.table", table.String())
		putBeside(t, o, "signing.table", fmt.Sprintf("*@example.com k%d\n", keys/2))
	})
	if e := d.connect(t).deliver(letter{header: header("example.com")}); e.code != 't' {
		t.Fatalf("mail whose key is not there ends with %q", e.code)
	}
	st := d.monitorStatus()
	if st.KeyCount != keys || st.KeyStates["unread"] != keys-1 || st.KeyStates["disabled"] != 1 || len(st.Keys) != 200 ||
		st.Keys[0].Name != "k50000" || st.Keys[0].State != "disabled" || st.Keys[1].Name != "k0" {
		t.Errorf("%d keys, %v, %d shown, first %+v", st.KeyCount, st.KeyStates, len(st.Keys), st.Keys[:2])
	}
	d.ask(t, "/metrics")
	var before, after runtime.MemStats
	const scrapes = 10
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range scrapes {
		if code, _ := d.ask(t, "/metrics"); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	took := time.Since(began) / scrapes
	runtime.ReadMemStats(&after)
	each := (after.TotalAlloc - before.TotalAlloc) / scrapes
	t.Logf("a scrape allocates %d KiB and takes %v, the asker's side included", each>>10, took.Round(10*time.Microsecond))
	if most := uint64(4 << 20); each > most {
		t.Errorf("a scrape allocates %d KiB", each>>10)
	}
}

// The monitor's unix socket is for its user and socket_group alone, whatever mode
// the others have; one that is left over is taken, and it is gone in the end.
func TestMonitorSocket(t *testing.T) {
	t.Parallel()
	group := os.Getgid()
	if os.Getuid() == 0 {
		group = 4711
	}
	d := startMonitored(t, fmt.Sprintf("socket_mode = \"0666\"\nsocket_group = \"%d\"", group), func(o *DaemonOptions) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(filepath.Dir(o.ConfigFile), "m")})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	})
	path := filepath.Join(d.dir, "m")
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st := fi.Sys().(*syscall.Stat_t); fi.Mode().Perm() != 0o660 || int(st.Gid) != group {
		t.Errorf("mode %v, group %d", fi.Mode(), st.Gid)
	}
	if code, text := d.ask(t, "/healthz"); code != 200 || text != "alive\n" {
		t.Errorf("%d %q", code, text)
	}
	st, err := Control{Dir: filepath.Join(d.dir, "run")}.Status(t.Context())
	if err != nil || st.Monitor != "local:"+path {
		t.Errorf("the status names %q, %v", st.Monitor, err)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// A monitor that cannot be had is told, and mail is served.
func TestMonitorNotOpen(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	d := startDaemonWith(t, fmt.Sprintf("monitor_socket = \"inet:%s\"", port))
	l := letter{header: header("example.com"), body: "x\r\n"}
	wantSigned(t, d.records, d.connect(t).deliver(l), l.header, l.body)
	d.log.wait(t, "the monitor's socket cannot be opened")
	if st := d.Status(); !strings.HasPrefix(st.Monitor, "none: ") || !strings.Contains(st.Monitor, "another process listens there") {
		t.Errorf("the status says %q", st.Monitor)
	}
}

// Each state in which the daemon should get no mail says so, with its reason.
func TestMonitorReady(t *testing.T) {
	t.Parallel()
	d := startMonitored(t, "drain_timeout = 300")
	want := func(state, query string, code int, words string) {
		t.Helper()
		got, text := d.ask(t, "/readyz"+query)
		if got != code || !strings.Contains(text, words) {
			t.Errorf("%s: %d %q, want %d %q", state, got, text, code, words)
		}
		if query != "" {
			return
		}
		ready := 0.0
		if code == 200 {
			ready = 1
		}
		if n := d.metrics(t)["postseal_ready"]; n != ready {
			t.Errorf("%s: the metric is %v", state, n)
		}
		if code, text := d.ask(t, "/healthz"); code != 200 || text != "alive\n" {
			t.Errorf("%s: /healthz: %d %q", state, code, text)
		}
	}
	want("at the start", "", 200, "ready\n")

	path := filepath.Join(d.dir, "s1.example.com.private")
	both := fmt.Sprintf("k example.com:s1:%s\nother example.org:s1:%s\n", path, filepath.Join(d.dir, "missing"))
	d.write(t, "key.table", both)
	if _, err := d.Daemon.reload(); err != nil {
		t.Fatal(err)
	}
	want("one key of two", "", 503, "1 of 2 keys cannot sign; the first is \"other\": d=example.org s=s1\n")
	want("one key of two", "?keys=some", 200, "ready\n")
	d.write(t, "key.table", fmt.Sprintf("k example.com:s1:%s\n", filepath.Join(d.dir, "missing")))
	if _, err := d.Daemon.reload(); err != nil {
		t.Fatal(err)
	}
	want("no key at all", "", 503, "none of the keys can sign (1); the first is \"k\": d=example.com s=s1\n")
	want("no key at all", "?keys=some", 503, "none of the keys can sign (1); the first is \"k\": d=example.com s=s1\n")
	d.write(t, "key.table", fmt.Sprintf("k example.com:s1:%s\n", path))
	d.write(t, "signing.table", "*@example.com nosuchkey\n")
	_, _ = d.Daemon.reload()
	d.write(t, "signing.table", "*@example.com k\n")
	if _, err := d.Daemon.reload(); err != nil {
		t.Fatal(err)
	}
	want("mended", "", 200, "ready\n")
	d.write(t, "s1.example.com.private", "no key at all\n")
	m := d.connect(t)
	if e := m.deliver(letter{header: header("example.com")}); e.inserted("DKIM-Signature") == "" {
		t.Fatalf("the key from before does not sign: %q", e.text)
	}
	want("a stale key", "", 200, "ready\n")
	if n := d.metrics(t)[`postseal_keys{state="stale"}`]; n != 1 {
		t.Errorf("%v keys are stale", n)
	}

	socket, aside := filepath.Join(d.dir, "s"), filepath.Join(d.dir, "aside")
	if err := os.Rename(socket, aside); err != nil {
		t.Fatal(err)
	}
	want("without a socket's file", "", 503, "nobody can connect to the socket local:"+socket+": its file is gone; restart the daemon\n")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want("with another file", "?keys=some", 503, "something else stands in its place; restart the daemon\n")
	if err := os.Rename(aside, socket); err != nil {
		t.Fatal(err)
	}
	want("with the file again", "", 200, "ready\n")

	m.send(wire.CmdMail, "<user@example.com>\x00")
	m.macros(wire.CmdEOH, "i", "1")
	m.send(wire.CmdHeader, "From\x00 user@example.com\x00")
	m.send(wire.CmdEOH, "")
	m.answer()
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	d.log.wait(t, "msg=stopping")
	for end := time.Now().Add(time.Minute); !d.server.stopping.Load() && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	want("while it stops", "", 503, "the daemon is stopping\n")
	want("while it stops", "?keys=some", 503, "the daemon is stopping\n")
	m.send(wire.CmdEOM, "")
	m.answer()
	m.c.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// What the daemon has when it has stopped is what it had before it started.
func TestMonitorLeavesNothing(t *testing.T) {
	used := func() (goroutines, descriptors int) {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return runtime.NumGoroutine(), len(fds)
	}
	goroutines, descriptors := used()
	var idle net.Conn
	t.Run("daemon", func(t *testing.T) {
		d := startMonitored(t, "")
		var err error
		if idle, err = net.Dial("unix", filepath.Join(d.dir, "m")); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/metrics", "/healthz", "/readyz", "/"} {
			d.ask(t, path)
		}
	})
	idle.Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		g, f := used()
		if g <= goroutines && f <= descriptors {
			return
		}
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and %d descriptors, before %d and %d\n%s", g, f, goroutines, descriptors, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
