package milter

import (
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/latency"
	"github.com/postseal/postseal/milter/monitor"
	"github.com/postseal/postseal/milter/resolver"
)

// monitoring is what a daemon has for its monitor.
type monitoring struct {
	listener net.Listener // nil for none
	words    string       // see Status.Monitor
	// files are those of d.sockets as they were made; nil where there is none.
	files      []fs.FileInfo
	publishing *publishing // nil without a monitor
	rotation   rotationStates
}

// openMonitor opens the monitor's socket. Mail does not wait for one that cannot be
// opened.
func (d *Daemon) openMonitor() {
	const mode = 0o660
	m, socket := &d.monitor, d.cfg.MonitorAt()
	for _, l := range d.sockets {
		var file fs.FileInfo
		if addr, ok := l.Addr().(*net.UnixAddr); ok {
			file, _ = os.Lstat(addr.Name) // what had no file cannot lose it
		}
		m.files = append(m.files, file)
	}
	if socket == "" {
		return
	}
	m.publishing = newPublishing(d.o.Log, d.server.Snapshot, time.Now)
	var err error
	if m.listener, err = Listen(socket, mode, d.cfg.SocketGroup); err != nil {
		m.words = "none: " + err.Error()
		d.o.Log.Error("the monitor's socket cannot be opened; mail is served without it", "setting", "monitor_socket", "err", err)
		return
	}
	m.words = socket
}

// serveMonitor answers on the monitor's socket in the background.
func (d *Daemon) serveMonitor() *monitor.Server {
	m := monitor.NewServer(d.monitor.listener, d.monitorStatus, d.o.Log)
	go m.Serve()
	d.o.Log.Info("monitor", "socket", d.monitor.words)
	return m
}

// unreachable says why nobody can connect to socket i although it is open.
func (d *Daemon) unreachable(i int) string {
	was, socket := d.monitor.files[i], d.sockets[i]
	if was == nil {
		return ""
	}
	remedy := "; restart the daemon"
	if socket.inherited {
		remedy = "; restart what opened it, such as its systemd socket unit"
	}
	switch now, err := os.Lstat(socket.Addr().String()); {
	case errors.Is(err, fs.ErrNotExist):
		return "its file is gone" + remedy
	case err == nil && !os.SameFile(was, now):
		return "something else stands in its place" + remedy
	}
	return ""
}

// monitorStatus tells the monitor how the daemon is doing. It takes few of many keys
// apart.
func (d *Daemon) monitorStatus() monitor.Status {
	s := d.server.Snapshot()
	connected := d.server.Connected()
	st := monitor.Status{
		Version: d.o.Version, GoVersion: runtime.Version(), PID: os.Getpid(), Started: d.started,
		Stopping: d.server.stopping.Load(), Sandbox: d.confined,
		Connections: d.server.Connections(), MaximumConnections: d.server.most,
		Accepted: connected.Accepted, Evicted: connected.Evicted, Refused: connected.Refused,
		KeyCount: s.KeyCount(), KeyStates: named(s.KeyStates(), word[keys.State]),
	}
	for i, l := range d.sockets {
		st.Listeners = append(st.Listeners, monitor.Listener{
			Name: l.name, Address: l.Addr().String(), Inherited: l.inherited, Unreachable: d.unreachable(i),
		})
	}
	d.server.counters.fill(&st)
	st.Troubles = d.server.troubles.newest()
	dns := d.dns.Counts()
	st.DNS = monitor.DNS{
		Lookups: named(dns.Lookups, word[resolver.Outcome]), Duration: histogram(dns.Duration),
		CacheHits: dns.CacheHits, CacheMisses: dns.CacheMisses,
	}
	d.mu.Lock()
	st.Reloads, st.FailedReloads = d.reloads.Success, d.reloads.Failure
	st.LastReload, st.Problems = d.lastReload.Time, slices.Clone(d.lastReload.Problems)
	d.mu.Unlock()
	st.Rotation = d.monitor.rotation.count(s)
	for _, k := range d.monitor.rotation.mark(s, s.FirstKeys(monitor.MostKeys)) {
		st.Keys = append(st.Keys, monitor.Key{
			Name: k.Name, Domain: k.Domain, Selector: k.Selector, Algorithm: k.Algorithm, Bits: k.Bits,
			State: string(k.State), Error: k.Error, Rotation: k.Rotation, Unused: k.Unused,
		})
		key := &st.Keys[len(st.Keys)-1]
		key.Published, key.Finding, key.Asked = d.monitor.publishing.about(k)
	}
	st.Published, st.Unasked = d.monitor.publishing.count(st.KeyCount), unasked(s)
	return st
}

// fill copies the counters.
func (c *counters) fill(st *monitor.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Messages = maps.Clone(c.messages)
	st.Reasons = named(c.reasons, word[Code])
	st.Actions = named(c.actions, config.Action.String)
	st.Signatures = named(c.signatures, word[dkim.Algorithm])
	st.Verified = named(c.results, word[dkim.Status])
	st.Duration = histogram(c.duration)
}

// named is a map under names.
func named[K comparable, V any](m map[K]V, name func(K) string) map[string]V {
	names := make(map[string]V, len(m))
	for k, v := range m {
		names[name(k)] = v
	}
	return names
}

func histogram(h latency.Histogram) (m monitor.Histogram) {
	m.Bounds, m.Counts, m.Sum = h.Seconds()
	return m
}

func word[S ~string](s S) string { return string(s) }
