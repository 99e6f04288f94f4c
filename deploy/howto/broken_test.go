//go:build deploy

package howto

import "strings"

// breakage is one thing that is broken in a set-up that was right, and what check
// has to say of it: that, and nothing else.
type breakage struct {
	name string
	// shell are commands, update lines of nsupdate for the domain's zone; RSA and ED
	// stand for the selectors of the keys.
	shell  string
	update []string
	want   []string
}

// replace puts a record in the place of the one that a name has.
func replace(name, text string) []string {
	return []string{"update delete " + name + " TXT", "update add " + name + " 60 TXT " + text}
}

const (
	keyName  = "RSA._domainkey.example.com"
	policy   = "_dmarc.example.com"
	otherKey = `"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`
)

// eleven is an SPF record with eleven look-ups, whose names exist.
func eleven() (lines []string) {
	record := `"v=spf1 ip4:192.0.2.0/24`
	for i := range 11 {
		name := "a" + string(rune('a'+i)) + "." + domain
		lines = append(lines, "update add "+name+" 60 A "+address)
		record += " a:" + name
	}
	return append(lines, replace(domain, record+` ~all"`)...)
}

var broken = []breakage{
	{name: "key that everybody can read", shell: "chmod 644 /etc/postseal/keys/example.com/RSA.private && chmod 755 /etc/postseal/keys /etc/postseal/keys/example.com", want: []string{"dkim unsafe-file"}},
	{name: "key that the daemon cannot read", shell: "chown root:root /etc/postseal/keys/example.com/RSA.private", want: []string{"dkim key-file"}},
	{name: "key file that is gone", shell: "rm /etc/postseal/keys/example.com/RSA.private", want: []string{"dkim key-file"}},
	{name: "other key in the file", shell: "openssl genrsa -traditional -out /etc/postseal/keys/new 2048 2>/dev/null && chown postseal /etc/postseal/keys/new && mv /etc/postseal/keys/new /etc/postseal/keys/example.com/RSA.private", want: []string{"dkim other-key"}},
	{name: "no row in signing_table", shell: "sed -i /RSA/d /etc/postseal/signing.table", want: []string{"dkim ed25519-alone"}},
	{name: "row without a key", shell: "sed -i /RSA/d /etc/postseal/key.table", want: []string{"config configuration"}},

	{name: "no record", update: []string{"update delete " + keyName + " TXT"}, want: []string{"dkim no-record"}},
	{name: "record of another key", update: replace("ED._domainkey.example.com", otherKey), want: []string{"dkim other-key"}},
	{name: "record of another type", update: replace(keyName, otherKey), want: []string{"dkim other-type"}},
	{name: "record without a semicolon", update: replace(keyName, `"v=DKIM1 k=rsa; p=MIIB"`), want: []string{"dkim no-semicolon"}},
	{name: "revoked", update: replace(keyName, `"v=DKIM1; k=rsa; p="`), want: []string{"dkim revoked"}},
	{name: "two records", update: []string{"update add " + keyName + " 60 TXT " + otherKey}, want: []string{"dkim several-records"}},

	{name: "no SPF", update: []string{"update delete example.com TXT"}, want: []string{"spf no-record"}},
	{name: "two SPF records", update: []string{`update add example.com 60 TXT "v=spf1 mx -all"`}, want: []string{"spf several-records"}},
	{name: "SPF with eleven look-ups", update: eleven(), want: []string{"spf too-many-lookups"}},
	{name: "SPF that anybody passes", update: replace(domain, `"v=spf1 ip4:192.0.2.0/24 +all"`), want: []string{"spf pass-all"}},
	{name: "SPF without this machine", update: replace(domain, `"v=spf1 ip4:198.51.100.7 ~all"`), want: []string{"spf not-allowed"}},
	{name: "SPF with an error", update: replace(domain, `"v=spf1 ip4:192.0.2.0/24 ipv4:192.0.2.9 ~all"`), want: []string{"spf syntax"}},
	{name: "SPF without all", update: replace(domain, `"v=spf1 ip4:192.0.2.0/24"`), want: []string{"spf no-end"}},

	{name: "no DMARC", update: []string{"update delete " + policy + " TXT"}, want: []string{"dmarc no-record"}},
	{name: "two DMARC records", update: []string{"update add " + policy + ` 60 TXT "v=DMARC1; p=reject"`}, want: []string{"dmarc several-records"}},
	{name: "DMARC with an error", update: replace(policy, `"v=DMARC1; p=quarantin; rua=mailto:postmaster@example.com"`), want: []string{"dmarc bad-policy"}},
	{name: "DMARC with a tag that is gone", update: replace(policy, `"v=DMARC1; p=none; pct=50; rua=mailto:postmaster@example.com"`), want: []string{"dmarc historic-tag"}},
	{name: "reports to somebody who has not agreed", update: replace(policy, `"v=DMARC1; p=none; rua=mailto:reports@spf.example.net"`), want: []string{"dmarc unauthorized-destination"}},

	{name: "not in smtpd_milters", shell: "postconf -e smtpd_milters=", want: []string{"postfix milter-missing"}},
	{name: "not in non_smtpd_milters", shell: "postconf -e non_smtpd_milters=", want: []string{"postfix milter-missing"}},
	{name: "taken away in master.cf", shell: "postconf -M 'submission/inet=submission inet n - y - - smtpd' && postconf -P submission/inet/smtpd_milters=", want: []string{"postfix milter-overridden"}},
	{name: "no_milters in master.cf", shell: "postconf -P smtp/inet/receive_override_options=no_milters", want: []string{"postfix no-milters"}},
	{name: "mail leaves unsigned without the daemon", shell: "postconf -e \"smtpd_milters = {$(postconf -h smtpd_milters),default_action=accept}\"", want: []string{"postfix default-action"}},
	{name: "socket that Postfix cannot reach", shell: "chmod 700 /var/spool/postfix/postseal", want: []string{"postfix socket-denied"}},
	{name: "relaying network that is not signed for", shell: "postconf -e 'mynetworks = 127.0.0.0/8 [::1]/128 192.0.2.0/24'", want: []string{"postfix relay-unsigned"}},
	{name: "no daemon", shell: "systemctl stop postseal.socket postseal.service 2>/dev/null || systemctl stop postseal.service", want: []string{"daemon not-running"}},
}

// save keeps what mend brings back.
func (m *lab) save(records []recordAnswer) {
	m.t.Helper()
	m.good = records
	m.Shell("mkdir /srv/good && cp -a /etc/postfix /etc/postseal /srv/good/ && stat -c '%a' /var/spool/postfix/postseal >/srv/good/mode")
}

// mend brings files, records and the daemon back.
func (m *lab) mend() {
	m.t.Helper()
	m.Shell(`cp -a /srv/good/postfix /srv/good/postseal /etc/
chmod $(cat /srv/good/mode) /var/spool/postfix/postseal
systemctl start postseal.service && postseal reload && postfix reload`)
	lines := []string{"zone " + domain}
	for _, r := range m.good {
		lines = append(lines, "update delete "+r.Name+" TXT", "update add "+r.Name+" 60 TXT "+m.strings(r))
	}
	m.update(lines...)
	m.Await("the daemon", func() bool {
		out, err := m.Try("postseal status")
		return err == nil && strings.Contains(out, m.selector("r"))
	})
}
