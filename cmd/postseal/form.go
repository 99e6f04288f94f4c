package main

import (
	"reflect"
	"regexp"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/opendkim"
)

// form says how a configuration is written: what it calls a setting whose key
// in postseal.toml is known. The zero form is that of postseal.toml.
type form struct{ names map[string]string }

// formOf looks at a file; one that cannot be read is a postseal.toml.
func formOf(path string) form {
	data, err := dataset.ReadFile(path, config.MaxFile)
	if err != nil || !opendkim.Is(data) {
		return form{}
	}
	f := form{names: make(map[string]string)}
	t := reflect.TypeFor[config.Config]()
	for i := range t.NumField() {
		key := t.Field(i).Tag.Get("toml")
		// Other keys without "_" are words that stand in sentences, too.
		if key == "mta" || strings.Contains(key, "_") {
			if name := opendkim.Parameter(key); name != "" {
				f.names[key] = name
			}
		}
	}
	return f
}

// word is what could be a key, or a path or address with a key in it.
var word = regexp.MustCompile(`[\w./@%+-]+`)

// words is text with the settings that it speaks of under the form's names.
func (f form) words(text string) string {
	if f.names == nil {
		return text
	}
	return word.ReplaceAllStringFunc(text, func(w string) string {
		key := strings.TrimRight(w, ".")
		if name, ok := f.names[key]; ok {
			return name + w[len(key):]
		}
		return w
	})
}

// errorIn is an error that speaks as the form does.
type errorIn struct {
	error
	form form
}

func (e errorIn) Error() string { return e.form.words(e.error.Error()) }

func (e errorIn) Unwrap() error { return e.error }
