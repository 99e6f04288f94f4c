package dataset

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Limits of a table, far above what mail systems use, so that a wrong path
// cannot fill the memory.
const (
	maxFile = 64 << 20
	maxLine = 1 << 20
	maxRows = 10_000_000
)

// blanks are the characters that isspace() knows in the C locale, without LF.
const blanks = " \t\r\v\f"

const byteOrderMark = "\xef\xbb\xbf"

// ReadFile reads a regular file of at most limit bytes. Directories, FIFOs and
// devices are refused before they can block or be disturbed; /dev/null is an
// empty file.
func ReadFile(path string, limit int64) ([]byte, error) {
	text, err := readText(path, limit)
	return []byte(text), err
}

// readText is ReadFile for text, of which there is never a second copy.
func readText(path string, limit int64) (string, error) {
	f, err := openFile(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var text strings.Builder
	if info, err := f.Stat(); err == nil {
		text.Grow(int(min(info.Size(), limit) + 1))
	}
	if _, err := io.Copy(&text, io.LimitReader(f, limit+1)); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if int64(text.Len()) > limit {
		return "", fmt.Errorf("%s: larger than %d bytes; is this the right file?", path, limit)
	}
	if isKey(text.String()) {
		return "", fmt.Errorf("%s: is a private key; is this the right file?", path)
	}
	return text.String(), nil
}

// isKey recognises a private key, which nothing that is said of a text may repeat.
func isKey(text string) bool {
	const (
		longest  = 64 << 10 // of a file of keys
		shortest = 32       // of a key
	)
	if len(text) > longest {
		return false
	}
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(line, blanks+byteOrderMark)
		if strings.HasPrefix(line, "-----BEGIN ") || strings.HasPrefix(line, "-----END ") {
			return true
		}
	}
	der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Join(strings.Fields(text), ""), "="))
	return err == nil && len(der) >= shortest && der[0] == 0x30 && (int(der[1]) == len(der)-2 || der[1] > 0x80) // a sequence
}

// openFile opens a regular file.
func openFile(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(path, info); err != nil {
		return nil, err
	}
	// The file may have been replaced by a FIFO just now: without O_NONBLOCK
	// the open would wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = regular(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func regular(path string, info fs.FileInfo) error {
	switch {
	case info.Mode().IsRegular(), isNull(info):
		return nil
	case info.IsDir():
		return fmt.Errorf("%s: is a directory; name a file in it", path)
	}
	return fmt.Errorf("%s: is a %s; want a regular file", path, special(info.Mode()))
}

func isNull(info fs.FileInfo) bool {
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(info, null)
}

func special(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "FIFO"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// readLines takes the rows of a file or refile from text.
func (s *Set) readLines(text string, lineLimit, rowLimit int) error {
	text = strings.TrimPrefix(text, byteOrderMark)
	const shortRow = 16 // there may be shorter ones
	s.rows = make([]Row, 0, min(strings.Count(text, "\n")+1, len(text)/shortRow+1))
	number, indented := 0, 0
	var blank []int // lines with blanks of web pages
	for line := range strings.Lines(text) {
		number++
		here := Row{Line: number}
		if len(line) > lineLimit {
			return fmt.Errorf("%s: the line is longer than %d bytes", s.Where(here), lineLimit)
		}
		if strings.IndexByte(line, 0) >= 0 {
			return fmt.Errorf("%s: the line has a NUL byte; a data set is a text file", s.Where(here))
		}
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), "#")
		line, found := PlainBlanks(line)
		if found {
			blank = append(blank, number)
		}
		row, ok := parseLine(line)
		if !ok {
			continue
		}
		if s.kind == kindRefile && strings.IndexByte(blanks, line[0]) >= 0 {
			if indented++; indented <= mostLines {
				s.notes = append(s.notes, s.Where(here)+": the line begins with a blank and is ignored, as OpenDKIM does in a refile; remove the blank")
			}
			continue
		}
		if len(s.rows) == rowLimit {
			return fmt.Errorf("%s: more than %d rows", s.Where(here), rowLimit)
		}
		row.Line = number
		s.rows = append(s.rows, row)
	}
	if indented > mostLines {
		s.notes = append(s.notes, fmt.Sprintf("%s: %d more lines begin with a blank and are ignored", s.path, indented-mostLines))
	}
	if blank != nil {
		s.notes = append(s.notes, s.path+": "+BlankLines(blank))
	}
	return nil
}

// parseLine splits a line without its comment at its first run of blanks; false
// means that nothing is there.
func parseLine(line string) (Row, bool) {
	line = strings.Trim(line, blanks)
	if line == "" {
		return Row{}, false
	}
	end := strings.IndexAny(line, blanks)
	if end < 0 {
		return Row{Key: line}, true
	}
	return Row{Key: line[:end], Value: strings.TrimLeft(line[end:], blanks)}, true
}

// CheckElement reports what Open would say of an element of a list.
func CheckElement(item string) error {
	_, _, err := parseElement(item)
	return err
}

// parseElement splits an element of a list at its first "=". False means that
// it is empty.
func parseElement(item string) (Row, bool, error) {
	item = strings.Trim(item, blanks+"\n")
	if item == "" {
		return Row{}, false, nil
	}
	for _, kind := range []string{kindFile, kindRefile} {
		if strings.HasPrefix(item, kind+":") {
			return Row{}, false, fmt.Errorf("%q names a file inside a list; a file stands alone, as one string", item)
		}
	}
	key, value, _ := strings.Cut(item, "=")
	key, value = strings.TrimRight(key, blanks+"\n"), strings.TrimLeft(value, blanks+"\n")
	if key == "" {
		return Row{}, false, errors.New(`nothing stands before its "="`)
	}
	return Row{Key: key, Value: value}, true, nil
}
