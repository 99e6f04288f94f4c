// Package terminal prints for people: colours where they are welcome, text in the
// width of the screen, and a line that shows how far work has come. In a pipe all of
// it is plain text.
package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// defaultWidth is that of a pipe, and of a terminal that does not know its own.
const defaultWidth = 80

// minWidth is the least that text is broken for: a terminal may say 0 or 1.
const minWidth = 20

// Is reports whether f, a reader or a writer, is a terminal.
func Is(f any) bool {
	_, ok := size(f)
	return ok
}

// Width is how many columns the terminal w has, 80 where w is none.
func Width(w any) int {
	n, ok := size(w)
	switch {
	case !ok || n == 0:
		return defaultWidth
	case n < minWidth:
		return minWidth
	}
	return n
}

func size(f any) (columns int, ok bool) {
	file, isFile := f.(*os.File)
	if !isFile || file == nil {
		return 0, false
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		if _, e := unix.IoctlGetTermios(int(fd), unix.TCGETS); e != nil {
			return
		}
		ok = true
		if ws, e := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); e == nil {
			columns = int(ws.Col)
		}
	})
	return columns, ok && err == nil
}
