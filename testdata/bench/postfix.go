package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/config/postfix"
)

// The ways through Postfix.
const (
	noFilter  = "no filter"
	oneHeader = "a filter that adds one header"
	overTCP   = ", TCP"
)

// sessions is how many SMTP clients send at once, through messages how many mails
// of 2 KB they send in a measurement.
const (
	sessions        = 8
	throughMessages = 600
)

// way is an smtpd of its own for a filter.
type way struct {
	name   string
	filter *daemon // nil: none
	addr   string
}

// postfix measures smtp-source, a private Postfix with each filter in turn, and
// smtp-sink: mails a second as the clients see it.
func (b *bench) postfix() error {
	if !b.only.MatchString(workPostfix) {
		return nil
	}
	if err := postfix.Available(); err != nil {
		note("%s: %v", workPostfix, err)
		return nil
	}
	ways, err := b.ways()
	if err != nil {
		return err
	}
	sink, stopSink, err := b.startSink()
	if err != nil {
		return err
	}
	defer stopSink()
	var master strings.Builder
	for i := range ways {
		port, err := freePort()
		if err != nil {
			return err
		}
		ways[i].addr = "127.0.0.1:" + port
		filter := ""
		if ways[i].filter != nil {
			network, address := ways[i].filter.address()
			if filter = "unix:" + address; network == "tcp" {
				filter = "inet:" + address
			}
		}
		fmt.Fprintf(&master, "%s inet n - n - - smtpd -o smtpd_milters=%s\n", ways[i].addr, filter)
	}
	master.WriteString("smtp unix - - n - - smtp\n")
	p, err := postfix.Start(b.ctx, postfix.Options{Master: master.String(), Main: map[string]string{
		"default_transport": "smtp:[127.0.0.1]:" + sink, "milter_default_action": "tempfail",
		"smtpd_client_connection_rate_limit": "0", "smtp_destination_concurrency_limit": "20",
	}})
	if err != nil {
		return err
	}
	defer p.Stop()
	samples := map[string][]sample{}
	for round := range b.rounds + 1 { // the first starts processes
		for _, w := range ways {
			s, err := b.through(p, w)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", workPostfix, w.name, err)
			}
			if round > 0 {
				samples[w.name] = append(samples[w.name], s)
			}
		}
	}
	b.add(workPostfix, samples)
	note("%s: done", workPostfix)
	return errors.Join(p.Stop(), b.stop())
}

// ways are the filters that Postfix is given, each started.
func (b *bench) ways() (ways []way, err error) {
	adder, err := b.startAdder()
	if err != nil {
		return nil, err
	}
	ways = []way{{name: noFilter}, {name: oneHeader, filter: adder}}
	for _, filter := range []string{postseal, withTag, opendkim} {
		if _, ok := b.path(filter); !ok {
			continue
		}
		for _, tcp := range []bool{false, true} {
			d, err := b.daemon(setup{filter: filter, mode: "s", key: "rsa", canon: "relaxed/simple", tcp: tcp})
			if err != nil {
				return nil, err
			}
			name := filter
			if tcp {
				name += overTCP
			} else if err := d.open(); err != nil {
				return nil, err
			}
			ways = append(ways, way{name: name, filter: d})
		}
	}
	return ways, nil
}

// open lets everybody connect to a unix socket.
func (d *daemon) open() error {
	_, path := d.address()
	return os.Chmod(path, 0o666)
}

// startAdder runs this program as the filter that adds one header.
func (b *bench) startAdder() (*daemon, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d := &daemon{setup: setup{filter: oneHeader}, socket: "local:" + b.at("adder"), ended: make(chan struct{})}
	d.cmd = exec.Command(exe, adderCommand, b.at("adder"))
	if err := b.launch(d, b.dir); err != nil {
		return nil, err
	}
	b.daemons[d.setup] = d
	return d, nil
}

// startSink runs smtp-sink(1), which takes all mail and keeps none.
func (b *bench) startSink() (port string, stop func(), err error) {
	path, err := findProgram("smtp-sink")
	if err != nil {
		return "", nil, err
	}
	if port, err = freePort(); err != nil {
		return "", nil, err
	}
	cmd := exec.Command(path, "-u", "postfix", "127.0.0.1:"+port, "256")
	cmd.Dir = b.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	return port, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, nil
}

// through sends mail to one smtpd and waits until the queue is empty again.
func (b *bench) through(p *postfix.Instance, w way) (sample, error) {
	path, err := findProgram("smtp-source")
	if err != nil {
		return sample{}, err
	}
	messages := max(sessions, int(throughMessages*b.scale))
	var before time.Duration
	if w.filter != nil {
		if before, err = w.filter.process.CPU(); err != nil {
			return sample{}, err
		}
	}
	begin := time.Now()
	out, err := exec.CommandContext(b.ctx, path, "-s", strconv.Itoa(sessions), "-m", strconv.Itoa(messages), "-l", "2048",
		"-f", "user@"+domain, "-t", "user@sink.example", w.addr).CombinedOutput()
	elapsed := time.Since(begin)
	if err != nil {
		return sample{}, fmt.Errorf("smtp-source: %w: %s%s", err, out, p.Log())
	}
	s := sample{rate: float64(messages) / elapsed.Seconds()}
	if w.filter != nil {
		after, err := w.filter.process.CPU()
		if err != nil {
			return sample{}, err
		}
		s.cpu = (after - before) / time.Duration(messages)
	}
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	return s, p.WaitQueueEmpty(ctx)
}
