package container

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/machine"
)

// PostfixImage is the image of a Postfix that the Dockerfile in a folder makes, as
// far as it can be made without a registry: of a machine that has Debian's Postfix,
// on which all is done but the installation.
func PostfixImage(t testing.TB, host *machine.Machine, folder string) *Image {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	host.Write("/usr/local/sbin/apt-get", "#!/bin/sh\n", 0o755) // which is found first
	image := &Image{Root: "/", Config: Config{User: "0:0"}}
	for line := range strings.Lines(string(data)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "", "#", "FROM":
		case "RUN":
			host.Shell(rest)
		case "COPY":
			from, to, _ := strings.Cut(rest, " ")
			info, err := os.Stat(filepath.Join(folder, from))
			if err != nil {
				t.Fatal(err)
			}
			host.Install(filepath.Join(folder, from), to, info.Mode().Perm())
		case "CMD":
			if err := json.Unmarshal([]byte(rest), &image.Config.Cmd); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("%s is not known here", line)
		}
	}
	image.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return image
}

// Send has a client with an address of a machine send a mail to its Postfix, and
// returns what the two said.
func Send(host *machine.Machine, client, from string) (dialogue string, err error) {
	return host.Try(fmt.Sprintf("swaks --server 127.0.0.1 --local-interface %s --helo client.example --from %s --to recipient@elsewhere.example"+
		" --header 'From: <%s>' --body 'Hello.' 2>&1", client, from, from))
}

// Queued are the mails in the queue of a Postfix, which is nobody's way out.
func Queued(t testing.TB, postfix *Container) (messages [][]byte) {
	t.Helper()
	list, status := postfix.Exec("/usr/sbin/postqueue", "-j")
	if status != 0 {
		t.Fatalf("postqueue: %s", list)
	}
	for line := range strings.Lines(list) {
		var entry struct {
			ID string `json:"queue_id"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		text, status := postfix.Exec("/usr/sbin/postcat", "-qhb", entry.ID)
		if status != 0 {
			t.Fatalf("postcat: %s", text)
		}
		messages = append(messages, []byte(strings.ReplaceAll(text, "\n", "\r\n")))
	}
	return messages
}
