package peers

import (
	"bufio"
	"bytes"
	_ "embed" // the drivers
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

//go:embed dkimpy.py
var dkimpyDriver string

//go:embed maildkim.pl
var mailDKIMDriver string

// Pipe is a peer that is a library: one interpreter that answers on its
// standard output what is asked on its standard input. It is a Verifier and
// signs, and may be used by several goroutines, one question at a time.
type Pipe struct {
	name  string
	mu    sync.Mutex
	in    io.WriteCloser
	out   *bufio.Reader
	ended func() error
}

// StartDkimpy starts dkimpy, which knows the TXT records of zone (name without
// a final dot → value) and no others. It ends with the test.
func StartDkimpy(t testing.TB, zone map[string]string) *Pipe {
	t.Helper()
	return startPipe(t, "dkimpy", zone, dkimpyDriver, "python3", []string{"-I"}, []string{"-c", "import dkim, nacl"},
		"apt-get install python3-dkim")
}

// StartMailDKIM starts Mail::DKIM like StartDkimpy. Debian 12's knows no
// Ed25519: such signatures are "invalid" to it.
func StartMailDKIM(t testing.TB, zone map[string]string) *Pipe {
	t.Helper()
	return startPipe(t, "Mail::DKIM", zone, mailDKIMDriver, "perl", nil, []string{"-MMail::DKIM", "-e", "1"},
		"apt-get install libmail-dkim-perl")
}

// startPipe runs the driver text with an interpreter, after probe has shown that
// the interpreter and the library are there.
func startPipe(t testing.TB, name string, zone map[string]string, driver, interpreter string, arguments, probe []string, install string) *Pipe {
	t.Helper()
	// Debian's packages serve Debian's interpreter; another may come first in PATH.
	program := filepath.Join("/usr/bin", interpreter)
	if _, err := os.Stat(program); err != nil {
		program = interpreter
	}
	if out, err := exec.Command(program, slices.Concat(arguments, probe)...).CombinedOutput(); err != nil {
		Require(t, fmt.Errorf("%s does not run with %s (%w: %s); %s", name, program, err, bytes.TrimSpace(out), install))
	}
	script, err := os.CreateTemp(t.TempDir(), "driver")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := script.WriteString(driver); err != nil {
		t.Fatal(err)
	}
	if err := script.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(slices.Clone(arguments), script.Name())...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Pipe{name: name, in: in, out: bufio.NewReader(out)}
	p.ended = sync.OnceValue(func() error {
		in.Close() // the driver ends when it has nothing more to read
		err := cmd.Wait()
		if stderr.Len() > 0 {
			err = errors.Join(err, fmt.Errorf("%s said: %s", name, bytes.TrimSpace(stderr.Bytes())))
		}
		return err
	})
	t.Cleanup(func() {
		if err := p.ended(); err != nil {
			t.Error(err)
		}
	})
	for record, value := range zone {
		if _, err := p.ask([]byte("record"), []byte(record), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// Name is the peer's name.
func (p *Pipe) Name() string { return p.name }

// Verify implements Verifier.
func (p *Pipe) Verify(message []byte) ([]Verdict, error) {
	fields, err := p.ask([]byte("verify"), message)
	if err != nil {
		return nil, err
	}
	const each = 5
	if len(fields)%each != 0 {
		return nil, fmt.Errorf("%s: %d fields in answer", p.name, len(fields))
	}
	var verdicts []Verdict
	for ; len(fields) > 0; fields = fields[each:] {
		verdicts = append(verdicts, Verdict{
			Status: string(fields[0]), Domain: string(fields[1]), Selector: string(fields[2]),
			Algorithm: string(fields[3]), Detail: string(fields[4]),
		})
	}
	return verdicts, nil
}

// Sign returns message with the signature of the peer on top.
func (p *Pipe) Sign(r SignRequest, message []byte) ([]byte, error) {
	fields, err := p.ask([]byte("sign"), []byte(r.Domain), []byte(r.Selector), []byte(r.Canonicalization),
		[]byte(r.Algorithm), r.Key, message)
	if err != nil {
		return nil, err
	}
	if len(fields) != 1 {
		return nil, fmt.Errorf("%s: %d fields in answer", p.name, len(fields))
	}
	return append(fields[0], message...), nil
}

// ask sends a request and returns the fields of the answer after its first.
func (p *Pipe) ask(fields ...[]byte) ([][]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	request := binary.BigEndian.AppendUint32(nil, uint32(len(fields)))
	for _, f := range fields {
		request = append(binary.BigEndian.AppendUint32(request, uint32(len(f))), f...)
	}
	if _, err := p.in.Write(request); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", p.name, err), p.ended())
	}
	answer, err := p.answer()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", p.name, err), p.ended())
	}
	if len(answer) == 0 || string(answer[0]) != "ok" {
		return nil, fmt.Errorf("%s: %q", p.name, answer)
	}
	return answer[1:], nil
}

func (p *Pipe) answer() ([][]byte, error) {
	count, err := p.number()
	if err != nil {
		return nil, err
	}
	var fields [][]byte
	for range count {
		n, err := p.number()
		if err != nil {
			return nil, err
		}
		f := make([]byte, n)
		if _, err := io.ReadFull(p.out, f); err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func (p *Pipe) number() (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(p.out, b[:])
	return binary.BigEndian.Uint32(b[:]), err
}
