package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is where our own packages begin.
const module = "github.com/postseal/postseal"

// room is what `go list -json` says of a package.
type room struct {
	ImportPath, Doc string
	Imports, Deps   []string
	GoFiles         []string
}

// name is the room's path within the project.
func (r room) name() string { return strings.TrimPrefix(r.ImportPath, module+"/") }

// own are the rooms that it is built from, directly or not.
func (r room) own() []string {
	var names []string
	for _, d := range r.Deps {
		if n, ok := strings.CutPrefix(d, module+"/"); ok {
			names = append(names, n)
		}
	}
	return names
}

func rooms(t *testing.T) []room {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,Deps,GoFiles", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []room
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var r room
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	if len(list) < 10 {
		t.Fatalf("%d packages found", len(list))
	}
	return list
}

// The rooms of the house stand in one order, so that the engine can be read,
// tested and used without the daemon around it.
func TestHouse(t *testing.T) {
	allowed := map[string][]string{ // own rooms that a room may be built from
		"milter": {
			"config", "config/dataset", "config/folder", "config/opendkim", "config/watch", "keys", "keys/ledger", "keys/libcrypto", "keys/published", "milter/authres",
			"milter/dkim", "milter/finding", "milter/hosts", "milter/latency", "milter/mailbox", "milter/monitor", "milter/proof", "milter/resolver", "milter/rewrite",
			"milter/sandbox", "milter/wire",
		},
		"milter/wire":      {},
		"milter/load":      {"milter/wire"},
		"milter/dkim":      {},
		"milter/diagnosis": {"milter/dkim"},
		"milter/authres":   {},
		"milter/mailbox":   {},
		"milter/rewrite":   {},
		"milter/latency":   {},
		"milter/resolver":  {"milter/latency"},
		"milter/rogue":     {},
		"milter/finding":   {},
		"milter/dmarc":     {"milter/dkim", "milter/finding"},
		"milter/spf":       {"milter/finding"},
		"config/dataset":   {},
		"config/folder":    {},
		"config/check": {
			"config", "config/dataset", "config/folder", "config/opendkim", "config/postfix", "config/watch", "keys", "keys/ledger", "keys/libcrypto", "keys/published",
			"keys/zone", "milter", "milter/authres", "milter/dkim", "milter/dmarc", "milter/finding", "milter/hosts", "milter/latency", "milter/mailbox",
			"milter/monitor", "milter/proof", "milter/resolver", "milter/rewrite", "milter/sandbox", "milter/spf", "milter/wire",
		},
		"config/table": {"config/dataset", "config/folder"},
		"config/setup": {
			"config", "config/dataset", "config/folder", "config/opendkim", "config/postfix", "config/table", "deploy", "keys", "keys/libcrypto", "milter/dkim",
			"milter/finding", "milter/wire",
		},
		"config/postfix":  {"milter/finding", "milter/wire"},
		"config/watch":    {},
		"config":          {"config/dataset"},
		"config/opendkim": {"config", "config/dataset"},
		"milter/hosts":    {"config/dataset"},
		"milter/sandbox":  {},
		"milter/monitor":  {},
		"milter/proof":    {"milter/dkim"},
		"keys":            {"config/dataset", "config/folder", "keys/libcrypto", "milter/dkim"},
		"keys/libcrypto":  {},
		"keys/zone":       {"config/dataset", "config/folder", "keys", "keys/libcrypto", "milter/dkim", "milter/latency", "milter/resolver"},
		"deploy":          {},
		"keys/ledger":     {"config/folder", "keys/published", "milter/dkim", "milter/finding", "milter/latency", "milter/resolver"},
		"keys/rotation": {
			"config/dataset", "config/folder", "config/table", "keys", "keys/ledger", "keys/libcrypto", "keys/published", "keys/zone", "milter/dkim", "milter/finding",
			"milter/latency", "milter/resolver",
		},
		"keys/published": {"keys", "keys/libcrypto", "config/dataset", "config/folder", "milter/dkim", "milter/finding", "milter/latency", "milter/resolver"},
	}
	opensNothing := []string{"milter/wire", "milter/dkim", "milter/authres", "milter/mailbox", "milter/rewrite"}
	seen := map[string]bool{}
	for _, r := range rooms(t) {
		if len(r.GoFiles) == 0 {
			continue // nothing but tests
		}
		seen[r.name()] = true
		if r.Doc == "" {
			t.Errorf("%s has no doc comment", r.name())
		}
		may, limited := allowed[r.name()]
		for _, d := range r.own() {
			if strings.HasPrefix(d, "cmd/") && !strings.HasPrefix(r.name(), "cmd/") {
				t.Errorf("%s imports %s: nothing outside of cmd imports a command", r.name(), d)
			}
			if limited && !slices.Contains(may, d) {
				t.Errorf("%s is built from %s", r.name(), d)
			}
		}
		if !limited && !strings.HasPrefix(r.name(), "cmd/") {
			t.Errorf("%s has no place in the house: name what it may be built from", r.name())
		}
		if slices.Contains(opensNothing, r.name()) {
			for _, i := range r.Imports {
				if i == "log" || i == "log/slog" || i == "os/exec" || i == "net/http" ||
					(i == "net" || i == "os") && r.name() != "milter/wire" {
					t.Errorf("%s imports %s", r.name(), i)
				}
			}
		}
		if strings.HasPrefix(r.name(), "config") && r.name() != "config/postfix" && r.name() != "config/setup" && slices.Contains(r.Imports, "net") {
			t.Errorf("%s imports net: the configuration opens no socket", r.name())
		}
		for _, i := range r.Imports {
			if strings.HasPrefix(i, "github.com/emersion/go-msgauth") && r.name() != "milter/proof" {
				t.Errorf("%s imports %s: the second opinion has one place", r.name(), i)
			}
		}
	}
	for name := range allowed {
		if !seen[name] {
			t.Errorf("the room %s is gone: take it off the list", name)
		}
	}
}
