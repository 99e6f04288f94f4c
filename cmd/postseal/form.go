package main

import (
	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/opendkim"
)

// form says how a configuration is written. The zero form is that of
// postseal.toml.
type form struct{ opendkim bool }

// formOf looks at a file; one that cannot be read is a postseal.toml.
func formOf(path string) form {
	data, err := dataset.ReadFile(path, config.MaxFile)
	return form{opendkim: err == nil && opendkim.Is(data)}
}

// words is text with the settings that it speaks of under the form's names.
func (f form) words(text string) string {
	if f.opendkim {
		return opendkim.Words(text)
	}
	return text
}

// errorIn is an error that speaks as the form does.
type errorIn struct {
	error
	form form
}

func (e errorIn) Error() string { return e.form.words(e.error.Error()) }

func (e errorIn) Unwrap() error { return e.error }
