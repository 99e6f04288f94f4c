package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/postseal/postseal/config/opendkim"
)

// role is what a process of the daemon does.
type role string

const (
	// command is what a user or a service manager started.
	command role = ""
	// detached was started by a command: it is the daemon, or supervises it.
	detached role = "detached"
	// worker was started by a supervisor: it is the daemon.
	worker role = "worker"
)

// roleVariable tells a process that this program started its role.
const roleVariable = "POSTSEAL_PROCESS"

// The descriptors that such a process gets.
const (
	readyFD = 3 // one byte in it says that the sockets are open
	aliveFD = 4 // a worker's: it ends when its supervisor does
)

// parent is what a process knows of the one that started it.
type parent struct {
	role  role
	tell  *os.File // readyFD
	alive *os.File // aliveFD
	null  *os.File // /dev/null, which a new root folder may not have
}

// inherited finds out who started this process, once.
func inherited() (p parent, err error) {
	p = parent{role: role(os.Getenv(roleVariable))}
	os.Unsetenv(roleVariable)
	switch p.role {
	case worker:
		p.alive = os.NewFile(aliveFD, "alive")
		syscall.CloseOnExec(aliveFD)
		fallthrough
	case detached:
		p.tell = os.NewFile(readyFD, "ready")
		syscall.CloseOnExec(readyFD)
		// The kernel calls a process after the file that it was started from,
		// /proc/self/exe; ps and pgrep look for what the command is called.
		_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
		p.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0)
	default:
		p.role = command
	}
	return p, err
}

// ready leaves the terminal and says that the daemon serves.
func (p parent) ready() error {
	if p.role == command {
		return nil
	}
	defer p.null.Close()
	for fd := range 3 { // leave the terminal
		if err := unix.Dup3(int(p.null.Fd()), fd, 0); err != nil {
			return fmt.Errorf("dup3: %w", err)
		}
	}
	_, err := p.tell.Write([]byte{1})
	if err = errors.Join(err, p.tell.Close()); err != nil {
		return fmt.Errorf("who started this process has gone: %w", err)
	}
	return nil
}

// whenGone has stop called when a worker's supervisor has ended.
func (p parent) whenGone(stop context.CancelFunc) {
	if p.alive == nil {
		return
	}
	go func() {
		_, _ = p.alive.Read(make([]byte, 1))
		stop()
	}()
}

// child is a process that we started.
type child struct {
	*exec.Cmd
	// started gets true when its sockets are open, false when it has ended
	// before.
	started chan bool
	// alive, of a worker, is open as long as we are.
	alive *os.File
}

// spawn starts this program once more, with the same command line.
func spawn(r role) (*child, error) {
	ready, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer tell.Close()
	c := &child{Cmd: exec.Command("/proc/self/exe"), started: make(chan bool, 1)}
	c.Args = os.Args
	c.Env = append(os.Environ(), roleVariable+"="+string(r))
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.ExtraFiles = []*os.File{tell}
	if r == worker {
		watch, hold, err := os.Pipe()
		if err != nil {
			ready.Close()
			return nil, err
		}
		defer watch.Close()
		c.alive = hold
		c.ExtraFiles = append(c.ExtraFiles, watch)
	} else {
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := c.Start(); err != nil {
		ready.Close()
		c.close()
		return nil, err
	}
	go func() {
		n, _ := ready.Read(make([]byte, 1))
		ready.Close()
		c.started <- n == 1
	}()
	return c, nil
}

func (c *child) close() {
	if c.alive != nil {
		c.alive.Close()
	}
}

// launch starts the daemon in the background and waits until it serves. What
// goes wrong the daemon says itself, on our standard error.
func (o *Options) launch() error {
	c, err := spawn(detached)
	if err != nil {
		return &Error{ExitOSErr, fmt.Errorf("fork(): %s", opendkim.SystemText(err))}
	}
	if <-c.started {
		return nil
	}
	return failed(c.Wait())
}

// failed is the error of a process that ended before it served.
func failed(err error) error {
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return &Error{Exit: exit.ExitCode()}
	case err == nil:
		err = errors.New("it was stopped")
	}
	return &Error{ExitSoftware, fmt.Errorf("the daemon ended before it served: %w", err)}
}
