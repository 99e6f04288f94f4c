package opendkim

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// otherReleases are the names that OpenDKIM 2.11, as Debian builds it, does not
// know: of builds with other features, of releases before it and after it.
func otherReleases() []string {
	return strings.Fields(`
		ConditionalSignatures DefaultSender FlowData FlowDataFactor FlowDataTTL IdentityHeader IdentityHeaderRemove LuaOnlySigning
		On-ReputationError POPDBFile RateLimits ReputationCache ReputationCacheTTL ReputationDuplicates ReputationLimitModifiers
		ReputationLimits ReputationLowTime ReputationMinimum ReputationRRDHashDepth ReputationRRDRoot ReputationRatios
		ReputationSpamCheck ReputationTest ReputationTimeFactor ReputationTimeout ReputationVerbose ResignAll ResignMailTo SMTPURI
		StatisticsPolicyScript
		ADSPAction ADSPNoSuchDomain AddAllSignatureResults BodyLengths BogusPolicy DisableADSP LDAPSoftStart LocalADSP
		NoDiscardableMailTo On-PolicyError SendADSPReports UnprotectedPolicy
		AddCanonicalizedData CheckSigningTable StdoutLog`)
}

// candidate is a word of the program that may be a parameter's name.
var candidate = regexp.MustCompile(`\x00([A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*|MTA)\x00`)

// The table has each name that the program knows, and no other beside those of
// other releases.
func TestNames(t *testing.T) {
	opendkim := program(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("empty.conf", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const noSuchName = 65 // EX_DATAERR
	knows := func(name string) bool { return judge(t, opendkim, "-x", "empty.conf", "-e", name).exit != noSuchName }
	ours := newNames()
	others := make(map[string]bool)
	for _, name := range otherReleases() {
		others[strings.ToLower(name)] = true
		if _, ok := ours[strings.ToLower(name)]; !ok {
			t.Errorf("%s of another release is not in the table", name)
		}
	}
	const all = 176
	if len(ours) != all || len(parameters()) != all {
		t.Errorf("%d names in %d lines, want %d", len(ours), len(parameters()), all)
	}
	for key, p := range ours {
		if knows(p.name) == others[key] {
			t.Errorf("%s: OpenDKIM knows it: %v", p.name, !others[key])
		}
	}
	binary, err := os.ReadFile(opendkim)
	if err != nil {
		t.Fatal(err)
	}
	// Each NUL both ends a string and begins the next.
	found := candidate.FindAllSubmatch(bytes.ReplaceAll(binary, []byte{0}, []byte{0, 0}), -1)
	known := 0
	for _, m := range found {
		name := string(m[1])
		_, ok := ours[strings.ToLower(name)]
		if knows(name) && !ok {
			t.Errorf("OpenDKIM knows %s, the table does not", name)
		}
		if ok {
			known++
		}
	}
	if known < 100 {
		t.Errorf("only %d of our names stand in the program: the search is broken", known)
	}
}

// What `opendkim -e NAME` prints.
func TestGetLikeOpenDKIM(t *testing.T) {
	opendkim := program(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("inc", []byte("PeerList included\nSyslog no\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, conf string }{
		{"Syslog", "Syslog yes"}, {"sySLOG", "syslog TRUE"}, {"Syslog", "Syslog no"}, {"Syslog", "Syslog 1\nSyslog f"}, {"Syslog", ""},
		{"Nosuch", ""}, {"FlowData", ""}, {"Include", "Include inc"}, {"PeerList", "PeerList a, b  ,c # d"}, {"PeerList", "PeerList a\nInclude inc\nPeerList c"},
		{"Syslog", "Syslog yes\nInclude inc"}, {"DNSTimeout", "DNSTimeout 0x10"}, {"DNSTimeout", "DNSTimeout 010"}, {"DNSTimeout", "DNSTimeout -3"},
		{"DNSTimeout", "DNSTimeout +5"}, {"DNSTimeout", "DNSTimeout 0"}, {"DNSTimeout", "DNSTimeout 4294967297"}, {"DNSTimeout", "DNSTimeout 2147483648"},
		{"DNSTimeout", "DNSTimeout 99999999999999999999"}, {"DNSTimeout", "DNSTimeout -99999999999999999999"}, {"UMask", "UMask 007"},
		{"Socket", "Socket a b  c "}, {"On-BadSignature", "On-BadSignature banana"}, {"Mode", "Mode vs"}, {"OverSignHeaders", "OversignHeaders From"},
		{"VBR-Type", ""}, {"X-Header", "X-Header yes"}, {"LDAPTimeout", "LDAPTimeout 5"}, {"SyslogFacility", "SyslogFacility nonsense"}, {"Canonicalization", "Canonicalization Relaxed/Simple"},
		{"KeyTable", "KeyTable csl:k=d:s:/k\nSigningTable csl:d=k"}, {"AutoRestartRate", "AutoRestartRate 5/1H"}, {"AutoRestart", "AutoRestart y"}, {"Minimum", "Minimum 080%"},
		{"AuthservID", "AuthservID HOSTNAME"}, {"TestDNSData", "TestDNSData x"}, {"MilterDebug", "MilterDebug 6"}, {"SelectCanonicalizationHeader", "SelectCanonicalizationHeader X-C"},
	} {
		if err := os.WriteFile("c.conf", []byte(tt.conf+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want := output(t, opendkim, "-x", "c.conf", "-e", tt.name)
		f, err := Load("c.conf", Options{CheckOnly: true, Overrides: []Setting{{"Syslog", "no"}}})
		if err != nil {
			t.Errorf("%q: %v", tt.conf, err)
			continue
		}
		value, set, known := f.Get(tt.name)
		got := value
		switch {
		case !known || others(tt.name):
			got = "exit 65"
		case !set:
			got = "exit 78"
		}
		if got != want {
			t.Errorf("%s of %q: OpenDKIM %q, here %q", tt.name, tt.conf, want, got)
		}
	}
}

func others(name string) bool {
	for _, other := range otherReleases() {
		if strings.EqualFold(name, other) {
			return true
		}
	}
	return false
}
