package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/postseal/postseal/config/dataset"
)

// Validate checks the values against their ranges and against each other. It
// opens nothing: whether files are there and sockets are free shows later.
func (c *Config) Validate() Problems { return c.origin.problems(c.check()) }

// Warnings lists what is allowed and seldom meant.
func (c *Config) Warnings() Problems {
	k := checker{c: c}
	k.warn()
	return append(slices.Clone(c.Notices), c.origin.problems(k.found)...)
}

func (c *Config) check() []finding {
	k := checker{c: c}
	k.sockets()
	k.keySources()
	k.modes()
	k.words()
	k.names()
	k.numbers()
	k.durations()
	k.nameservers()
	k.verifying()
	if slices.ContainsFunc(k.c.SandboxRead, func(path string) bool { return strings.TrimSpace(path) == "" }) {
		k.add("sandbox_read", "an element is empty; want the path of a file or folder")
	}
	return k.found
}

// checker collects what is wrong with a configuration.
type checker struct {
	c     *Config
	found []finding
}

// add notes a problem with a key, unless its value, or that of one of the
// others that it was compared with, was already found to be no value at all.
func (k *checker) add(key, text string, others ...string) {
	o := k.c.origin
	if o.bad[key] || slices.ContainsFunc(others, func(other string) bool { return o.bad[other] }) {
		return
	}
	text = o.own(text)
	if strings.HasPrefix(key, "listener.") {
		k.found = append(k.found, finding{line: o.lines.at(key), text: "listener: " + text})
		return
	}
	k.found = append(k.found, o.finding(key, text))
}

// given reports whether a data set was named, be it one that turns out empty.
func given(s dataset.Spec) bool { return strings.TrimSpace(s.Text) != "" || len(s.Items) > 0 }

func (k *checker) sockets() {
	if len(k.c.Socket)+len(k.c.Listener) == 0 && !k.c.origin.foreign() {
		k.add("socket", `none is given; the MTA needs one, such as "local:/run/postseal/postseal.sock"`)
	}
	seen := make(map[string]bool)
	check := func(key, socket string) {
		network, address, err := ParseSocket(socket)
		if err != nil {
			_, text, _ := strings.Cut(err.Error(), " ") // the key says "socket" already
			k.add(key, text)
			return
		}
		if seen[network+" "+address] {
			k.add(key, fmt.Sprintf("%q is there twice; remove one", socket))
		}
		seen[network+" "+address] = true
	}
	for _, socket := range k.c.Socket {
		check("socket", socket)
	}
	for i, l := range k.c.Listener {
		check("listener."+strconv.Itoa(i)+".socket", l.Socket)
	}
	if k.c.MonitorSocket == "" {
		return
	}
	switch network, address, err := ParseSocket(k.c.MonitorAt()); {
	case err != nil:
		_, text, _ := strings.Cut(err.Error(), " ")
		k.add("monitor_socket", text)
	case seen[network+" "+address]:
		k.add("monitor_socket", fmt.Sprintf("%q is a socket for mail; choose another", k.c.MonitorSocket))
	}
}

// keySources checks that what belongs together is there together.
func (k *checker) keySources() {
	c := k.c
	switch {
	case given(c.SigningTable) && !given(c.KeyTable):
		k.add("signing_table", "needs key_table, which says where the keys that it names are", "key_table")
	case given(c.KeyTable) && !given(c.SigningTable):
		k.add("key_table", "needs signing_table, which says who signs with which key", "signing_table")
	case given(c.KeyTable):
		return // domain, selector and key_file do not count: see Warnings
	case (c.KeyFile == "") != (c.Selector == ""):
		present, missing := "key_file", "selector"
		if c.KeyFile == "" {
			present, missing = missing, present
		}
		k.add(present, fmt.Sprintf("needs %s too; set both or neither", missing), missing)
	case given(c.Domain) && c.KeyFile == "":
		k.add("domain", "needs key_file and selector", "key_file", "selector")
	case !given(c.Domain) && c.KeyFile != "":
		k.add("key_file", "needs domain, which says whose mail is signed with it", "domain")
	}
}

