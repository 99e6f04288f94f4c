package opendkim

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/postseal/postseal/config"
)

// word is what could be a key of postseal.toml, or a path or address with a key
// in it.
var word = regexp.MustCompile(`[\w./@%+-]+`)

// parameterNames are the names of the keys that stand out in a sentence: others
// without "_" are words, too.
var parameterNames = sync.OnceValue(func() map[string]string {
	names := make(map[string]string)
	t := reflect.TypeFor[config.Config]()
	for i := range t.NumField() {
		key := t.Field(i).Tag.Get("toml")
		if key != "mta" && !strings.Contains(key, "_") {
			continue
		}
		if name := Parameter(key); name != "" {
			names[key] = name
		}
	}
	return names
})

// Words is text, written for readers of a postseal.toml, with OpenDKIM's names
// of the settings that it speaks of.
func Words(text string) string {
	names := parameterNames()
	return word.ReplaceAllStringFunc(text, func(w string) string {
		key := strings.TrimRight(w, ".")
		if name, ok := names[key]; ok {
			return name + w[len(key):]
		}
		return w
	})
}

// In is an error about what an opendkim.conf names, met by those who know nothing
// of the form: each of its lines gets the file and OpenDKIM's names. An *Error
// has them and stays as it is.
func In(file string, err error) error {
	if conf := (*Error)(nil); errors.As(err, &conf) {
		return err
	}
	lines := strings.Split(Words(err.Error()), "\n")
	for i := range lines {
		lines[i] = file + ": " + lines[i]
	}
	return errors.New(strings.Join(lines, "\n"))
}

// SystemText is what strerror(3) says of a system's error, or the error's text.
func SystemText(err error) string {
	var code syscall.Errno
	if !errors.As(err, &code) {
		return err.Error()
	}
	text := code.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
