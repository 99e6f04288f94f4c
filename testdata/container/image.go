// Package container builds the container image and runs it as a container runtime
// would: as its user, as process 1 of its own, on a root that is the image's and may
// be read-only. Networks are this machine's. It takes root, make and Debian's buildah.
package container

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/machine"
	"github.com/postseal/postseal/testdata/peers"
)

// Image is one that was built.
type Image struct {
	// Root is the folder with its files.
	Root string
	// Config is what it says of itself.
	Config Config
}

// Config is the configuration of an image in Docker's form.
type Config struct {
	User        string
	Env         []string
	Entrypoint  []string
	Cmd         []string
	StopSignal  string
	Labels      map[string]string
	Healthcheck struct{ Test []string }
}

// Build has make build the image in a store that goes when the test ends.
func Build(t testing.TB) *Image {
	t.Helper()
	if os.Geteuid() != 0 {
		peers.Require(t, fmt.Errorf("containers take root"))
	}
	for _, program := range []string{"make", "buildah", "unshare", "nsenter", "setpriv"} {
		if _, err := exec.LookPath(program); err != nil {
			peers.Require(t, fmt.Errorf("%w; testdata/peers.sh deploy installs buildah and util-linux", err))
		}
	}
	store := t.TempDir()
	conf := filepath.Join(store, "storage.conf")
	text := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", store+"/root", store+"/run")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(words ...string) string {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Env = append(os.Environ(), "CONTAINERS_STORAGE_CONF="+conf)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s%s", strings.Join(words, " "), err, out, &stderr)
		}
		return strings.TrimSpace(string(out))
	}
	module := filepath.Dir(run("go", "env", "GOMOD"))
	run("make", "-C", module, "image", "BUILDER=buildah", "IMAGE=postseal:test")
	var about struct{ Docker struct{ Config Config } }
	if err := json.Unmarshal([]byte(run("buildah", "inspect", "--type", "image", "postseal:test")), &about); err != nil {
		t.Fatal(err)
	}
	return &Image{Root: run("buildah", "mount", run("buildah", "from", "--pull-never", "postseal:test")), Config: about.Docker.Config}
}

// On is the image copied to a machine, whose containers are started from it there.
func (i *Image) On(t testing.TB, host *machine.Machine) *Image {
	t.Helper()
	copied := Image{Root: host.Shell("mktemp -d /srv/image.XXXXXX"), Config: i.Config}
	out, err := exec.Command("cp", "-a", i.Root+"/.", host.Path(copied.Root)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return &copied
}
