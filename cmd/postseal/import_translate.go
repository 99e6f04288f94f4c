package main

import (
	"fmt"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/config/opendkim"
)

// leftTitle stands above the list of what could not be carried over.
const leftTitle = "Not carried over, or not quite:"

// translation is an opendkim.conf on its way to a postseal.toml.
type translation struct {
	file   *opendkim.File
	path   string
	config config.Config // what is written
	left   []leftOut     // what is not
}

// translate finds what a postseal.toml cannot say.
func (t *translation) translate() {
	if len(t.config.Socket) == 0 {
		t.config.Socket = config.Default().Socket
		t.leave("", fmt.Sprintf("%s names no Socket; the default %s stands until you set socket", t.path, strings.Join(t.config.Socket, " ")))
	}
	socket, _ := t.file.Line("Socket")
	for _, n := range t.config.Notices {
		if socket.Where == "" || n.Where != socket.Where || !strings.HasPrefix(n.Text, "Socket: ") {
			t.leave(n.Where, n.Text) // where the socket comes from stands above it
		}
	}
	t.process()
	if _, ok := t.file.Line("BaseDirectory"); !ok && t.path == openDKIMPath {
		t.config.BaseDirectory = "/" // where a service starts, wherever this was asked
	}
}

func (t *translation) leave(where, text string) {
	t.left = append(t.left, leftOut{where, text})
}

// process leaves what a service manager does, where the file asks for it.
func (t *translation) process() {
	for _, p := range []struct {
		name, text string
		on         bool
	}{
		{"Background", "postseal serve stays in the foreground, where systemd wants it (deploy has a unit)", t.file.Process.Background},
		{"AutoRestart", "a service manager starts a daemon anew: Restart=on-failure in the systemd unit", t.file.Process.AutoRestart},
		{"AutoRestartCount", "in the systemd unit: StartLimitBurst=", t.file.Process.AutoRestart && t.file.Process.AutoRestartCount > 0},
		{"AutoRestartRate", "in the systemd unit: StartLimitBurst= and StartLimitIntervalSec=", t.file.Process.AutoRestart && t.file.Process.AutoRestartRate != opendkim.Rate{}},
	} {
		if line, ok := t.file.Line(p.name); ok && p.on {
			t.leave(line.Where, p.name+": "+p.text)
		}
	}
}

// head is the comment at the top.
func (t *translation) head() string {
	var b strings.Builder
	fmt.Fprintf(&b, "postseal's configuration, made of %s.\n\n", t.path)
	b.WriteString("Above each setting stands the line that it comes from. What is not here has\n" +
		"postseal's default, which is as OpenDKIM has it.\n")
	if len(t.left) > 0 {
		b.WriteString("\n" + leftTitle + "\n")
		for _, l := range t.left {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	return b.String()
}

// remarks are what there is to know of settings that follow from OpenDKIM's way.
var remarks = map[string]string{
	"check_signing_table": "OpenDKIM starts although a row cannot be used, and defers the mail that needs it.\nWithout this line such tables are refused.",
	"watch_files":         "OpenDKIM takes up changed tables on a reload only. Without this line they\nare taken up by themselves.",
	"sandbox":             "OpenDKIM may read whatever its user may. Without this line the daemon reads, once\nit has started, only what the configuration names and the folders of that.",
	"log_lines":           "The lines of OpenDKIM's log, for scripts that read them, and postseal's own\nbeside them. Without this line: postseal's own alone.",
	"base_directory":      "Where relative paths start, here and in the tables: the folder where OpenDKIM\nis started, / as a service.",
	"runtime_directory":   "Folder of the socket through which postseal reload and status ask the daemon.",
	"body_length":         "Mail to which something was appended passes as long as the signed part is\nwhole. Without this line it does not.",
	"remove_ar_all":       "A field in our name that has no result for DKIM stays. Without this line it\ngoes, too.",
}

// comment is what stands above a key: the line that it comes from, or that it is
// OpenDKIM's default.
func (t *translation) comment(key string) string {
	text := ""
	for _, name := range parametersOf(key) {
		if line, ok := t.file.Line(name); ok {
			text = line.Where + ": " + strings.Join(strings.Fields(line.Text), " ") + "\n"
			break
		}
	}
	switch remark := remarks[key]; {
	case text == "" && remark == "":
		return "OpenDKIM's default, which differs from ours."
	case text == "" || key == "runtime_directory":
		return text + remark
	}
	return text
}

// parametersOf names the parameters that a key may come from, the first that is
// set counts.
func parametersOf(key string) []string {
	names := []string{opendkim.Parameter(key)}
	switch {
	case key == "runtime_directory":
		return []string{"PidFile"}
	case key == "software_header":
		names = append(names, "X-Header")
	case key == "on_internal_error":
		names = append(names, "On-Default", "CaptureUnknownErrors")
	case strings.HasPrefix(key, "on_"):
		names = append(names, "On-Default")
	}
	return names
}
