//go:build !linux

package milter

// acknowledgeNow has no counterpart here: TCP_QUICKACK is Linux's.
func acknowledgeNow(uintptr) {}
