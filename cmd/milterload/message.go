package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/postseal/postseal/milter/load"
	"github.com/spf13/cobra"
)

// read makes the messages: those of the files, or one of --size.
func (f *flags) read(cmd *cobra.Command, files []string) ([]load.Message, error) {
	if ip := f.client.Addr; ip != "" && net.ParseIP(ip) == nil {
		return nil, usage("--client %q is no IP address", ip)
	}
	var messages []load.Message
	if len(files) == 0 {
		size, err := parseSize(f.size)
		if err != nil {
			return nil, err
		}
		from := f.from
		if from == "" {
			from = "user@example.com"
		}
		messages = append(messages, load.Sample(from, size))
	} else if cmd.Flags().Changed("size") {
		return nil, usage("--size is for a message that is made up, and %q is given", files[0])
	}
	for _, name := range files {
		m, err := readFile(cmd, name)
		if err != nil {
			return nil, exitError{exitNoInput, err}
		}
		if f.from != "" {
			m.From = f.from
		}
		messages = append(messages, m)
	}
	for i := range messages {
		messages[i].Client, messages[i].Rcpt = f.client, f.rcpt
	}
	return messages, nil
}

// readFile reads a message; - is standard input.
func readFile(cmd *cobra.Command, name string) (load.Message, error) {
	var raw []byte
	var err error
	if name == "-" {
		name = "standard input"
		raw, err = io.ReadAll(cmd.InOrStdin())
	} else {
		raw, err = os.ReadFile(name)
	}
	if err != nil {
		return load.Message{}, err
	}
	m, err := load.ReadMessage(raw)
	if err != nil {
		return load.Message{}, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// parseSize reads octets, with k or m for 1024 or 1024² of them.
func parseSize(s string) (int, error) {
	const largest = 1 << 30
	digits, unit := strings.ToLower(s), 1
	for suffix, n := range map[string]int{"k": 1 << 10, "m": 1 << 20} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = rest, n
			break
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > largest/unit {
		return 0, usage("--size %q is no size up to 1024m; write 2k or 10m", s)
	}
	return n * unit, nil
}

// local refuses an address that is not of this machine alone.
func local(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usage("%w", err)
	}
	addrs, err := net.LookupHost(host)
	if err != nil {
		return exitError{exitFailed, fmt.Errorf("%q has no address: %w", host, err)}
	}
	for _, a := range addrs {
		if ip := net.ParseIP(a); ip == nil || !ip.IsLoopback() {
			return usage("%s (%s) is not a loopback address: mail would wait there while the milter is under load; if the milter is yours to load, say --allow-remote", host, a)
		}
	}
	return nil
}
