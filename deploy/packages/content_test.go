//go:build deploy

package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/config"
)

// lintian finds no error in the .deb, and no warning; what is overridden has its
// reason in lintian-overrides.
func lintian(t *testing.T, b built) {
	arguments := []string{"--fail-on=error,warning", b.deb, b.compat}
	if os.Geteuid() == 0 {
		arguments = append([]string{"--allow-root"}, arguments...)
	}
	if out := output(t, "lintian", arguments...); out != "" {
		t.Error(out)
	}
}

// owned are the files and folders that are not plain: their modes and owners.
var owned = []string{
	"-rw-r--r-- root root /etc/postseal/key.table",
	"-rw-r--r-- root root /etc/postseal/postseal.toml",
	"-rw-r--r-- root root /etc/postseal/signing.table",
	"-rw-r--r-- root root /etc/postseal/trusted.hosts",
	"-rwxr-xr-x root root /usr/bin/postseal",
	"-rwxr-xr-x root root /usr/libexec/postseal/postfix-join",
	"drwx------ postseal postseal /etc/postseal/keys",
	"drwxr-x--- postseal postseal /var/spool/postfix/postseal",
	"drwxr-xr-x root root /etc/postseal",
}

// content: both packages have the same files, each with its owner and mode, at
// the places of their distributions.
func content(t *testing.T, b built) {
	// Columns are: mode, owner/group or owner and group, …, name.
	deb := listing(output(t, "dpkg", "-c", b.deb))
	// The folders above are part of a .deb only.
	deb = slices.DeleteFunc(deb, func(line string) bool {
		return strings.HasPrefix(line, "drwxr-xr-x root root ") && !strings.HasSuffix(line, "/etc/postseal")
	})
	rpm := listing(output(t, "rpm", "-qplv", b.rpm))
	for name, list := range map[string][]string{"deb": deb, "rpm": rpm} {
		var special []string
		for _, line := range list {
			if !strings.HasPrefix(line, "-rw-r--r-- root root /usr/") {
				special = append(special, line)
			}
		}
		if diff := cmp.Diff(owned, special); diff != "" {
			t.Error(name, diff)
		}
		for _, path := range []string{
			"/usr/lib/systemd/system/postseal.service", "/usr/lib/systemd/system/postseal.socket",
			"/usr/lib/sysusers.d/postseal.conf", "/usr/lib/tmpfiles.d/postseal.conf",
			"/usr/share/man/man1/postseal.1.gz", "/usr/share/man/man1/postseal-genkey.1.gz", "/usr/share/man/man5/postseal.toml.5.gz",
			"/usr/share/bash-completion/completions/postseal", "/usr/share/fish/vendor_completions.d/postseal.fish",
			"/usr/share/doc/postseal/README.md", "/usr/share/doc/postseal/README.package", "/usr/share/doc/postseal/third-party.gz",
			"/usr/share/doc/postseal/examples/systemd/credentials.conf",
			"/usr/share/doc/postseal/examples/grafana/postseal.json", "/usr/share/doc/postseal/examples/prometheus/alerts.yml",
		} {
			if !slices.Contains(list, "-rw-r--r-- root root "+path) {
				t.Errorf("%s: no %s", name, path)
			}
		}
	}
	alone := func(list, other []string) (paths []string) {
		for _, line := range list {
			if !slices.Contains(other, line) {
				paths = append(paths, strings.Fields(line)[3])
			}
		}
		return paths
	}
	if diff := cmp.Diff([]string{
		"/usr/share/doc/postseal/changelog.gz", "/usr/share/doc/postseal/copyright",
		"/usr/share/lintian/overrides/postseal", "/usr/share/zsh/vendor-completions/_postseal",
	}, alone(deb, rpm)); diff != "" {
		t.Error("in the .deb alone:", diff)
	}
	if diff := cmp.Diff([]string{
		"/usr/lib/systemd/system-preset/80-postseal.preset", "/usr/share/licenses/postseal/LICENSE",
		"/usr/share/zsh/site-functions/_postseal",
	}, alone(rpm, deb)); diff != "" {
		t.Error("in the .rpm alone:", diff)
	}

	configuration := "/etc/postseal/key.table\n/etc/postseal/postseal.toml\n/etc/postseal/signing.table\n/etc/postseal/trusted.hosts\n"
	if diff := cmp.Diff(configuration, output(t, "dpkg-deb", "-I", b.deb, "conffiles")); diff != "" {
		t.Error("conffiles:", diff)
	}
	if diff := cmp.Diff(configuration, output(t, "rpm", "-qpc", b.rpm)); diff != "" {
		t.Error("configuration files of the .rpm:", diff)
	}
	if out := strings.TrimSpace(output(t, "dpkg-deb", "-f", b.deb, "Version")); out != b.version {
		t.Errorf("version %q", out)
	}
}

