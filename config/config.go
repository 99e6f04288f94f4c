// Package config is postseal's configuration: one Config struct with typed
// actions and modes, its TOML form, its defaults and its validation. It opens
// no socket and no key.
package config

import (
	"log/slog"
	"time"

	"github.com/postseal/postseal/config/dataset"
)

// Config is everything that postseal can be told. The TOML keys are OpenDKIM's
// parameter names in snake case wherever OpenDKIM has the parameter.
//
// A field of type dataset.Spec takes a data set ("file:/path", "refile:/path",
// "csl:a,b", a bare path or a bare list) or a TOML array of its elements.
type Config struct {
	// Where it listens, and who may connect.

	// Socket lists where the MTA connects: inet:PORT[@HOST], inet6:PORT[@HOST],
	// local:PATH or unix:PATH. One string or an array. Default:
	// local:/run/postseal/postseal.sock.
	Socket Strings `toml:"socket"`
	// Listener adds sockets that differ from the rest in their mode.
	Listener []Listener `toml:"listener"`
	// SocketMode is the permission of unix sockets, as an octal string.
	// Default "0660".
	SocketMode FileMode `toml:"socket_mode"`
	// SocketGroup is the group that unix sockets are given to, by name or
	// number, "postfix" for instance. Default: the daemon's own group.
	SocketGroup string `toml:"socket_group"`
	// RuntimeDirectory holds the control socket of reload and status.
	// Default: $RUNTIME_DIRECTORY (systemd sets it), else /run/postseal.
	RuntimeDirectory string `toml:"runtime_directory"`
	// UserID is whom a daemon that root starts becomes before it opens a socket:
	// user, or user:group. Default: it stays who it is.
	UserID string `toml:"user_id"`
	// ChangeRootDirectory is the daemon's root folder (chroot(2)) once the
	// tables are read. Default: none.
	ChangeRootDirectory string `toml:"change_root_directory"`
	// PidFile gets the process id. Default: none.
	PidFile string `toml:"pid_file"`
	// Sandbox keeps the daemon, from its start on, to the files that it needs,
	// where the kernel can (Landlock): it reads the folders of the configuration
	// and of the files that it names, those of keys and the ones above these, and
	// writes nothing. Default true; false under an opendkim.conf.
	Sandbox bool `toml:"sandbox"`
	// SandboxRead are further files and folders that Sandbox lets it read.
	SandboxRead Strings `toml:"sandbox_read"`

	// What it does.

	// Mode says which roles are active: "s" signs, "v" verifies, "sv" both.
	// Default "sv".
	Mode Mode `toml:"mode"`

	// Who signs with what.

	// KeyTable maps a key's name to "domain:selector:key". Needs SigningTable.
	KeyTable dataset.Spec `toml:"key_table"`
	// SigningTable maps a sender's address to a key's name, with an optional
	// ":signer" for i=. Needs KeyTable.
	SigningTable dataset.Spec `toml:"signing_table"`
	// Domain lists the domains that are signed with KeyFile and Selector, for
	// set-ups without tables; "*" stands for every domain.
	Domain dataset.Spec `toml:"domain"`
	// Selector is s= for Domain.
	Selector string `toml:"selector"`
	// KeyFile is the private key for Domain.
	KeyFile string `toml:"key_file"`
	// SubDomains signs mail from subdomains of Domain too, with d= the parent.
	// Default false.
	SubDomains bool `toml:"sub_domains"`
	// MultipleSignatures applies every row of SigningTable that matches, not
	// only the first. Default false.
	MultipleSignatures bool `toml:"multiple_signatures"`
	// RequireSafeKeys refuses a private key that others than root and the
	// daemon's user can read or replace; false only warns. Default true.
	RequireSafeKeys bool `toml:"require_safe_keys"`
	// CheckSigningTable refuses tables with a row that cannot be used; false
	// disables that row alone, and its mail is deferred. Default true.
	CheckSigningTable bool `toml:"check_signing_table"`
	// UnpublishedKeys says what becomes of mail that a key should sign which DNS does
	// not show: "sign" (default) signs it all the same, "skip" passes the row over as
	// if it were not there, "tempfail" defers the mail. Where DNS gives no answer, what
	// it said last of the key counts; if it never did, OnDNSError applies.
	UnpublishedKeys Unpublished `toml:"unpublished_keys"`
	// WatchFiles reloads by itself when the configuration, a table, a list or one
	// of at most 100 key files changes; with ChangeRootDirectory it does nothing.
	// A new key is used by the next message in any case. Default true.
	WatchFiles bool `toml:"watch_files"`
	// BaseDirectory is where relative paths start, in this file and in the
	// tables. Default: the folder of the configuration file.
	BaseDirectory string `toml:"base_directory"`

	// What a signature looks like.

	// Canonicalization is HEADER/BODY, each simple or relaxed.
	// Default "relaxed/relaxed".
	Canonicalization string `toml:"canonicalization"`
	// SignHeaders are the header fields that are signed where present. A plain
	// list replaces the default; with an element "*", "+name" adds to it and
	// "-name" takes away. A name may end in "*".
	SignHeaders dataset.Spec `toml:"sign_headers"`
	// OmitHeaders are never signed; the same grammar as SignHeaders.
	OmitHeaders dataset.Spec `toml:"omit_headers"`
	// OversignHeaders are signed once more than they are present, so that
	// nobody can add one; the same grammar, without names that end in "*".
	// Default: From, Reply-To, To, Cc and Subject.
	OversignHeaders dataset.Spec `toml:"oversign_headers"`
	// SenderHeaders are searched in this order for the sender whose address
	// SigningTable and Domain are asked for; the same grammar as
	// OversignHeaders. Default From.
	SenderHeaders dataset.Spec `toml:"sender_headers"`
	// SenderMacro is a macro whose value, where it is set, is the sender in
	// place of SenderHeaders; the name with or without braces. Mail under a value
	// that is no address is treated as with a From that cannot be read. Default:
	// none.
	SenderMacro string `toml:"sender_macro"`
	// ReplaceRules is a file of lines "pattern<TAB>text": what a later MTA will
	// make of header fields. They are signed, and SenderHeaders read, as if it
	// had; the message stays as it is, and is verified so. The pattern is a POSIX
	// basic regular expression; the text stands for itself. The last rule comes
	// first, and each is applied until it matches no more. Default: none.
	ReplaceRules string `toml:"replace_rules"`
	// ReplaceHeaders are the fields that ReplaceRules apply to; the same grammar
	// as OversignHeaders. Default: all.
	ReplaceHeaders dataset.Spec `toml:"replace_headers"`
	// SignatureTTL is how long a signature stays valid: x= is t= plus this.
	// Seconds, or a string with a unit ("72h"). Default 0: no x=.
	SignatureTTL Duration `toml:"signature_ttl"`
	// MaximumSignedBytes writes l= and signs at most so many bytes of the
	// body. Anyone can then append to the mail. Default: -1, no l=.
	MaximumSignedBytes int64 `toml:"maximum_signed_bytes"`
	// BodyLengthDB lists recipients; mail to one of them is signed with l=.
	// Anyone can then append to it. The entries are user@domain, *@domain,
	// user@.domain and *@.domain for what is below a domain, user@* and *.
	BodyLengthDB dataset.Spec `toml:"body_length_db"`
	// FixCRLF signs and verifies the body as if each CR or LF that stands alone
	// were a CRLF. Default false.
	FixCRLF bool `toml:"fix_crlf"`
	// Diagnostics copies the signed header fields into z=. Default false.
	Diagnostics bool `toml:"diagnostics"`
	// RequestReports writes r=y (RFC 6651). Default false.
	RequestReports bool `toml:"request_reports"`
	// RemoveOldSignatures deletes DKIM-Signature fields from mail that gets a
	// new one. Default false.
	RemoveOldSignatures bool `toml:"remove_old_signatures"`
	// SignOnce adds no second signature where the mail already carries a valid
	// one of ours with the same domain and selector. Default false.
	SignOnce bool `toml:"sign_once"`
	// SoftwareHeader puts a field "DKIM-Filter: postseal VERSION HOST QUEUE-ID" on
	// top of mail that is signed or verified. Default false.
	SoftwareHeader bool `toml:"software_header"`

	// Whose mail is signed.

	// InternalHosts are the clients whose mail is signed: addresses, networks,
	// host names, ".domain", each with "!" to except it. A value replaces the
	// default, so name the loopback addresses too. Default 127.0.0.1 and ::1.
	InternalHosts dataset.Spec `toml:"internal_hosts"`
	// PeerList are clients whose mail is left alone from the connection on.
	PeerList dataset.Spec `toml:"peer_list"`
	// ExternalIgnoreList are outside clients that may use our domains as
	// author without a notice in the log. Their mail is not signed.
	ExternalIgnoreList dataset.Spec `toml:"external_ignore_list"`
	// MTA lists values of the macro {daemon_name} whose mail is ours.
	MTA dataset.Spec `toml:"mta"`
	// MacroList names macros that mark mail as ours: "name" for any value,
	// "name=a|b" for certain ones; the name with or without braces.
	MacroList dataset.Spec `toml:"macro_list"`
	// ExemptDomains are author domains whose mail is left alone.
	ExemptDomains dataset.Spec `toml:"exempt_domains"`
	// DontSignMailTo lists recipients (user@domain); mail to one of them is
	// not signed.
	DontSignMailTo dataset.Spec `toml:"dont_sign_mail_to"`
	// RequiredHeaders rejects mail that would be signed or verified and breaks the
	// header field counts of RFC 5322 §3.6: one From and Date, at most one
	// Reply-To, To, Cc, Bcc, Message-ID, In-Reply-To, References and Subject.
	// Default false.
	RequiredHeaders bool `toml:"required_headers"`
	// StrictHeaders neither signs nor verifies such mail, or mail with two Sender
	// fields: it gets dkim=permerror. Default false.
	StrictHeaders bool `toml:"strict_headers"`
	// IgnoreMalformedMail leaves mail that can be neither signed nor verified
	// alone: no dkim=permerror, and OnBadFrom does not apply. Default false.
	IgnoreMalformedMail bool `toml:"ignore_malformed_mail"`
	// WeakSyntaxChecks verifies mail whose From cannot be read. It is not signed
	// all the same, and mail with several From fields, or none, is not verified.
	// Default false.
	WeakSyntaxChecks bool `toml:"weak_syntax_checks"`
	// AuthorMustMatch keeps one customer from signing as another: mail is
	// signed only if its author is the authenticated login ("login"), the
	// envelope sender ("envelope"), or either of those listed. Default: empty,
	// not asked.
	AuthorMustMatch Strings `toml:"author_must_match"`

	// Verification.

	// AuthservID names us in Authentication-Results. "HOSTNAME" is the host's
	// name. Default: the macro j of the MTA, else the host's name.
	AuthservID string `toml:"authserv_id"`
	// AuthservIDWithJobID appends "/" and the queue id. Default false.
	AuthservIDWithJobID bool `toml:"authserv_id_with_job_id"`
	// AlwaysAddARHeader writes dkim=none for unsigned mail; on_no_signature
	// does not apply then. Default false.
	AlwaysAddARHeader bool `toml:"always_add_ar_header"`
	// NoHeaderB leaves header.b out of Authentication-Results. Default false.
	NoHeaderB bool `toml:"no_header_b"`
	// KeepAuthResults leaves incoming Authentication-Results alone, forged
	// ones too. Default false.
	KeepAuthResults bool `toml:"keep_auth_results"`
	// RemoveARAll removes every Authentication-Results that claims to be ours,
	// not only those with a result of a method that we check. Default true.
	RemoveARAll bool `toml:"remove_ar_all"`
	// RemoveARFrom lists further authserv-ids whose fields are removed; a
	// leading dot stands for every host below a domain.
	RemoveARFrom dataset.Spec `toml:"remove_ar_from"`
	// MaximumSignaturesToVerify is how many signatures of a message are
	// verified: first those of the author's domain and of TrustSignaturesFrom,
	// then the others, each from the top. 0 verifies those of the author's
	// domain and of TrustSignaturesFrom alone, the first 10 of them. Default 10.
	MaximumSignaturesToVerify int `toml:"maximum_signatures_to_verify"`
	// TrustSignaturesFrom lists the domains, beside the author's, whose
	// signatures are verified first, and with MaximumSignaturesToVerify = 0 alone.
	// Default: none.
	TrustSignaturesFrom dataset.Spec `toml:"trust_signatures_from"`
	// MustBeSigned names header fields of which a signature has to cover every
	// instance, else it fails; the same grammar as OversignHeaders. Default: none.
	MustBeSigned dataset.Spec `toml:"must_be_signed"`
	// Minimum is how much of the body a signature with l= has to cover: octets
	// ("1000"), a share ("80%"), or how many octets may follow the signed part
	// ("500+"). It matters where BodyLength is "accept". Default: not asked.
	Minimum string `toml:"minimum"`
	// MinimumKeyBits and MaximumKeyBits bound RSA keys, for signing and for
	// verifying. Defaults 1024 and 8192; less than 1024 is not accepted
	// (RFC 8301 §3.2).
	MinimumKeyBits int `toml:"minimum_key_bits"`
	MaximumKeyBits int `toml:"maximum_key_bits"`
	// ClockDrift is the tolerance for t= in the future and x= in the past.
	// Default 300 s.
	ClockDrift Duration `toml:"clock_drift"`
	// BodyLength says what l= means when verifying: "whole" (default) passes
	// only if it covers the whole body, "accept" passes as RFC 6376 has it,
	// "ignore" leaves the signature out of account, "fail" fails it.
	BodyLength string `toml:"body_length"`

	// What happens to the mail: accept, discard, quarantine, reject, tempfail.

	// OnDefault is the default of the actions below where it is set.
	OnDefault Action `toml:"on_default"`
	// OnBadSignature: signed, and no signature passed. The signature of a domain
	// that tests its key (t=y) counts as none. Default accept.
	OnBadSignature Action `toml:"on_bad_signature"`
	// OnNoSignature: not signed. Default accept.
	OnNoSignature Action `toml:"on_no_signature"`
	// OnDNSError: a key could not be looked up for now. Default tempfail.
	OnDNSError Action `toml:"on_dns_error"`
	// OnKeyNotFound: the key of a signature does not exist. Default accept.
	OnKeyNotFound Action `toml:"on_key_not_found"`
	// OnInternalError: our own trouble. Default tempfail.
	OnInternalError Action `toml:"on_internal_error"`
	// OnSecurity: the mail exceeds a limit. Where it is accepted it gets
	// dkim=permerror, but one with more forged results of ours than it may have
	// fields is rejected. Default tempfail.
	OnSecurity Action `toml:"on_security"`
	// OnSignatureError: the mail should be signed and the signature cannot be
	// made. Default reject.
	OnSignatureError Action `toml:"on_signature_error"`
	// OnBadFrom: mail with no author, with several From fields, or with a From
	// that cannot be read; it is never signed and never passes. Default accept,
	// with dkim=permerror.
	OnBadFrom Action `toml:"on_bad_from"`
	// OnNoAlignedPass: inbound mail without a passing signature whose domain
	// is the author's domain, or a parent or child of it that is no public
	// suffix; deferred while the key of such a one cannot be looked up. Default
	// accept.
	OnNoAlignedPass Action `toml:"on_no_aligned_pass"`
	// RedirectFailuresTo is an address that gets mail in place of its recipients,
	// who are named in Original-Recipient fields, where no signature passed and
	// one is not that of this header and body. Mail with keys that are missing or
	// of no use is not redirected, nor mail that an action keeps out.
	// Default: none.
	RedirectFailuresTo string `toml:"redirect_failures_to"`

	// DNS.

	// Nameservers are asked for keys, as ADDRESS or ADDRESS:PORT.
	// Default: those of /etc/resolv.conf.
	Nameservers Strings `toml:"nameservers"`
	// DNSTimeout bounds the look-ups of one message. Default 5 s.
	DNSTimeout Duration `toml:"dns_timeout"`
	// TestPublicKeys is a file of lines "name value" that answers TXT
	// questions in place of DNS.
	TestPublicKeys string `toml:"test_public_keys"`
	// TestDNSData is such records as a data set, names and TXT values, where there
	// is no TestPublicKeys.
	TestDNSData dataset.Spec `toml:"test_dns_data"`
	// DNSConnect asks by TCP at once. Default false.
	DNSConnect bool `toml:"dns_connect"`

	// Limits.

	// MaximumHeaders bounds the bytes of a message's header. Default 262144.
	MaximumHeaders int `toml:"maximum_headers"`
	// MaximumHeaderFields bounds the fields of a message's header.
	// Default 5000.
	MaximumHeaderFields int `toml:"maximum_header_fields"`
	// MaximumConnections bounds the MTA's connections at once. Default 1000.
	MaximumConnections int `toml:"maximum_connections"`
	// FrameTimeout bounds the time from a frame's first byte to its last.
	// Default 30 s.
	FrameTimeout Duration `toml:"frame_timeout"`
	// IdleTimeout bounds the time between two frames. An MTA is silent while
	// its client sends the mail. Default 2 h.
	IdleTimeout Duration `toml:"idle_timeout"`
	// DrainTimeout is how long a stop waits for mail in progress. Default 20 s: after a
	// restart, Postfix waits 30 s at most to be greeted (milter_command_timeout).
	DrainTimeout Duration `toml:"drain_timeout"`

	// Logs.

	// LogLevel is debug, info, warn or error. Default info.
	LogLevel slog.Level `toml:"log_level"`
	// LogFormat is text or json, on standard error. Default text.
	LogFormat string `toml:"log_format"`
	// Syslog logs to syslog in place of standard error. Default false.
	Syslog bool `toml:"syslog"`
	// SyslogFacility is mail, daemon, user, auth, authpriv, syslog, kern, lpr,
	// news, uucp, cron, ftp or local0 to local7. Default mail.
	SyslogFacility string `toml:"syslog_facility"`
	// SyslogName is the name before the colon in syslog. Default postseal.
	SyslogName string `toml:"syslog_name"`
	// StdoutLog logs to standard output in place of standard error. Default false.
	StdoutLog bool `toml:"stdout_log"`
	// LogLines says which lines tell of messages: "structured", one line a
	// message; "opendkim", the lines of OpenDKIM; or "both". Default structured.
	LogLines string `toml:"log_lines"`
	// LogWhy, LogResults and SyslogSuccess add to OpenDKIM's lines why a message
	// was signed or was not, the result of each signature, and successes.
	// Default false.
	LogWhy        bool `toml:"log_why"`
	LogResults    bool `toml:"log_results"`
	SyslogSuccess bool `toml:"syslog_success"`

	// Monitoring.

	// MonitorSocket is where metrics (/metrics), health (/healthz, /readyz) and a
	// status page (/) are told over HTTP; notation as in Socket, but a port without
	// a host is one of the loopback address. A unix socket has mode 0660 and
	// SocketGroup. See MonitorAt. Default: none.
	MonitorSocket string `toml:"monitor_socket"`
	// MonitorKeys is up to how many keys DNS is asked whether it publishes them,
	// for metrics and the status page; with more, and with 0, it is not asked.
	// Default 100.
	MonitorKeys int `toml:"monitor_keys"`

	// Nameless names us in Authentication-Results where AuthservID is not set
	// and the MTA sends no macro j, which Postfix always does: OpenDKIM's
	// "unknown-host" under its form. Default: the host's name.
	Nameless string

	// Notices are what the reader of another form of configuration has to say
	// of settings that mean less here than there; Warnings has them too.
	Notices Problems

	// origin is the file that this was read from, for Validate's lines.
	origin origin
	// sources are all files that this was read from, for Files.
	sources []string
}

