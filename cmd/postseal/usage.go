package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/postseal/postseal/milter/resolver"
	"github.com/spf13/cobra"
)

// usage is the error for a command line that says too little or what cannot be.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return exitError{exitUsage, fmt.Errorf(format+"; see %s --help", append(args, cmd.CommandPath())...)}
}

// noArgs refuses arguments beside the flags.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, "%q is not understood: %s takes flags only", args[0], cmd.Name())
	}
	return nil
}

// oneMessage takes the file of a message or nothing.
func oneMessage(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(cmd, "%s takes one message, and %d files are given", cmd.Name(), len(args))
	}
	return nil
}

// withoutConfig adds to the error of a configuration that is not where it is by
// default, which flags do without one.
func withoutConfig(cmd *cobra.Command, err error, flags string) error {
	if _, e := os.Stat(configPath); cmd.Flags().Changed("config") || !errors.Is(e, fs.ErrNotExist) {
		return err
	}
	return exitError{exitConfig, fmt.Errorf("%w; or give %s", err, flags)}
}

// addNow adds --now.
func addNow(cmd *cobra.Command, now *string) {
	cmd.Flags().StringVar(now, "now", "", "take this `time` for now: RFC 3339 (2026-11-02T10:00:00Z) or seconds since 1970")
}

// parseNow reads the value of --now; empty is the clock's time.
func parseNow(cmd *cobra.Command, s string) (time.Time, error) {
	if s == "" {
		return time.Now(), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, usage(cmd, "--now %q is no time; write 2026-11-02T10:00:00Z, or seconds since 1970", s)
	}
	return time.Unix(seconds, 0), nil
}

// open is resolver with the exit codes of a command line.
func (f *dnsFlags) open(cmd *cobra.Command, timeout time.Duration) (resolver.Asker, error) {
	r, err := f.resolver(timeout)
	if err == nil || errors.As(err, new(exitError)) {
		return r, err
	}
	return nil, usage(cmd, "%w", err)
}

// dnssec says in words what the AD bit of an answer tells.
func (f *dnsFlags) dnssec(authentic bool) string {
	switch {
	case f.records != "":
		return "not asked: the record comes from " + f.records
	case authentic:
		return "the name server vouches for the record (DNSSEC)"
	}
	return "the record is not protected by DNSSEC; most are not, and DKIM works without"
}
