package opendkim

import "slices"

// toolParameters are what [LoadForTool] gives a meaning in Config.
var toolParameters = []string{"Nameservers", "DNSConnect", "TestDNSData", "TestPublicKeys"}

// LoadForTool reads an opendkim.conf as OpenDKIM's tools do, which take a few
// parameters from it: its lines must be well formed, but what a daemon needs
// beside may be missing or wrong. Of Config only BaseDirectory and what says whom
// to ask for keys are the file's; Get knows all of it. The error is an *Error.
func LoadForTool(path string) (*File, error) {
	r := newReading(path, Options{CheckOnly: true})
	r.read(path, "", 0)
	r.baseDirectory()
	for _, s := range r.effective() {
		if slices.Contains(toolParameters, s.name) {
			r.apply(s)
		}
	}
	if err := asError(r.problems, r.exits); err != nil {
		return nil, err
	}
	return &File{Config: r.config, Process: r.process, values: r.values(), last: r.last}, nil
}
