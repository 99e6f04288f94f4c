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
	// hand says that it takes a person: what the findings tell to do is more, or less,
	// than commands and records.
	hand bool
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

// restarted has the resolver take up its configuration, and waits until it answers.
const restarted = "systemctl restart resolver && until dig +time=1 SOA . >/dev/null; do sleep 0.1; done"

// stopped stops the daemon, and nobody starts it.
const stopped = "systemctl stop postseal.socket postseal.service 2>/dev/null || systemctl stop postseal.service"

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
	{name: "this machine is a stranger", shell: "sed -i /127.0.0.1/d /etc/postseal/trusted.hosts && postseal reload", want: []string{"postfix relay-unsigned"}},
	{name: "this machine is left alone", shell: "echo 'peer_list = \"127.0.0.1\"' >>/etc/postseal/postseal.toml && postseal reload", want: []string{"dkim left-alone"}},
	{name: "only verifying", shell: "echo 'mode = \"v\"' >>/etc/postseal/postseal.toml && postseal reload", want: []string{"dkim not-signed"}},
	{name: "the first row alone", shell: "sed -i '/^multiple_signatures/d' /etc/postseal/postseal.toml && postseal reload", want: []string{"dkim no-row"}},
	{name: "configuration that cannot be read", shell: "echo 'sokcet = 1' >>/etc/postseal/postseal.toml", want: []string{"config configuration"}},
	{name: "folder that the daemon cannot pass", shell: "chown root:root /etc/postseal/keys", want: []string{"dkim key-folder"}},
	{name: "content filter that comes back", shell: "postconf -e content_filter=amavis:[127.0.0.1]:10024 && postconf -M 'amavis/unix=amavis unix - - n - 2 smtp' && postconf -M '127.0.0.1:10025/inet=127.0.0.1:10025 inet n - n - - smtpd -o content_filter='", want: []string{"postfix filter-twice"}},
	{name: "mail leaves unsigned without any milter", shell: "postconf -e milter_default_action=accept", want: []string{"postfix default-action"}},
	{name: "another milter that signs", shell: "postconf -e \"smtpd_milters = $(postconf -h smtpd_milters), unix:opendkim/opendkim.sock\"", want: []string{"postfix other-signer"}},
	{name: "socket as Postfix does not see it", shell: "postconf -e smtpd_milters=unix:/var/spool/postfix/postseal/postseal.sock", want: []string{"postfix socket-outside"}},
	{name: "old milter protocol", shell: "postconf -e milter_protocol=4", want: []string{"postfix milter-protocol"}},
	{name: "Postfix does not run", shell: "systemctl stop postfix postfix@-", want: []string{"postfix postfix-not-running"}},

	{name: "key on trial", update: replace("ED._domainkey.example.com", `"v=DKIM1; t=y; k=ed25519; p=EDKEY"`), want: []string{"dkim testing"}},
	{name: "weak key", shell: `openssl genrsa -traditional -out /etc/postseal/keys/new 1024 2>/dev/null && chown postseal /etc/postseal/keys/new && mv /etc/postseal/keys/new /etc/postseal/keys/example.com/RSA.private
p=$(openssl rsa -in /etc/postseal/keys/example.com/RSA.private -pubout 2>/dev/null | grep -v -e - | tr -d '\n')
printf 'server ` + nameAddress + `\nzone example.com\nupdate delete ` + keyName + ` TXT\nupdate add ` + keyName + ` 60 TXT "v=DKIM1; k=rsa; p=%s"\nsend\n' $p | nsupdate -k /srv/names/tsig.key`, want: []string{"dkim short-key"}, hand: true},
	{name: "record at a name with the domain twice", update: []string{"update delete ED._domainkey.example.com TXT", `update add ED._domainkey.example.com.example.com 60 TXT "v=DKIM1; k=ed25519; p=EDKEY"`}, want: []string{"dkim misplaced"}},
	{name: "key in two records", update: []string{"update delete ED._domainkey.example.com TXT", `update add ED._domainkey.example.com 60 TXT "v=DKIM1; k=ed25519; "`, `update add ED._domainkey.example.com 60 TXT "p=EDKEY"`}, want: []string{"dkim split-record"}},
	{name: "subdomains that anybody can forge", update: replace(policy, `"v=DMARC1; p=reject; sp=none; np=reject; rua=mailto:postmaster@example.com"`), want: []string{"dmarc weak-subdomains"}},
	{name: "old answer", shell: "sed -i '1a local-zone: \"ED._domainkey.example.com\" always_nxdomain' /srv/resolver/unbound.conf && " + restarted, want: []string{"dkim not-seen"}, hand: true},
	{name: "DNSSEC that is broken", shell: `sed -i 's/\(DNSKEY 257 3 13 \).../\1AAA/' /srv/resolver/unbound.conf && ` + restarted,
		want: []string{"dkim lookup-failed", "dkim lookup-failed", "spf lookup-failed", "dmarc lookup-failed"}, hand: true},

	{name: "two things: no daemon, no DMARC", shell: stopped, update: []string{"update delete " + policy + " TXT"}, want: []string{"daemon not-running", "dmarc no-record"}},
	{name: "two things: no daemon, and a configuration that it would not start with", shell: stopped + "; echo 'sokcet = 1' >>/etc/postseal/postseal.toml", want: []string{"config configuration", "daemon not-running"}, hand: true},
	{name: "two things: a configuration that cannot be read, not in smtpd_milters", shell: "echo 'sokcet = 1' >>/etc/postseal/postseal.toml && postconf -e smtpd_milters=", want: []string{"config configuration", "postfix milter-missing"}, hand: true},
	{name: "two things: this machine is left alone, and others are not signed for", shell: "echo 'peer_list = \"127.0.0.1\"' >>/etc/postseal/postseal.toml && postseal reload && postconf -e 'mynetworks = 127.0.0.0/8 [::1]/128 192.0.2.0/24'",
		want: []string{"postfix relay-unsigned", "dkim left-alone"}, hand: true},
	{name: "two things: open key, other record", shell: "chmod 644 /etc/postseal/keys/example.com/RSA.private && chmod 755 /etc/postseal/keys /etc/postseal/keys/example.com", update: replace("ED._domainkey.example.com", otherKey),
		want: []string{"dkim unsafe-file", "dkim other-key"}},
	{name: "two things: SPF without this machine, socket that Postfix cannot reach", shell: "chmod 700 /var/spool/postfix/postseal", update: replace(domain, `"v=spf1 ip4:198.51.100.7 ~all"`), want: []string{"postfix socket-denied", "spf not-allowed"}},

	{name: "right: mynetworks is not set", shell: "postconf -X mynetworks"},
	{name: "right: through a smarthost", shell: "postconf -e relayhost=[smtp.example.net]", update: replace(domain, `"v=spf1 ip4:198.51.100.7 ~all"`)},
	{name: "right: RSA alone", shell: "sed -i /ED/d /etc/postseal/key.table /etc/postseal/signing.table && postseal reload"},
	{name: "right: rows for everybody", shell: "sed -i 's/^\\*@example.com/*/' /etc/postseal/signing.table && sed -i 's/ example.com:/ %:/' /etc/postseal/key.table && postseal reload"},
	{name: "right: the key's record is an alias", update: []string{"update delete ED._domainkey.example.com TXT", "update add ED._domainkey.example.com 60 CNAME key." + domain, "update add key." + domain + ` 60 TXT "v=DKIM1; k=ed25519; p=EDKEY"`}},
	{name: "right: a resolver that does not validate", shell: `sed -i 's/validator iterator/iterator/' /srv/resolver/unbound.conf && ` + restarted},

	{name: "no daemon", shell: stopped, want: []string{"daemon not-running"}},
}

