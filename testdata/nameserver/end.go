package nameserver

import (
	"os/exec"
	"syscall"
)

// endWithUs has a process end with a test that is killed.
func endWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
