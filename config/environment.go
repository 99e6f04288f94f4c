package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"github.com/postseal/postseal/config/dataset"
)

// variablePrefix is how the variables begin that are ours.
const variablePrefix = "POSTSEAL_"

// defaultFolder is where relative paths start where there is no file, if it is
// there.
const defaultFolder = "/etc/postseal"

// Environment are the variables of an environment that are ours: POSTSEAL_ and
// the key of a setting in capitals, such as POSTSEAL_KEY_FILE, sets it, over what
// the file says. A value is what stands between the quotes in TOML; a list has its
// elements divided by commas. A variable without a value is none. [[listener]] has
// no variable. The zero Environment has none at all.
type Environment struct{ values map[string]string }

// NewEnvironment picks ours from the variables of a process, as os.Environ has
// them.
func NewEnvironment(environ []string) Environment {
	e := Environment{values: make(map[string]string)}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, variablePrefix) && value != "" && !isForOthers(name) {
			e.values[name] = value
		}
	}
	return e
}

// serviceLink is what Kubernetes tells every container of a service called
// postseal, or postseal-NAME.
var serviceLink = regexp.MustCompile(`^POSTSEAL(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// isForOthers knows variables that are no settings: those of Kubernetes, that of
// the daemon's own processes, and that of its tests.
func isForOthers(name string) bool {
	return name == "POSTSEAL_PROCESS" || name == "POSTSEAL_REQUIRE_PEERS" || serviceLink.MatchString(name)
}

// Settings are the variables that set something or are meant to: those of
// settings, and those whose name is nearly that of one.
func (e Environment) Settings() []string {
	known := fieldsOf(new(Config)).keys
	return slices.DeleteFunc(e.names(), func(name string) bool { return Nearest(keyOf(name), known) == "" })
}

func (e Environment) names() []string { return slices.Sorted(maps.Keys(e.values)) }

// keyOf is the key of the setting that a variable is or may be meant for.
func keyOf(name string) string { return strings.ToLower(strings.TrimPrefix(name, variablePrefix)) }

func variableOf(key string) string { return variablePrefix + strings.ToUpper(key) }

// Load is [Load] with the variables over the file.
func (e Environment) Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	c, err := e.parse(data, path)
	if err != nil {
		return nil, err
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c.SetSources(filepath.Join(folder, filepath.Base(path)))
	c.finish(folder)
	return c, nil
}

// Alone is the configuration that the variables are without a file. Relative paths
// start at /etc/postseal, or at / where there is no such folder.
func (e Environment) Alone() (*Config, error) {
	c, err := e.parse(nil, "")
	if err != nil {
		return nil, err
	}
	folder := defaultFolder
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		folder = "/"
	}
	c.finish(folder)
	return c, nil
}

// RuntimeDirectory is the runtime directory where no file names one.
func (e Environment) RuntimeDirectory() string {
	if dir := e.values[variableOf("runtime_directory")]; dir != "" {
		return dir
	}
	return RuntimeDirectory()
}

// over puts the variables into a document, in place of what the file says. What
// no setting is meant by is a notice of c.
func (d *decoder) over(e Environment, c *Config, document map[string]any) {
	fields := fieldsOf(c)
	d.variables = make(map[string]string)
	for _, name := range e.names() {
		key := keyOf(name)
		field, ok := fields.byKey[key]
		ok = ok && name == variableOf(key)
		switch near := Nearest(key, fields.keys); {
		case !ok && near == "":
			c.Notices = append(c.Notices, Problem{Where: name, Text: "no setting is called so; the variable has no effect"})
			continue
		case !ok:
			d.found = append(d.found, finding{place: name, text: "no setting is called so; did you mean " + variableOf(near) + "?"})
			continue
		}
		d.variables[key] = name
		value, err := fromText(key, field, e.values[name])
		if err != nil {
			delete(document, key)
			d.fail(key, "%v", err)
			continue
		}
		document[key] = value
	}
}

// fromText makes of a variable what TOML would have for the field of that key.
func fromText(key string, field reflect.Value, text string) (any, error) {
	switch {
	case key == "listener":
		return nil, errors.New("the sockets with a mode of their own stand in a file, as [[listener]]")
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return nil, errors.New("the value is more than a line of text") // it may be a private key
	case holdsPrivateKey(key, text):
		return nil, errors.New("a private key does not belong into the environment, which is shown to others; put it into a file, and write its path, from / or ./ on")
	}
	switch field.Addr().Interface().(type) {
	case *Strings:
		list := []any{}
		for item := range strings.SplitSeq(text, ",") {
			list = append(list, strings.TrimSpace(item))
		}
		return list, nil
	case *slog.Level, *dataset.Spec, toml.Unmarshaler, encoding.TextUnmarshaler:
		return text, nil
	}
	switch {
	case field.Kind() == reflect.Bool:
		switch strings.ToLower(text) {
		case "true", "yes", "1":
			return true, nil
		case "false", "no", "0":
			return false, nil
		}
		return nil, fmt.Errorf("want true or false, found %q", text)
	case field.CanInt():
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("want a whole number, found %q", text)
		}
		return n, nil
	}
	return text, nil
}

// holdsPrivateKey reports whether a value has a private key in it, or in the place
// of its path.
func holdsPrivateKey(key, text string) bool {
	switch key {
	case "key_file":
		const shortest = 60 // PKCS #8 in base64 has 64 characters for Ed25519, and more for RSA
		return len(text) > shortest && (strings.HasPrefix(text, "MII") || strings.HasPrefix(text, "MC4C"))
	case "key_table":
		for _, element := range dataset.Text(text).Elements() {
			parts := strings.SplitN(element, ":", 3)
			path := strings.TrimSpace(parts[len(parts)-1])
			if len(parts) == 3 && !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "./") && !strings.HasPrefix(path, "../") {
				return true
			}
		}
	}
	return false
}
