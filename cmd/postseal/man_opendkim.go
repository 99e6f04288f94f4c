package main

import (
	"strings"

	"github.com/postseal/postseal/cmd/postseal/opendkim"
	"github.com/postseal/postseal/cmd/postseal/roff"
)

// openDKIM are the pages of the commands under OpenDKIM's names.
func (m manual) openDKIM() map[string]string {
	pages := make(map[string]string)
	for _, name := range opendkim.Names() {
		pages["man8/"+name+".8"] = m.called(name)
	}
	return pages
}

// aboutNames is what the pages of all these names say.
const aboutNames = `This is postseal. Called by the name of OpenDKIM's command it takes that command's
flags, prints its formats and ends with its exit codes.

  postseal check-config -c /etc/opendkim.conf

tells what is wrong in a configuration and what means less here than to OpenDKIM, and

  postseal explain user@example.com -c /etc/opendkim.conf

why mail is signed or is not.`

// called is the page of the program under another name.
func (m manual) called(name string) string {
	synopsis, flags := opendkim.Usage(name)
	p := roff.New(m.head(name, 8))
	p.Section("NAME")
	p.Text(name + " - postseal under the name of OpenDKIM's command")
	p.Section("SYNOPSIS")
	p.Line(roff.Bold(name) + roff.Plain(strings.TrimPrefix(synopsis, name)))
	p.Section("DESCRIPTION")
	p.Text(aboutNames)
	p.Section("OPTIONS")
	p.Text(strings.ReplaceAll(flags, "\t", "  "))
	p.Section("FILES")
	p.Item([]roff.Term{roff.Italic(openDKIMPath)}, "the configuration, which postseal import makes a postseal.toml of")
	p.Section("SEE ALSO")
	p.Line(reference("postseal", 1) + roff.Plain(", ") + reference("postseal-check-config", 1) + roff.Plain(", ") + reference("postseal-import", 1))
	return p.String()
}
