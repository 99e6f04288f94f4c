//go:build deploy

package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/config"
)

// manifest is what these tests read of a manifest.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Selector json.RawMessage
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     pod
		}
		VolumeClaimTemplates []struct{ Metadata struct{ Name string } }
	}
}

// pod is the part of a StatefulSet that its pods are made of.
type pod struct {
	TerminationGracePeriodSeconds int
	EnableServiceLinks            *bool
	SecurityContext               struct {
		FSGroup             int
		FSGroupChangePolicy string
		SeccompProfile      struct{ Type string }
	}
	InitContainers, Containers []part
	Volumes                    []struct {
		Name      string
		ConfigMap struct{ Name string }
		Secret    struct {
			SecretName  string
			DefaultMode os.FileMode
		}
		EmptyDir struct{ Medium string }
	}
}

// part is a container of a pod.
type part struct {
	Name, Image, RestartPolicy string
	Ports                      []struct {
		Name          string
		ContainerPort int
	}
	StartupProbe, LivenessProbe, ReadinessProbe probe
	SecurityContext                             struct {
		RunAsNonRoot, ReadOnlyRootFilesystem, AllowPrivilegeEscalation *bool
		RunAsUser, RunAsGroup                                          int
		Capabilities                                                   struct{ Drop, Add []string }
	}
	VolumeMounts []struct {
		Name, MountPath, SubPath string
		ReadOnly                 bool
	}
}

// probe is how kubelet asks for the health of a container.
type probe struct {
	HTTPGet struct{ Path, Port string }
	Exec    struct{ Command []string }
}

// readManifests reads the files through the types of Kubernetes, by kind and name.
func readManifests(t *testing.T) map[string]manifest {
	t.Helper()
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	found := map[string]manifest{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd := exec.Command("go", "run", "-C", "testdata/strict", ".")
		cmd.Stdin, cmd.Stderr = bytes.NewReader(text), &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, &stderr)
		}
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var m manifest
			if err := d.Decode(&m); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			found[m.Kind+" "+m.Metadata.Name] = m
		}
	}
	return found
}

// The manifests are ones of Kubernetes and belong together: postseal has no rights,
// time to finish its messages, the group of its key files, and volumes that exist.
func TestManifests(t *testing.T) {
	all := readManifests(t)
	set, ok := all["StatefulSet postfix"]
	if _, service := all["Service postfix"]; !ok || !service {
		t.Fatal("the StatefulSet or its Service is missing")
	}
	p := set.Spec.Template.Spec
	if len(p.InitContainers) != 1 || len(p.Containers) != 1 {
		t.Fatalf("%d and %d containers", len(p.InitContainers), len(p.Containers))
	}
	postseal, postfix := p.InitContainers[0], p.Containers[0]
	if postseal.Image != "postseal:latest" || postfix.Image != "postfix:latest" || postseal.RestartPolicy != "Always" {
		t.Errorf("images %s and %s, restart policy %q", postseal.Image, postfix.Image, postseal.RestartPolicy)
	}
	s := postseal.SecurityContext
	if !is(s.RunAsNonRoot, true) || !is(s.ReadOnlyRootFilesystem, true) || s.RunAsUser != 65532 || s.RunAsGroup != 65532 || len(s.Capabilities.Add) > 0 {
		t.Errorf("the security context of postseal: %+v", s)
	}
	for _, c := range []part{postseal, postfix} {
		if s := c.SecurityContext; !is(s.AllowPrivilegeEscalation, false) || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
			t.Errorf("the security context of %s: %+v", c.Name, s)
		}
		for _, mount := range c.VolumeMounts {
			known := slices.ContainsFunc(set.Spec.VolumeClaimTemplates, func(c struct{ Metadata struct{ Name string } }) bool { return c.Metadata.Name == mount.Name })
			for _, v := range p.Volumes {
				known = known || v.Name == mount.Name
			}
			if !known {
				t.Errorf("%s mounts %s, which is no volume", c.Name, mount.Name)
			}
		}
	}
	if s := p.SecurityContext; s.FSGroup != 65532 || s.FSGroupChangePolicy != "OnRootMismatch" || s.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("the security context of the pod: %+v", s)
	}
	if drain := config.Default().DrainTimeout.Std().Seconds(); float64(p.TerminationGracePeriodSeconds) <= drain || !is(p.EnableServiceLinks, false) {
		t.Errorf("grace period %d s beside a drain_timeout of %g s; service links %v", p.TerminationGracePeriodSeconds, drain, p.EnableServiceLinks)
	}
	for _, v := range p.Volumes {
		if name := v.ConfigMap.Name; name != "" {
			if _, ok := all["ConfigMap "+name]; !ok {
				t.Errorf("the volume %s is of a ConfigMap %s, which is missing", v.Name, name)
			}
		}
		if v.Name == "keys" && (v.Secret.SecretName != "postseal-keys" || v.Secret.DefaultMode != 0o440) {
			t.Errorf("the keys are %+v", v.Secret)
		}
	}
	for _, c := range []struct{ name, get, want string }{
		{"startup", postseal.StartupProbe.HTTPGet.Path, "/healthz"},
		{"liveness", postseal.LivenessProbe.HTTPGet.Path, "/healthz"},
		{"readiness", postseal.ReadinessProbe.HTTPGet.Path, "/readyz?keys=some"},
	} {
		if c.get != c.want {
			t.Errorf("the %s probe asks for %q, want %q", c.name, c.get, c.want)
		}
	}
	for label, value := range set.Spec.Template.Metadata.Labels {
		if !strings.Contains(string(all["Service postfix"].Spec.Selector), `"`+label+`":"`+value+`"`) {
			t.Errorf("the Service does not select %s=%s", label, value)
		}
	}
	// Both ways to run the Postfix have the same lines about the milter.
	compose, err := os.ReadFile("../docker/postfix/main.cf")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(all["ConfigMap postfix"].Data["main.cf"]) {
		if strings.Contains(line, "milter") && !strings.Contains(string(compose), line) {
			t.Errorf("main.cf of the compose file has no line %q", line)
		}
	}
}

func is(b *bool, want bool) bool { return b != nil && *b == want }
