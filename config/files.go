package config

import (
	"maps"
	"reflect"
	"slices"

	"github.com/postseal/postseal/config/dataset"
)

// SetSources says which files the configuration was read from: the
// configuration file, and what it includes. The paths are absolute.
func (c *Config) SetSources(paths ...string) { c.sources = slices.Clone(paths) }

// Sources are the files that SetSources was given.
func (c *Config) Sources() []string { return slices.Clone(c.sources) }

// Variables are the variables of the environment that settings come from, by name.
func (c *Config) Variables() []string { return slices.Sorted(maps.Values(c.origin.variables)) }

// Files lists every file that the configuration is made of or names, each once
// and by its absolute path, whether it is there or not: its own file and those
// that it includes, tables, lists and KeyFile. The key files that a key table names
// are not among them.
func (c *Config) Files() []string {
	files := slices.Clone(c.sources)
	add := func(path string) {
		if path != "" && !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		if spec, ok := v.Field(i).Interface().(dataset.Spec); ok {
			add(spec.File(c.BaseDirectory))
		}
	}
	for _, path := range []string{c.KeyFile, c.TestPublicKeys, c.ReplaceRules} {
		add(c.Path(path))
	}
	return files
}
