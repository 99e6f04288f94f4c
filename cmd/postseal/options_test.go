package main

import (
	"strings"
	"testing"
)

func TestNoConfig(t *testing.T) {
	for _, row := range []struct {
		name, path, there, want string
	}{
		{"nothing", configPath, "", "name another file with -c"},
		{"OpenDKIM's", configPath, openDKIMPath, "-c /etc/opendkim.conf reads it as it is, and postseal import /etc/opendkim.conf makes"},
		{"a file that was named", "other.toml", openDKIMPath, "name another file with -c"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := noConfig(row.path, func(path string) bool { return path == row.there })
			if !strings.Contains(got, row.want) {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
