//go:build deploy

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/load"
	"github.com/postseal/postseal/testdata/container"
)

// Keys rotate while mail runs, in the Secret alone or with the ConfigMap before or
// after it. Every message is signed with a selector and the key that its record has,
// or deferred where the ConfigMap names a key that is not there yet.
func TestRotation(t *testing.T) {
	const domain = "._domainkey.example.com"
	oldKey, oldRecord := newKey(t)
	old := map[string]string{"mail2026.private": oldKey}
	c := startPod(t, old)
	configured := c.configuration.files

	for _, tt := range []struct {
		name     string
		selector string // of the new key
		change   func(mail *traffic, next change)
		deferred bool // some mail is
	}{
		{"another key of the same selector", "mail2026", func(mail *traffic, next change) {
			c.keys.set(next.alone)
			mail.await("new")
		}, false},
		{"a new selector, Secret first", "mail2027", func(mail *traffic, next change) {
			c.keys.set(next.beside)
			mail.await("old")
			c.configuration.set(next.tables)
			mail.await("new")
			c.keys.set(next.alone)
			mail.await("new")
		}, false},
		{"a new selector, ConfigMap first", "mail2028", func(mail *traffic, next change) {
			c.configuration.set(next.tables)
			mail.await("deferred")
			c.keys.set(next.beside)
			mail.await("new")
		}, true},
		{"a new selector, the old key gone before", "mail2029", func(mail *traffic, next change) {
			c.keys.set(next.alone)
			mail.await("old")
			c.configuration.set(next.tables)
			mail.await("new")
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, record := newKey(t)
			next := change{alone: map[string]string{tt.selector + ".private": key}, beside: maps.Clone(old), tables: maps.Clone(configured)}
			maps.Copy(next.beside, next.alone)
			for _, name := range []string{"key.table", "signing.table"} {
				next.tables[name] = strings.ReplaceAll(configured[name], "mail2026", tt.selector)
			}
			signers := map[string]map[string]string{"old": {"mail2026" + domain: oldRecord}, "new": {tt.selector + domain: record}}
			mail := startTraffic(t, c, signers)
			mail.await("old")
			tt.change(mail, next)
			mail.stop()
			if n := mail.count("deferred"); (n > 0) != tt.deferred {
				t.Errorf("%d messages are deferred", n)
			}
			t.Logf("messages: %v", mail.counts)

			// Back to what was there at first.
			c.keys.set(next.beside)
			c.configuration.set(configured)
			c.keys.set(old)
			mail = startTraffic(t, c, signers)
			mail.await("old")
			mail.stop()
		})
	}
}

// change is a rotation: the files of the Secret with the new key, alone and beside
// the old one, and those of the ConfigMap.
type change struct{ alone, beside, tables map[string]string }

// traffic is mail that comes in while things change.
type traffic struct {
	t      *testing.T
	end    context.CancelFunc
	ended  chan error
	mu     sync.Mutex
	counts map[string]int // by what they were signed with, or "deferred"
	wrong  error
}

// startTraffic sends mail until it is stopped, and wants each signed by one of the
// signers or deferred.
func startTraffic(t *testing.T, c *cluster, signers map[string]map[string]string) *traffic {
	ctx, end := context.WithCancel(t.Context())
	mail := &traffic{t: t, end: end, ended: make(chan error, 1), counts: map[string]int{}}
	m := load.Sample("user@example.com", 1000)
	m.Judge = func(a load.Answer) error {
		how, err := outcome(m, a, signers)
		mail.mu.Lock()
		defer mail.mu.Unlock()
		mail.counts[how]++
		if mail.wrong == nil {
			mail.wrong = err
		}
		return nil
	}
	go func() {
		_, err := load.Run(ctx, load.Options{
			Socket: "unix:" + c.node.Path("/var/lib/kubelet/socket/postseal.sock"), Connections: 2, Duration: time.Hour, Message: []load.Message{m},
		})
		mail.ended <- err
	}()
	return mail
}

// outcome says what a message was signed with.
func outcome(m load.Message, a load.Answer, signers map[string]map[string]string) (string, error) {
	if a.Code == 't' || a.Code == 'y' && strings.HasPrefix(a.Text, "4") {
		return "deferred", nil
	}
	message, err := container.Apply(m, a)
	if err != nil {
		return "refused", err
	}
	errs := []error{errors.New("no signer's signature")}
	for name, records := range signers {
		if _, err = container.Verify(message, records); err == nil {
			return name, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	}
	return "wrong", errors.Join(errs...)
}

// count is how many messages had an outcome so far.
func (m *traffic) count(how string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[how]
}

// await waits for more messages with an outcome: as many as may have begun before.
func (m *traffic) await(how string) {
	m.t.Helper()
	const more, patience = 5, 2 * time.Minute
	end := time.Now().Add(patience)
	for before := m.count(how); m.count(how) < before+more; time.Sleep(20 * time.Millisecond) {
		if len(m.ended) > 0 || time.Now().After(end) {
			m.stop()
			m.t.Fatalf("no more messages are %s; those so far: %v", how, m.counts)
		}
	}
}

// stop ends the traffic; every message must have had an outcome as it should.
func (m *traffic) stop() {
	m.t.Helper()
	m.end()
	if err := <-m.ended; err != nil {
		m.t.Error(err)
	}
	m.ended <- nil // for whoever asks again
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wrong != nil {
		m.t.Error(m.wrong)
	}
}
