package resolver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

const (
	// MaxRecordsFile bounds what ParseRecords reads, in bytes.
	MaxRecordsFile = 16 << 20
	// maxRecordLine bounds one line of it: the largest TXT record, escaped.
	maxRecordLine = 256 << 10
)

// ParseRecords reads lines of a name, blanks, and a TXT value:
//
//	# the key of example.com
//	s1._domainkey.example.com  v=DKIM1; k=rsa; p=MIIB...
//	s2._domainkey.example.com. "v=DKIM1; k=ed25519; " "p=11qYAY..."
//
// A value that begins with a quotation mark is read as the strings of a zone
// file (RFC 1035 §5.1) and joined; any other is taken as it stands to the end of
// the line. A line whose second word is a type in capital letters holds a record of
// that type:
//
//	mail.example.com        A      192.0.2.1
//	mail.example.com        AAAA   2001:db8::1
//	example.com             MX     10 mail.example.com
//	example.com             NS     ns.example.com
//	1.2.0.192.in-addr.arpa  PTR    mail.example.com
//	www.example.com         CNAME  example.com
//	example.com             TXT    "v=spf1 mx -all"
//
// Lines that begin with "#" and empty lines do not count. A name may
// stand on several lines: it then has several records. One with "=", as ATPS
// has (RFC 6541 §4.4), is never asked for and left out. The error names the line.
func ParseRecords(r io.Reader) (*Records, error) {
	limited := &io.LimitedReader{R: r, N: MaxRecordsFile + 1}
	scanner := bufio.NewScanner(limited)
	scanner.Buffer(nil, maxRecordLine)
	records := new(Records)
	line := 0
	for scanner.Scan() {
		line++
		text := strings.TrimSpace(scanner.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		end := strings.IndexAny(text, " \t")
		if end < 0 {
			return nil, fmt.Errorf("line %d: %q has no value; write the name, a blank and the TXT value", line, text)
		}
		if err := records.parse(text[:end], strings.TrimLeft(text[end:], " \t")); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", line+1, err)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("larger than %d bytes", MaxRecordsFile)
	}
	return records, nil
}

// typedLine is the type that a line's second word names, if any.
func typedLine(word string) (rrtype uint16, ok bool) {
	switch word {
	case "A", "AAAA", "MX", "NS", "PTR", "CNAME":
		return dns.StringToType[word], true
	}
	return 0, false
}

// parse adds the record of one line.
func (r *Records) parse(name, value string) error {
	kind, data, _ := strings.Cut(strings.ReplaceAll(value, "\t", " "), " ")
	if data = strings.TrimSpace(data); kind == "TXT" && data != "" {
		value = data
	} else if rrtype, ok := typedLine(kind); ok {
		return r.addTyped(name, rrtype, data)
	}
	if value[0] == '"' {
		var err error
		if value, err = quotedStrings(value); err != nil {
			return err
		}
	}
	if strings.Contains(name, "=") {
		return nil
	}
	return r.Add(name, value)
}

// addTyped gives name a record of one of the types that lines can have.
func (r *Records) addTyped(name string, rrtype uint16, data string) error {
	key, ok := wireName(name)
	if !ok {
		return fmt.Errorf("%q is no name that DNS can hold", name)
	}
	rr, err := typedRecord(recordHeader(key, rrtype), data)
	if err != nil {
		return err
	}
	if r.typed == nil {
		r.typed = make(map[string][]dns.RR)
	}
	r.typed[key] = append(r.typed[key], rr)
	r.add(key)
	return nil
}

// typedRecord makes the record with header h out of the text of its data.
func typedRecord(h dns.RR_Header, data string) (dns.RR, error) {
	if h.Rrtype == dns.TypeA || h.Rrtype == dns.TypeAAAA {
		addr, err := netip.ParseAddr(data)
		switch {
		case err == nil && addr.Is4() && h.Rrtype == dns.TypeA:
			return &dns.A{Hdr: h, A: addr.AsSlice()}, nil
		case err == nil && addr.Is6() && addr.Zone() == "" && h.Rrtype == dns.TypeAAAA:
			return &dns.AAAA{Hdr: h, AAAA: addr.AsSlice()}, nil
		}
		return nil, fmt.Errorf("%q is no address for a record of type %s", data, dns.Type(h.Rrtype))
	}
	preference := uint64(0)
	if h.Rrtype == dns.TypeMX {
		number, host, _ := strings.Cut(data, " ")
		var err error
		if preference, err = strconv.ParseUint(number, 10, 16); err != nil {
			return nil, fmt.Errorf("%q is no data for a record of type MX; write a number and a host, such as 10 mail.example.com", data)
		}
		data = strings.TrimSpace(host)
	}
	target, ok := wireName(data)
	if !ok && (data != "." || h.Rrtype != dns.TypeMX) { // RFC 7505
		return nil, fmt.Errorf("%q is no name that DNS can hold", data)
	}
	target = dns.Fqdn(target)
	switch h.Rrtype {
	case dns.TypeMX:
		return &dns.MX{Hdr: h, Preference: uint16(preference), Mx: target}, nil
	case dns.TypePTR:
		return &dns.PTR{Hdr: h, Ptr: target}, nil
	case dns.TypeNS:
		return &dns.NS{Hdr: h, Ns: target}, nil
	}
	return &dns.CNAME{Hdr: h, Target: target}, nil
}

// quotedStrings joins the strings of `"a" "b"`.
func quotedStrings(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		if s[0] != '"' {
			return "", fmt.Errorf("%q stands outside the quotation marks", s)
		}
		end := 1
		for end < len(s) && s[end] != '"' {
			if s[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(s) {
			return "", errors.New("a quotation mark is not closed")
		}
		unescape(&b, s[1:end])
		s = strings.TrimLeft(s[end+1:], " \t")
	}
	return b.String(), nil
}
