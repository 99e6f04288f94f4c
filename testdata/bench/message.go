package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"

	"github.com/postseal/postseal/milter/load"
)

// stranger is a client whose mail is verified.
var stranger = load.Client{Host: "mail.example.net", Addr: "192.0.2.1"}

// messageFor is what a setup is measured with: a message of about size octets,
// with a signature of each key where it is to be verified.
func (b *bench) messageFor(s setup, size int) (load.Message, error) {
	m := load.Sample("user@"+domain, size)
	if s.mode == "s" {
		return m, nil
	}
	var text bytes.Buffer
	for _, f := range m.Fields {
		fmt.Fprintf(&text, "%s:%s\r\n", f.Name, f.Value)
	}
	text.WriteString("\r\n")
	text.Write(m.Body)
	for _, kind := range s.keyNames() {
		cmd := exec.CommandContext(b.ctx, b.at("postseal"), "sign", "-d", domain, "-s", kind, "-k", b.at(kind+".private"), "--canonicalization", s.canon)
		var signed, stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = &text, &signed, &stderr
		if err := cmd.Run(); err != nil {
			return load.Message{}, errors.Join(err, errors.New(stderr.String()))
		}
		text = signed
	}
	m, err := load.ReadMessage(text.Bytes())
	m.Client = stranger
	return m, err
}
