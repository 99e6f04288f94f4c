//go:build deploy

package kubernetes

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/postseal/postseal/testdata/container"
	"github.com/postseal/postseal/testdata/machine"
)

// cluster is a pod of the manifests on a node.
type cluster struct {
	node                *machine.Machine
	pod                 pod
	configuration, keys *volume
	sources             map[string]string // of volumes, on the node
	image               *container.Image
	postseal            *container.Container
}

// newKey makes a key file and its record.
func newKey(t *testing.T) (file, record string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
}

// startPod lays the volumes as the manifests want them, with these key files, and
// starts postseal.
func startPod(t *testing.T, keys map[string]string) *cluster {
	t.Helper()
	all := readManifests(t)
	c := &cluster{pod: all["StatefulSet postfix"].Spec.Template.Spec}
	image := container.Build(t)
	c.node = machine.Start(t)
	c.image = image.On(t, c.node)
	group := c.pod.SecurityContext.FSGroup
	c.configuration = newVolume(t, c.node, "configuration", "0644", group, all["ConfigMap postseal"].Data)
	newVolume(t, c.node, "main-cf", "0644", group, all["ConfigMap postfix"].Data)
	c.keys = newVolume(t, c.node, "keys", "0440", group, keys)
	c.sources = map[string]string{}
	for _, name := range []string{"configuration", "main-cf", "keys", "socket", "queue"} {
		c.sources[name] = "/var/lib/kubelet/" + name
	}
	// An emptyDir in memory; and a volume with a folder of its own for the queue.
	c.node.Shell(`cd /var/lib/kubelet && mkdir -p socket queue/postfix && mount -t tmpfs -o mode=2777,gid=65532 tmpfs socket
		chgrp -R 65532 queue && chmod -R 2770 queue`)
	c.postseal = c.image.Start(t, c.node, c.pod.options(c.pod.InitContainers[0], c.sources))
	c.postseal.AwaitOutput(`"msg":"started"`)
	return c
}

// get asks the monitor on the pod's address, as kubelet does, and returns the status
// line of the answer.
func (c *cluster) get(path string) string {
	return strings.TrimSpace(c.node.Shell(`exec bash -c 'exec 3<>/dev/tcp/10.1.2.3/9891
		printf "GET ` + path + ` HTTP/1.1\r\nHost: 10.1.2.3:9891\r\nConnection: close\r\n\r\n" >&3; head -n 1 <&3'`))
}

// The pod of the manifests, with a Secret, ConfigMaps and volumes as kubelet makes
// them: the keys are safe, the probes are answered on the pod's address, mail of the
// pods' network is signed and stays in a queue that began as an empty volume.
func TestPod(t *testing.T) {
	key, record := newKey(t)
	c := startPod(t, map[string]string{"mail2026.private": key})
	c.node.Shell("ip address add 10.1.2.3/32 dev lo")
	if output, status := c.postseal.Exec("/postseal", "check-config"); status != 0 || !strings.Contains(output, "is in order") {
		t.Errorf("check-config: %d %s", status, output)
	}
	p := c.pod.InitContainers[0]
	for _, probe := range []probe{p.StartupProbe, p.LivenessProbe, p.ReadinessProbe} {
		if got := c.get(probe.HTTPGet.Path); got != "HTTP/1.1 200 OK" || probe.HTTPGet.Port != "monitor" || p.Ports[0].ContainerPort != 9891 {
			t.Errorf("%+v: %s", probe, got)
		}
	}

	mta := container.PostfixImage(t, c.node, "../docker/postfix").Start(t, c.node, c.pod.options(c.pod.Containers[0], c.sources))
	mta.AwaitOutput("daemon started")
	ready := c.pod.Containers[0].ReadinessProbe.Exec.Command
	mta.Await("the readiness of Postfix", func() bool {
		_, status := mta.Exec(ready...)
		return status == 0
	})
	if out, err := container.Send(c.node, "10.1.2.3", "user@example.com"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	messages := container.Queued(t, mta)
	if len(messages) != 1 {
		t.Fatalf("%d mails in the queue", len(messages))
	}
	domains, err := container.Verify(messages[0], map[string]string{"mail2026._domainkey.example.com": record})
	if err != nil || !slices.Equal(domains, []string{"example.com"}) {
		t.Errorf("signed by %q: %v", domains, err)
	}
	// As kubelet does it: the sidecar last.
	for _, part := range []*container.Container{mta, c.postseal} {
		part.Signal(syscall.SIGTERM)
		if status := part.Wait(); status != 0 {
			t.Errorf("ended with %d", status)
		}
	}
}
