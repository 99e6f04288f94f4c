package setup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
)

// The units have the program, the configuration and the user of this machine, and else
// what the package's have.
func TestUnits(t *testing.T) {
	fresh, err := NewSite("/etc/postseal/postseal.toml", "local:/srv/queue/postseal/postseal.sock", Owner{"seal", "mail"})
	if err != nil {
		t.Fatal(err)
	}
	fresh.Config.RuntimeDirectory = "/run/postseal"
	opendkim := &Site{Path: "/etc/opendkim.conf", OpenDKIM: true, Owner: Owner{"opendkim", "opendkim"}, Config: &config.Config{
		Socket: config.Strings{"local:/run/opendkim/opendkim.sock", "inet:8891@localhost"}, RuntimeDirectory: "/run/opendkim"}}
	program := filepath.Join(t.TempDir(), "postseal")
	for _, tt := range []struct {
		name  string
		site  *Site
		named bool
		units int
		want  []string
	}{
		{"new", fresh, false, 2, []string{"ExecStart=" + program + " serve", "ExecReload=" + program + " reload", "User=seal", "Group=mail",
			"ReadWritePaths=-/srv/queue/postseal", "Also=postseal.socket", "RuntimeDirectory=postseal",
			"ListenStream=/srv/queue/postseal/postseal.sock", "SocketUser=seal", "SocketGroup=mail", "SocketMode=0660", "NoNewPrivileges=yes"}},
		{"OpenDKIM's", opendkim, true, 1, []string{"ExecStart=" + program + " serve -c /etc/opendkim.conf", "User=opendkim",
			"ReadWritePaths=-/run/opendkim", "RuntimeDirectory=postseal opendkim"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &Service{Program: program, Named: tt.named}
			texts, err := v.unitTexts(tt.site)
			if err != nil || len(texts) != tt.units {
				t.Fatalf("%d units, %v", len(texts), err)
			}
			lines := strings.Split(texts[serviceUnit]+texts[socketUnit], "\n")
			for _, w := range tt.want {
				if !slices.Contains(lines, w) {
					t.Errorf("no line %s in\n%s", w, strings.Join(lines, "\n"))
				}
			}
			if also := slices.Contains(lines, "Also=postseal.socket"); also != (tt.units == 2) {
				t.Errorf("Also=postseal.socket: %t", also)
			}
		})
	}
	if _, err := (&Service{Program: "/opt/my programs/postseal"}).unitTexts(fresh); err == nil || !strings.Contains(err.Error(), "plain names") {
		t.Errorf("%v", err)
	}
}

// The units that rotate keys are those of this machine, too; without tables there are none.
func TestRotateUnits(t *testing.T) {
	site, err := NewSite("/srv/seal/postseal.toml", "local:/srv/seal.sock", Owner{"seal", "seal"})
	if err != nil {
		t.Fatal(err)
	}
	v := &Service{Program: "/opt/postseal", Named: true}
	texts := v.rotateTexts(site)
	for _, line := range []string{"ExecStart=/opt/postseal rotate --auto 90d -c /srv/seal/postseal.toml", "ReadWritePaths=/srv/seal", "NoNewPrivileges=yes"} {
		if !slices.Contains(strings.Split(texts[rotateService], "\n"), line) {
			t.Errorf("no line %s in\n%s", line, texts[rotateService])
		}
	}
	if !strings.Contains(texts[rotateTimer], "\nOnCalendar=hourly\n") {
		t.Errorf("the timer is\n%s", texts[rotateTimer])
	}
	site.Config.KeyTable = dataset.Spec{}
	if texts := v.rotateTexts(site); texts != nil {
		t.Errorf("without key_table: %v", texts)
	}
}

// A program that the service's user could not run is refused, with what to do.
func TestRunnable(t *testing.T) {
	dir := t.TempDir()
	program := dir + "/postseal"
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{program, "/root/bin/postseal", "/home/user/postseal", "/nowhere/postseal"} {
		if err := runnable(path); err == nil || !strings.Contains(err.Error(), "install -m 755 "+path+" /usr/local/bin/postseal") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := runnable("/bin/sh"); err != nil {
		t.Error(err)
	}
}

// What is planned for the service: a reload where it runs, its units where systemd does,
// and else a line for a person.
func TestServicePlan(t *testing.T) {
	site, err := NewSite("/etc/postseal/postseal.toml", "local:/srv/postseal.sock", Owner{"seal", "seal"})
	if err != nil {
		t.Fatal(err)
	}
	site.Config.RuntimeDirectory = "/run/postseal"
	rows := &Rows{Path: "/t", Rows: []string{"a b"}}
	for _, tt := range []struct {
		name    string
		service Service
		plan    Plan
		says    map[string]string // of systemctl, by its first words; what is not there fails
		want    string
		advice  string
	}{
		{"running, and rows", Service{Running: true}, Plan{Changes: []Change{rows}}, nil, "run /bin/sh reload", ""},
		{"running, and rows of a run that was cut off", Service{Running: true}, Plan{Begun: []Change{rows}}, nil, "run /bin/sh reload", ""},
		{"running, and nothing", Service{Running: true}, Plan{}, nil, "", ""},
		{"no systemd", Service{}, Plan{}, nil, "", "start the daemon: install -d -o seal /run/postseal && setpriv --reuid seal --regid seal --init-groups /bin/sh serve"},
		{"a package's unit", Service{Systemd: true}, Plan{}, map[string]string{
			"cat": "", "show --property=ExecStart": "{ path=/usr/bin/postseal ; argv[]=/usr/bin/postseal serve ; }", "show --property=Listen": "/srv/postseal.sock (Stream)",
		}, "run systemctl enable --now postseal.socket postseal.service", ""},
		{"it runs already", Service{Systemd: true}, Plan{}, map[string]string{
			"cat": "", "show --property=ExecStart": "{ argv[]=/usr/bin/postseal serve ; }", "show --property=Listen": "/srv/other.sock (Stream)", "--quiet is-enabled": "", "--quiet is-active": "",
		}, "", ""},
		{"a unit for another configuration", Service{Systemd: true}, Plan{}, map[string]string{
			"cat": "", "show --property=ExecStart": "{ argv[]=/usr/bin/postseal serve -c /srv/x.toml ; }",
		}, "", "postseal.service starts with another configuration"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.service.Program = "/bin/sh"
			m := System{Run: func(_ context.Context, argv ...string) (string, error) {
				line := strings.Join(argv[1:], " ")
				for words, text := range tt.says {
					if strings.HasPrefix(line, words) {
						return text, nil
					}
				}
				return "", errors.New("it says no")
			}}
			before := len(tt.plan.Changes)
			advice, err := tt.service.Plan(t.Context(), m, &tt.plan, site)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range tt.plan.Changes[before:] {
				got = append(got, c.Line())
			}
			if strings.Join(got, "\n") != tt.want || !strings.HasPrefix(advice, tt.advice) || tt.advice == "" && advice != "" {
				t.Errorf("%q, %q; want %q, %q", got, advice, tt.want, tt.advice)
			}
		})
	}
}