// Listener is one socket with settings of its own.
type Listener struct {
	// Socket is where the MTA connects; see Config.Socket.
	Socket string `toml:"socket"`
	// Mode replaces Config.Mode for mail that comes in here.
	Mode Mode `toml:"mode"`
}

// Default returns the configuration that an empty postseal.toml means.
func Default() *Config {
	return &Config{
		Socket:                    Strings{"local:/run/postseal/postseal.sock"},
		SocketMode:                0o660,
		Mode:                      Mode{Sign: true, Verify: true},
		RequireSafeKeys:           true,
		CheckSigningTable:         true,
		Sandbox:                   true,
		WatchFiles:                true,
		Canonicalization:          "relaxed/relaxed",
		SignHeaders:               dataset.List(signHeaders()...),
		OmitHeaders:               dataset.List(omitHeaders()...),
		OversignHeaders:           dataset.List(oversignHeaders()...),
		SenderHeaders:             dataset.List(senderHeaders()...),
		MaximumSignedBytes:        -1,
		InternalHosts:             dataset.List("127.0.0.1", "::1"),
		RemoveARAll:               true,
		MaximumSignaturesToVerify: 10,
		MinimumKeyBits:            1024,
		MaximumKeyBits:            8192,
		ClockDrift:                Duration(300 * time.Second),
		BodyLength:                "whole",
		OnDNSError:                Tempfail,
		OnInternalError:           Tempfail,
		OnSecurity:                Tempfail,
		OnSignatureError:          Reject,
		DNSTimeout:                Duration(5 * time.Second),
		MaximumHeaders:            256 << 10,
		MaximumHeaderFields:       5000,
		MaximumConnections:        1000,
		FrameTimeout:              Duration(30 * time.Second),
		IdleTimeout:               Duration(2 * time.Hour),
		DrainTimeout:              Duration(20 * time.Second),
		LogFormat:                 "text",
		LogLines:                  "structured",
		SyslogFacility:            "mail",
		SyslogName:                "postseal",
		MonitorKeys:               100,
	}
}
