package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/postseal/postseal/milter/wire"
)

// stage is a place that macros are sent at, with the number that SETSYMLIST has
// for it (SMFIM_*).
type stage int

const (
	atConnect stage = iota
	atHelo
	atMail
	atRcpt
	atData
	atEOM // also for each piece of the body
	atEOH // also for each header field
	stages
)

// macroLists are the names of the macros to send at each stage.
type macroLists [stages][]string

// postfixMacros are Postfix's own, milter_*_macros of postconf(5).
func postfixMacros() macroLists {
	return macroLists{
		atConnect: {"j", "{daemon_name}", "{daemon_addr}", "v", "_"},
		atHelo:    {"{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}"},
		atMail:    {"i", "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_addr}", "{mail_host}", "{mail_mailer}"},
		atRcpt:    {"i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"},
		atData:    {"i"},
		atEOH:     {"i"},
		atEOM:     {"i"},
	}
}

// replace takes what the filter's negotiation says behind its three numbers:
// pairs of a stage and the names wanted there, divided by blanks or commas. Where
// there is no name, Postfix sends its own.
func (m *macroLists) replace(p []byte) error {
	for len(p) > 0 {
		if len(p) < 4 {
			return fmt.Errorf("its negotiation has %d octets too many", len(p))
		}
		n := binary.BigEndian.Uint32(p)
		names, rest, ok := bytes.Cut(p[4:], []byte{0})
		if !ok || n >= uint32(stages) {
			return fmt.Errorf("its negotiation asks for macros of stage %d in a wrong form", n)
		}
		wanted := strings.FieldsFunc(string(names), func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
		if len(wanted) > 0 {
			m[n] = wanted
		}
		p = rest
	}
	return nil
}

// What the MTA and the client are called.
const (
	hostname   = "mx.example.org" // myhostname
	mailName   = "Postfix 3.7.11" // $mail_name $mail_version
	serverAddr = "127.0.0.1"
	clientPort = 40000
	helo       = "client.example"
	mailer     = "smtp" // the transport of sender and recipients
)

// facts is what macros are made of.
type facts struct {
	client    Client
	id        string // queue id; empty until the first recipient is taken
	sender    string
	recipient string // the current one
}

// macro is the value of a macro; one without a value is left out, as Postfix
// does.
func (f *facts) macro(name string) string {
	switch name {
	case "i":
		return f.id
	case "j":
		return hostname
	case "v":
		return mailName
	case "_":
		return f.client.Host + " [" + f.client.Addr + "]"
	case "{daemon_name}":
		return hostname
	case "{daemon_addr}":
		return serverAddr
	case "{daemon_port}":
		return "25"
	case "{client_addr}":
		if strings.Contains(f.client.Addr, ":") {
			return "IPv6:" + f.client.Addr
		}
		return f.client.Addr
	case "{client_name}", "{client_ptr}":
		return f.client.Host
	case "{client_port}":
		return strconv.Itoa(clientPort)
	case "{client_resolve}":
		return "OK"
	case "{client_connections}":
		return "0"
	case "{auth_type}":
		if f.client.Login != "" {
			return "PLAIN"
		}
	case "{auth_authen}":
		return f.client.Login
	case "{mail_addr}":
		return f.sender
	case "{mail_host}":
		return domain(f.sender)
	case "{mail_mailer}", "{rcpt_mailer}":
		return mailer
	case "{rcpt_addr}":
		return f.recipient
	case "{rcpt_host}":
		return domain(f.recipient)
	}
	return ""
}

// domain is what follows the last @.
func domain(address string) string {
	return address[strings.LastIndexByte(address, '@')+1:]
}

// macros appends a MACRO frame for a command, which is sent even when it has no
// macro.
func (f *facts) macros(dst []byte, cmd wire.Command, names []string) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, byte(wire.CmdMacro), byte(cmd))
	for _, name := range names {
		if value := f.macro(name); value != "" {
			dst = append(append(dst, name...), 0)
			dst = append(append(dst, value...), 0)
		}
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// frame is a whole frame.
func frame(cmd wire.Command, payload string) []byte {
	f := binary.BigEndian.AppendUint32(make([]byte, 0, 5+len(payload)), uint32(1+len(payload)))
	return append(append(f, byte(cmd)), payload...)
}
