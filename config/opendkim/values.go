package opendkim

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/config"
)

// Bounds that Config has and OpenDKIM has not.
const (
	leastKeyBits      = 1024 // RFC 8301 §3.2
	mostKeyBits       = 16384
	leastHeaderBytes  = 1024
	mostHeaderBytes   = 64 << 20
	mostSignatures    = 1000
	mostNameservers   = 8
	longestDNSTimeout = 240 // seconds; Postfix gives up after 300
	standardDrift     = 300 // seconds
)

func seconds(n int) config.Duration { return config.Duration(time.Duration(n) * time.Second) }

func (r *reading) mode(s setting) {
	for _, c := range s.value {
		if c != 's' && c != 'v' {
			r.refuse(s, fmt.Sprintf(`unknown mode "%c"`, c), `want "s" (sign), "v" (verify) or "sv" (both), in small letters`)
			return
		}
	}
	r.config.Mode = config.Mode{Sign: strings.Contains(s.value, "s"), Verify: strings.Contains(s.value, "v")}
}

// canonicalization takes HEADER/BODY; without the second half the body's is
// simple.
func (r *reading) canonicalization(s setting) {
	header, body, ok := strings.Cut(s.value, "/")
	if !ok {
		body = "simple"
	}
	for _, word := range []string{header, body} {
		if !strings.EqualFold(word, "simple") && !strings.EqualFold(word, "relaxed") {
			r.refuse(s, fmt.Sprintf(`unknown canonicalization algorithm "%s"`, word), "want HEADER/BODY, each simple or relaxed, without blanks")
			return
		}
	}
	r.config.Canonicalization = strings.ToLower(header + "/" + body)
}

// signatureAlgorithm checks the word: the algorithm itself follows from the key.
func (r *reading) signatureAlgorithm(s setting) {
	switch strings.ToLower(s.value) {
	case "rsa-sha256":
	case "ed25519-sha256":
		r.notice(s, "the algorithm follows from each key: an Ed25519 key signs with ed25519-sha256, an RSA key with rsa-sha256")
	case "rsa-sha1":
		r.errorAt(s.place, "illegal value", s.name+": nobody accepts rsa-sha1 (RFC 8301); remove the line, rsa-sha256 is the default")
	default:
		r.refuse(s, fmt.Sprintf(`unknown signing algorithm "%s"`, s.value), "remove the line; the algorithm follows from the key")
	}
}

func (r *reading) signatureTTL(s setting) {
	if s.number < 0 {
		r.notice(s, "%d seconds are none; signatures do not expire", s.number)
		return
	}
	r.config.SignatureTTL = seconds(s.number)
}

func (r *reading) maximumSignedBytes(s setting) {
	switch {
	case s.number > 0:
		r.config.MaximumSignedBytes = int64(s.number)
	case s.number == 0:
		r.notice(s, "with l=0 OpenDKIM signs no body at all; here the whole body is signed")
	case s.number < -1:
		r.notice(s, "the whole body is signed, without l=")
	}
}

// xHeader is the former name of SoftwareHeader, and either switches it on.
func (r *reading) xHeader(s setting) {
	r.notice(s, `"X-Header" deprecated; use "SoftwareHeader" instead`)
	if _, ok := r.setting("SoftwareHeader"); !ok {
		r.config.SoftwareHeader = s.yes
	}
}

func (r *reading) maximumHeaders(s setting) {
	n := s.number
	switch {
	case n <= 0 || n > mostHeaderBytes:
		n = mostHeaderBytes
		r.notice(s, "%s means %d bytes, the most that this build takes", s.value, n)
	case n < leastHeaderBytes:
		n = leastHeaderBytes
		r.notice(s, "%d bytes are less than this build can work with; it takes %d", s.number, n)
	}
	r.config.MaximumHeaders = n
}

func (r *reading) maximumSignatures(s setting) {
	n := s.number
	if n < 0 || n > mostSignatures {
		n = mostSignatures
		r.notice(s, "%s means %d, the most that this build verifies", s.value, n)
	}
	r.config.MaximumSignaturesToVerify = n
}

func (r *reading) minimumKeyBits(s setting) {
	n := s.number
	switch {
	case n > mostKeyBits:
		n = mostKeyBits
		r.notice(s, "this build takes RSA keys of up to %d bits", n)
	case n < leastKeyBits:
		n = leastKeyBits
		if s.number != 0 { // 0 means 1024 in OpenDKIM too
			r.notice(s, "%d bits are too few (RFC 8301 §3.2); it is %d here", s.number, n)
		}
	}
	r.config.MinimumKeyBits = n
	r.config.MaximumKeyBits = max(r.config.MaximumKeyBits, n)
}

func (r *reading) clockDrift(s setting) {
	n := s.number
	if n < 0 {
		r.notice(s, "%d seconds are none; it is %d", n, standardDrift)
	}
	if n <= 0 { // 0 means the default in OpenDKIM too
		n = standardDrift
	}
	r.config.ClockDrift = seconds(n)
}

