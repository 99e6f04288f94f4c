package opendkim

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/peers"
)

// howTo is what an article has its readers do, beside the lines of a shell that
// Debian's packages make unnecessary.
type howTo struct {
	name   string
	files  map[string]string
	shell  []string // opendkim-genkey is the daemon's own
	start  string   // how the daemon is started
	socket string
	script string
	shows  string // in what the script prints
}

var howTos = []howTo{
	{
		name: "two tables and a list of hosts, added to Debian's file",
		files: map[string]string{
			// A later line counts, so that what is added holds.
			"/etc/opendkim.conf": `Syslog			yes
SyslogSuccess		yes
Canonicalization	relaxed/simple
OversignHeaders		From
UserID			opendkim
UMask			007
Socket			local:/run/opendkim/opendkim.sock
PidFile			/run/opendkim/opendkim.pid
TrustAnchorFile		/usr/share/dns/root.key
Canonicalization    relaxed/simple
Mode                sv
AutoRestart         yes
AutoRestartRate     5/1H
SignatureAlgorithm  rsa-sha256
UserID              opendkim
KeyTable            refile:/etc/opendkim/key.table
SigningTable        refile:/etc/opendkim/signing.table

# Ignore these hosts when verifying incoming signatures
ExternalIgnoreList  /etc/opendkim/trusted.hosts

# Internal hosts to enable outgoing mail signing for
InternalHosts       /etc/opendkim/trusted.hosts
Socket      inet:8891@localhost
`,
			"/etc/opendkim/trusted.hosts": "127.0.0.1\n::1\nlocalhost\n.example.com\n",
			"/etc/opendkim/signing.table": "*@example.com       default._domainkey.example.com\n",
			"/etc/opendkim/key.table":     "default._domainkey.example.com     example.com:default:/etc/opendkim/keys/example.com/default.private\n",
		},
		shell: []string{
			"mkdir -p /etc/opendkim/keys/example.com && chown -R opendkim:opendkim /etc/opendkim && chmod go-rw /etc/opendkim/keys",
			"opendkim-genkey -d example.com -D /etc/opendkim/keys/example.com -s default -v",
			"chown opendkim:opendkim /etc/opendkim/keys/example.com/default.private",
			"chmod 600 /etc/opendkim/keys/example.com/default.private",
		},
		start:  "opendkim",
		socket: "inet:8891@127.0.0.1",
		script: signingScript,
		shows:  "DKIM-Signature:",
	},
	{
		name: "all mail with one key, the socket in Postfix's folder",
		files: map[string]string{
			"/etc/opendkim.conf": `# Log to syslog
Syslog  yes
UMask   002
UserID  opendkim
KeyTable        /etc/opendkim/key.table
SigningTable    refile:/etc/opendkim/signing.table
ExternalIgnoreList      /etc/opendkim/trusted.hosts
InternalHosts   /etc/opendkim/trusted.hosts
Canonicalization        relaxed/simple
Mode    s
SubDomains      no
#ADSPAction     continue
AutoRestart     yes
AutoRestartRate 10/1M
Background      yes
DNSTimeout      5
SignatureAlgorithm      rsa-sha256
OversignHeaders From
`,
			"/etc/opendkim/trusted.hosts": "127.0.0.1\n::1\n",
			"/etc/opendkim/signing.table": "*   smtprelay\n",
			"/etc/opendkim/key.table":     "smtprelay example.com:smtprelay:/etc/postfix/example.com.private.key.pem\n",
			"/etc/default/opendkim":       "SOCKET=\"local:/var/spool/postfix/opendkim/opendkim.sock\"\n",
		},
		shell: []string{
			"mkdir -p /etc/postfix && openssl genrsa -out /etc/postfix/example.com.private.key.pem 2048 2>/dev/null",
			"chown opendkim:opendkim /etc/postfix/example.com.private.key.pem && chmod 600 /etc/postfix/example.com.private.key.pem",
			"chmod u=rw,go=r /etc/opendkim.conf && mkdir -p /etc/opendkim/keys && chown -R opendkim:opendkim /etc/opendkim",
			"chmod -R go-rw /etc/opendkim/keys && mkdir -p /var/spool/postfix/opendkim && chown opendkim:postfix /var/spool/postfix/opendkim",
		},
		// Debian's unit does not read /etc/default/opendkim; its init script does so:
		start:  `. /etc/default/opendkim; opendkim -p "$SOCKET"`,
		socket: "local:/var/spool/postfix/opendkim/opendkim.sock",
		script: signingScript,
		shows:  "DKIM-Signature:",
	},
	{
		name:   "Debian's file as it is",
		start:  "opendkim",
		socket: "local:/run/opendkim/opendkim.sock",
		script: `
local stranger = { "h.test", "198.51.100.1" }
deliver("not signed", { client = stranger })
deliver("no author", { client = stranger, header = from("user") })
deliver("a forged result", { client = stranger, header = from("user@example.com", { "Authentication-Results", "unknown-host; dkim=pass header.d=example.com" }) })
deliver("ours", {})
`,
		shows: "dkim=permerror",
	},
}