// save keeps what mend brings back.
func (m *lab) save(records []recordAnswer) {
	m.t.Helper()
	m.good = records
	m.Shell("mkdir /srv/good && cp -a /etc/postfix /etc/postseal /srv/resolver /srv/good/ && stat -c '%a' /var/spool/postfix/postseal >/srv/good/mode")
}

// mend brings files, records and the daemon back.
func (m *lab) mend() {
	m.t.Helper()
	m.Shell(`cp -a /srv/good/postfix /srv/good/postseal /etc/
cmp -s /srv/good/resolver/unbound.conf /srv/resolver/unbound.conf || { cp /srv/good/resolver/unbound.conf /srv/resolver/ && systemctl restart resolver; }
chmod $(cat /srv/good/mode) /var/spool/postfix/postseal
systemctl start postfix postseal.service && postseal reload && postfix reload`)
	m.serves()
	lines := []string{"zone " + domain}
	for _, r := range m.good {
		lines = append(lines, "update delete "+r.Name+" CNAME", "update delete "+r.Name+" TXT", "update add "+r.Name+" 60 TXT "+m.strings(r))
	}
	m.update(lines...)
	m.Await("the daemon", func() bool {
		out, err := m.Try("postseal status")
		return err == nil && strings.Contains(out, m.selector("r"))
	})
}
