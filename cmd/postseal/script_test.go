package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/scripts"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the program itself the command postseal of the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postseal": main})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:       "testdata/script",
		Setup:     apart,
		Condition: condition,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   scripts.Exits,
			"field":   field,
			"publish": publish,
			"crlf":    crlf,
			"swap":    swap,
			"serve":   serveDNS,

			"eventually": scripts.Eventually,
			"signal":     signalDaemon,
		},
	})
}

// field FILE PATH [VALUE] reads JSON: PATH are keys and indexes with dots
// between them. Without VALUE the field must be there; with "!" not.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: field FILE PATH [VALUE]")
	}
	got, ok := lookUp(ts, args[0], args[1])
	if len(args) == 2 {
		if ok == neg {
			ts.Fatalf("%s: %s: there = %v", args[0], args[1], ok)
		}
		return
	}
	if !ok || (fmt.Sprint(got) == args[2]) == neg {
		ts.Fatalf("%s: %s is %q (there = %v), want %q", args[0], args[1], fmt.Sprint(got), ok, args[2])
	}
}

func lookUp(ts *testscript.TestScript, file, path string) (any, bool) {
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(file)))
	d.UseNumber()
	ts.Check(d.Decode(&v))
	for step := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[step]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(at) {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// publish JSON FILE [OLD NEW] appends to FILE, a file for --records, the record
// of what genkey --json printed, with OLD in it replaced by NEW.
func publish(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 && len(args) != 4 {
		ts.Fatalf("usage: publish JSON FILE [OLD NEW]")
	}
	name, _ := lookUp(ts, args[0], "name")
	value, _ := lookUp(ts, args[0], "value")
	line := fmt.Sprintf("%v %v\n", name, value)
	if len(args) == 4 {
		if !strings.Contains(line, args[2]) {
			ts.Fatalf("%q is not in %q", args[2], line)
		}
		line = strings.ReplaceAll(line, args[2], args[3])
	}
	f, err := os.OpenFile(ts.MkAbs(args[1]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = f.WriteString(line)
	ts.Check(errors.Join(err, f.Close()))
}

// crlf FILE... ends the lines of files with CRLF.
func crlf(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		text := strings.ReplaceAll(ts.ReadFile(file), "\n", "\r\n")
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// swap FROM TO OLD NEW copies a file and replaces a text in it. Both texts may
// have escapes as in Go.
func swap(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: swap FROM TO OLD NEW")
	}
	var texts [2]string
	for i, s := range args[2:] {
		var err error
		texts[i], err = strconv.Unquote(`"` + s + `"`)
		ts.Check(err)
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, texts[0]) {
		ts.Fatalf("%q is not in %s", texts[0], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.ReplaceAll(text, texts[0], texts[1])), 0o600))
}

// serve FILE VARIABLE [authentic] answers from a file for --records as a name
// server until the script ends, and sets the variable to its address. A value
// SERVFAIL stands for a name server in trouble; authentic sets the AD bit.
func serveDNS(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: serve FILE VARIABLE [authentic]")
	}
	records, err := resolver.ParseRecords(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	server, err := resolver.Serve("127.0.0.1:0", func(name string) resolver.Answer {
		a := records.Answer(name)
		a.Authentic = len(args) == 3
		if slices.Equal(a.TXT, []string{"SERVFAIL"}) {
			return resolver.Answer{Rcode: dns.RcodeServerFailure}
		}
		return a
	})
	ts.Check(err)
	ts.Defer(func() { server.Close() })
	ts.Setenv(args[1], server.Addr())
}
