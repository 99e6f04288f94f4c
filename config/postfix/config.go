package postfix

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Config is the configuration of a Postfix instance as its own postconf(1) tells it,
// defaults included.
type Config struct {
	// Dir is its config_directory.
	Dir string
	// Services are those of master.cf, in its order.
	Services []Service
	// Instances are the configuration folders of further Postfix instances that this
	// one names (multi_instance_directories), each with a Config of its own.
	Instances []string

	postconf string // the program
	chosen   bool   // Dir was asked for: commands have to name it
	// Parameters as they are written, and with $names replaced.
	written, expanded map[string]string
}

// Service is an entry of master.cf.
type Service struct {
	// Name and Type are the first two columns: "smtp" and "inet".
	Name, Type string
	// Program is the daemon: "smtpd".
	Program string
	// Chroot says that its processes have queue_directory as their root folder.
	Chroot bool

	written, expanded map[string]string // its -o NAME=VALUE
}

// ErrNotConfigured says that Postfix has no main.cf or master.cf yet.
var ErrNotConfigured = errors.New("Postfix has no configuration yet; on Debian or Ubuntu: dpkg-reconfigure postfix")

// Read reads the configuration in configDir, "" for the usual one. It needs no rights
// beyond those to read it. The errors are [ErrNotInstalled], [ErrNotConfigured], or
// what postconf says of a configuration that it does not understand.
func Read(ctx context.Context, configDir string) (*Config, error) {
	program, err := find("postconf")
	if err != nil {
		return nil, ErrNotInstalled
	}
	c := &Config{Dir: configDir, postconf: program, chosen: configDir != ""}
	if c.written, err = c.parameters(ctx); err != nil {
		return nil, err
	}
	if c.expanded, err = c.parameters(ctx, "-x"); err != nil {
		return nil, err
	}
	c.Dir = c.written["config_directory"]
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	c.Instances = words(c.Value("multi_instance_directories"))
	return c, c.readServices(ctx)
}

// parameters asks for all parameters of main.cf.
func (c *Config) parameters(ctx context.Context, flags ...string) (map[string]string, error) {
	out, err := c.ask(ctx, flags...)
	if err != nil {
		return nil, err
	}
	list, err := parseParameters(out)
	if err != nil {
		return nil, err
	}
	m := make(map[string]string, len(list))
	for _, p := range list {
		m[p.name] = p.value
	}
	return m, nil
}

// ask runs postconf for this configuration and returns what it prints. Its warnings
// are dropped: they are of what is written there, and Postfix logs them.
func (c *Config) ask(ctx context.Context, args ...string) (string, error) {
	if c.chosen {
		args = append([]string{"-c", c.Dir}, args...)
	}
	cmd := exec.CommandContext(ctx, c.postconf, args...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && ctx.Err() == nil {
		return "", refusal(string(exit.Stderr))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.postconf, err)
	}
	return string(out), nil
}

// refusal is the error that postconf's last words stand for.
func refusal(stderr string) error {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := strings.TrimPrefix(lines[len(lines)-1], "postconf: ")
	if strings.HasSuffix(last, ": No such file or directory") && (strings.Contains(last, "/main.cf:") || strings.Contains(last, "/master.cf:")) {
		return fmt.Errorf("%w (%s)", ErrNotConfigured, strings.TrimPrefix(last, "fatal: "))
	}
	return fmt.Errorf("postconf does not understand Postfix's configuration, mend that first: %q", strings.TrimPrefix(last, "fatal: "))
}

// Value is a parameter of main.cf with its $names replaced, "" for one that is
// nowhere.
func (c *Config) Value(name string) string { return c.expanded[name] }

// Written is a parameter of main.cf as it is written.
func (c *Config) Written(name string) string { return c.written[name] }

// Owner is the user that smtpd(8) and cleanup(8) run as, who has to reach a milter.
func (c *Config) Owner() string { return c.Value("mail_owner") }

// Queue is the folder that is the root folder of chrooted services, and in which
// all services start.
func (c *Config) Queue() string { return c.Value("queue_directory") }
