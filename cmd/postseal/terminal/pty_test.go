package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pty opens a terminal with so many columns. What is written to it is read from the
// screen.
func pty(t *testing.T, columns uint16) (tty *os.File, s *screen) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	resize(t, tty, columns)
	return tty, &screen{tty: tty, master: master}
}

func resize(t *testing.T, tty *os.File, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
}

// screen is what has been written to a terminal.
type screen struct {
	tty, master *os.File
}

// end closes the terminal and returns all that was written to it.
func (s *screen) end(t *testing.T) string {
	t.Helper()
	s.tty.Close()
	all, err := io.ReadAll(s.master)
	if err != nil && !errors.Is(err, unix.EIO) { // the other end is closed
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(all), "\r\n", "\n")
}
