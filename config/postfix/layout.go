package postfix

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// layout is an instance's folder on disk.
type layout struct{ root string }

func (l layout) config() string  { return filepath.Join(l.root, "config") }
func (l layout) queue() string   { return filepath.Join(l.root, "queue") }
func (l layout) data() string    { return filepath.Join(l.root, "data") }
func (l layout) mail() string    { return filepath.Join(l.root, "mail") }
func (l layout) sockets() string { return filepath.Join(l.root, "milter") }
func (l layout) log() string     { return filepath.Join(l.root, "postfix.log") }

// mailboxTable is the table of addresses, in the configuration's folder.
const mailboxTable = "mailboxes"

// mailbox is the Maildir of an address.
func (l layout) mailbox(address string) string { return filepath.Join(l.mail(), mailboxName(address)) }

func mailboxName(address string) string { return strings.ToLower(address) }

// short reports whether the instance's sockets fit into sun_path (unix(7)): the
// longest that Postfix names from the root is that of postlogd(8).
func (l layout) short() bool {
	const longest = 107
	return len(filepath.Join(l.queue(), "public", "postlog")) <= longest
}

// create makes every folder that Postfix expects, with the owners and modes
// that its own installation gives them (postfix-files).
func (l layout) create(p programs) error {
	folders := []struct {
		path     string
		mode     os.FileMode
		uid, gid int
	}{
		// Every parent lets the user postfix pass.
		{l.root, 0o755, 0, 0},
		{l.config(), 0o755, 0, 0},
		{l.data(), 0o700, p.owner, p.group},
		{l.mail(), 0o755, p.owner, p.group},
		// A milter makes its socket here: the setgid bit gives it Postfix's group.
		{l.sockets(), 0o770 | os.ModeSetgid, 0, p.group},
		{l.queue(), 0o755, 0, 0},
		{filepath.Join(l.queue(), "pid"), 0o755, 0, 0},
		{filepath.Join(l.queue(), "public"), 0o710, p.owner, p.setgid},
		{filepath.Join(l.queue(), "maildrop"), 0o730 | os.ModeSticky, p.owner, p.setgid},
	}
	for _, name := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"} {
		folders = append(folders, struct {
			path     string
			mode     os.FileMode
			uid, gid int
		}{filepath.Join(l.queue(), name), 0o700, p.owner, p.group})
	}
	for _, f := range folders {
		if err := os.MkdirAll(f.path, 0o755); err != nil {
			return err
		}
		if err := os.Chown(f.path, f.uid, f.gid); err != nil {
			return err
		}
		// After chown, which clears the setgid bit; and whatever the umask is.
		if err := os.Chmod(f.path, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// parameters is main.cf before Options.Main: a server that knows its own
// mailboxes, trusts the loopback, asks no DNS and sends nothing anywhere.
func (l layout) parameters(p programs, o Options) map[string]string {
	return map[string]string{
		"compatibility_level":   "3.6",
		"config_directory":      l.config(),
		"queue_directory":       l.queue(),
		"data_directory":        l.data(),
		"daemon_directory":      p.daemons,
		"command_directory":     p.commands,
		"mail_owner":            mailOwner,
		"setgid_group":          setgidGroup,
		"maillog_file":          l.log(),
		"maillog_file_prefixes": l.root,
		"syslog_name":           "postfix",

		"myhostname":          o.Hostname,
		"myorigin":            "$myhostname",
		"mydestination":       "",
		"local_transport":     "error:no local users",
		"alias_maps":          "",
		"alias_database":      "",
		"append_dot_mydomain": "no",
		"notify_classes":      "",
		"biff":                "no",

		"inet_interfaces":                     "127.0.0.1",
		"inet_protocols":                      "ipv4",
		"mynetworks":                          "127.0.0.0/8",
		"smtpd_relay_restrictions":            "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
		"smtpd_peername_lookup":               "no",
		"smtpd_authorized_xclient_hosts":      "127.0.0.1",
		"smtpd_client_connection_count_limit": "0",
		"smtpd_error_sleep_time":              "0",
		"message_size_limit":                  "52428800",
		"in_flow_delay":                       "0",

		"default_transport":      "nowhere",
		"relay_transport":        "$default_transport",
		"relayhost":              "",
		"smtp_dns_support_level": "disabled",
		"smtp_host_lookup":       "native",

		"virtual_transport":       "virtual",
		"virtual_mailbox_domains": strings.Join(domains(o.Mailboxes), ", "),
		"virtual_mailbox_base":    l.mail(),
		"virtual_mailbox_maps":    "texthash:" + filepath.Join(l.config(), mailboxTable),
		"virtual_mailbox_limit":   "0",
		"virtual_uid_maps":        fmt.Sprintf("static:%d", p.owner),
		"virtual_gid_maps":        fmt.Sprintf("static:%d", p.group),
		"virtual_minimum_uid":     "1",
	}
}

// writeMain writes main.cf: the instance's own parameters, or what o.Main says
// instead.
func (l layout) writeMain(p programs, o Options) error {
	all := l.parameters(p, o)
	maps.Copy(all, o.Main)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value := all[name]
		if strings.ContainsAny(name+value, "\r\n") {
			return fmt.Errorf("main.cf: %q = %q: a line break has no place here", name, value)
		}
		fmt.Fprintf(&b, "%s = %s\n", name, value)
	}
	return l.writeSettled("main.cf", b.String())
}

// writeSettled writes a file of the configuration and dates it back: Postfix
// reads main.cf and text tables again and again until they are two seconds old,
// lest somebody is still writing them. Nobody is.
func (l layout) writeSettled(name, text string) error {
	path := filepath.Join(l.config(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	// Whatever the umask is: the processes that deliver are not root.
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	return settle(path)
}

// settle dates a file back.
func settle(path string) error {
	old := time.Now().Add(-time.Minute)
	return os.Chtimes(path, old, old)
}

// writeUsers writes the table of mailboxes: an address and its Maildir.
func (l layout) writeUsers(addresses []string) error {
	var b strings.Builder
	for _, a := range addresses {
		local, domain, ok := strings.Cut(a, "@")
		if !ok || local == "" || domain == "" || strings.ContainsAny(a, "/ \t\r\n#") {
			return fmt.Errorf("mailbox %q is no plain address; write user@domain", a)
		}
		fmt.Fprintf(&b, "%s %s/\n", a, mailboxName(a))
	}
	return l.writeSettled(mailboxTable, b.String())
}

// services is master.cf: name, type, private, unprivileged, chroot, wake-up,
// process limit, command. Nothing runs in a chroot. What goes to nowhere is
// accepted and then bounces; smtpd would refuse at RCPT what goes to error.
const services = `pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
nowhere unix - n n - - pipe flags= user=nobody argv=/bin/sh -c {echo no mail leaves this private Postfix; exit 69}
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`

func (l layout) writeMaster(addr, more string) error {
	text := addr + " inet n - n - - smtpd\n" + services
	if more != "" {
		text += strings.TrimRight(more, "\n") + "\n"
	}
	return l.writeSettled("master.cf", text)
}

// domains lists the domains of addresses, each once.
func domains(addresses []string) []string {
	var list []string
	for _, a := range addresses {
		_, d, _ := strings.Cut(a, "@")
		if d = strings.ToLower(d); !slices.Contains(list, d) {
			list = append(list, d)
		}
	}
	return list
}