const signingScript = `
deliver("ours", { header = from("user@example.com") })
deliver("below", { header = from("user@sub.example.com") })
deliver("another domain's", { header = from("user@example.org") })
deliver("a stranger's", { client = { "h.test", "198.51.100.1" } })
`

// What articles tell people to write runs unmodified, in the places that they
// name, with the same outcome as with OpenDKIM; and of the second one the
// socket is found without -p, too. So does the file that Debian ships.
func TestHowTos(t *testing.T) {
	asRoot(t)
	t.Parallel()
	debianProgram(t)
	_, err := lookPath("miltertest")
	peers.Require(t, err)
	program := daemonProgram(t)
	for _, h := range howTos {
		t.Run(h.name, func(t *testing.T) {
			theirs := h.follow(t, "", h.start)
			ours := h.follow(t, program, h.start)
			if diff := lineDiff(theirs, ours); diff != "" {
				t.Errorf("OpenDKIM (-) and ours (+):\n%s", diff)
			}
			if text := strings.Join(ours, "\n"); !strings.Contains(text, h.shows) {
				t.Errorf("no %s:\n%s", h.shows, text)
			}
			if h.start == "opendkim" {
				return
			}
			if bare := h.follow(t, program, "opendkim"); lineDiff(ours, bare) != "" {
				t.Errorf("without an option:\n%s", lineDiff(ours, bare))
			}
		})
	}
}

// follow does what the article says on a machine of its own, starts the daemon
// and returns what miltertest prints. Without a program Debian's own is used.
func (h howTo) follow(t *testing.T, program, start string) []string {
	t.Helper()
	m := startMachine(t)
	m.Shell("mount -t tmpfs tmpfs /var/spool/postfix && chmod 755 /var/spool/postfix && systemd-tmpfiles --create opendkim.conf")
	if program != "" {
		m.Install(program, "/usr/local/bin/postseal", 0o755)
		m.Shell("ln -s postseal /usr/local/bin/opendkim && ln -s postseal /usr/local/bin/opendkim-genkey")
	}
	prelude, err := os.ReadFile("testdata/miltertest/prelude.lua")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"/run/script.lua": string(prelude) + h.script}
	for path, text := range h.files {
		files[path] = text
	}
	for path, text := range files {
		m.Write(path, text, 0o644)
	}
	const path = "export PATH=/usr/local/bin:$PATH; "
	for _, line := range h.shell {
		m.Shell(path + line)
	}
	m.Shell(path + start)
	out := m.Shell(fmt.Sprintf("miltertest -D SOCKET=%s -s /run/script.lua", h.socket))
	// Unwritten, and yet a part of what "sign" means: who serves, as whom.
	user := m.Shell(`for p in /proc/[0-9]*; do case "$(readlink $p/exe)" in */opendkim|*/postseal) stat -c %U $p;; esac; done | sort -u | grep -v root`)
	return append(comparable(out), "user "+user)
}

// The README has the commands that TestSwapUnderDebiansUnit runs.
func TestReadmeSwap(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, commands := range [][2]string{swapIn, swapBack} {
		if text := strings.Join(commands[:], "\n") + "\n"; !strings.Contains(string(readme), text) {
			t.Errorf("the README lacks:\n%s", text)
		}
	}
}
