package opendkim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What Load takes, Validate takes, and what Get tells of it makes the same file
// again.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "# c\nSyslog yes\n", "\ufeffSyslog\u00a0yes", "UMask 007\nDNSTimeout 0x10\n", "SignHeaders *,+X,-From\n", "SignHeaders x-*,;,,+\n",
		"On-Default q\nCaptureUnknownErrors 1\nOn-Security R\n", "PeerList csl:a,b=c\nPeerList ::1", "Canonicalization relaxed\nMode vs\nMinimum 80%x",
		"AutoRestart y\nAutoRestartRate 5/1H", "Nameservers ::1@53,192.0.2.1", "KeyTable csl:k=d:s:/k\nSigningTable csl:d=k:@d", "Socket foo", "Socket inet:smtp@[::1]",
		"MaximumHeaders -1\nMinimumKeyBits 99999999999\nSignatureTTL -1", "SyslogName \x7f:\u00e9", "ADSPAction continue\nVBR-PurgeFields no",
		"Include x", "RedirectFailuresTo a@b.example", "OversignHeaders From,X,x,+,*", "MaximumSignedBytes 5\nSyslogFacility LOCAL7",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		o := Options{CheckOnly: true, Umask: func() int { return 0o022 }}
		read := func(text string) (*File, error) {
			path := filepath.Join(dir, "opendkim.conf")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return Load(path, o)
		}
		file, err := read(text)
		if err != nil {
			if err.Error() == "" || strings.Contains(err.Error(), "%!") && !strings.Contains(text, "%!") {
				t.Errorf("the error is %q", err)
			}
			return
		}
		if problems := file.Config.Validate(); len(problems) > 0 {
			t.Fatalf("%q is taken, and then: %v", text, problems)
		}
		var again strings.Builder
		for name := range file.values {
			value, set, known := file.Get(name)
			if !set || !known || value == "" {
				t.Fatalf("Get(%s) = %q, %v, %v", name, value, set, known)
			}
			lines := strings.Split(value, "\n") // the last one of the file comes first
			for i := len(lines) - 1; i >= 0; i-- {
				fmt.Fprintf(&again, "%s %s\n", name, lines[i])
			}
		}
		second, err := read(again.String())
		if err != nil {
			t.Fatalf("%q: written again as %q: %v", text, again.String(), err)
		}
		for name := range file.values {
			a, _, _ := file.Get(name)
			if b, _, _ := second.Get(name); a != b {
				t.Errorf("%s: %q and, again, %q", name, a, b)
			}
		}
	})
}
