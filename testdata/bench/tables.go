package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter/load"
	"github.com/postseal/postseal/milter/wire"
)

// domains is how many rows the large tables have.
const domains = 100_000

// distinctKeys is how many keys stand in the many key files: making 100,000 RSA
// keys takes hours, and what counts is that the files are many.
const distinctKeys = 100

// manyDomain is the domain of a row of the large tables.
func manyDomain(i int) string { return fmt.Sprintf("d%d.example.com", i) }

// tablesOf returns KeyTable and SigningTable of a setup.
func (b *bench) tablesOf(s setup) (keyTable, signingTable string) {
	var k, g strings.Builder
	for i := range s.tables {
		fmt.Fprintf(&k, "k%d %s:rsa:%s\n", i, manyDomain(i), b.manyKey(i))
		fmt.Fprintf(&g, "*@%s k%d\n", manyDomain(i), i)
	}
	if s.tables == 0 {
		for _, name := range s.keyNames() {
			fmt.Fprintf(&k, "%s %s:%s:%s\n", name, domain, name, b.at(name+".private"))
			fmt.Fprintf(&g, "*@%s %s\n", domain, name)
		}
	}
	return k.String(), g.String()
}

func (b *bench) manyKey(i int) string { return fmt.Sprintf("%s/many/%d.private", b.dir, i) }

// makeManyKeys writes a key file for each row of the large tables.
func (b *bench) makeManyKeys() error {
	if err := os.Mkdir(b.at("many"), 0o755); err != nil {
		return err
	}
	var texts [][]byte
	for i := range domains {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if len(texts) < distinctKeys {
			key, err := keys.Generate("rsa", 0)
			if err != nil {
				return err
			}
			if err := keys.WritePrivate(b.manyKey(i), key); err != nil {
				return err
			}
			text, err := os.ReadFile(b.manyKey(i))
			if err != nil {
				return err
			}
			texts = append(texts, text)
			continue
		}
		if err := os.WriteFile(b.manyKey(i), texts[i%len(texts)], 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Names of what is measured beside CPU time and rates.
const (
	workTables  = "tables of 100,000 domains"
	workOne     = "one domain, in turn"
	workIdle    = "1,000 idle connections"
	workPostfix = "through Postfix"
)

// tables measures signing with many domains, the message's own the last of them,
// in turn with one domain.
func (b *bench) tables() error {
	if !b.only.MatchString(workTables) {
		return nil
	}
	if err := b.makeManyKeys(); err != nil {
		return err
	}
	defer os.RemoveAll(b.at("many"))
	last := load.Sample("user@"+manyDomain(domains-1), 2*kilobyte)
	one := load.Sample("user@"+domain, 2*kilobyte)
	for _, filter := range []string{postseal, opendkim} {
		if _, ok := b.path(filter); !ok {
			continue
		}
		s := setup{filter: filter, mode: "s", key: "rsa", canon: "relaxed/simple"}
		small, err := b.daemon(s)
		if err != nil {
			return err
		}
		s.tables = domains
		messages := max(connections, int(400*b.scale))
		manyMessages := messages
		if filter == opendkim {
			manyMessages = 10 // half a second and more each
		}
		begin := time.Now()
		large, err := b.daemon(s)
		if err != nil {
			return err
		}
		if _, err := b.send(large, last, 1); err != nil {
			return err
		}
		b.first[filter] = time.Since(begin)
		var many, few []sample
		for range b.rounds {
			for _, w := range []struct {
				d       *daemon
				m       load.Message
				n       int
				samples *[]sample
			}{{large, last, manyMessages, &many}, {small, one, messages, &few}} {
				x, err := b.send(w.d, w.m, w.n)
				if err != nil {
					return err
				}
				*w.samples = append(*w.samples, x)
			}
		}
		b.add(workTables, map[string][]sample{filter: many})
		b.add(workOne, map[string][]sample{filter: few})
		if b.memory[workTables+filter], err = large.process.PeakRSS(); err != nil {
			return err
		}
		note("%s, %s: done", workTables, filter)
	}
	return b.stop()
}

// idle measures the memory of many connections that say nothing.
func (b *bench) idle() error {
	if !b.only.MatchString(workIdle) {
		return nil
	}
	for _, filter := range []string{postseal, opendkim} {
		if _, ok := b.path(filter); !ok {
			continue
		}
		d, err := b.daemon(setup{filter: filter, mode: "s", key: "rsa", canon: "relaxed/simple"})
		if err != nil {
			return err
		}
		if err := b.holdIdle(d, 1000); err != nil {
			return fmt.Errorf("%s: %s: %w", workIdle, filter, err)
		}
		if b.memory[workIdle+filter], err = d.process.PeakRSS(); err != nil {
			return err
		}
		note("%s, %s: done", workIdle, filter)
	}
	return b.stop()
}

// holdIdle opens n connections, each of them negotiated, and closes them.
func (b *bench) holdIdle(d *daemon, n int) error {
	network, address := d.address()
	// The offer of Postfix: version 6, what a filter may do, what it may leave out.
	offer := []byte{0, 0, 0, 13, byte(wire.CmdOptNeg), 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff}
	for range n {
		c, err := net.Dial(network, address)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
		if _, err := c.Write(offer); err != nil {
			return err
		}
		if _, err := c.Read(make([]byte, 512)); err != nil {
			return err
		}
	}
	return nil
}
