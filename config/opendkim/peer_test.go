package opendkim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/testdata/peers"
)

// program is OpenDKIM's own daemon, the judge of these tests.
func program(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("opendkim")
	if err != nil {
		path = "/usr/sbin/opendkim"
	}
	if _, err := os.Stat(path); err != nil {
		peers.Require(t, fmt.Errorf("no opendkim: %w; apt-get install opendkim", err))
	}
	return path
}

// verdict is what a program says of a configuration.
type verdict struct {
	exit int
	text string // its first line
}

// judge runs OpenDKIM in the working directory.
func judge(t *testing.T, program string, arguments ...string) verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // should it start in earnest
	defer cancel()
	cmd := exec.CommandContext(ctx, program, arguments...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(output.String(), "\n")
	return verdict{cmd.ProcessState.ExitCode(), strings.TrimPrefix(line, "opendkim: ")}
}

// ours is what Load says, with all its lines.
func ours(path string, o Options) (exit int, lines []string) {
	o.Umask = func() int { return 0o022 }
	_, err := Load(path, o)
	if err == nil {
		return 0, nil
	}
	if e, ok := err.(*Error); ok {
		exit = e.Exit
	}
	return exit, strings.Split(err.Error(), "\n")
}

// says reports whether one of the lines begins with text.
func says(lines []string, text string) bool {
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, text); ok && (rest == "" || rest[0] == ' ') {
			return true
		}
	}
	return false
}

// peerCase is a configuration and why our verdict may differ.
type peerCase struct {
	conf   string
	differ string // "" for the same verdict
}

// generated are every name with values of each kind, and without one.
func generated() []peerCase {
	values := map[kind][]string{
		boolean: {"yes", "No", "T", "f", "1", "0", "5", "banana", ""},
		integer: {"5", "-1", "0x10", "010", "08", "5s", "10 20", "99999999999", ""},
		text:    {"banana", "a, b", "/absent/file", "file:absent", "refile:absent", "::1", "x:y", "table", "file:table", "csl:x", ""},
	}
	var cases []peerCase
	for _, p := range parameters() {
		if p.name == "Include" {
			continue
		}
		for _, value := range values[p.kind] {
			cases = append(cases, peerCase{p.name + " " + value, difference(p, value)})
		}
	}
	return cases
}

// newer are names that came after, or went before, the release that is compared.
func newer(name string) bool {
	return name == "CheckSigningTable" || name == "StdoutLog" || name == "AddCanonicalizedData"
}

// difference says why a setting may be judged otherwise.
func difference(p parameter, value string) string {
	switch {
	case p.class == refuse:
		return "refused, or switched off"
	case newer(p.name), strings.Contains(p.note, "ADSP"), p.name == "AddAllSignatureResults", p.name == "LDAPSoftStart":
		return "a name of another release"
	case p.name == "TrustAnchorFile":
		return "DNSSEC is not validated here"
	case p.name == "KeyFile":
		return "the key is read later"
	case p.name == "RedirectFailuresTo" && value == "a, b":
		return "no address"
	}
	return ""
}

func TestVerdicts(t *testing.T) {
	opendkim := program(t)
	t.Chdir(t.TempDir())
	peerFiles(t)
	compare(t, opendkim, append(generated(), written()...))
}

// compare asks both programs about each configuration.
func compare(t *testing.T, opendkim string, cases []peerCase) {
	var (
		next   = make(chan int)
		wg     sync.WaitGroup
		differ = make(map[string]int)
		mu     sync.Mutex
	)
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				c := cases[i]
				path := fmt.Sprintf("%d.conf", i)
				if err := os.WriteFile(path, []byte(c.conf+"\n"), 0o600); err != nil {
					t.Error(err)
					continue
				}
				want := judge(t, opendkim, "-n", "-x", path)
				exit, lines := ours(path, Options{CheckOnly: true})
				// OpenDKIM forgets the value of TestDNSData.
				_, value, _ := strings.Cut(c.conf, " ")
				want.text = strings.Replace(want.text, "(null)", value, 1)
				same := exit == want.exit && (exit == 0 || says(lines, want.text))
				switch {
				case c.differ != "":
					mu.Lock()
					differ[c.differ]++
					mu.Unlock()
				case !same:
					t.Errorf("%q: OpenDKIM: %d %q; here: %d %q", c.conf, want.exit, want.text, exit, lines)
				}
			}
		}()
	}
	for i := range cases {
		next <- i
	}
	close(next)
	wg.Wait()
}

