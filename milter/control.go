package milter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/monitor"
)

// controlName is the control socket's name in the runtime directory. It speaks
// HTTP: POST /reload, GET /status, GET /trouble.
const controlName = "control.sock"

// Status is what `postseal status` shows.
type Status struct {
	Version     string    `json:"version"`
	PID         int       `json:"pid"`
	Started     time.Time `json:"started"`
	Sockets     []string  `json:"sockets"`
	Connections int       `json:"connections"`
	// Monitor is where the monitor listens, "none: " and why it does not, or empty
	// where there is to be none.
	Monitor string `json:"monitor,omitempty"`
	// Sandbox is what keeps the daemon to its files: "off", "landlock, ABI N", or
	// "none: " and why there is none.
	Sandbox string `json:"sandbox"`
	// Goroutines is how many the daemon has: about one a connection.
	Goroutines int            `json:"goroutines"`
	Counts     Counts         `json:"counts"`
	Keys       []keys.KeyInfo `json:"keys"`
	// Disabled lists keys and rows that cannot sign, with the reason.
	Disabled []string `json:"disabled,omitempty"`
	// Withheld lists keys that unpublished_keys kept from signing the last mail that
	// needed them, a thousand at most.
	Withheld   []WithheldKey `json:"withheld,omitempty"`
	LastReload Reloaded      `json:"last_reload,omitzero"`
	// Reloads counts those since the start.
	Reloads Reloads `json:"reloads"`
}

// Status tells how the daemon is doing.
func (d *Daemon) Status() Status { return d.statusOf((*Snapshot).Keys) }

// statusOf is Status with some of the keys.
func (d *Daemon) statusOf(list func(*Snapshot) []keys.KeyInfo) Status {
	s := d.server.Snapshot()
	st := Status{
		Version: d.o.Version, PID: os.Getpid(), Started: d.started,
		Connections: d.server.Connections(), Sandbox: d.confined, Monitor: d.monitor.words,
		Goroutines: runtime.NumGoroutine(), Counts: d.server.Counts(), Keys: d.monitor.rotation.mark(s, list(s)),
	}
	for _, l := range d.sockets {
		st.Sockets = append(st.Sockets, l.String())
	}
	for i, k := range st.Keys {
		if state, finding, _ := d.monitor.publishing.about(k); state != monitor.Unknown {
			st.Keys[i].Published, st.Keys[i].Finding = string(state), finding
		}
	}
	for _, err := range s.Disabled() {
		st.Disabled = append(st.Disabled, err.Error())
	}
	if s.cfg.UnpublishedKeys != config.SignUnpublished {
		st.Withheld = d.server.sightings.Withheld()
	}
	d.mu.Lock()
	st.LastReload, st.Reloads = d.lastReload, d.reloads
	d.mu.Unlock()
	return st
}

// listenControl opens the control socket for the daemon's own user.
func listenControl(dir string) (net.Listener, error) {
	path := filepath.Join(dir, controlName)
	if err := removeStale(path); err != nil {
		return nil, err
	}
	return listenUnix(path, 0o600, -1)
}

// serveControl answers on the control socket in the background.
func (d *Daemon) serveControl(failed chan<- error) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, _ *http.Request) {
		result, err := d.reload()
		code := http.StatusOK
		if err != nil {
			code = http.StatusUnprocessableEntity
		}
		writeJSON(w, code, result)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, d.Status())
	})
	mux.HandleFunc("GET /trouble", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, d.statusOf(func(s *Snapshot) []keys.KeyInfo { return s.FirstKeys(mostDisabled) }))
	})
	srv := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	go func() {
		if err := srv.Serve(d.control); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("control socket: %w", err)
		}
	}()
	return srv
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // an error means that the asker has gone
}

// Control talks to a running daemon through its control socket.
type Control struct {
	// Dir is the daemon's runtime_directory.
	Dir string
}

// Reload asks for a reload and waits for its end. An error means that nobody
// could be asked; the problems of a failed reload are in the result.
func (c Control) Reload(ctx context.Context) (Reloaded, error) {
	var r Reloaded
	err := c.call(ctx, http.MethodPost, "/reload", &r)
	return r, err
}

// Status asks how the daemon is doing.
func (c Control) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/status", &s)
	return s, err
}

// Trouble is Status with no more than 20 keys, those that cannot sign first: it costs
// the daemon little, however many it has.
func (c Control) Trouble(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/trouble", &s)
	return s, err
}

func (c Control) call(ctx context.Context, method, path string, into any) error {
	socket := filepath.Join(c.Dir, controlName)
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://postseal"+path, nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("no daemon answers on %s: %w; is it running, and is runtime_directory the same?", socket, err)
	}
	defer res.Body.Close()
	const largest = 256 << 20 // the status of a hundred thousand keys, none of which can be read
	body, err := io.ReadAll(io.LimitReader(res.Body, largest))
	if err != nil {
		return fmt.Errorf("%s: %w", socket, err)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusUnprocessableEntity {
		return fmt.Errorf("%s: %s: %s", socket, res.Status, strings.TrimSpace(string(body)))
	}
	return json.Unmarshal(body, into)
}
