package load

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

func dial(t *testing.T, ctx context.Context, f *filter, from Client) (*Conn, Answer, error) {
	t.Helper()
	network, address, err := Address(f.listen(t, "unix"))
	if err != nil {
		t.Fatal(err)
	}
	c, a, err := Dial(ctx, network, address, from)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, a, err
}

// One connection carries several messages; each answer has its changes, and each
// message its queue id.
func TestConn(t *testing.T) {
	f := &filter{answers: map[wire.Command][]string{wire.CmdEOM: {"i\x00\x00\x00\x00X-Seen\x00 yes\x00", "c"}}}
	c, answer, err := dial(t, t.Context(), f, Client{Addr: "192.0.2.7", Login: "joe"})
	if err != nil || !answer.Accepts() {
		t.Fatalf("%v, %v", answer, err)
	}
	for _, id := range []string{"PING-1", ""} {
		m := Sample("joe@a.example", 500)
		m.QueueID = id
		answer, err := c.Deliver(m)
		if err != nil || !answer.Accepts() || answer.Defers() {
			t.Fatalf("%v, %v", answer, err)
		}
		if len(answer.Changes) != 1 || answer.Changes[0] != (Change{Code: 'i', Name: "X-Seen", Value: " yes"}) {
			t.Errorf("changes %+v", answer.Changes)
		}
	}
	f.mu.Lock()
	sent := strings.Join(*f.sessions[0], "\n")
	f.mu.Unlock()
	for _, want := range []string{"@192.0.2.7\x00", "i\x00PING-1\x00", "i\x00C0DE000002\x00", "{auth_authen}\x00joe\x00"} {
		if !strings.Contains(sent, want) {
			t.Errorf("%q was not sent: %q", want, sent)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestConnAnswers(t *testing.T) {
	for _, row := range []struct {
		answer          string
		accepts, defers bool
	}{
		{"c", true, false}, {"a", true, false}, {"t", false, true}, {"r", false, false}, {"d", false, false},
		{"y451 4.7.1 later\x00", false, true}, {"y550 5.7.1 no\x00", false, false},
	} {
		_, a, err := dial(t, t.Context(), &filter{answers: map[wire.Command][]string{wire.CmdConnect: {row.answer}}}, Client{})
		if err != nil || a.Accepts() != row.accepts || a.Defers() != row.defers {
			t.Errorf("%q: %v, %v: accepts %v, defers %v", row.answer, a, err, a.Accepts(), a.Defers())
		}
	}
}

// The cause of ctx is why an exchange ends that it ends.
func TestConnEnds(t *testing.T) {
	late := errors.New("too late")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, late)
	defer cancel()
	if _, _, err := dial(t, ctx, &filter{answers: map[wire.Command][]string{wire.CmdConnect: nil}}, Client{}); !errors.Is(err, late) {
		t.Errorf("a filter that hangs: %v", err)
	}
	if _, _, err := dial(t, ctx, new(filter), Client{}); !errors.Is(err, late) {
		t.Errorf("after the end: %v", err)
	}
	if _, _, err := dial(t, t.Context(), &filter{answers: map[wire.Command][]string{wire.CmdConnect: {"close"}}}, Client{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a filter that closes: %v", err)
	}
	if _, _, err := Dial(t.Context(), "unix", t.TempDir()+"/s", Client{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody: %v", err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	c, _, err := dial(t, ctx, &filter{answers: map[wire.Command][]string{wire.CmdEOM: nil}}, Client{})
	if err != nil {
		t.Fatal(err)
	}
	stop(late)
	if _, err := c.Deliver(Sample("joe@a.example", 500)); !errors.Is(err, late) {
		t.Errorf("a message after the end: %v", err)
	}
}
