package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// quiet is how long a run is silent where nobody looks on, and between lines
// then.
const quiet = 10 * time.Second

// progress writes how far a run is: each second on a terminal, and a line now
// and then elsewhere. messages is 0 for a run by time.
func progress(w io.Writer, messages int) func(done int) {
	live, start, last := isTerminal(w), time.Now(), time.Now()
	return func(done int) {
		if !live && time.Since(last) < quiet {
			return
		}
		last = time.Now()
		text := fmt.Sprintf("%d messages", done)
		if messages > 0 {
			text = fmt.Sprintf("%d of %d messages", done, messages)
		}
		text += fmt.Sprintf(", %.0f s", time.Since(start).Seconds())
		if live {
			fmt.Fprintf(w, "\r%s \x1b[K", text)
			return
		}
		fmt.Fprintln(w, "milterload: "+text)
	}
}

// clearProgress takes the line off a terminal.
func clearProgress(w io.Writer) {
	if isTerminal(w) {
		fmt.Fprint(w, "\r\x1b[K")
	}
}

// isTerminal reports whether somebody looks on.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
