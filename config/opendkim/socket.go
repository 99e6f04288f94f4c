package opendkim

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/dataset"
)

// socket takes the Socket of the file, else that of the defaults file.
func (r *reading) socket() {
	s, ok := r.setting("Socket")
	if !ok && !r.suspect["socket"] && r.options.Defaults != "" {
		var value string
		if value, s.place = defaultSocket(r.options.Defaults); value != "" {
			ok = true
			s.name, s.value = "Socket", value
			r.last["socket"] = s
			r.sources = append(r.sources, r.options.Defaults)
			r.notice(s, "%s of SOCKET= is used, as %s names none", value, r.path)
		}
	}
	switch {
	case ok:
	case r.suspect["socket"]:
		return // its line has been told of
	case r.options.CheckOnly:
		r.notices = append(r.notices, config.Problem{Where: r.path, Text: "Socket: none is named; a start would end with \"milter socket must be specified\""})
		return
	default:
		r.fail(ExitConfig, "", "milter socket must be specified", "add to "+r.path+" a line such as Socket inet:8891@localhost")
		return
	}
	socket := r.socketForm(s.value)
	if _, _, err := config.ParseSocket(socket); err != nil {
		r.atStart(ExitUnavailable, s, "smfi_opensocket() failed", err.Error())
		return
	}
	r.config.Socket = config.Strings{socket}
}

// socketForm writes a socket in Config's stricter notation: paths are absolute,
// ports are numbers.
func (r *reading) socketForm(value string) string {
	kind, rest, ok := strings.Cut(value, ":")
	switch kind = strings.ToLower(kind); {
	case !ok:
		return "local:" + r.absolute(value)
	case (kind == "local" || kind == "unix") && rest != "":
		return "local:" + r.absolute(rest)
	case kind == "inet", kind == "inet6":
		port, host, hasHost := strings.Cut(rest, "@")
		if _, err := strconv.Atoi(port); err != nil {
			port = servicePort(port)
		}
		if hasHost {
			port += "@" + host
		}
		return kind + ":" + port
	}
	return value
}

// servicePort is the TCP port of a service that the system knows by name; a name
// that it does not know stays as it is.
func servicePort(name string) string {
	const most = 1 << 20
	data, err := dataset.ReadFile("/etc/services", most)
	if err != nil {
		return name
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line) // NAME PORT/PROTOCOL ALIAS...
		if len(fields) < 2 {
			continue
		}
		port, isTCP := strings.CutSuffix(fields[1], "/tcp")
		if isTCP && (fields[0] == name || slices.Contains(fields[2:], name)) {
			return port
		}
	}
	return name
}

// modeOf is the permission of a socket under a file creation mask.
func modeOf(umask int) config.FileMode { return config.FileMode(0o777 &^ umask & 0o777) }

// usualMask is what most systems start with.
const usualMask = 0o022

// umask is the process's file creation mask. umask(2) would change it for a
// moment, also for files that others create then.
func (r *reading) umask() int {
	if r.options.Umask != nil {
		return r.options.Umask()
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return usualMask
	}
	for line := range strings.Lines(string(status)) {
		if digits, ok := strings.CutPrefix(line, "Umask:"); ok {
			if mask, err := strconv.ParseInt(strings.TrimSpace(digits), 8, 32); err == nil {
				return int(mask)
			}
		}
	}
	return usualMask
}

const maxDefaults = 64 << 10

// defaultSocket is SOCKET= of a file of shell assignments, with the variables
// that the file itself has set before. Empty: there is none.
func defaultSocket(path string) (string, place) {
	data, err := dataset.ReadFile(path, maxDefaults)
	if err != nil {
		return "", place{}
	}
	var (
		variables = make(map[string]string)
		where     place
		number    int
	)
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimPrefix(strings.Trim(line, blanks), "export ")
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t#$'\"") {
			continue
		}
		variables[name] = shellWord(value, variables)
		if name == "SOCKET" {
			where = place{path, number}
		}
	}
	return variables["SOCKET"], where
}

// shellWord reads the first word of a shell's line: quotes, "\", $NAME and
// ${NAME}. It runs nothing.
func shellWord(s string, variables map[string]string) string {
	var (
		word  strings.Builder
		quote byte
	)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote == '\'':
			word.WriteByte(c)
		case c == '\\' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
		case c == '$':
			name, length := variableName(s[i+1:])
			if length == 0 {
				word.WriteByte(c)
				continue
			}
			word.WriteString(variables[name])
			i += length
		case quote == 0 && strings.IndexByte(blanks+";&|", c) >= 0:
			return word.String()
		default:
			word.WriteByte(c)
		}
	}
	return word.String()
}

// variableName reads NAME or {NAME}, and tells how long it is.
func variableName(s string) (name string, length int) {
	inner, braced := strings.CutPrefix(s, "{")
	end := 0
	for end < len(inner) && (inner[end] == '_' || isName(inner[end:end+1]) && inner[end] != '-') {
		end++
	}
	switch {
	case end == 0:
		return "", 0
	case !braced:
		return inner[:end], end
	case strings.HasPrefix(inner[end:], "}"):
		return inner[:end], end + 2
	}
	return "", 0
}
