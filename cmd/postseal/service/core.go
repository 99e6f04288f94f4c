package service

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// forbidCore keeps this process, and those that it starts, from leaving a core
// dump: private keys would be in it. A limit of one byte is too small for a file,
// and is the kernel's word for no dump where a program takes it (core(5), "|"),
// which a limit of 0 is not. Where the limit is 0 for good, a dump would be without
// memory. PR_SET_DUMPABLE would do, too, but hides the process from its own user in
// /proc, and who becomes another user has it anyway.
func forbidCore() error {
	err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 1, Max: 1})
	if err == nil {
		return nil
	}
	if filter := os.WriteFile("/proc/self/coredump_filter", []byte("0"), 0); filter != nil {
		return fmt.Errorf("core dumps cannot be switched off: %w", errors.Join(os.NewSyscallError("setrlimit", err), filter))
	}
	return nil
}