// written are configurations that are more than one setting, and values that
// only one name has.
func written() []peerCase {
	same := []string{
		"", "#", "# only a comment", "Syslog yes # comment", "  Syslog\tyes", "SYSLOG yes", "Syslog#yes", "Syslog yes\r", "Syslog \\\nyes",
		"Nosuch", "Nosuch yes", "\n\nNosuch yes", "Syslog yes\nSyslog maybe", "Syslog: yes", "Syslog=yes",
		"Include absent", "Include table", "Include deep3", "DNSTimeout -", "DNSTimeout +5", "DNSTimeout 0x", "DNSTimeout 0b11",
		"DNSTimeout -0x10", "DNSTimeout --5", "DNSTimeout 1_000", "DNSTimeout 1e3", "UMask 0777", "UMask 022", "UMask 8", "UMask 08",
		"Canonicalization simple", "Canonicalization relaxed", "Canonicalization RELAXED/Simple", "Canonicalization relaxed/",
		"Canonicalization /simple", "Canonicalization simple/simple/simple", "Canonicalization relaxed/foo", "Canonicalization foo/relaxed",
		"Canonicalization foo/bar", "Canonicalization relaxed / simple", "Canonicalization relaxed,simple", "Canonicalization r",
		"SignatureAlgorithm rsa-sha256", "SignatureAlgorithm RSA-SHA256", "SignatureAlgorithm ed25519-sha256", "SignatureAlgorithm rsa-sha512", "SignatureAlgorithm *",
		"Mode s", "Mode v", "Mode sv", "Mode vs", "Mode ss", "Mode SV", "Mode s,v", "Mode sx", "Mode s v",
		"Minimum 80%", "Minimum 100%", "Minimum 101%", "Minimum 0", "Minimum 0%", "Minimum %", "Minimum +", "Minimum 500+", "Minimum 10+%", "Minimum 5%5",
		"Minimum 5++", "Minimum +5", "Minimum -5%", "Minimum 5 %", "Minimum 1.5", "Minimum 5x", "Minimum 0x10", "Minimum 08", "Minimum 4294967295", "Minimum 4294967296",
		"BogusKey fail", "BogusKey NONE", "BogusKey Neutral", "BogusKey f", "UnprotectedKey none", "UnprotectedKey pass",
		"On-BadSignature r", "On-Default tempfail", "On-Default QUARANTINE",
		"Domain example.com", "Selector s", "Domain example.com\nSelector s", "SigningTable csl:a=b", "KeyTable csl:a=b",
		"Selector s\nSigningTable csl:a=b", "KeyTable csl:k=d:s:/k\nSigningTable csl:example.com=k", "KeyTable csl:k=d:s:/k\nSigningTable csl:example.com=k:@d",
		"KeyTable csl:k=d:s:/k\nSigningTable csl:example.com=other", "KeyTable csl:k=d:s:/k\nSigningTable csl:example.com=other:@d",
		"KeyTable csl:k=d:s:/k\nSigningTable csl:example.com", "KeyTable csl:k=d:s\nSigningTable csl:example.com=k:@d", "KeyTable csl:k\nSigningTable csl:example.com=k:@d",
		"KeyTable csl:k=d:s:/k\nSigningTable csl:a=k:@d,b=k,c=other:@d", "KeyTable csl:K=d:s:/k\nSigningTable csl:a=k:@d", "KeyTable csl:k=:s:/k\nSigningTable csl:a=k:@d",
		"KeyTable csl:k=d:s:\nSigningTable csl:a=k:@d", "KeyTable csl:%=d:s:/k\nSigningTable csl:a=%:@d", "KeyTable csl:k=d:s:/k\nSigningTable csl:a=:@d",
		"KeyTable csl:k=d:s:/k\nSigningTable csl:a=k:", "KeyTable csl:\nSigningTable csl:", "KeyTable csl:k=d:s:/k:x\nSigningTable csl:a=k:@d",
		"KeyTable file:keys\nSigningTable refile:senders", "KeyTable refile:keys\nSigningTable file:senders", "KeyTable file:keys\nSigningTable file:senders",
		"KeyTable file:keys\nSigningTable file:keys", "KeyTable file:keys\nSigningTable refile:senders\nDomain /absent\nKeyFile /absent\nSelector s",
		"KeyTable file:keys\nSigningTable refile:senders\nKeyFile /absent", "KeyTable file:keys\nSigningTable file:absent",
		"PeerList nosuch:x", "PeerList FILE:table", "PeerList :",
		"PeerList 1.2.3.4,::1", "PeerList fe80::1,10.0.0.1", "PeerList csl:::1", "PeerList ./table", "PeerList ,", "PeerList mdb:x",
		"MacroList refile:table", "MacroList refile:absent", "MacroList file:table", "MacroList csl:a=b|c", "MacroList daemon_name=ORIGINATING",
		"BaseDirectory .", "BaseDirectory absent", "BaseDirectory table", "BaseDirectory sub\nPeerList file:inner", "PeerList file:inner\nBaseDirectory sub", "BaseDirectory sub\nPeerList file:table",
		"ReplaceRules absent", "ReplaceRules rules", "ReplaceRules table", "SignHeaders +X", "SignHeaders *,+X,-From,Bare", "SignHeaders a;b", "OmitHeaders .", "OversignHeaders From",
		"SenderHeaders List-Post,Sender,From", "Nameservers bogus", "SyslogFacility bogus", "Socket foo:bar", "AutoRestart yes\nAutoRestartRate junk",
		"MaximumSignedBytes 0", "MinimumKeyBits 512", "MaximumHeaders 5", "UserID nosuch", "PidFile /absent/pid", "TestPublicKeys absent",
	}
	cases := []peerCase{
		{"Syslog\u00a0yes", "blanks of web pages"},
		{"\ufeffSyslog yes", "blanks of web pages"},
		{"SignatureAlgorithm rsa-sha1", "rsa-sha1"},
		{"PeerList dsn:mysql://u:p@h/d", "SQL"},
		{"PeerList memcache:h/p", "memcache"},
		{"PeerList lua:absent", "Lua"},
		{"PeerList db:absent", "Berkeley DB"},
		{"PeerList absent.db", "Berkeley DB"},
		{"PeerList file :table", "a blank before the colon"},
		{"PeerList file:", "a folder is no table"},
		{"Include deep1", "the place of the error"},
		{"PeerList file:sub", "a folder is no table"},
		{"Include sub", "a folder is no configuration"},
	}
	for _, conf := range same {
		cases = append(cases, peerCase{conf: conf})
	}
	return cases
}