func (r *reading) dnsTimeout(s setting) {
	n := s.number
	if n <= 0 || n > longestDNSTimeout {
		n = longestDNSTimeout
		r.notice(s, "%s means %d seconds here: Postfix gives up on a filter after 300", s.value, n)
	}
	r.config.DNSTimeout = seconds(n)
}

// minimum takes octets, "N%" or "N+" in decimal digits; what follows such a sign
// does not count.
func (r *reading) minimum(s setting) {
	digits, sign := s.value, ""
	if end := strings.IndexFunc(digits, func(c rune) bool { return c < '0' || c > '9' }); end >= 0 {
		if end == 0 && digits[0] == '+' && len(digits) > 1 {
			digits, sign = digits[1:], ""
		} else {
			digits, sign = digits[:end], digits[end:end+1]
		}
	}
	n, err := strconv.ParseUint(cmp.Or(digits, "0"), 10, 32)
	if err != nil || sign != "" && sign != "%" && sign != "+" || sign == "%" && n > 100 {
		r.refuse(s, `illegal value for "Minimum"`, "want octets (1000), a share of the body (80%) or octets that may follow (500+)")
		return
	}
	r.config.Minimum = strconv.FormatUint(n, 10) + sign
}

func (r *reading) keyAction(s setting) {
	if !slices.Contains([]string{"fail", "neutral", "none"}, strings.ToLower(s.value)) {
		r.refuse(s, fmt.Sprintf("unknown key action '%s'", s.value), "want fail, neutral or none")
	}
}

func (r *reading) atpsHash(s setting) {
	if !s.isIdle(s) {
		r.refuse(s, fmt.Sprintf(`unknown ATPS hash "%s"`, s.value), "remove the line")
	}
}

func (r *reading) syslogFacility(s setting) {
	word := strings.ToLower(s.value)
	if slices.Contains([]string{
		"auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "security", "syslog", "user", "uucp",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}, word) {
		r.config.SyslogFacility = word
		return
	}
	if log, ok := r.setting("Syslog"); !ok || !log.yes {
		r.notice(s, "unknown facility %q; it has no effect while Syslog is not on", s.value)
		return
	}
	r.errorAt(s.place, "illegal value", fmt.Sprintf("%s: unknown facility %q; want mail, daemon, user, auth or local0 to local7", s.name, s.value))
}

// longestTag is that of an APP-NAME (RFC 5424 §6).
const longestTag = 48

// syslogName makes a name that a syslog daemon can tell from the message.
func (r *reading) syslogName(s setting) {
	name := strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' || c == ':' {
			return '_'
		}
		return c
	}, s.value)
	name = name[:min(len(name), longestTag)]
	if name != s.value {
		r.notice(s, "%q, as such a name has at most %d letters, digits and signs without blanks and colons", name, longestTag)
	}
	r.config.SyslogName = name
}

// nameservers takes addresses in libunbound's way: ADDRESS or ADDRESS@PORT.
func (r *reading) nameservers(s setting) {
	var servers config.Strings
	for item := range strings.SplitSeq(s.value, ",") {
		item = strings.Trim(item, blanks)
		if item == "" {
			continue
		}
		host, port, hasPort := strings.Cut(item, "@")
		addr, err := netip.ParseAddr(host)
		number := uint64(53)
		if err == nil && hasPort {
			number, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil || number == 0 {
			r.atStart(ExitSoftware, s, "can't configure DKIM library: failed to set nameserver list",
				fmt.Sprintf("%q is no address; want one such as 127.0.0.1, ::1 or 127.0.0.1@5353", item))
			return
		}
		if hasPort {
			host = netip.AddrPortFrom(addr, uint16(number)).String()
		}
		servers = append(servers, host)
	}
	if len(servers) > mostNameservers {
		r.notice(s, "the first %d are asked", mostNameservers)
		servers = servers[:mostNameservers]
	}
	r.config.Nameservers = servers
}

// restartRate reads N/T with a unit behind T in either case: s, m, h or d.
func (r *reading) restartRate(s setting) {
	rate, ok := parseRate(s.value)
	if ok {
		r.process.AutoRestartRate = rate
		return
	}
	if restart, ok := r.setting("AutoRestart"); !ok || !restart.yes {
		r.notice(s, "%q is no rate such as 10/1h; it has no effect while AutoRestart is not on", s.value)
		return
	}
	r.atStart(ExitConfig, s, "AutoRestartRate invalid", fmt.Sprintf("%q; want COUNT/TIME with s, m, h or d: 10/1h", s.value))
}

func parseRate(value string) (Rate, bool) {
	count, span, ok := strings.Cut(value, "/")
	unit := time.Second
	if ok && span != "" {
		if u, isUnit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[span[len(span)-1]|0x20]; isUnit {
			unit, span = u, span[:len(span)-1]
		}
	}
	n, err1 := strconv.ParseUint(cmp.Or(count, "0"), 10, 31)
	t, err2 := strconv.ParseUint(span, 10, 31)
	if !ok || err1 != nil || err2 != nil || t == 0 || time.Duration(t) > math.MaxInt64/unit {
		return Rate{}, false
	}
	return Rate{Count: int(n), Per: time.Duration(t) * unit}, true
}
