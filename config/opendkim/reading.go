package opendkim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
)

// reading is the work on one opendkim.conf.
type reading struct {
	options Options
	path    string

	names     names
	spellings []string
	includes  int
	sources   []string // the files that were read

	settings []setting          // in the order in which they count
	last     map[string]setting // the one that counts, by names in small letters
	suspect  map[string]bool    // names that a wrong line has or may have meant

	config   *config.Config
	process  Process
	problems config.Problems
	exits    []int // one for each problem
	notices  config.Problems
}

func newReading(path string, o Options) *reading {
	r := &reading{
		options: o, path: path, names: newNames(),
		last: make(map[string]setting), suspect: make(map[string]bool),
		config: defaults(), process: Process{Background: true},
	}
	r.spellings = r.names.spellings()
	return r
}

// defaults is what an empty opendkim.conf means.
func defaults() *config.Config {
	c := config.Default()
	c.Socket = nil
	c.CheckSigningTable, c.WatchFiles, c.Sandbox = false, false, false
	c.Canonicalization = "simple/simple"
	c.SignHeaders, c.OmitHeaders = dataset.List(signedFields()...), dataset.List(omittedFields()...)
	c.OversignHeaders = dataset.List()
	c.RemoveARAll = false
	c.MaximumSignaturesToVerify = 3
	c.MaximumHeaders = 65536
	c.BodyLength = "accept"
	c.LogLines = "both"
	c.Nameless = "unknown-host"
	c.SyslogName = "opendkim"
	return c
}

// add notes a setting.
func (r *reading) add(s setting) {
	r.settings = append(r.settings, s)
	r.last[strings.ToLower(s.name)] = s
}

// setting is the line that counts for a name.
func (r *reading) setting(name string) (setting, bool) {
	s, ok := r.last[strings.ToLower(name)]
	return s, ok
}

// given reports whether a name is set or perhaps meant by a wrong line.
func (r *reading) given(name string) bool {
	_, ok := r.setting(name)
	return ok || r.suspect[strings.ToLower(name)]
}

// fail notes a problem in OpenDKIM's words with what to do behind them.
func (r *reading) fail(exit int, where, text, hint string) {
	if hint != "" {
		text += " (" + hint + ")"
	}
	p := config.Problem{Where: where, Text: text}
	if slices.Contains(r.problems, p) {
		return // of a file that is included twice
	}
	r.problems = append(r.problems, p)
	r.exits = append(r.exits, exit)
}

// errorAt notes a problem with a line.
func (r *reading) errorAt(here place, text, hint string) {
	r.fail(ExitConfig, here.file, fmt.Sprintf("configuration error at line %d: %s", here.line, text), hint)
}

// refuse notes a problem with a setting for which OpenDKIM has words of its own.
func (r *reading) refuse(s setting, text, hint string) {
	about := s.name + " at " + s.place.String()
	if hint != "" {
		about += ": " + hint
	}
	r.fail(ExitConfig, r.path, text, about)
}

// atStart notes what OpenDKIM finds only when it starts; it does not name the
// file then.
func (r *reading) atStart(exit int, s setting, text, hint string) {
	if r.options.CheckOnly {
		r.notice(s, "a start would end with %q: %s", text, hint)
		return
	}
	r.fail(exit, "", text, fmt.Sprintf("%s at %s: %s", s.name, s.place, hint))
}

// notice says what a setting means here, where that is less than in OpenDKIM.
func (r *reading) notice(s setting, format string, args ...any) {
	r.notices = append(r.notices, config.Problem{Where: s.place.String(), Text: s.name + ": " + fmt.Sprintf(format, args...)})
}

// file makes the Config of what was read.
func (r *reading) file() (*File, error) {
	values := r.values()
	r.override()
	r.baseDirectory()
	for _, s := range r.effective() {
		r.apply(s)
	}
	r.actions()
	r.keySources()
	r.signingRows()
	r.socket()
	c := r.config
	if _, ok := r.setting("UMask"); !ok {
		c.SocketMode = modeOf(r.umask())
	}
	c.RuntimeDirectory = runtimeDirectory(c)
	c.SetSources(r.sources...)
	r.origin()
	if len(r.problems) == 0 {
		r.validate()
	}
	if err := asError(r.problems, r.exits); err != nil {
		return nil, err
	}
	c.Notices = r.notices
	return &File{Config: c, Process: r.process, values: values, last: r.last}, nil
}

