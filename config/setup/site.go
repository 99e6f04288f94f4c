package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/deploy"
)

// Site is the configuration that domains are added to.
type Site struct {
	// Path is the configuration file, absolute, and Config what it says or, where it
	// is New, what it will say.
	Path   string
	Config *config.Config
	New    bool
	// OpenDKIM: the file is an opendkim.conf.
	OpenDKIM bool
	// Hosts are this machine's own addresses beside 127.0.0.1 and ::1, whose mail a new
	// configuration has signed, too.
	Hosts []netip.Addr
	// Owner is the daemon's user, with their group; zero where this process makes
	// files for itself.
	Owner Owner
}

// Names of the files beside a new postseal.toml.
const (
	keyTableFile     = "key.table"
	signingTableFile = "signing.table"
	hostsFile        = "trusted.hosts"
)

// Their texts.
const (
	keyTableText = `# Which keys there are: name, and domain:selector:file. "postseal setup" and
# "postseal genkey --add" add rows here and in signing.table.
`
	signingTableText = `# Whose mail is signed with which keys of key.table: every pattern that the author's
# address matches counts.
`
	hostsText = `# Clients whose mail is signed: addresses, networks, host names, .domain; "!"
# excepts one. Those who log in need not be listed.
127.0.0.1
::1
`
	ownHostsText = `# This machine's own addresses, which Postfix relays for (mynetworks); take out those
# that it has no more.
`
)

// hosts is the text of the list of hosts.
func (s *Site) hosts() []byte {
	text := hostsText
	for i, a := range s.Hosts {
		if i == 0 {
			text += ownHostsText
		}
		text += a.String() + "\n"
	}
	return []byte(text)
}

// NewSite is the configuration that a set-up makes at path, in a folder of its own,
// with a socket as [config.ParseSocket] takes it.
func NewSite(path, socket string, owner Owner) (*Site, error) {
	text, err := example(filepath.Dir(path), socket)
	if err != nil {
		return nil, err
	}
	cfg, err := config.Parse(text, path)
	if err != nil {
		return nil, err
	}
	cfg.BaseDirectory = filepath.Dir(path)
	return &Site{Path: path, Config: cfg, New: true, Owner: owner}, nil
}

// example is the example with the files of dir, a socket, and two signatures a mail.
func example(dir, socket string) ([]byte, error) {
	text := []byte(deploy.Example)
	for _, s := range []struct{ name, value string }{
		{"socket", strconv.Quote(socket)},
		{"key_table", strconv.Quote("file:" + filepath.Join(dir, keyTableFile))},
		{"signing_table", strconv.Quote("refile:" + filepath.Join(dir, signingTableFile))},
		{"internal_hosts", strconv.Quote(filepath.Join(dir, hostsFile))},
		{"multiple_signatures", "true"},
	} {
		at := regexp.MustCompile(`(?m)^#?` + s.name + ` = .*$`).FindIndex(text)
		if at == nil {
			return nil, fmt.Errorf("the example has no %s", s.name)
		}
		text = bytes.Join([][]byte{text[:at[0]], []byte(s.name + " = " + s.value), text[at[1]:]}, nil)
	}
	return text, nil
}

// AddFiles plans the files of a new configuration. A file that is there is used as it
// is.
func (p *Plan) AddFiles(s *Site) error {
	dir := filepath.Dir(s.Path)
	p.folder(dir, 0o755, Owner{})
	text, err := example(dir, string(s.Config.Socket[0]))
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{
		{keyTableFile, []byte(keyTableText)}, {signingTableFile, []byte(signingTableText)}, {hostsFile, s.hosts()},
		{filepath.Base(s.Path), text},
	} {
		path := filepath.Join(dir, f.name)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			p.Add(&File{Path: path, New: true, Mode: 0o644, After: f.text})
		} else if err != nil {
			return err
		}
	}
	return nil
}

// folder plans a folder and those above it, unless they are there or planned.
func (p *Plan) folder(path string, mode fs.FileMode, owner Owner) {
	if p.folders[path] {
		return
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return // what is wrong with it, making something in it will tell
	}
	p.folder(filepath.Dir(path), 0o755, Owner{})
	if p.folders == nil {
		p.folders = make(map[string]bool)
	}
	p.folders[path] = true
	p.Add(&Folder{Path: path, Mode: mode, Owner: owner})
}

// tables are the files of the two tables.
func (s *Site) tables() (key, signing string, err error) {
	c := s.Config
	if !c.KeyTable.IsSet() || !c.SigningTable.IsSet() {
		if c.Domain.IsSet() {
			return "", "", fmt.Errorf("%s signs with key_file alone, and has no tables that a domain can be added to", s.Path)
		}
		return "", "", fmt.Errorf("%s: it has no key_table and signing_table", s.Path)
	}
	if key = c.KeyTable.File(c.BaseDirectory); key == "" {
		return "", "", fmt.Errorf("%s: key_table is no file that a row can be added to; it is %q", s.Path, brief(c.KeyTable))
	}
	if signing = c.SigningTable.File(c.BaseDirectory); signing == "" {
		return "", "", fmt.Errorf("%s: signing_table is no file that a row can be added to; it is %q", s.Path, brief(c.SigningTable))
	}
	return key, signing, nil
}

// brief is a value of the configuration without what may be a password.
func brief(spec dataset.Spec) string {
	text := spec.String()
	if kind, _, ok := strings.Cut(text, ":"); ok && kind != "csl" {
		return kind + ":…"
	}
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return text
}

// multipleName is the setting that two signatures a mail take, in the form of the file.
func (s *Site) multipleName() string {
	if s.OpenDKIM {
		return "MultipleSignatures yes"
	}
	return "multiple_signatures = true"
}

// decided reports whether the file says itself whether there are several signatures.
func (s *Site) decided(text []byte) bool {
	if s.OpenDKIM {
		f, err := opendkim.Load(s.Path, opendkim.Options{CheckOnly: true})
		if err != nil {
			return true
		}
		_, set, _ := f.Get("MultipleSignatures")
		return set
	}
	var document map[string]any
	if _, err := toml.Decode(string(text), &document); err != nil {
		return true
	}
	_, set := document["multiple_signatures"]
	return set
}

// switchOn is the change to the configuration file that gives a mail every signature
// that it can have; nil where only a person can do it.
func (s *Site) switchOn() (*File, error) {
	path, err := filepath.EvalSymlinks(s.Path)
	if err != nil {
		return nil, err
	}
	text, err := dataset.ReadFile(path, config.MaxFile)
	if err != nil || s.decided(text) {
		return nil, err
	}
	line := s.multipleName()
	after := insert(text, line, s.OpenDKIM)
	if c, err := config.Parse(after, s.Path); !s.OpenDKIM && (err != nil || !c.MultipleSignatures) {
		return nil, nil // it is written in a way that only a person can add to
	}
	return &File{Path: path, Before: text, After: after, Added: []string{line}}, nil
}

// inactive is the setting as the example has it.
var inactive = regexp.MustCompile(`(?m)^#multiple_signatures = .*\n`)

// insert puts a setting into a configuration file: behind the comment that has it, else
// where the top level of TOML ends, else at the end.
func insert(text []byte, line string, openDKIM bool) []byte {
	at, end := len(text), "\n"
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		end = "\r\n"
	}
	if !openDKIM {
		at = config.TopLevelEnd(string(text))
		if c := inactive.FindIndex(text[:at]); c != nil {
			at = c[1]
		}
	}
	if at > 0 && text[at-1] != '\n' {
		line = end + line
	}
	return bytes.Join([][]byte{text[:at], text[at:]}, []byte(line+end))
}
