package milter

import "syscall"

// acknowledgeNow switches delayed acknowledgement off for the next segments.
func acknowledgeNow(fd uintptr) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
}
