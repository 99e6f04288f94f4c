//go:build deploy

package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/postseal/postseal/testdata/container"
)

// The image says how it is run, as a user who is not root, and is asked for its
// health; there is nothing in it but the program and the folder of its sockets.
func TestImage(t *testing.T) {
	image := container.Build(t)
	c := image.Config
	if c.User != "65532:65532" || c.StopSignal != "SIGTERM" ||
		!slices.Equal(c.Entrypoint, []string{"/postseal"}) || !slices.Equal(c.Cmd, []string{"serve", "--json"}) ||
		!slices.Equal(c.Healthcheck.Test, []string{"CMD", "/postseal", "ping"}) || strings.Contains(strings.Join(c.Env, " "), "POSTSEAL_") {
		t.Errorf("the configuration is %+v", c)
	}
	for label, want := range map[string]string{"title": "postseal", "licenses": "MIT", "source": "https://github.com/postseal/postseal"} {
		if got := c.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	if c.Labels["org.opencontainers.image.version"] == "" || c.Labels["org.opencontainers.image.description"] == "" {
		t.Errorf("labels are missing: %q", c.Labels)
	}

	var files []string
	err := filepath.WalkDir(image.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == image.Root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		files = append(files, fmt.Sprintf("%s %v %d:%d", strings.TrimPrefix(path, image.Root), info.Mode(), owner.Uid, owner.Gid))
		return nil
	})
	want := []string{
		"/postseal -rwxr-xr-x 0:0",
		"/run drwxr-xr-x 65532:65532",
		"/run/postseal drwxr-x--- 65532:65532",
	}
	if err != nil || !slices.Equal(files, want) {
		t.Errorf("the files of the image are %q, want %q; %v", files, want, err)
	}
	const largest = 25 << 20
	info, err := os.Stat(filepath.Join(image.Root, "postseal"))
	if err != nil || info.Size() > largest {
		t.Errorf("the program has %d octets, want %d at most; %v", info.Size(), largest, err)
	}
	t.Logf("the program has %.1f MiB", float64(info.Size())/(1<<20))
}

// Any subcommand is run by its name, without a network, a configuration or a
// folder to write to, and without a user by that number.
func TestCommands(t *testing.T) {
	image := container.Build(t)
	for _, tt := range []struct {
		words  []string
		status int
		output string
	}{
		{[]string{"version"}, 0, "postseal "},
		{[]string{"genkey", "--help"}, 0, "genkey"},
		{[]string{"check-config", "-c", "/postseal.toml"}, 78, "/postseal.toml"},
		{[]string{"nosuch"}, 64, "nosuch"},
		{nil, 78, `"msg":"not started"`}, // nothing says what is to be signed
	} {
		c := image.Start(t, nil, container.Options{Words: tt.words, ReadOnly: true})
		if status := c.Wait(); status != tt.status || !strings.Contains(c.Output.String(), tt.output) {
			t.Errorf("%s: status %d, want %d; output %q", strings.Join(tt.words, " "), status, tt.status, c.Output.String())
		}
	}
}

// Where nothing can build an image, make says what would.
func TestNoBuilder(t *testing.T) {
	out, err := exec.Command("make", "-C", "../..", "image", "BUILDER=none").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "apt-get install buildah") {
		t.Errorf("%v: %s", err, out)
	}
}

// messageLines are the lines of a log in JSON that tell of messages. A line that
// is no JSON is an error.
func messageLines(t *testing.T, c *container.Container) (lines []map[string]any) {
	t.Helper()
	for line := range bytes.Lines([]byte(c.Output.String())) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			t.Errorf("%v: %q", err, line)
		}
		if fields["msg"] == "message" {
			lines = append(lines, fields)
		}
	}
	return lines
}
