//go:build !linux

package load

import "errors"

// Owner is for Linux only.
func Owner(string) (pid int, err error) {
	return 0, errors.New("the process that listens can be found on Linux only")
}
