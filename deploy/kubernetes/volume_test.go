//go:build deploy

package kubernetes

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/container"
	"github.com/postseal/postseal/testdata/machine"
)

// volume is one of a Secret or a ConfigMap, as kubelet lays it on its node: a folder
// for each state of it, "..data" a link to that in force, and for each file a link
// through "..data".
type volume struct {
	t       *testing.T
	node    *machine.Machine
	dir     string
	mode    string // of its files
	group   int
	version int
	files   map[string]string
}

// newVolume makes a volume with files; those of a Secret are in memory.
func newVolume(t *testing.T, node *machine.Machine, name, mode string, group int, files map[string]string) *volume {
	v := &volume{t: t, node: node, dir: "/var/lib/kubelet/" + name, mode: mode, group: group}
	node.Shell("mkdir -p -m 777 " + v.dir)
	if mode == "0440" {
		node.Shell("mount -t tmpfs -o mode=1777 tmpfs " + v.dir)
	}
	v.set(files)
	return v
}

// set puts other files in place of those there are, all of them at once. What they
// are is given to the group first, and a folder's new files to that as well.
func (v *volume) set(files map[string]string) {
	v.t.Helper()
	v.version++
	state := fmt.Sprintf("..2026_11_02_10_00_%02d.%d", v.version, v.version)
	script := []string{"cd " + v.dir, "old=$(readlink ..data || true)", "mkdir -m 755 " + state}
	for name, text := range files {
		v.node.Write(filepath.Join(v.dir, "next-"+name), text, 0o600)
		script = append(script, "mv next-"+name+" "+state+"/"+name, "chmod "+v.mode+" "+state+"/"+name)
	}
	group := strconv.Itoa(v.group)
	script = append(script, "chgrp -R "+group+" . "+state, "chmod 2755 "+state, "chmod g+s .",
		"ln -s "+state+" ..data_tmp", "mv -T ..data_tmp ..data")
	for name := range files {
		script = append(script, "[ -L "+name+" ] || ln -s ..data/"+name+" "+name)
	}
	for name := range v.files {
		if _, ok := files[name]; !ok {
			script = append(script, "rm "+name)
		}
	}
	script = append(script, `[ -z "$old" ] || rm -r "$old"`)
	v.node.Shell("set -e\n" + strings.Join(script, "\n"))
	v.files = files
}

// options are what kubelet has a runtime start a container of the pod with; sources
// are its volumes on the node.
func (p pod) options(c part, sources map[string]string) (o container.Options) {
	o.Groups = []int{p.SecurityContext.FSGroup}
	o.ReadOnly = is(c.SecurityContext.ReadOnlyRootFilesystem, true)
	for _, name := range c.SecurityContext.Capabilities.Add {
		o.Capabilities = append(o.Capabilities, "+"+strings.ToLower(name))
	}
	for _, m := range c.VolumeMounts {
		source := filepath.Join(sources[m.Name], m.SubPath)
		o.Mounts = append(o.Mounts, container.Mount{Source: source, Target: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return o
}
