package opendkim

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/proof"
)

// toolConf is what the tools take from an opendkim.conf. The zero value is that
// of no file at all.
type toolConf struct {
	file *opendkim.File
}

// readConf reads the configuration that -x names, or the default one if it is
// there. A code other than exitOK ends the program, and the error is printed.
func readConf(c call, path string, verbose int) (conf toolConf, exit int) {
	if path == "" {
		if _, err := os.Stat(defaultConf); errors.Is(err, fs.ErrNotExist) {
			return conf, exitOK
		}
		path = defaultConf
		if verbose > 1 {
			c.say("using default configfile %s", path)
		}
	}
	file, err := opendkim.LoadForTool(path)
	if err != nil {
		c.complain(err.Error())
		return conf, exitConfig
	}
	return toolConf{file}, exitOK
}

// value is that of a parameter, empty where the file does not set it.
func (t toolConf) value(name string) string {
	if t.file == nil {
		return ""
	}
	values, _, _ := t.file.Get(name)
	last, _, _ := strings.Cut(values, "\n")
	return last
}

// config is the configuration as far as a tool has one.
func (t toolConf) config() *config.Config {
	if t.file == nil {
		return config.Default()
	}
	return t.file.Config
}

// base is where relative paths start.
func (t toolConf) base() string { return t.config().BaseDirectory }

// path is a path of the configuration.
func (t toolConf) path(path string) string { return t.config().Path(path) }

// resolver is what the configuration asks for keys: nameservers, or records of
// its own in place of DNS.
func (t toolConf) resolver() (dkim.Resolver, error) {
	quiet := slog.New(slog.DiscardHandler)
	s, err := milter.Load(t.config(), milter.Environment{Keys: keys.NewCache(0, proof.Prove, quiet), Log: quiet})
	if err != nil {
		return nil, err
	}
	return s.Resolver(), nil
}
