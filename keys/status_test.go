package keys

import (
	"io"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/config/dataset"
)

// States counts what Keys lists, and First lists the first of it, what cannot sign
// before the rest.
func TestStatesAndFirst(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"good", "turns", "other"} {
		writeKey(t, filepath.Join(dir, name))
	}
	c := newTestCache(&prover{}, io.Discard)
	s := tables{
		signing: "*@example.com turns\n*@example.org own\n",
		keys: "good example.com:a:@DIR@/good\nmissing example.com:b:@DIR@/missing\nown %:c:@DIR@/%/key\n" +
			"turns example.com:d:@DIR@/turns\nother example.com:e:@DIR@/other\nnone example.com:f:@DIR@/none\n",
	}.mustLoad(t, dir, c)
	write(t, filepath.Join(dir, "turns"), "no key any more\n")
	requests, err := s.Select(Address{"e", "example.com"})
	if err != nil || len(requests) != 1 {
		t.Fatalf("%v %v", requests, err)
	}
	if _, err := requests[0].Signer(); err != nil {
		t.Fatal(err)
	}
	want := map[State]int{StateReady: 2, StateUnread: 1, StateStale: 1, StateDisabled: 2}
	if got := s.States(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	whole := map[string]KeyInfo{}
	for _, k := range s.Keys() {
		whole[k.Name] = k
	}
	const order = "missing none turns good own other"
	for most := range 8 {
		var names []string
		for _, k := range s.First(most) {
			names = append(names, k.Name)
			if diff := cmp.Diff(whole[k.Name], k); diff != "" {
				t.Errorf("%s (-Keys +First):\n%s", k.Name, diff)
			}
		}
		all := strings.Fields(order)
		if diff := cmp.Diff(all[:min(most, len(all))], names, cmp.Transformer("none", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
			t.Errorf("%d: %s", most, diff)
		}
	}
}

// A single key and no key are like tables of as many rows.
func TestStatesWithoutTables(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	writeKey(t, path)
	for _, row := range []struct {
		name    string
		options Options
		want    map[State]int
		keys    int
	}{
		{"key_file", Options{Domain: dataset.List("example.com"), Selector: "s", KeyFile: path}, map[State]int{StateReady: 1, StateUnread: 0, StateStale: 0, StateDisabled: 0}, 1},
		{"no key", Options{}, map[State]int{StateReady: 0, StateUnread: 0, StateStale: 0, StateDisabled: 0}, 0},
	} {
		s, err := Load(row.options, newTestCache(&prover{}, io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.States(); !maps.Equal(got, row.want) {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
		if got := s.First(10); len(got) != row.keys || row.keys == 1 && got[0].State != StateReady {
			t.Errorf("%s: %+v", row.name, got)
		}
	}
}
