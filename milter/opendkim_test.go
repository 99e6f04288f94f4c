package milter

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"github.com/postseal/postseal/config/opendkim"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/peers"
)

// setup is one configuration that OpenDKIM and we run with.
type setup struct {
	name string
	// conf is lines of opendkim.conf, which both read. "@DIR@" is a folder with the private key "key", which "@INLINE@" is as
	// text, and with copies of it as example.com.private and
	// example.org.private.
	conf string
	// signing and keys are the files signing.table and key.table there.
	signing, keys string
	// files are further ones there.
	files map[string]string
	mails []mail
	// differ says what we do instead of OpenDKIM.
	differ []difference
}

// mail is a message under the text that it was made from.
type mail struct {
	name string
	peers.Mail
}

// difference is an outcome of ours that is not OpenDKIM's, and why it stays.
type difference struct{ mail, ours, why string }

// Who signs, with which d=, s= and i=, is as with OpenDKIM, from the same
// tables and settings; what differs is listed in setups with the reason.
func TestDecisionAsOpenDKIM(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inline := writeSharedKey(t, dir)
	for _, s := range setups {
		t.Run(s.name, func(t *testing.T) {
			fill := strings.NewReplacer("@DIR@", dir, "@INLINE@", inline)
			for name, text := range map[string]string{
				"signing.table": s.signing, "key.table": s.keys, "exempt": "*.example.com\n", "recipients": "*@lists.test\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(fill.Replace(text)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			conf := strings.Split(strings.TrimSpace(fill.Replace(s.conf)), "\n")
			theirs := peers.StartOpenDKIM(t, nil, conf...)
			ours := fromConf(t, conf)
			listed := slices.Clone(s.differ)
			for _, m := range s.mails {
				want := openDKIMOutcome(t, theirs, m.Mail)
				if n := slices.IndexFunc(listed, func(d difference) bool { return d.mail == m.name }); n >= 0 {
					if listed[n].ours == want {
						t.Errorf("%q: OpenDKIM has %q as we do: the difference is listed for nothing", m.name, want)
					}
					want = listed[n].ours
					listed = slices.Delete(listed, n, n+1)
				}
				if got, why := ownOutcome(ours, m.Mail); got != want {
					t.Errorf("%q: got %q, want %q, because %s", m.name, got, want, why)
				}
			}
			for _, d := range listed {
				t.Errorf("%q is listed and is no mail of this setup", d.mail)
			}
		})
	}
}

// writeSharedKey makes the key that all rows name and returns it as text.
func writeSharedKey(t *testing.T, dir string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der := x509.MarshalPKCS1PrivateKey(key)
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der})
	for _, name := range []string{"key", "example.com.private", "example.org.private"} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return base64.StdEncoding.EncodeToString(der)
}

// fromConf loads lines of an opendkim.conf, beside those that every peer gets.
func fromConf(t *testing.T, conf []string) *Snapshot {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "opendkim.conf")
	lines := append([]string{"Socket local:" + filepath.Join(dir, "socket"), "RequireSafeKeys no", "MaximumHeaders 0"}, conf...)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := opendkim.Load(path, opendkim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(f.Config, testEnvironment(resolver.NewRecords(nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asTOML writes lines of opendkim.conf as postseal.toml.
func asTOML(conf []string) string {
	var b strings.Builder
	for _, line := range append([]string{"RequireSafeKeys no"}, conf...) {
		name, value, _ := strings.Cut(line, " ")
		value = strings.TrimSpace(value)
		_, err := strconv.Atoi(value)
		switch {
		case value == "yes" || value == "no":
			value = strconv.FormatBool(value == "yes")
		case err != nil:
			value = strconv.Quote(value)
		}
		b.WriteString(snakeCase(name) + " = " + value + "\n")
	}
	return b.String()
}

var wordStart = regexp.MustCompile(`([a-z])([A-Z])|([A-Z]+)([A-Z][a-z])`)

// snakeCase makes "On-BadSignature" on_bad_signature and "RemoveARAll" remove_ar_all.
func snakeCase(name string) string {
	name = strings.ReplaceAll(name, "-", "")
	return strings.ToLower(wordStart.ReplaceAllString(name, "${1}${3}_${2}${4}"))
}

// The outcomes that are no list of signatures.
const (
	unsigned = "unsigned"
	deferred = "deferred"
)

var tagPattern = regexp.MustCompile(`\b([dsi])=([^;\s]+)`)

// openDKIMOutcome is "unsigned", "deferred", or the signatures that the daemon
// makes, sorted: "d=… i=… s=…".
func openDKIMOutcome(t *testing.T, o *peers.OpenDKIM, m peers.Mail) string {
	t.Helper()
	changes, action, err := o.Ask(m)
	if err != nil {
		t.Fatalf("%q: %v", m, err)
	}
	if action == gomilter.ActTempFail || action == gomilter.ActReplyCode {
		return deferred
	}
	var signatures []string
	for _, c := range changes {
		if c.HeaderName == "DKIM-Signature" {
			// The tags before h=, whose names could look like tags.
			value, _, _ := strings.Cut(c.HeaderValue, "bh=")
			tags := tagPattern.FindAllString(value, -1)
			slices.Sort(tags)
			signatures = append(signatures, strings.Join(tags, " "))
		}
	}
	return outcomeOf(signatures)
}

// ownOutcome is the same of ours, with the reasons.
func ownOutcome(s *Snapshot, m peers.Mail) (outcome, why string) {
	f := Facts{Host: m.Host, MailFrom: m.From, Recipients: m.To, Mode: s.cfg.Mode}
	if m.Addr != "" {
		f.Addr = netip.MustParseAddr(m.Addr)
	}
	f.Macro = func(name string) (string, bool) {
		if len(name) > 1 {
			name = "{" + name + "}"
		}
		v, ok := m.Macros[name]
		return v, ok
	}
	if _, peer := s.peers.Match(f.Host, address(f.Addr)); peer {
		return unsigned, "peer"
	}
	for _, field := range m.Fields {
		name, value, _ := strings.Cut(field, ":")
		f.Fields = append(f.Fields, dkim.Field{Name: name, Value: strings.ReplaceAll(value, "\n", "\r\n")})
	}
	d := s.Decide(f)
	why = Words(d.Reasons)
	var signatures []string
	switch d.Verdict {
	case Refuse:
		return deferred, why
	case Sign:
		for _, r := range d.Requests {
			if _, err := r.Signer(); err != nil {
				return deferred, why + ": " + err.Error()
			}
			tags := []string{"d=" + r.Domain, "s=" + r.Selector}
			if r.AUID != "" {
				tags = append(tags, "i="+r.AUID)
			}
			slices.Sort(tags)
			signatures = append(signatures, strings.Join(tags, " "))
		}
	}
	return outcomeOf(signatures), why
}

func outcomeOf(signatures []string) string {
	if len(signatures) == 0 {
		return unsigned
	}
	slices.Sort(signatures)
	return strings.Join(signatures, ", ")
}
