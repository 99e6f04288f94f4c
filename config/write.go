package config

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// WriteOptions say what stands in a written configuration beside its settings.
// Comments may have several lines; what a TOML comment cannot hold is replaced.
type WriteOptions struct {
	// Head is the comment at the top.
	Head string
	// Comment is what stands above the setting with this key, "" for nothing. nil
	// means no comments.
	Comment func(key string) string
}

// section is a heading of the file with its keys, in their order.
type section struct {
	title string
	keys  []string
}

// sections are how deploy/postseal.toml is divided.
var sections = []section{
	{"Where Postfix connects", []string{
		"socket", "socket_mode", "socket_group", "runtime_directory", "user_id", "change_root_directory", "pid_file",
		"sandbox", "sandbox_read",
	}},
	{"What it does", []string{"mode"}},
	{"Who signs with what", []string{
		"key_table", "signing_table", "multiple_signatures", "domain", "selector", "key_file", "sub_domains",
		"require_safe_keys", "check_signing_table", "unpublished_keys", "watch_files", "base_directory",
	}},
	{"What a signature looks like", []string{
		"canonicalization", "sign_headers", "omit_headers", "oversign_headers", "sender_headers", "sender_macro",
		"replace_rules", "replace_headers", "signature_ttl", "maximum_signed_bytes", "body_length_db", "fix_crlf",
		"diagnostics", "request_reports", "remove_old_signatures", "sign_once", "software_header",
	}},
	{"Whose mail is signed", []string{
		"internal_hosts", "peer_list", "external_ignore_list", "mta", "macro_list", "exempt_domains",
		"dont_sign_mail_to", "author_must_match", "required_headers", "strict_headers", "ignore_malformed_mail",
		"weak_syntax_checks",
	}},
	{"Verification", []string{
		"authserv_id", "authserv_id_with_job_id", "always_add_ar_header", "no_header_b", "keep_auth_results",
		"remove_ar_all", "remove_ar_from", "maximum_signatures_to_verify", "trust_signatures_from", "must_be_signed",
		"minimum", "minimum_key_bits", "maximum_key_bits", "clock_drift", "body_length",
	}},
	{"What happens to the mail", []string{
		"on_default", "on_bad_signature", "on_no_signature", "on_dns_error", "on_key_not_found", "on_internal_error",
		"on_security", "on_signature_error", "on_bad_from", "on_no_aligned_pass", "redirect_failures_to",
	}},
	{"DNS", []string{"nameservers", "dns_timeout", "test_public_keys", "test_dns_data", "dns_connect"}},
	{"Limits", []string{
		"maximum_headers", "maximum_header_fields", "maximum_connections", "frame_timeout", "idle_timeout",
		"drain_timeout",
	}},
	{"Logs", []string{
		"log_level", "log_format", "syslog", "syslog_facility", "syslog_name", "stdout_log", "log_lines", "log_why",
		"log_results", "syslog_success",
	}},
	{"Monitoring", []string{"monitor_socket", "monitor_keys"}},
	{"Further sockets", []string{"listener"}},
}

// headingWidth is how long the line of a section's heading is.
const headingWidth = 78

// TOML writes c as a postseal.toml: every setting that differs from Default, in
// the order of deploy/postseal.toml. Parse makes the same Config of it, but for
// Notices. An error names a value that TOML cannot hold, because it is no UTF-8.
func (c *Config) TOML(o WriteOptions) ([]byte, error) {
	w := writer{options: o}
	w.comment(o.Head)
	fields, defaults := fieldsOf(c), fieldsOf(Default())
	for _, s := range sections {
		w.section = s.title
		for _, key := range s.keys {
			field := fields.byKey[key].Interface()
			normal := defaults.byKey[key].Interface()
			if _, ok := field.(Action); ok && key != "on_default" && c.OnDefault != Accept {
				normal = c.OnDefault
			}
			switch field := field.(type) {
			case []Listener:
				w.listeners(field)
			default:
				if !sameSetting(field, normal) {
					w.setting(key, field)
				}
			}
		}
	}
	return w.b.Bytes(), w.err
}

// writer writes settings below the headings of their sections.
type writer struct {
	options WriteOptions
	b       bytes.Buffer
	section string // its heading, until it is written
	// commented: the last setting has a comment.
	commented bool
	err       error // the first
}

// setting writes one with its comment.
func (w *writer) setting(key string, value any) {
	w.above(key)
	w.assign(key, value)
}

// above writes the heading of a section before its first setting, and the
// setting's comment, apart from what stands before.
func (w *writer) above(key string) {
	comment := ""
	if w.options.Comment != nil {
		comment = w.options.Comment(key)
	}
	apart := comment != "" || w.commented || w.section != ""
	if apart && w.b.Len() > 0 {
		w.b.WriteByte('\n')
	}
	if w.section != "" {
		if w.b.Len() > 0 {
			w.b.WriteByte('\n')
		}
		heading := "## " + w.section + " "
		w.b.WriteString(heading + strings.Repeat("-", headingWidth-len(heading)) + "\n\n")
		w.section = ""
	}
	w.comment(comment)
	w.commented = comment != ""
}

func (w *writer) assign(key string, value any) {
	text, err := valueText(value, len(key)+len(" = "))
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("%s: %w", key, err)
	}
	w.b.WriteString(key + " = " + text + "\n")
}

// comment writes each line behind a "#".
func (w *writer) comment(text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		line = strings.Map(func(r rune) rune {
			if r != '\t' && !unicode.IsPrint(r) {
				return unicode.ReplacementChar
			}
			return r
		}, strings.ToValidUTF8(line, string(unicode.ReplacementChar)))
		w.b.WriteString(strings.TrimRight("# "+line, " \t") + "\n")
	}
}

func (w *writer) listeners(list []Listener) {
	for _, l := range list {
		w.above("listener")
		w.b.WriteString("[[listener]]\n")
		w.assign("socket", l.Socket)
		if l.Mode != (Mode{}) {
			w.assign("mode", l.Mode)
		}
	}
}

// sameSetting reports whether two values of one setting are the same. A list
// without elements is the same however it came to be.
func sameSetting(a, b any) bool {
	switch a := a.(type) {
	case Strings:
		b := b.(Strings)
		return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
	case []Listener:
		return len(a) == 0 && len(b.([]Listener)) == 0 || reflect.DeepEqual(a, b)
	}
	return reflect.DeepEqual(a, b)
}
