package config

import (
	"encoding"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/postseal/postseal/config/dataset"
)

// decoder sets the fields of a Config from a TOML document. Unlike the
// library's, it goes on after a mistake, so that all are told at once.
type decoder struct {
	origin
	found []finding
}

// fail notes what is wrong with the value of a key.
func (d *decoder) fail(key, format string, args ...any) {
	d.found = append(d.found, d.finding(key, fmt.Sprintf(format, args...)))
	d.bad[key] = true
}

// failAt notes what is wrong in the place of a key.
func (d *decoder) failAt(key, format string, args ...any) {
	d.found = append(d.found, finding{line: d.lines.at(key), text: fmt.Sprintf(format, args...)})
	d.bad[key] = true
}

// document decodes the whole file.
func (d *decoder) document(c *Config, document map[string]any) {
	fields := fieldsOf(c)
	for _, key := range sortedKeys(document) {
		value := document[key]
		switch field, ok := fields.byKey[key]; {
		case key == "listener":
			c.Listener = d.listeners(value)
		case !ok:
			d.failAt(key, "%s", unknownKey(key, fields.keys))
		default:
			if err := set(field, value); err != nil {
				d.fail(key, "%v", err)
			}
		}
	}
	if _, ok := document["on_default"]; ok && !d.bad["on_default"] {
		for key, field := range fields.byKey {
			if action, ok := field.Addr().Interface().(*Action); ok && document[key] == nil {
				*action = c.OnDefault
			}
		}
	}
}

// listeners decodes [[listener]] tables, or an array of inline tables.
func (d *decoder) listeners(value any) []Listener {
	var tables []map[string]any
	switch value := value.(type) {
	case []map[string]any:
		tables = value
	case []any:
		for _, v := range value {
			table, ok := v.(map[string]any)
			if !ok {
				d.failAt("listener", "listener: an element is %s; want a table with socket and mode", kindOf(v))
				return nil
			}
			tables = append(tables, table)
		}
	default:
		d.failAt("listener", "listener: want a table that begins with [[listener]], found %s", kindOf(value))
		return nil
	}
	list := make([]Listener, len(tables))
	for i, table := range tables {
		d.listener(&list[i], fmt.Sprintf("listener.%d.", i), table)
	}
	return list
}

func (d *decoder) listener(l *Listener, prefix string, table map[string]any) {
	fields := fieldsOf(l)
	top := fieldsOf(Default())
	for _, key := range sortedKeys(table) {
		field, ok := fields.byKey[key]
		_, belongsAbove := top.byKey[key]
		switch {
		case !ok && belongsAbove:
			d.failAt(prefix+key, "%s is no key of a [[listener]]; move it above the first [[listener]]", key)
		case !ok:
			d.failAt(prefix+key, "listener: %s", unknownKey(key, fields.keys))
		default:
			if err := set(field, table[key]); err != nil {
				d.failAt(prefix+key, "listener: %s: %v", key, err)
			}
		}
	}
	if _, ok := table["socket"]; !ok {
		d.failAt(prefix+"socket", "listener: it has no socket; add one, such as socket = \"inet:8892@localhost\"")
	}
}

func unknownKey(key string, known []string) string {
	text := fmt.Sprintf("unknown key %q", key)
	if near := Nearest(key, known); near != "" {
		text += "; did you mean " + near + "?"
	}
	return text
}

// structFields are the fields of a struct by their keys in TOML.
type structFields struct {
	byKey map[string]reflect.Value
	keys  []string // in the order of the struct
}

func fieldsOf(pointer any) structFields {
	v := reflect.ValueOf(pointer).Elem()
	f := structFields{byKey: make(map[string]reflect.Value)}
	for i := range v.NumField() {
		if key := v.Type().Field(i).Tag.Get("toml"); key != "" {
			f.byKey[key] = v.Field(i)
			f.keys = append(f.keys, key)
		}
	}
	return f
}

// set gives a field the value of a TOML key. On an error the field keeps what
// it had.
func set(field reflect.Value, value any) error {
	switch target := field.Addr().Interface().(type) {
	case *slog.Level:
		// slog's own words are for programmers, and it takes "info+2" too.
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("want a string in quotes, found %s", kindOf(value))
		}
		level, ok := levels[strings.ToLower(text)]
		if !ok {
			return fmt.Errorf("unknown level %q; want debug, info, warn or error", text)
		}
		*target = level
		return nil
	case *dataset.Spec:
		var spec dataset.Spec
		if err := spec.UnmarshalTOML(value); err != nil {
			return err
		}
		if spec.Items == nil && strings.TrimSpace(spec.Text) == "" {
			spec = dataset.Spec{} // "" is as good as nothing
		}
		*target = spec
		return nil
	case toml.Unmarshaler:
		return target.UnmarshalTOML(value)
	case encoding.TextUnmarshaler:
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("want a string in quotes, found %s", kindOf(value))
		}
		return target.UnmarshalText([]byte(text))
	}
	v := reflect.ValueOf(value)
	switch kind := field.Kind(); {
	case kind == reflect.String && v.Kind() == reflect.String:
		field.SetString(v.String())
	case kind == reflect.Bool && v.Kind() == reflect.Bool:
		field.SetBool(v.Bool())
	case field.CanInt() && v.Kind() == reflect.Int64 && !field.OverflowInt(v.Int()):
		field.SetInt(v.Int())
	case kind == reflect.String:
		return fmt.Errorf("want a string in quotes, found %s", kindOf(value))
	case kind == reflect.Bool:
		return fmt.Errorf("want true or false without quotes, found %s", kindOf(value))
	default:
		return fmt.Errorf("want a whole number without quotes, found %s", kindOf(value))
	}
	return nil
}

// levels are the values of log_level.
var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// kindOf names the type of a TOML value.
func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case int64:
		return "a number"
	case float64:
		return "a number with a fraction"
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "an array of tables"
	}
	return "a date or time"
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
