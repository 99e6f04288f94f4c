package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/postseal/postseal/cmd/postseal/terminal"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/spf13/cobra"
)

const (
	// maxMessage is the largest message that sign holds in memory.
	maxMessage = 256 << 20
	// maxMessageHeader bounds the header of a message that is read from a file.
	maxMessageHeader = 4 << 20
)

// openMessage opens the message named by args, or standard input where args is
// empty or "-".
func openMessage(cmd *cobra.Command, args []string) (io.ReadCloser, error) {
	if len(args) > 0 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, exitError{exitNoInput, fmt.Errorf("the message cannot be read: %w", err)}
		}
		return f, nil
	}
	if in := cmd.InOrStdin(); in != os.Stdin {
		return io.NopCloser(in), nil
	}
	if terminal.Is(os.Stdin) {
		fmt.Fprintln(cmd.ErrOrStderr(), "postseal: waiting for a message on standard input; end it with Ctrl-D")
	}
	return os.Stdin, nil
}

// readMessage takes a message apart; the error has the exit code for it.
func readMessage(r io.Reader) ([]dkim.Field, io.Reader, error) {
	fields, body, err := dkim.ReadMessage(r, maxMessageHeader)
	switch {
	case err != nil:
		return nil, nil, exitError{exitNoInput, fmt.Errorf("the message cannot be read: %w", err)}
	case len(fields) == 0:
		return nil, nil, exitError{exitNoInput, errors.New("the input has no header field: this is no message; give one with its header and body, as in a mailbox file")}
	}
	return fields, body, nil
}

// mboxLine is the length of the "From " line of a mailbox file above the
// header, 0 if there is none.
func mboxLine(raw []byte) int {
	if !bytes.HasPrefix(raw, []byte("From ")) {
		return 0
	}
	end := bytes.IndexByte(raw, '\n') + 1
	if end == 0 {
		end = len(raw)
	}
	// "From : user@example.com" is a header field in an obsolete form.
	if rest := bytes.TrimLeft(raw[len("From"):end], " \t"); len(rest) > 0 && rest[0] == ':' {
		return 0
	}
	return end
}

// lineEnd is how the first line of raw ends: CRLF or LF.
func lineEnd(raw []byte) string {
	if i := bytes.IndexByte(raw, '\n'); i > 0 && raw[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// shown is a word from a message or from DNS as it may be printed: as it is if
// it is plain, else quoted, so that it can neither steer a terminal nor look
// like words of ours.
func shown(s string) string {
	plain := func(c rune) bool { return c > ' ' && c < 0x7f && c != '"' && c != '\\' }
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// printable is a sentence that may hold text from elsewhere: what is not
// printable is escaped.
func printable(s string) string {
	if strings.IndexFunc(s, func(c rune) bool { return !unicode.IsPrint(c) || c == unicode.ReplacementChar }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