// peerFiles are what those configurations name.
func peerFiles(t *testing.T) {
	t.Helper()
	files := map[string]string{
		"table": "a b\n", "keys": "k d:s:/k\n", "senders": "*@example.com k\n", "rules": "a\tb\n", "sub/inner": "x\n", "deep7": "Syslog maybe\n",
	}
	for n := 1; n < 7; n++ {
		files[fmt.Sprintf("deep%d", n)] = fmt.Sprintf("Include deep%d\n", n+1)
	}
	if err := os.Mkdir("sub", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// output is what OpenDKIM prints, or its exit code where that is not 0.
func output(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	out, err := exec.Command(program, arguments...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Sprintf("exit %d", exit.ExitCode())
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// What OpenDKIM finds only when it starts: it ends at once, with a line that does
// not name the file.
func TestStartLikeOpenDKIM(t *testing.T) {
	opendkim := program(t)
	t.Chdir(t.TempDir())
	peerFiles(t)
	const socket = "\nSocket local:milter.sock"
	for _, conf := range []string{
		"Syslog no",
		"Socket foo:bar",
		"Socket inet:nosuchservice",
		"Socket inet:8891@",
		"Socket inet:8891@::1",
		"AutoRestart yes\nAutoRestartRate 5" + socket,
		"AutoRestart yes\nAutoRestartRate 5/1x" + socket,
		"AutoRestart yes\nAutoRestartRate 5/0" + socket,
		"AutoRestart yes\nAutoRestartRate 5/1hh" + socket,
		"AutoRestart yes\nAutoRestartRate 0x5/1h" + socket,
		"AutoRestart yes\nAutoRestartRate 5 / 1h" + socket,
		"Nameservers bogus" + socket,
		"Nameservers 127.0.0.1:53" + socket,
		"Nameservers 127.0.0.1 ::1" + socket,
		"SignHeaders +X" + socket,
		"SignHeaders From,+X" + socket,
		"SignHeaders refile:table" + socket,
		"OmitHeaders +X" + socket,
		"OmitHeaders refile:table" + socket,
		"OversignHeaders refile:table" + socket,
		"MustBeSigned refile:table" + socket,
	} {
		if err := os.WriteFile("start.conf", []byte(conf+"\nBackground no\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want := judge(t, opendkim, "-x", "start.conf")
		exit, lines := ours("start.conf", Options{})
		if exit != want.exit || !says(lines, want.text) {
			t.Errorf("%q: OpenDKIM: %d %q; here: %d %q", conf, want.exit, want.text, exit, lines)
		}
		if exit, lines := ours("start.conf", Options{CheckOnly: true}); exit != 0 {
			t.Errorf("%q: check only: %d %q", conf, exit, lines)
		}
	}
}