// modes checks that a socket that only signs has something to sign with.
func (k *checker) modes() {
	c := k.c
	canSign := given(c.SigningTable) || given(c.KeyTable) || given(c.Domain) || c.KeyFile != ""
	check := func(key string, m Mode) {
		if m.Sign && !m.Verify && !canSign && !c.origin.foreign() {
			k.add(key, `"s" only signs, and no key is named; set key_table and signing_table, or domain, selector and key_file`,
				"key_table", "signing_table", "domain", "key_file")
		}
	}
	if c.Mode == (Mode{}) {
		k.add("mode", `none is given; want "s", "v" or "sv"`)
	}
	check("mode", c.Mode)
	for i, l := range c.Listener {
		check("listener."+strconv.Itoa(i)+".mode", l.Mode)
	}
}

// warn is Warnings before the lines.
func (k *checker) warn() {
	c := k.c
	if given(c.KeyTable) {
		const idle = "has no effect beside key_table; remove it"
		if given(c.Domain) {
			k.add("domain", idle)
		}
		if c.Selector != "" {
			k.add("selector", idle)
		}
		if c.KeyFile != "" {
			k.add("key_file", idle)
		}
	}
	if c.IdleTimeout < shortestPatience {
		k.add("idle_timeout", fmt.Sprintf("%s is less than %s: an MTA is silent while its client sends the mail, and slow clients' mail would pass unsigned and unverified", c.IdleTimeout, shortestPatience))
	}
	if c.MaximumSignedBytes >= 0 {
		k.add("maximum_signed_bytes", "anyone can append to mail that is signed with l=; -1 signs the whole body")
	}
	if given(c.BodyLengthDB) {
		k.add("body_length_db", "anyone can append to mail that is signed with l=")
	}
	notPrinted := func(r rune) bool { return r <= ' ' || r > '~' }
	if name := strings.Trim(c.SenderMacro, "{}"); c.SenderMacro != "" && (name == "" || strings.ContainsFunc(name, notPrinted)) {
		k.add("sender_macro", fmt.Sprintf("%q is no name of a macro, so no MTA sets it; write one such as {mail_addr}", c.SenderMacro))
	}
	if len(c.SandboxRead) > 0 && !c.Sandbox {
		k.add("sandbox_read", "has no effect without sandbox")
	}
	if given(c.ReplaceHeaders) && c.ReplaceRules == "" {
		k.add("replace_headers", "has no effect without replace_rules")
	}
	for _, socket := range c.Socket {
		if _, address, err := ParseSocket(socket); err == nil && strings.HasPrefix(address, ":") {
			k.add("socket", fmt.Sprintf("%q listens on all interfaces, and whoever connects can have mail signed; add @localhost unless a firewall stands before it", socket))
		}
	}
	if network, address, err := ParseSocket(c.MonitorAt()); err == nil && !isLoopback(network, address) {
		k.add("monitor_socket", fmt.Sprintf("%q: everybody who reaches it sees the configured domains and the last troubles with mail; name a loopback address or a unix socket unless a firewall stands before it", c.MonitorSocket))
	}
}

// maxNameservers is how many are asked.
const maxNameservers = 8

func (k *checker) nameservers() {
	if n := len(k.c.Nameservers); n > maxNameservers {
		k.add("nameservers", fmt.Sprintf("%d are given; at most %d are asked", n, maxNameservers))
	}
	for _, server := range k.c.Nameservers {
		if ap, err := netip.ParseAddrPort(server); err == nil && ap.Port() != 0 {
			continue
		}
		bare, ok := server, true
		if strings.HasPrefix(server, "[") {
			bare, ok = strings.CutSuffix(server[1:], "]")
		}
		if _, err := netip.ParseAddr(bare); err != nil || !ok {
			k.add("nameservers", fmt.Sprintf("%q is no address; want one such as 127.0.0.1, ::1, 127.0.0.1:5353 or [::1]:5353", server))
		}
	}
}