// values are the values as they stand in the file, by names in small letters.
func (r *reading) values() map[string][]string {
	values := make(map[string][]string)
	for _, s := range r.settings {
		name := strings.ToLower(s.name)
		values[name] = append(values[name], s.printed())
	}
	return values
}

// override adds the command line's settings.
func (r *reading) override() {
	for _, o := range r.options.Overrides {
		here := place{file: "command line"}
		p, ok := r.names[strings.ToLower(o.Name)]
		if !ok {
			r.fail(ExitConfig, "", "unrecognized parameter", fmt.Sprintf("%q on the command line", o.Name))
			continue
		}
		value := strings.Trim(o.Value, blanks)
		if value == "" {
			r.fail(ExitConfig, "", "required value missing", p.name+" on the command line")
			continue
		}
		s, detail := newSetting(p, value, here)
		if detail != "" {
			r.fail(ExitConfig, "", "illegal value", p.name+" on the command line: "+detail)
			continue
		}
		r.add(s)
	}
}

// effective are the settings that count, in their order.
func (r *reading) effective() []setting {
	var list []setting
	seen := make(map[string]bool)
	for _, s := range slices.Backward(r.settings) {
		if !seen[s.name] {
			seen[s.name] = true
			list = append(list, s)
		}
	}
	slices.Reverse(list)
	return list
}

// apply does what the table says.
func (r *reading) apply(s setting) {
	if s.wrapped {
		r.notice(s, "%s does not fit into 32 bits; OpenDKIM makes %d of it, and so it is %d", s.value, s.number, s.number)
	}
	if s.field != nil {
		r.put(s, s.field(r.config))
	}
	if s.use != nil {
		s.use(r, s)
	}
	switch {
	case s.class == refuse && s.isIdle(s):
		r.notice(s, "it was %s; switched off it asks for nothing: remove the line", s.note)
	case s.class == refuse:
		r.errorAt(s.place, "unrecognized parameter", fmt.Sprintf("%s was %s; %s", s.name, s.note, s.instead))
	case s.note != "" && !s.isIdle(s):
		r.notice(s, "%s", s.note)
	}
}

// put sets a field to a value as it stands.
func (r *reading) put(s setting, field any) {
	switch field := field.(type) {
	case *bool:
		*field = s.yes
	case *string:
		*field = s.value
	case *dataset.Spec:
		if r.openable(s) {
			*field = r.dataSet(s)
		}
	}
}

// baseDirectory is where relative paths start; OpenDKIM goes there first.
func (r *reading) baseDirectory() {
	here, err := os.Getwd()
	if err != nil {
		r.fail(ExitConfig, r.path, ".: chdir(): "+SystemText(err), "the working directory")
	}
	r.config.BaseDirectory = here
	s, ok := r.setting("BaseDirectory")
	if !ok {
		return
	}
	dir := s.value
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(here, dir)
	}
	// With a slash at its end only a folder is found.
	if _, err := os.Stat(dir + "/"); err != nil {
		r.refuse(s, s.value+": chdir(): "+SystemText(err), "make the folder, or name another")
		return
	}
	r.config.BaseDirectory = dir
}

// origin makes the Config's own checks speak of parameters and lines.
func (r *reading) origin() {
	o := config.Origin{File: r.path, Names: r.spellings, Places: make(map[string]string)}
	for _, s := range r.last {
		o.Places[s.name] = s.place.String()
	}
	r.config.SetOrigin(o)
}

// validate adds what the Config's own checks find.
func (r *reading) validate() {
	for _, p := range r.config.Validate() {
		name, text, _ := strings.Cut(p.Text, ": ")
		s, ok := r.setting(name)
		if !ok {
			r.fail(ExitConfig, r.path, p.Text, "")
			continue
		}
		if s.place.line == 0 {
			r.fail(ExitConfig, "", "illegal value", s.name+" on the "+s.place.file+": "+text)
			continue
		}
		r.errorAt(s.place, "illegal value", s.name+": "+text)
	}
}
