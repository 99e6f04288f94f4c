//go:build deploy

package docker

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/testdata/container"
	"github.com/postseal/postseal/testdata/machine"
)

// composeTool reads a compose file as docker compose does, with its schema.
const composeTool = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"

// service is what a compose file says of a container.
type service struct {
	Image       string
	Environment map[string]string
	Volumes     []struct {
		Type, Source, Target string
		ReadOnly             bool `json:"read_only"`
	}
	ReadOnly        bool     `json:"read_only"`
	CapDrop         []string `json:"cap_drop"`
	CapAdd          []string `json:"cap_add"`
	SecurityOpt     []string `json:"security_opt"`
	StopGracePeriod string   `json:"stop_grace_period"`
	Healthcheck     struct{ Test []string }
	DependsOn       map[string]struct{ Condition string } `json:"depends_on"`
	Ports           []any
}

// project is a compose file.
type project struct {
	Services map[string]service
	Volumes  map[string]struct {
		DriverOpts map[string]string `json:"driver_opts"`
	}
}

func readCompose(t *testing.T) (p project) {
	t.Helper()
	bin := t.TempDir()
	install := exec.Command("go", "install", composeTool)
	install.Env = append(install.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(filepath.Join(bin, "cmd"), "-format", "json", "compose.yaml").CombinedOutput()
	if err == nil {
		err = json.Unmarshal(out, &p)
	}
	if err != nil {
		t.Fatalf("compose.yaml: %v\n%s", err, out)
	}
	return p
}

// Both services have no more rights than they need, and Postfix waits for the
// health of postseal, which has time to finish its messages.
func TestComposeFile(t *testing.T) {
	p := readCompose(t)
	for name, s := range p.Services {
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s: cap_drop %q, security_opt %q", name, s.CapDrop, s.SecurityOpt)
		}
		if len(s.Ports) > 0 {
			t.Errorf("%s publishes ports: %v", name, s.Ports)
		}
	}
	postseal, postfix := p.Services["postseal"], p.Services["postfix"]
	if !postseal.ReadOnly || len(postseal.CapAdd) > 0 || postseal.Image != "postseal:latest" ||
		!slices.Equal(postseal.Healthcheck.Test, []string{"CMD", "/postseal", "ping"}) {
		t.Errorf("postseal: %+v", postseal)
	}
	if got := postfix.DependsOn["postseal"].Condition; got != "service_healthy" {
		t.Errorf("postfix depends on postseal with %q", got)
	}
	grace, err := time.ParseDuration(postseal.StopGracePeriod)
	if drain := config.Default().DrainTimeout.Std(); err != nil || grace <= drain {
		t.Errorf("stop_grace_period %v, drain_timeout %v; %v", grace, drain, err)
	}
}

// The two containers of the compose file at work, with the commands at its top: mail
// from the network is signed in Postfix's queue, mail from elsewhere is not relayed,
// and while postseal is away mail is put off.
func TestCompose(t *testing.T) {
	p := readCompose(t)
	m := machine.Start(t)
	postseal := container.Build(t).On(t, m)
	postfix := container.PostfixImage(t, m, "postfix")

	const dir = "/srv/mail"
	m.Shell("mkdir -p " + dir + " /srv/queue /srv/socket && chmod 2770 /srv/queue && chgrp 65532 /srv/queue")
	var records map[string]string
	for _, command := range documented(t, "compose.yaml") {
		switch words := strings.Fields(command); words[0] {
		case "install":
			m.Shell("cd " + dir + " && " + command)
		case "docker":
			if words[1] == "compose" {
				break
			}
			genkey := postseal.Start(t, m, dockerRun(t, dir, command))
			if status := genkey.Wait(); status != 0 {
				t.Fatalf("genkey ends with %d", status)
			}
			records = map[string]string{"mail2026._domainkey.example.com": record(t, genkey.Output.String())}
		}
	}
	driver := p.Volumes["socket"].DriverOpts
	m.Shell("mount -t " + driver["type"] + " -o " + driver["o"] + " " + driver["device"] + " /srv/socket")
	volumes := map[string]string{"queue": "/srv/queue", "socket": "/srv/socket", "bind": dir + "/keys"}

	signer := postseal.Start(t, m, p.Services["postseal"].options(volumes))
	signer.AwaitOutput(`"msg":"started"`)
	mta := postfix.Start(t, m, p.Services["postfix"].options(volumes))
	mta.AwaitOutput("daemon started")

	m.Shell("ip address add 172.30.25.9/32 dev lo && ip address add 192.0.2.9/32 dev lo")
	if out, err := container.Send(m, "172.30.25.9", "user@example.com"); err != nil {
		t.Fatalf("a client of the network: %v\n%s", err, out)
	}
	messages := container.Queued(t, mta)
	if len(messages) != 1 {
		t.Fatalf("%d mails in the queue, want one", len(messages))
	}
	if domains, err := container.Verify(messages[0], records); err != nil || !slices.Equal(domains, []string{"example.com"}) {
		t.Errorf("signed by %q: %v", domains, err)
	}
	if out, err := container.Send(m, "192.0.2.9", "user@example.com"); err == nil || !strings.Contains(out, "Relay access denied") {
		t.Errorf("a client from elsewhere: %v\n%s", err, out)
	}

	health(t, signer, 0)
	signer.Signal(syscall.SIGTERM)
	if status := signer.Wait(); status != 0 {
		t.Errorf("postseal ends with %d", status)
	}
	if out, err := container.Send(m, "172.30.25.9", "user@example.com"); err == nil || !strings.Contains(out, "451 4.7.1") {
		t.Errorf("without postseal: %v\n%s", err, out)
	}
	postseal.Start(t, m, p.Services["postseal"].options(volumes)).AwaitOutput(`"msg":"started"`)
	if out, err := container.Send(m, "172.30.25.9", "user@example.com"); err != nil {
		t.Errorf("with postseal again: %v\n%s", err, out)
	}
	mta.Signal(syscall.SIGTERM)
	if status := mta.Wait(); status != 0 {
		t.Errorf("postfix ends with %d", status)
	}
}

// options are what compose makes of a service; volumes are its volumes, by name,
// and of the kind "bind".
func (s service) options(volumes map[string]string) (o container.Options) {
	o.ReadOnly = s.ReadOnly
	for name, value := range s.Environment {
		o.Env = append(o.Env, name+"="+value)
	}
	for _, v := range s.Volumes {
		source := volumes[v.Source]
		if v.Type == "bind" {
			source = volumes["bind"]
		}
		o.Mounts = append(o.Mounts, container.Mount{Source: source, Target: v.Target, ReadOnly: v.ReadOnly})
	}
	for _, c := range s.CapAdd {
		o.Capabilities = append(o.Capabilities, "+"+strings.ToLower(c))
	}
	return o
}
