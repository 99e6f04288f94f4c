//go:build deploy

package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/peers"
)

// built are the packages of one version, for this machine: postseal as a .deb and as
// an .rpm, and postseal-opendkim-compat.
type built struct{ version, deb, rpm, compat string }

// build builds the packages in a folder of their own.
func build(t *testing.T, version string) built {
	t.Helper()
	folder := t.TempDir()
	cmd := exec.Command("./build", folder, runtime.GOARCH)
	cmd.Env = append(os.Environ(), "VERSION="+version)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", version, err, out)
	}
	only := func(pattern string) string {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %q, %v", pattern, list, err)
		}
		return list[0]
	}
	return built{
		version: version, deb: only("postseal_" + version + "_*.deb"), rpm: only("postseal-" + version + "-1.*.rpm"),
		compat: only("postseal-opendkim-compat_" + version + "_*.deb"),
	}
}

// output runs a program of Debian's and returns what it prints.
func output(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		peers.Require(t, fmt.Errorf("%w; testdata/peers.sh deploy installs it", err))
	}
	cmd := exec.Command(program, arguments...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(arguments, " "), err, out, &stderr)
	}
	return string(out)
}

// TestPackages builds two versions of the packages and takes them through their
// lives, each on a machine of its own.
func TestPackages(t *testing.T) {
	first, second := build(t, "1.0.0"), build(t, "1.1.0")
	parallel := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
	parallel("Debian", func(t *testing.T) { debian(t, first, second) })
	for _, row := range takeovers {
		parallel("Compat/"+row.name, func(t *testing.T) { row.test(t, first, second) })
	}
	parallel("Compat/no OpenDKIM", func(t *testing.T) { compatAlone(t, first) })
	parallel("PostfixLater", func(t *testing.T) { postfixLater(t, first) })
	parallel("RPM", func(t *testing.T) { redHat(t, first, second) })
	parallel("Readme", func(t *testing.T) { readme(t, first) })
	parallel("WithoutSystemd", func(t *testing.T) { withoutSystemd(t, first) })
	parallel("Lintian", func(t *testing.T) { lintian(t, first) })
	parallel("Content", func(t *testing.T) { content(t, first) })
	parallel("Scripts", func(t *testing.T) { scripts(t, first) })
	parallel("Configuration", func(t *testing.T) { configuration(t, first) })
	parallel("Reproducible", func(t *testing.T) { reproducible(t, first) })
}
