package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/peers"
	"github.com/postseal/postseal/testdata/scripts"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the program itself the command milterload of the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"milterload": main})
}

func TestScript(t *testing.T) {
	postseal := filepath.Join(t.TempDir(), "postseal")
	if out, err := exec.Command("go", "build", "-o", postseal, "../postseal").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("POSTSEAL", postseal)
			env.Setenv("RUNTIME_DIRECTORY", filepath.Join(env.WorkDir, "run"))
			env.Values["t"] = env.T()
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": scripts.Exits, "fill": fill, "number": number, "eventually": scripts.Eventually, "opendkim": openDKIM,
		},
	})
}

// fill FILE puts the working folder in the place of @WORK@.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "@WORK@", ts.Getenv("WORK"))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// number FILE NAME LOW HIGH wants a number of a JSON object in this range; NAME
// may be A.B.
func number(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &v))
	for name := range strings.SplitSeq(args[1], ".") {
		v = v.(map[string]any)[name]
	}
	low, err := strconv.ParseFloat(args[2], 64)
	ts.Check(err)
	high, err := strconv.ParseFloat(args[3], 64)
	ts.Check(err)
	if n, ok := v.(float64); !ok || n < low || n > high {
		ts.Fatalf("%s is %v, want %s to %s", args[1], v, args[2], args[3])
	}
}

// openDKIM KEY (in scripts: opendkim) starts the real one, which signs for
// example.com until the script ends, and sets OPENDKIM to its socket.
func openDKIM(ts *testscript.TestScript, _ bool, args []string) {
	t, ok := ts.Value("t").(testing.TB)
	if !ok {
		ts.Fatalf("%T is no testing.TB", ts.Value("t"))
	}
	o := peers.StartOpenDKIM(t, nil, "Mode s", "Domain example.com", "Selector s1", "KeyFile "+ts.MkAbs(args[0]))
	ts.Setenv("OPENDKIM", fmt.Sprint("unix:", o.Socket()))
}
