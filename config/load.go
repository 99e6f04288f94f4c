package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
)

const (
	// MaxFile bounds the configuration file, in bytes.
	MaxFile = 1 << 20
	// DefaultRuntimeDirectory is used where neither the file nor systemd name one.
	DefaultRuntimeDirectory = "/run/postseal"
)

// Load reads a configuration file and checks it. The error is Problems with
// everything that is wrong, or says why the file cannot be read.
//
// BaseDirectory is made absolute, starting at the folder of the file, and
// RuntimeDirectory is filled in as its comment says.
func Load(path string) (*Config, error) { return Environment{}.Load(path) }

// finish makes the paths absolute that a folder is needed for.
func (c *Config) finish(folder string) {
	if !filepath.IsAbs(c.BaseDirectory) {
		c.BaseDirectory = filepath.Join(folder, c.BaseDirectory)
	}
	if c.RuntimeDirectory == "" {
		c.RuntimeDirectory = RuntimeDirectory()
	}
}

// RuntimeDirectory is the runtime directory where the configuration names none:
// the one that systemd gives, else DefaultRuntimeDirectory.
func RuntimeDirectory() string {
	// systemd separates several folders by colons (systemd.exec(5)).
	if dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	return DefaultRuntimeDirectory
}

// FindRuntimeDirectory is the runtime directory of a configuration file, also
// while the file has other problems: the daemon that was started with it still
// runs. The error says why the file cannot be read.
func FindRuntimeDirectory(path string) (string, error) {
	return Environment{}.FindRuntimeDirectory(path)
}

// FindRuntimeDirectory is [FindRuntimeDirectory] with the variables over the file.
func (e Environment) FindRuntimeDirectory(path string) (string, error) {
	data, err := readFile(path)
	if err != nil {
		return "", err
	}
	var document map[string]any
	if _, err := toml.Decode(string(data), &document); err != nil {
		return "", origin{file: path}.problems([]finding{syntaxError(err)})
	}
	if dir, ok := document["runtime_directory"].(string); ok && dir != "" && e.values[variableOf("runtime_directory")] == "" {
		return dir, nil
	}
	return e.RuntimeDirectory(), nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("configuration: %s is larger than %d bytes; is it the right file?", path, MaxFile)
	}
	return data, nil
}

// Parse reads the TOML form on top of the defaults and validates the result;
// name stands for the file in Problems. It opens nothing.
func Parse(data []byte, name string) (*Config, error) { return Environment{}.parse(data, name) }

// parse is Parse with the variables over the document.
func (e Environment) parse(data []byte, name string) (*Config, error) {
	c := Default()
	c.origin.file = name
	var document map[string]any
	if _, err := toml.Decode(string(data), &document); err != nil {
		return nil, c.origin.problems([]finding{syntaxError(err)})
	}
	if document == nil {
		document = make(map[string]any)
	}
	c.origin.lines, c.origin.bad = findLines(string(data)), make(map[string]bool)
	d := decoder{origin: c.origin}
	d.over(e, c, document)
	d.document(c, document)
	c.origin = d.origin
	found := append(d.found, c.check()...)
	if err := c.origin.problems(found).Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// syntaxError takes the library's line out of its text.
func syntaxError(err error) finding {
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		return finding{text: err.Error()}
	}
	f := finding{line: parse.Position.Line, text: parse.Message}
	if parse.LastKey != "" {
		f.text += fmt.Sprintf(" (last key %q)", parse.LastKey)
	}
	return f
}

// Path resolves a path of the configuration against BaseDirectory. An empty
// path stays empty.
func (c *Config) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.BaseDirectory, p)
}