// listing brings the lists of dpkg and rpm into one form, "MODE OWNER GROUP NAME",
// sorted.
func listing(text string) (list []string) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		name := strings.TrimSuffix(strings.TrimPrefix(f[len(f)-1], "."), "/")
		owner, group, ok := strings.Cut(f[1], "/")
		if !ok {
			owner, group = f[2], f[3]
		}
		if name != "" {
			list = append(list, f[0]+" "+owner+" "+group+" "+name)
		}
	}
	slices.Sort(list)
	return list
}

// scripts: what the packages run is POSIX shell to dash and to bash, and nothing
// more.
func scripts(t *testing.T, b built) {
	folder := t.TempDir()
	output(t, "dpkg-deb", "-e", b.deb, folder)
	list := []string{"postseal/postfix-join"}
	for _, name := range []string{"preinst", "postinst", "prerm", "postrm"} {
		list = append(list, filepath.Join(folder, name))
	}
	for _, tag := range []string{"PREIN", "POSTIN", "PREUN", "POSTUN"} {
		if out := output(t, "rpm", "-qp", "--qf", "%{"+tag+"PROG}", b.rpm); out != "/bin/sh" {
			t.Errorf("%s is run by %q", tag, out)
		}
		path := filepath.Join(folder, tag)
		if err := os.WriteFile(path, []byte(output(t, "rpm", "-qp", "--qf", "%{"+tag+"}", b.rpm)), 0o644); err != nil {
			t.Fatal(err)
		}
		list = append(list, path)
	}
	for _, path := range list {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(data); !strings.HasPrefix(text, "#!/bin/sh\n") || !strings.Contains(text, "\nset -e") {
			t.Errorf("%s:\n%s", path, text)
		}
		for _, shell := range [][]string{{"dash", "-n"}, {"bash", "--posix", "-n"}} {
			if out, err := exec.Command(shell[0], append(shell[1:], path)...).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s %s: %v %s", shell[0], path, err, out)
			}
		}
	}
}

// configuration: the packaged postseal.toml is the example, with another socket.
func configuration(t *testing.T, b built) {
	folder := t.TempDir()
	output(t, "dpkg-deb", "-x", b.deb, folder)
	read := func(path string) []string {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(data), "\n")
	}
	path := filepath.Join(folder, "etc/postseal/postseal.toml")
	packaged, example := read(path), read("../postseal.toml")
	var differ []string
	if len(packaged) != len(example) {
		t.Fatalf("%d lines, the example has %d", len(packaged), len(example))
	}
	for n, line := range packaged {
		if line != example[n] {
			differ = append(differ, line)
		}
	}
	want := []string{
		"#     smtpd_milters = unix:postseal/postseal.sock",
		`socket = "local:/var/spool/postfix/postseal/postseal.sock"`,
	}
	if diff := cmp.Diff(want, differ); diff != "" {
		t.Error(diff)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.Join(read("../systemd/postseal.socket"), "\n")
	for _, socket := range cfg.Socket {
		if !strings.Contains(unit, "\nListenStream="+strings.TrimPrefix(socket, "local:")+"\n") {
			t.Errorf("postseal.socket does not open %s", socket)
		}
	}
}

// reproducible: one state of the work tree makes one package, to the octet.
func reproducible(t *testing.T, b built) {
	again := build(t, b.version)
	for path, other := range map[string]string{b.deb: again.deb, b.rpm: again.rpm} {
		one, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(other)
		if err != nil {
			t.Fatal(err)
		}
		if string(one) != string(two) {
			t.Errorf("%s differs from build to build", filepath.Base(path))
		}
	}
}
