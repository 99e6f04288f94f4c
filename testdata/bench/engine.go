package main

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/load"
)

// connections is how many the driver keeps open at once, perConnection how many
// messages each carries before the next is opened.
const (
	connections   = 4
	perConnection = 10
)

// sample is one measurement of one filter.
type sample struct {
	cpu  time.Duration // of the filter, a message
	rate float64       // messages a second
}

// work is something that filters are measured at, in turn.
type work struct {
	name     string
	setup    setup // without its filter
	size     int   // of the message in octets
	messages int
	filters  []string
}

const kilobyte, megabyte = 1 << 10, 1 << 20

// works are the measurements of the filter alone.
func works() (list []work) {
	sizes := []struct {
		name        string
		octets      int
		rsa, others int // messages of a measurement: /proc counts in steps of 10 ms
	}{{"2 KB", 2 * kilobyte, 400, 2000}, {"50 KB", 50 * kilobyte, 400, 800}, {"10 MB", 10 * megabyte, 16, 16}}
	add := func(kind string, size int, s setup, label string, filters ...string) {
		z := sizes[size]
		messages := z.others
		if kind == "sign" && s.key != "ed25519" {
			messages = z.rsa
		}
		list = append(list, work{fmt.Sprintf("%s %s %s", kind, z.name, label), s, z.octets, messages, filters})
	}
	all := []string{postseal, withTag, opendkim, rspamd}
	two := []string{postseal, opendkim}
	for size := range sizes {
		relaxed, simple := "relaxed/relaxed", "relaxed/simple"
		signers := all
		if size == 2 {
			signers = two // the key no longer matters; rspamd refuses so long a mail
		}
		add("sign", size, setup{mode: "s", key: "rsa", canon: simple}, "rsa, simple body", signers...)
		add("sign", size, setup{mode: "s", key: "rsa", canon: relaxed}, "rsa, relaxed body", two...)
		add("sign", size, setup{mode: "s", key: "rsa", canon: simple, tcp: true}, "rsa, TCP", two...)
		add("sign", size, setup{mode: "s", key: "ed25519", canon: simple}, "ed25519", postseal)
		add("sign", size, setup{mode: "s", key: "both", canon: simple}, "rsa + ed25519", postseal, withTag)
		add("verify", size, setup{mode: "v", key: "rsa", canon: simple}, "rsa, simple body", two...)
		add("verify", size, setup{mode: "v", key: "rsa", canon: relaxed}, "rsa, relaxed body", two...)
		add("verify", size, setup{mode: "v", key: "rsa", canon: simple, tcp: true}, "rsa, TCP", two...)
		add("verify", size, setup{mode: "v", key: "ed25519", canon: simple}, "ed25519", postseal)
		add("verify", size, setup{mode: "v", key: "both", canon: simple}, "rsa + ed25519", postseal)
	}
	return list
}

// engine measures the filters on their own, each at each work.
func (b *bench) engine() error {
	for _, w := range works() {
		if !b.only.MatchString(w.name) {
			continue
		}
		samples, err := b.measure(w)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		b.add(w.name, samples)
	}
	for s, d := range b.daemons {
		peak, err := d.process.PeakRSS()
		if err != nil {
			return err
		}
		b.notePeak(s.filter, peak)
	}
	return b.stop()
}

// bareRSA is the name of the signature that is made in turn with signing, without
// any mail.
const bareRSA = "bare crypto/rsa signature"

// measure runs a work for each filter in turn, as many times as there are rounds.
func (b *bench) measure(w work) (map[string][]sample, error) {
	samples := map[string][]sample{}
	m, err := b.messageFor(w.setup, w.size)
	if err != nil {
		return nil, err
	}
	messages := max(connections, int(float64(w.messages)*b.scale))
	bare := w.setup.mode == "s" && w.setup.key != "ed25519" && w.size < megabyte
	for round := range b.rounds + 1 { // the first warms up
		for _, name := range w.filters {
			if _, ok := b.path(name); !ok {
				continue
			}
			s := w.setup
			s.filter = name
			d, err := b.daemon(s)
			if err != nil {
				return nil, err
			}
			one, err := b.send(d, m, messages)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if round > 0 {
				samples[name] = append(samples[name], one)
			}
		}
		if bare && round > 0 {
			cpu, err := bareSignature(messages)
			if err != nil {
				return nil, err
			}
			samples[bareRSA] = append(samples[bareRSA], sample{cpu: cpu})
		}
	}
	note("%s: done", w.name)
	return samples, nil
}

// send measures a daemon with a number of messages, one after the other the same.
func (b *bench) send(d *daemon, m load.Message, messages int) (sample, error) {
	want := "DKIM-Signature"
	if d.mode == "v" {
		want = "Authentication-Results: dkim=pass"
	}
	before, err := d.process.CPU()
	if err != nil {
		return sample{}, err
	}
	report, err := load.Run(b.ctx, load.Options{
		Socket: d.socket, Connections: min(connections, messages), PerConnection: perConnection, Messages: messages,
		Message: []load.Message{m}, Want: want, Timeout: time.Minute,
	})
	if err = errors.Join(err, b.ctx.Err()); err != nil {
		return sample{}, err
	}
	if report.Failed > 0 {
		return sample{}, fmt.Errorf("%d of %d messages: %w: %s", report.Failed, report.Messages, report.FirstError, d.log())
	}
	after, err := d.process.CPU()
	if err != nil {
		return sample{}, err
	}
	return sample{(after - before) / time.Duration(messages), float64(messages) / report.Elapsed.Seconds()}, nil
}

// bareSignature is the CPU time of one of n signatures with crypto/rsa. They are
// made on all processors at once, as the filter makes them: two threads that
// share a core each take longer than one alone.
func bareSignature(n int) (time.Duration, error) {
	key, err := keys.Generate("rsa", 0)
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256([]byte("a header"))
	threads := runtime.NumCPU()
	each := max(1, n/threads)
	var all errgroup.Group
	var sum atomic.Int64
	for range threads {
		all.Go(func() error {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			begin, err := threadCPU()
			if err != nil {
				return err
			}
			for range each {
				if _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
					return err
				}
			}
			end, err := threadCPU()
			sum.Add(int64(end - begin))
			return err
		})
	}
	err = all.Wait()
	return time.Duration(sum.Load()) / time.Duration(threads*each), err
}

func threadCPU() (time.Duration, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
