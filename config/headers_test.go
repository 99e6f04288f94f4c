package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/config/dataset"
)

func TestHeaderNames(t *testing.T) {
	defaults := []string{"From", "List-Id", "List-Post", "Subject"}
	tests := []struct {
		name string
		in   string
		want []string
		err  string
	}{
		{"a plain list replaces", "From,To", []string{"From", "To"}, ""},
		{"delta", "*,+X-One,-Subject", []string{"From", "List-Id", "List-Post", "X-One"}, ""},
		{"the order of * does not count", "+X-One,*", []string{"From", "List-Id", "List-Post", "Subject", "X-One"}, ""},
		{"the default alone", "*", defaults, ""},
		{"letter case", "*,-sUBJECT,+FROM", []string{"From", "List-Id", "List-Post"}, ""},
		{"take away by wildcard", "*,-list-*", []string{"From", "Subject"}, ""},
		{"wildcard", "From,X-*", []string{"From", "X-*"}, ""},
		{"take away and add", "*,-From,+From", []string{"List-Id", "List-Post", "Subject", "From"}, ""},
		{"take away what is not there", "*,-X-None", defaults, ""},
		{"twice", "To,From,to", []string{"To", "From"}, ""},
		{"none", ".", nil, ""},
		{"the most", strings.Repeat("To,", MaxHeaderNames), []string{"To"}, ""},
		{"too many", strings.Repeat("To,", MaxHeaderNames+1), nil, "1001 names, and at most 1000"},
		{"plus without *", "From,+To", nil, `"+To" changes the default list`},
		{"minus without *", "-To", nil, `"-To" changes the default list`},
		{"bare beside *", "*,To", nil, `"To" does nothing beside "*"`},
		{"two signs", "*,+-To", nil, "more than one sign"},
		{"sign alone", "*,+", nil, "no name"},
		{"colon", "From,Subject;x", nil, "no name"},
		{"wildcard inside", "X-*-Y", nil, "no name"},
		{"plus wildcard alone", "*,+*", nil, "no name"},
		{"8-bit", "Fröm", nil, "no name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := dataset.Open(dataset.Text("csl:"+tt.in), dataset.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := HeaderNames(set, defaults)
			checkError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff([]string{"From", "List-Id", "List-Post", "Subject"}, defaults); diff != "" {
		t.Errorf("the defaults were changed:\n%s", diff)
	}
}

func TestConfigHeaderNames(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"plain": "From\nTo\n", "bad": "From\n+To\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		get  func(*Config) ([]string, error)
		set  func(*Config)
		want []string
		err  string
	}{
		{"default sign", (*Config).SignHeaderNames, func(*Config) {}, signHeaders(), ""},
		{"default omit", (*Config).OmitHeaderNames, func(*Config) {}, omitHeaders(), ""},
		{"default oversign", (*Config).OversignHeaderNames, func(*Config) {}, oversignHeaders(), ""},
		{"default sender", (*Config).SenderHeaderNames, func(*Config) {}, senderHeaders(), ""},
		{"unset", (*Config).OmitHeaderNames, func(c *Config) { c.OmitHeaders = dataset.Spec{} }, omitHeaders(), ""},
		{"array with delta", (*Config).OmitHeaderNames, func(c *Config) { c.OmitHeaders = dataset.List("*", "+X-A") }, append(omitHeaders(), "X-A"), ""},
		{"none oversigned", (*Config).OversignHeaderNames, func(c *Config) { c.OversignHeaders = dataset.Text(".") }, nil, ""},
		{"relative file", (*Config).SignHeaderNames, func(c *Config) { c.SignHeaders = dataset.Text("file:plain") }, []string{"From", "To"}, ""},
		{"error in a file", (*Config).SignHeaderNames, func(c *Config) { c.SignHeaders = dataset.Text("file:bad") }, nil, filepath.Join(folder, "bad") + ":2: "},
		{"missing file", (*Config).SignHeaderNames, func(c *Config) { c.SignHeaders = dataset.Text("file:none") }, nil, "sign_headers: "},
		{"patterns", (*Config).SignHeaderNames, func(c *Config) { c.SignHeaders = dataset.Text("refile:plain") }, nil, "patterns"},
		{"oversigned wildcard", (*Config).OversignHeaderNames, func(c *Config) { c.OversignHeaders = dataset.List("X-*") }, nil, "whole names only"},
		{"sender wildcard", (*Config).SenderHeaderNames, func(c *Config) { c.SenderHeaders = dataset.List("X-*") }, nil, "whole names only"},
		{"no sender", (*Config).SenderHeaderNames, func(c *Config) { c.SenderHeaders = dataset.Text(".") }, nil, "names no field"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Default()
			c.BaseDirectory = folder
			tt.set(c)
			got, err := tt.get(c)
			checkError(t, err, tt.err)
			if err == nil {
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

func FuzzHeaderNames(f *testing.F) {
	for _, seed := range []string{"*,+A,-From", "From,To", ".", "+", "*,*", "X-*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		set, err := dataset.Open(dataset.List(strings.Split(list, ",")...), dataset.Options{})
		if err != nil {
			return
		}
		names, err := HeaderNames(set, signHeaders())
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, name := range names {
			if err := checkFieldName(name); err != nil || seen[strings.ToLower(name)] {
				t.Errorf("%q from %q: %v", name, list, err)
			}
			seen[strings.ToLower(name)] = true
		}
	})
}
