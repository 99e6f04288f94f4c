package machine

// Postfix has Debian's package make main.cf as its installation does for an "Internet
// Site", mail.example.com with chrooted services, and waits until it answers.
func (m *Machine) Postfix() {
	m.t.Helper()
	m.Shell(PostfixAnswers + `
rm -f /etc/postfix/main.cf
DEBIAN_FRONTEND=noninteractive dpkg-reconfigure postfix
systemctl start postfix`)
	m.AwaitPostfix()
}

// PostfixAnswers is a command that answers the questions of Debian's package.
const PostfixAnswers = `debconf-set-selections <<'END'
postfix postfix/main_mailer_type select Internet Site
postfix postfix/mailname string mail.example.com
postfix postfix/destinations string mail.example.com, localhost
END`

// AwaitPostfix waits until Postfix answers.
func (m *Machine) AwaitPostfix() {
	m.t.Helper()
	m.Await("Postfix", func() bool {
		_, err := m.Try("swaks --server 127.0.0.1 --quit-after BANNER")
		return err == nil
	})
}
