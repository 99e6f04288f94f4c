package monitor

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

// Server answers over HTTP with what a Status tells.
type Server struct {
	status   func() Status
	page     *Page
	loopback bool
	log      *slog.Logger
	http     *http.Server
	listener net.Listener
}

const (
	// maxConnections is how many askers are served at once; others wait. A connection
	// ends with its answer: one that is kept for later would have others wait for it.
	maxConnections = 32
	// maxHeader bounds the header of a request, in bytes.
	maxHeader = 8 << 10
	// readTimeout and writeTimeout bound a request and the answer to it.
	readTimeout  = 5 * time.Second
	writeTimeout = 20 * time.Second
)

// NewServer makes a server for l, which it closes in the end. status is called for
// each request, at times by several at once. The log gets errors.
func NewServer(l net.Listener, status func() Status, log *slog.Logger) *Server {
	s := &Server{status: status, page: NewPage(status), log: log, listener: netutil.LimitListener(l, maxConnections)}
	if addr, ok := l.Addr().(*net.TCPAddr); ok {
		s.loopback = addr.IP.IsLoopback()
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics())
	mux.HandleFunc("GET /healthz", s.alive)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /{$}", s.page)
	s.http = &http.Server{
		Handler:     s.guard(mux),
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, MaxHeaderBytes: maxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.http.SetKeepAlivesEnabled(false)
	return s
}

// Serve answers until Close. Trouble ends it and is logged: nobody is to wait for
// the mail because of it.
func (s *Server) Serve() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go s.page.Run(ctx)
	if err := s.http.Serve(s.listener); err != http.ErrServerClosed {
		s.log.Error("the monitor has failed; mail is served all the same", "err", err)
	}
}

// Close ends all connections.
func (s *Server) Close() { _ = s.http.Close() } // nothing is to be done about an error

// guard keeps others' web pages from what is shown here.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Cache-Control":                "no-store",
			"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
		} {
			w.Header().Set(name, value)
		}
		if s.loopback && !isLocal(r.Host) {
			answer(w, http.StatusMisdirectedRequest,
				"This is asked under a name. Ask for localhost or the address (Host: 127.0.0.1):",
				"on a loopback address other names are refused, because any web page could have its own lead here",
				"and have a browser on this machine read this (DNS rebinding).")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLocal reports whether a Host field is localhost or an address, with a port or
// none. Nobody can make these lead elsewhere.
func isLocal(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	_, err := netip.ParseAddr(name)
	return err == nil || strings.EqualFold(strings.TrimSuffix(name, "."), "localhost")
}
