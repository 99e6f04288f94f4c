package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/spf13/cobra"
)

const (
	// configPath is where the daemon looks for its configuration by default.
	configPath = "/etc/postseal/postseal.toml"
	// openDKIMPath is where OpenDKIM does.
	openDKIMPath = "/etc/opendkim.conf"
)

// addConfig adds -c.
func addConfig(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", configPath, "configuration `file`, a postseal.toml or an opendkim.conf")
}

// environment is what the environment says of the configuration.
func environment() config.Environment { return config.NewEnvironment(os.Environ()) }

// loadConfig reads the configuration in either form, with what the environment says
// of it; where nobody has named a file and the usual one is not there, the
// environment alone. Its error has the exit code for it.
func loadConfig(cmd *cobra.Command, path string) (*config.Config, error) {
	env := environment()
	cfg, err := opendkim.LoadConfig(path, env)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !exists(path) && !cmd.Flags().Changed("config") && len(env.Settings()) > 0:
		cfg, err = env.Alone()
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w; %s", err, noConfig(path, exists))
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w; run this as root or as the daemon's user", err)
	}
	if err != nil {
		return nil, exitError{exitConfig, err}
	}
	return cfg, nil
}

// noConfig says what to do where there is no configuration at path.
func noConfig(path string, exists func(path string) bool) string {
	const example = "make it (postseal setup DOMAIN does), "
	switch {
	case path == configPath && exists(openDKIMPath):
		return fmt.Sprintf("OpenDKIM's is there: -c %s reads it as it is, and postseal import %s makes a postseal.toml of it", openDKIMPath, openDKIMPath)
	case path == configPath:
		return example + "set POSTSEAL_DOMAIN and so on in the environment (postseal serve --help), or name another file with -c"
	}
	return example + "or name another file with -c"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// dnsFlags say where DNS records come from.
type dnsFlags struct {
	nameservers []string
	records     string
}

func (f *dnsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.nameservers, "nameserver", nil, "ask this name server, `ADDRESS[:PORT]` (default: those of /etc/resolv.conf)")
	cmd.Flags().StringVar(&f.records, "records", "", "answer from this `file` in place of DNS: lines of a name and a TXT value, or of a name, a type (A, AAAA, MX, NS, PTR, CNAME, TXT) and its data")
}

// set reports whether a flag was given.
func (f *dnsFlags) set() bool { return f.records != "" || len(f.nameservers) > 0 }

// resolver makes what the flags say: the records of a file, or a client.
func (f *dnsFlags) resolver(timeout time.Duration) (resolver.Asker, error) {
	if f.records == "" {
		return resolver.New(resolver.Options{Nameservers: f.nameservers, Timeout: timeout})
	}
	text, err := os.ReadFile(f.records)
	if err != nil {
		return nil, exitError{exitNoInput, fmt.Errorf("--records: %w", err)}
	}
	records, err := resolver.ParseRecords(bytes.NewReader(text))
	if err != nil {
		return nil, exitError{exitConfig, fmt.Errorf("--records: %s: %w", f.records, err)}
	}
	return records, nil
}

// addJSON adds --json.
func addJSON(cmd *cobra.Command, on *bool) {
	cmd.Flags().BoolVar(on, "json", false, "print JSON")
}

// printJSON prints v, indented, on standard output. Text from mail cannot steer
// a terminal with it: what is not printable is escaped.
func printJSON(cmd *cobra.Command, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := cmd.OutOrStdout().Write(escapeControls(b.Bytes()))
	return err
}

// escapeControls escapes in JSON what encoding/json leaves alone: DEL, the
// controls of U+0080 to U+009F, and characters such as those that turn the
// direction of text.
func escapeControls(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, c := range string(text) {
		switch {
		case c == '\n' || unicode.IsPrint(c):
			out = utf8.AppendRune(out, c)
		case c > 0xffff:
			hi, lo := utf16.EncodeRune(c)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
	}
	return out
}
