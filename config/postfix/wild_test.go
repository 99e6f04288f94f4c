package postfix

import (
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// debianMaster is master.cf as Debian has it, with its services for clients switched on.
const debianMaster = `smtp      inet  n       -       y       -       -       smtpd
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=$mua_client_restrictions
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
smtps     inet  n       -       y       -       -       smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_recipient_restrictions=
  -o milter_macro_daemon_name=ORIGINATING
pickup    unix  n       -       y       60      1       pickup
cleanup   unix  n       -       y       -       0       cleanup
smtp      unix  -       -       y       -       -       smtp
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
`

// Configurations as people have them: what Wire makes of them, and what is found before
// and after.
func TestWild(t *testing.T) {
	const local = "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128\n"
	tests := []struct {
		name         string
		main, master string
		wire         []string
		before       []string
		after        []string
	}{
		{
			name: "Debian with submission", main: local, master: debianMaster,
			wire:   []string{"postconf -e 'smtpd_milters = unix:p/s'", "postconf -e 'non_smtpd_milters = unix:p/s'"},
			before: []string{"problem milter-missing", "note bounces-unsigned"},
			after:  []string{"note bounces-unsigned"},
		},
		{
			name: "Rspamd before us, accept without it", master: debianMaster,
			main: local + `smtpd_milters = inet:127.0.0.1:11332
non_smtpd_milters = inet:127.0.0.1:11332
milter_mail_macros = i {mail_addr} {client_addr} {client_name} {auth_authen}
milter_default_action = accept
milter_protocol = 6
`,
			wire: []string{
				"postconf -e 'smtpd_milters = inet:127.0.0.1:11332, {unix:p/s,default_action=tempfail}'",
				"postconf -e 'non_smtpd_milters = inet:127.0.0.1:11332, {unix:p/s,default_action=tempfail}'",
			},
			before: []string{"problem milter-missing", "note bounces-unsigned"},
			after:  []string{"note bounces-unsigned"},
		},
		{
			name: "amavisd with ports of its own for clients",
			main: local + "content_filter = smtp-amavis:[127.0.0.1]:10024\nreceive_override_options = no_address_mappings\ncompatibility_level = 0\n",
			master: `smtp inet n - - - 1 postscreen
smtpd pass - - - - - smtpd
dnsblog unix - - - - 0 dnsblog
tlsproxy unix - - - - 0 tlsproxy
submission inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o content_filter=smtp-amavis:[127.0.0.1]:10026
465 inet n - n - - smtpd
  -o { content_filter = smtp-amavis:[127.0.0.1]:10026 }
pickup unix n - n 60 1 pickup
  -o content_filter=smtp-amavis:[127.0.0.1]:10026
cleanup unix n - n - 0 cleanup
smtp-amavis unix - - n - 2 lmtp
  -o lmtp_send_xforward_command=yes
127.0.0.1:10025 inet n - n - - smtpd
  -o content_filter=
  -o mynetworks_style=host
  -o mynetworks=127.0.0.0/8
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks,no_address_mappings
[::1]:10027 inet n - n - - smtpd
  -o content_filter=
  -o receive_override_options=no_header_body_checks,no_milters
10028 inet n - n - - smtpd
  -o content_filter=
  -o smtpd_milters=inet:127.0.0.1:9900
`,
			wire: []string{
				"postconf -e 'smtpd_milters = unix:p/s'", "postconf -e 'non_smtpd_milters = unix:p/s'",
				"postconf -P '127.0.0.1:10025/inet/smtpd_milters ='",
			},
			before: []string{"problem milter-missing", "note bounces-unsigned"},
			after:  []string{"note filter-after", "note bounces-unsigned"},
		},
		{
			name: "content filter among milters, which pass it by",
			main: local + "others = inet:127.0.0.1:11332, { unix:clamav/milter.ctl, default_action=accept }\nsmtpd_milters = $others inet:localhost:8891\nnon_smtpd_milters = inet:localhost:8891\ncontent_filter = scan:[127.0.0.1]:10024\n",
			master: "smtp inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nscan unix - - n - 2 smtp\n" +
				"localhost:10025 inet n - n - - smtpd\n  -o content_filter=\n",
			wire: []string{
				"# in place of inet:localhost:8891, which seems to sign, too", "postconf -e 'smtpd_milters = $others, unix:p/s'",
				"# in place of inet:localhost:8891, which seems to sign, too", "postconf -e 'non_smtpd_milters = unix:p/s'",
				"postconf -P 'localhost:10025/inet/smtpd_milters = inet:127.0.0.1:11332,{unix:clamav/milter.ctl,default_action=accept}'",
			},
			before: []string{"problem milter-missing", "note bounces-unsigned"},
			after:  []string{"note filter-after", "note bounces-unsigned"},
		},
		{
			name: "OpenDKIM where mail comes back", main: local + "content_filter = scan:[127.0.0.1]:10024\nsmtpd_milters =\n",
			master: "smtp inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nscan unix - - n - 2 smtp\n" +
				"127.0.0.1:10025 inet n - n - - smtpd -o content_filter= -o smtpd_milters=inet:127.0.0.1:12301\n",
			wire: []string{
				"postconf -e 'smtpd_milters = unix:p/s'", "postconf -e 'non_smtpd_milters = unix:p/s'",
				"# in place of inet:127.0.0.1:12301, which seems to sign, too", "postconf -P '127.0.0.1:10025/inet/smtpd_milters = unix:p/s'",
			},
			before: []string{"problem milter-missing", "note bounces-unsigned"},
			after:  []string{"problem filter-twice", "note bounces-unsigned"},
		},
		{
			name: "a system of containers, with ports of its own", main: local + "smtpd_milters = inet:rspamd:9900\nnon_smtpd_milters = inet:rspamd:9900\nsmtpd_sasl_auth_enable = yes\nmilter_mail_macros = i {mail_addr} {client_addr}\n",
			master: `smtp inet n - n - 1 postscreen
smtpd pass - - n - - smtpd
10025 inet n - n - 1 postscreen
  -o postscreen_upstream_proxy_protocol=haproxy
submission inet n - n - - smtpd
  -o smtpd_client_restrictions=permit_mynetworks,permit_sasl_authenticated,reject
  -o cleanup_service_name=sender_cleanup
10587 inet n - n - - smtpd
  -o smtpd_upstream_proxy_protocol=haproxy
588 inet n - n - - smtpd
  -o smtpd_client_restrictions=permit_mynetworks,reject
  -o smtpd_milters=
  -o non_smtpd_milters=
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
sender_cleanup unix n - n - 0 cleanup
  -o header_checks=
`,
			wire: []string{
				"postconf -e 'smtpd_milters = inet:rspamd:9900, unix:p/s'", "postconf -e 'non_smtpd_milters = inet:rspamd:9900, unix:p/s'",
			},
			before: []string{"problem milter-missing", "warning milter-overridden", "note bounces-unsigned"},
			after:  []string{"warning milter-overridden", "note bounces-unsigned"},
		},
		{
			name: "milters of one's own names, of clients and of strangers", master: `25 inet n - n - - smtpd
submission inet n - n - - smtpd
  -o smtpd_milters=$client_milters
  -o milter_default_action=accept
smtps inet n - n - - smtpd
  -o smtpd_milters=${client_milters}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
`,
			main: local + "client_milters = inet:[::1]:9900\nstranger_milters = unix:spamass/spamass.sock\nsmtpd_milters = ${stranger_milters}\nnon_smtpd_milters = $client_milters\n",
			wire: []string{
				"postconf -e 'stranger_milters = unix:spamass/spamass.sock, unix:p/s'", "postconf -e 'client_milters = inet:[::1]:9900, unix:p/s'",
			},
			before: []string{"problem milter-missing", "problem milter-overridden", "problem milter-overridden", "note bounces-unsigned"},
			after:  []string{"warning default-action", "note bounces-unsigned"},
		},
		{
			name: "OpenDKIM and OpenDMARC for Mailman, as the how-tos have it", master: debianMaster + `mailman unix - n n - - pipe
  flags=FR user=list argv=/usr/lib/mailman/bin/postfix-to-mailman.py ${nexthop} ${user}
`,
			main: local + "milter_default_action = accept\nmilter_protocol = 2\nsmtpd_milters = local:/opendkim/opendkim.sock,local:/opendmarc/opendmarc.sock\nnon_smtpd_milters = $smtpd_milters\nowner_request_special = no\n",
			wire: []string{
				"# in place of local:/opendkim/opendkim.sock, which seems to sign, too",
				"postconf -e 'smtpd_milters = {unix:p/s,default_action=tempfail}, local:/opendmarc/opendmarc.sock'",
			},
			before: []string{"problem milter-missing", "warning milter-protocol", "note bounces-unsigned"},
			after:  []string{"warning milter-protocol", "note bounces-unsigned"},
		},
		{
			name: "SpamAssassin as a command, for strangers", main: local,
			master: `smtp inet n - n - - smtpd -o content_filter=spamassassin
submission inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
spamassassin unix - n n - - pipe user=debian-spamd argv=/usr/bin/spamc -f -e /usr/sbin/sendmail -oi -f ${sender} ${recipient}
`,
			wire:   []string{"postconf -e 'smtpd_milters = unix:p/s'", "postconf -e 'non_smtpd_milters = unix:p/s'"},
			before: []string{"problem milter-missing", "note bounces-unsigned"},
			after:  []string{"warning filter-twice", "note bounces-unsigned"},
		},
		{
			name: "a filter that is gone, and a port that skips filters for clients", main: local,
			master: "smtp inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n" +
				"2525 inet n - n - - smtpd -o content_filter= -o smtpd_sasl_auth_enable=yes\n127.0.0.1:10025 inet n - n - - smtpd -o content_filter=\n",
			wire: []string{
				"postconf -e 'smtpd_milters = unix:p/s'", "postconf -e 'non_smtpd_milters = unix:p/s'",
				"postconf -P '127.0.0.1:10025/inet/smtpd_milters ='",
			},
			before: []string{"problem milter-missing", "note bounces-unsigned"},
			after:  []string{"note bounces-unsigned"},
		},
		{
			name: "one of several instances, for local mail", main: local + "multi_instance_enable = yes\nmulti_instance_wrapper = ${command_directory}/postmulti -p --\nmulti_instance_directories = /etc/postfix-out\nmaster_service_disable = inet\nrelayhost = [127.0.0.1]:10026\n",
			master: "smtp inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n",
			wire:   []string{"postconf -e 'smtpd_milters = unix:p/s'", "postconf -e 'non_smtpd_milters = unix:p/s'"},
			before: []string{"note postfix-instances", "problem milter-missing", "note bounces-unsigned"},
			after:  []string{"note postfix-instances", "note bounces-unsigned"},
		},
		{
			name: "milters by client", main: local + "smtpd_milter_maps = inline:{192.0.2.1=DISABLE}\nsmtpd_milters = inet:localhost.localdomain:9900 inet:[::1]:9901\n", master: debianMaster,
			wire:   []string{"postconf -e 'smtpd_milters = inet:localhost.localdomain:9900, inet:[::1]:9901, unix:p/s'", "postconf -e 'non_smtpd_milters = unix:p/s'"},
			before: []string{"problem milter-missing", "note milters-by-client", "note bounces-unsigned"},
			after:  []string{"note milters-by-client", "note bounces-unsigned"},
		},
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			write(t, filepath.Join(s.folder, "main.cf"), fmt.Sprintf("compatibility_level = 3.6\nqueue_directory = %s\nmail_owner = %s\n", s.queue, me.Username)+test.main)
			write(t, filepath.Join(s.folder, "master.cf"), test.master)
			c := reread(t, s.folder)
			if diff := cmp.Diff(test.before, codes(inspect(t, c, s.expect))); diff != "" {
				t.Error("before:", diff)
			}
			edits, err := c.Wire(s.milter.socket)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.wire, told(c, edits)); diff != "" {
				t.Error("wire:", diff)
			}
			c = obey(t, c, edits)
			if again, err := c.Wire(s.milter.socket); err != nil || again != nil {
				t.Errorf("once more: %v, %v", again, err)
			}
			found := inspect(t, c, s.expect)
			if diff := cmp.Diff(test.after, codes(found)); diff != "" {
				t.Errorf("after: %s%+v", diff, found)
			}
			// The commands of what is found, as they stand, leave nothing that a command
			// could mend.
			for _, f := range found {
				if strings.Contains(f.Fix, "postconf ") {
					c = mend(t, c, f.Fix)
					if left := codes(inspect(t, c, s.expect)); slices.Contains(left, string(f.Level)+" "+string(f.Code)) {
						t.Errorf("%s\nleaves %q", f.Fix, left)
					}
				}
			}
			out, err := c.Unwire(s.milter.socket)
			if err != nil {
				t.Fatal(err)
			}
			c = obey(t, c, out)
			if again, err := c.Unwire(s.milter.socket); err != nil || again != nil {
				t.Errorf("taken out once more: %v, %v", again, err)
			}
		})
	}
}
