package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/postseal/postseal/config/postfix"
	"github.com/rogpeppe/go-internal/testscript"
)

// apart keeps a script from the daemon that the machine may run.
func apart(env *testscript.Env) error {
	env.Setenv("RUNTIME_DIRECTORY", filepath.Join(env.WorkDir, "run"))
	return nil
}

// condition knows [root]; [configured]: this machine has a configuration in the usual
// place; and [postfix]: a private Postfix can be started. Where
// POSTSEAL_REQUIRE_PEERS=1 wants every peer, there is no skipping for Postfix.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "configured":
		return exists(configPath), nil
	case "postfix":
		err := postfix.Available()
		if err != nil && os.Getenv("POSTSEAL_REQUIRE_PEERS") == "1" {
			return false, fmt.Errorf("a peer is missing: %w", err)
		}
		return err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// signalDaemon NAME FILE (in scripts: signal) sends a signal to the daemon whose status --json is in FILE.
func signalDaemon(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1}
	if len(args) != 2 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal HUP|TERM|USR1 FILE")
	}
	value, ok := lookUp(ts, args[1], "pid")
	pid, err := strconv.Atoi(fmt.Sprint(value))
	if !ok || err != nil || pid <= 1 {
		ts.Fatalf("%s names no process: %v", args[1], errors.Join(err, fmt.Errorf("pid %v", value)))
	}
	ts.Check(syscall.Kill(pid, signals[args[0]]))
}
