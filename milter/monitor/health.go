package monitor

import (
	"fmt"
	"net/http"
	"strings"
)

// Unready says why the daemon is not ready, a reason an element; none: it is. A key
// that cannot sign is one; with some, only that no key at all can.
func (s Status) Unready(some bool) (reasons []string) {
	if s.Stopping {
		reasons = append(reasons, "the daemon is stopping")
	} else if len(s.Listeners) == 0 {
		reasons = append(reasons, "no socket is open")
	}
	for _, l := range s.Listeners {
		if l.Unreachable != "" {
			reasons = append(reasons, fmt.Sprintf("nobody can connect to the socket %s: %s", l.Name, l.Unreachable))
		}
	}
	switch disabled := s.KeyStates[keyDisabled]; {
	case disabled == 0 || some && disabled < s.KeyCount:
	case disabled == s.KeyCount:
		reasons = append(reasons, fmt.Sprintf("none of the keys can sign (%d)%s", disabled, s.firstDisabled()))
	default:
		reasons = append(reasons, fmt.Sprintf("%d of %d keys cannot sign%s", disabled, s.KeyCount, s.firstDisabled()))
	}
	return reasons
}

// firstDisabled names the first key that cannot sign.
func (s Status) firstDisabled() string {
	if len(s.Keys) == 0 || s.Keys[0].State != keyDisabled {
		return "" // it has changed meanwhile
	}
	k := s.Keys[0]
	return fmt.Sprintf("; the first is %q: d=%s s=%s", k.Name, k.Domain, k.Selector)
}

// keyDisabled is the state of a key that cannot sign.
const keyDisabled = "disabled"

// alive answers that the daemon does: its status was there to be had.
func (s *Server) alive(w http.ResponseWriter, _ *http.Request) {
	s.status()
	answer(w, http.StatusOK, "alive")
}

// ready answers whether the daemon is ready. ?keys=some leaves it so while one key
// can sign.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	keys := r.URL.Query().Get("keys")
	if keys != "" && keys != "all" && keys != "some" {
		answer(w, http.StatusBadRequest, "keys is all or some")
		return
	}
	if reasons := s.status().Unready(keys == "some"); len(reasons) > 0 {
		answer(w, http.StatusServiceUnavailable, reasons...)
		return
	}
	answer(w, http.StatusOK, "ready")
}

// answer writes lines of text.
func answer(w http.ResponseWriter, code int, lines ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, strings.Join(lines, "\n")) // an error means that the asker has gone
}
