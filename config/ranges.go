package config

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

const (
	// shortestPatience is Postfix's milter_content_timeout: it waits so long for
	// our answer to a message.
	shortestPatience = Duration(300 * time.Second)

	leastKeyBits = 1024  // RFC 8301 §3.2
	mostKeyBits  = 16384 // the time to verify grows with the cube

	mostFieldBytes  = 64 << 20
	mostFields      = 1_000_000
	mostConnections = 100_000
	mostSignatures  = 1000
	mostMonitored   = 10_000 // keys that DNS is asked about
)

// words checks the keys whose value is one of a few words.
func (k *checker) words() {
	c := k.c
	k.word("body_length", c.BodyLength, "whole", "accept", "ignore", "fail")
	k.word("log_format", c.LogFormat, "text", "json")
	k.word("log_lines", c.LogLines, "structured", "opendkim", "both")
	k.word("syslog_facility", strings.ToLower(c.SyslogFacility), "mail", "daemon", "user", "auth", "authpriv", "syslog",
		"kern", "lpr", "news", "uucp", "cron", "ftp", "security", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7")
	for _, who := range c.AuthorMustMatch {
		k.word("author_must_match", who, "login", "envelope")
	}
	for half := range strings.SplitSeq(strings.ToLower(c.Canonicalization), "/") {
		k.word("canonicalization", half, "simple", "relaxed")
	}
	if strings.Count(c.Canonicalization, "/") > 1 {
		k.add("canonicalization", fmt.Sprintf("%q has more than a header and a body half", c.Canonicalization))
	}
	switch c.LogLevel {
	case slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError:
	default:
		k.add("log_level", fmt.Sprintf("%q is none of debug, info, warn and error", c.LogLevel))
	}
}

func (k *checker) word(key, value string, known ...string) {
	for _, word := range known {
		if value == word {
			return
		}
	}
	text := fmt.Sprintf("unknown word %q; want %s or %s", value,
		strings.Join(known[:len(known)-1], ", "), known[len(known)-1])
	if near := Nearest(value, known); near != "" {
		text += "; did you mean " + near + "?"
	}
	k.add(key, text)
}

// names checks what goes as it stands into header fields and log lines.
func (k *checker) names() {
	if strings.ContainsFunc(k.c.AuthservID, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		k.add("authserv_id", fmt.Sprintf("%q holds a control character", k.c.AuthservID))
	}
	const longestTag = 48 // RFC 5424 §6: APP-NAME
	name := k.c.SyslogName
	if name == "" || len(name) > longestTag || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		k.add("syslog_name", fmt.Sprintf("%q: want 1 to %d letters, digits and signs without blanks and colons", name, longestTag))
	}
	if k.c.SocketMode > 0o777 {
		k.add("socket_mode", errFileMode.Error())
	}
}

func (k *checker) numbers() {
	c := k.c
	within := func(key string, value, least, most int) {
		if value < least || value > most {
			k.add(key, fmt.Sprintf("%d is not within %d and %d", value, least, most))
		}
	}
	within("maximum_signatures_to_verify", c.MaximumSignaturesToVerify, 0, mostSignatures)
	within("minimum_key_bits", c.MinimumKeyBits, leastKeyBits, mostKeyBits)
	within("maximum_key_bits", c.MaximumKeyBits, leastKeyBits, mostKeyBits)
	if c.MinimumKeyBits > c.MaximumKeyBits && c.MaximumKeyBits >= leastKeyBits && c.MinimumKeyBits <= mostKeyBits {
		k.add("minimum_key_bits", fmt.Sprintf("%d is more than maximum_key_bits, %d", c.MinimumKeyBits, c.MaximumKeyBits), "maximum_key_bits")
	}
	within("maximum_headers", c.MaximumHeaders, 1024, mostFieldBytes)
	within("maximum_header_fields", c.MaximumHeaderFields, 1, mostFields)
	within("maximum_connections", c.MaximumConnections, 1, mostConnections)
	within("monitor_keys", c.MonitorKeys, 0, mostMonitored)
	if c.MaximumSignedBytes < -1 || c.MaximumSignedBytes == 0 {
		k.add("maximum_signed_bytes", fmt.Sprintf("%d: want -1 for the whole body, or at least 1", c.MaximumSignedBytes))
	}
}

func (k *checker) durations() {
	c := k.c
	for _, d := range []struct {
		key   string
		value Duration
		zero  bool // whether it may be 0
	}{
		{"signature_ttl", c.SignatureTTL, true},
		{"clock_drift", c.ClockDrift, true},
		{"dns_timeout", c.DNSTimeout, false},
		{"frame_timeout", c.FrameTimeout, false},
		{"idle_timeout", c.IdleTimeout, false},
		{"drain_timeout", c.DrainTimeout, true},
	} {
		switch {
		case d.value < 0:
			k.add(d.key, fmt.Sprintf("%s is negative", d.value))
		case d.value == 0 && !d.zero:
			k.add(d.key, "0 leaves no time at all")
		}
	}
	if c.SignatureTTL > 0 && c.SignatureTTL < Duration(time.Second) {
		k.add("signature_ttl", fmt.Sprintf("%s is less than the second that x= counts in", c.SignatureTTL))
	}
	if c.DNSTimeout >= shortestPatience {
		k.add("dns_timeout", fmt.Sprintf("%s: Postfix waits %s (milter_content_timeout) and then defers the mail; want less", c.DNSTimeout, shortestPatience))
	}
}
