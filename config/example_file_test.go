package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/config/dataset"
)

const exampleFile = "../deploy/postseal.toml"

// assignment is a key with its value, behind one "#" or none. Prose has a blank
// behind the "#".
var assignment = regexp.MustCompile(`(?m)^(#?)((?:\[\[)?[a-z_]+(?: = .*|\]\]))$`)

func readExample(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestExampleFile(t *testing.T) {
	c, err := Load(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.KeyTable.String(); got != "file:/etc/postseal/key.table" {
		t.Errorf("key_table = %q", got)
	}
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("warnings:\n%v", w)
	}
}

// Every key without its "#" at once is a configuration too.
func TestExampleFileUncommented(t *testing.T) {
	text := assignment.ReplaceAllString(readExample(t), "$2")
	c, err := Parse([]byte(text), "postseal.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := []Listener{{Socket: "inet:8892@localhost", Mode: Mode{Sign: true}}}
	if diff := cmp.Diff(want, c.Listener); diff != "" {
		t.Errorf("listener (-want +got):\n%s", diff)
	}
	for _, get := range []func() ([]string, error){c.SignHeaderNames, c.OmitHeaderNames, c.OversignHeaderNames, c.SenderHeaderNames} {
		if _, err := get(); err != nil {
			t.Error(err)
		}
	}
}

// The example names every key of the structs once, and the value behind "#" is
// the default.
func TestExampleFileIsComplete(t *testing.T) {
	text, listener, ok := strings.Cut(readExample(t), "#[[listener]]\n")
	if !ok {
		t.Fatal("no [[listener]]")
	}
	checkKeys(t, listener, fieldsOf(new(Listener)).keys)

	found := checkKeys(t, text, nil)
	defaults := fieldsOf(Default())
	for _, key := range defaults.keys {
		if key == "listener" {
			continue
		}
		m, ok := found[key]
		switch {
		case !ok:
			t.Errorf("%s is not in the example", key)
			continue
		case m[1] == "":
			continue // part of the working setup
		}
		c, err := Parse([]byte(m[2]), "example")
		if err != nil {
			t.Errorf("%s: %v", m[2], err)
			continue
		}
		got, want := fieldsOf(c).byKey[key].Interface(), defaults.byKey[key].Interface()
		if !sameValue(got, want) {
			t.Errorf("%s: the default is %v", m[2], want)
		}
	}
	for key := range found {
		if _, ok := defaults.byKey[key]; !ok {
			t.Errorf("%s is no key", key)
		}
	}
}

// checkKeys returns the assignments in text by key; each key of want is there,
// and none twice.
func checkKeys(t *testing.T, text string, want []string) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	for _, m := range assignment.FindAllStringSubmatch(text, -1) {
		key, _, _ := strings.Cut(m[2], " ")
		if found[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		found[key] = m
	}
	for _, key := range want {
		if found[key] == nil {
			t.Errorf("%s is not in the example", key)
		}
	}
	return found
}

// sameValue compares what keys mean: no elements are an empty list.
func sameValue(a, b any) bool {
	switch a := a.(type) {
	case dataset.Spec:
		return a.IsSet() == b.(dataset.Spec).IsSet() && a.String() == b.(dataset.Spec).String()
	case Strings:
		return strings.Join(a, "\n") == strings.Join(b.(Strings), "\n")
	}
	return reflect.DeepEqual(a, b)
}
