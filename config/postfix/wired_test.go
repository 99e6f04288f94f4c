package postfix

import (
	"bytes"
	"net/netip"
	"net/smtp"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/milter/finding"
)

// account is a group of this machine that Postfix's user is in, and one that it is not
// in: its own, and another.
func accounts(t *testing.T) (in, out int) {
	t.Helper()
	u, err := user.Lookup(mailOwner)
	if err != nil {
		t.Fatal(err)
	}
	if in, err = strconv.Atoi(u.Gid); err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	out, err = strconv.Atoi(g.Gid)
	if err != nil || out == in {
		t.Fatal(out, err)
	}
	return in, out
}

// obeyed runs edits on a running instance and has it read its configuration anew.
func (i *Instance) obey(t *testing.T, edits []Edit) {
	t.Helper()
	c := reread(t, i.ConfigDir())
	files, err := c.Preview(t.Context(), edits)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		write(t, f.Path, string(f.After))
	}
	if err := syscall.Kill(i.pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// A Postfix that runs, with a chrooted smtpd beside another, is wired by our edits:
// from then on its mail passes the milter, however it comes; what is found is nothing.
// Then one thing after the other goes wrong with the socket.
func TestWired(t *testing.T) {
	second, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	i, _ := startInstance(t, Options{
		Main:   map[string]string{"internal_mail_filter_classes": "bounce"},
		Master: second + " inet n - y - - smtpd\n",
	})
	before, err := os.ReadFile(filepath.Join(i.ConfigDir(), "main.cf"))
	if err != nil {
		t.Fatal(err)
	}
	in, out := accounts(t)
	folder := filepath.Join(i.layout.queue(), "p")
	path := filepath.Join(folder, "s")
	if err := os.Mkdir(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	m := listen(t, "unix", path, 0o660)
	// give hands the folder and the socket to a group, with these modes.
	give := func(group int, dir, socket os.FileMode) {
		t.Helper()
		for name, mode := range map[string]os.FileMode{folder: dir, path: socket} {
			if err := os.Chown(name, 0, group); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	give(in, 0o750, 0o660)
	expect := Expect{Sockets: []Socket{m.socket}, Internal: netip.Addr.IsLoopback, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

	c := reread(t, i.ConfigDir())
	edits, err := c.Wire(m.socket)
	if err != nil {
		t.Fatal(err)
	}
	i.obey(t, edits)
	for _, way := range []struct {
		name string
		send func(msg []byte) error
	}{
		{"smtpd", func(msg []byte) error {
			return i.Deliver(Client{}, "a@example.com", []string{"user@inbox.example"}, msg)
		}},
		{"smtpd in its chroot", func(msg []byte) error {
			return smtp.SendMail(second, nil, "a@example.com", []string{"user@inbox.example"}, msg)
		}},
		{"sendmail", func(msg []byte) error {
			return i.Sendmail(t.Context(), "a@example.com", []string{"user@inbox.example"}, msg)
		}},
	} {
		// A process that was idle may take one more message in the old way.
		for n, end := 0, time.Now().Add(time.Minute); ; n++ {
			id := way.name + " " + strconv.Itoa(n)
			if err := way.send([]byte("X-Way: " + id + "\r\n" + letter)); err != nil {
				t.Fatalf("%s: %v\n%s", way.name, err, i.Log())
			}
			if bytes.Contains(arrived(t, i, id), []byte("\nX-Passed: yes\n")) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: mail does not pass the milter\n%s", way.name, i.Log())
			}
		}
	}

	c = reread(t, i.ConfigDir())
	if list := c.Inspect(t.Context(), expect); len(list) > 0 {
		t.Errorf("a Postfix that is wired: %+v", list)
	}
	for _, test := range []struct {
		name        string
		group       int
		dir, socket os.FileMode
		text, fix   string
	}{
		{"the socket's group", out, 0o755, 0o660, path + " keeps it away (mode 0660, group daemon)", "usermod --append --groups daemon postfix\n"},
		{"the folder's group", out, 0o750, 0o666, folder + " keeps it away (mode 0750, group daemon)", "usermod --append --groups daemon postfix\n"},
		{"the socket's mode", in, 0o750, 0o600, path + " keeps it away (mode 0600", `socket_mode in postseal.toml be "0660"`},
		{"the folder's mode", in, 0o700, 0o660, folder + " keeps it away (mode 0700", "chmod g+x " + folder},
		{"root's folder", 0, 0o750, 0o660, folder + " keeps it away (mode 0750, group root)", "name a path whose folders the user postfix may pass"},
		{"root's socket", 0, 0o755, 0o660, path + " keeps it away (mode 0660, group root)", `socket_group in postseal.toml be "postfix"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			give(test.group, test.dir, test.socket)
			list := c.Inspect(t.Context(), expect)
			if diff := cmp.Diff([]string{"problem socket-denied"}, codes(list)); diff != "" {
				t.Fatalf("%s%+v", diff, list)
			}
			if !strings.Contains(list[0].Text, test.text) || !strings.Contains(list[0].Fix, test.fix) {
				t.Errorf("%+v", list[0])
			}
		})
	}
	give(in, 0o750, 0o660)

	t.Run("a path that the chroot hides", func(t *testing.T) {
		hidden := obeyEdit(t, c, c.edit(place{name: smtpList}, "unix:"+path, ""))
		list := hidden.Inspect(t.Context(), expect)
		if diff := cmp.Diff([]string{"problem socket-outside"}, codes(list)); diff != "" || !strings.Contains(list[0].Text, "whose root folder is "+i.layout.queue()+",") {
			t.Fatalf("%s%+v", diff, list)
		}
		if left := mend(t, c, list[0].Fix).Inspect(t.Context(), expect); len(left) > 0 {
			t.Errorf("mended, there is left %+v", left)
		}
	})
	t.Run("a link that leads out of the chroot", func(t *testing.T) {
		away := filepath.Join(i.layout.root, "away")
		if err := os.Rename(folder, away); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(away, folder); err != nil {
			t.Fatal(err)
		}
		list := c.Inspect(t.Context(), expect)
		if diff := cmp.Diff([]string{"problem socket-outside"}, codes(list)); diff != "" || !strings.Contains(list[0].Fix, "as its root folder and does not see") {
			t.Errorf("%s%+v", diff, list)
		}
		if err := os.Remove(folder); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(away, folder); err != nil {
			t.Fatal(err)
		}
	})

	// It comes out again, and the file is what it was.
	c = reread(t, i.ConfigDir())
	undo, err := c.Unwire(m.socket)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range undo {
		c = obeyEdit(t, c, e)
	}
	if list := c.Inspect(t.Context(), expect); !list.Has(MilterMissing) {
		t.Errorf("taken out: %+v", list)
	}
	write(t, filepath.Join(i.ConfigDir(), "main.cf"), string(before))
	if err := i.Stop(); err != nil {
		t.Fatal(err)
	}
}

// Mail that goes through a content filter and comes back passes the milter once.
func TestWiredFilter(t *testing.T) {
	back, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	i, _ := startInstance(t, Options{
		Main:   map[string]string{"content_filter": "scan:" + back},
		Master: "scan unix - - n - 2 smtp\n" + back + " inet n - n - - smtpd -o content_filter= -o myhostname=filter.example\n",
	})
	m := listen(t, "tcp4", "127.0.0.1:0", 0)
	c := reread(t, i.ConfigDir())
	edits, err := c.Wire(m.socket)
	if err != nil {
		t.Fatal(err)
	}
	i.obey(t, edits)
	// A process that was idle may take one more message in the old way.
	for n, passed, end := 0, 0, time.Now().Add(time.Minute); passed < 5; n++ {
		id := "round " + strconv.Itoa(n)
		if err := i.Deliver(Client{}, "a@example.com", []string{"user@inbox.example"}, []byte("X-Way: "+id+"\r\n"+letter)); err != nil {
			t.Fatal(err)
		}
		switch count := bytes.Count(arrived(t, i, id), []byte("X-Passed: yes\n")); {
		case count > 1:
			t.Fatalf("it passed the milter %d times", count)
		case count == 1:
			passed++
		case time.Now().After(end):
			t.Fatalf("mail does not pass the milter\n%s", i.Log())
		}
	}
}

// obeyEdit does what an edit does.
func obeyEdit(t *testing.T, c *Config, e Edit) *Config {
	t.Helper()
	return mend(t, c, e.String())
}

// arrived waits for the message with an X-Way.
func arrived(t *testing.T, i *Instance, id string) []byte {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(pollInterval) {
		list, err := i.Mailbox("user@inbox.example")
		if err != nil {
			t.Fatal(err)
		}
		for _, msg := range list {
			if bytes.Contains(msg, []byte("\nX-Way: "+id+"\n")) {
				return msg
			}
		}
	}
	t.Fatalf("%s does not arrive\n%s", id, i.Log())
	return nil
}

// A Postfix that does not run is told of; what listens and is no milter, too.
func TestInspectSilence(t *testing.T) {
	s := newSite(t)
	s.silence()
	c := s.read(t, "", "")
	l := listen(t, "unix", filepath.Join(s.queue, "p/s"), 0o660)
	l.mute()
	list := inspect(t, c, s.expect)
	if diff := cmp.Diff([]string{"problem socket-silent"}, codes(list)); diff != "" {
		t.Errorf("%s%+v", diff, list)
	}
	running := c.Inspect(t.Context(), s.expect).Has(NotRunning)
	if root := os.Geteuid() == 0; running != root {
		t.Errorf("told that Postfix does not run: %v, by root: %v", running, root)
	}
	if worst := list.Worst(); worst != finding.Problem {
		t.Errorf("worst is %s", worst)
	}
}

// What is said of content filters holds: a milter where mail comes back sees this
// machine as the client, whatever XFORWARD says; and before smtpd_proxy_filter it sees
// no message.
func TestFilterFacts(t *testing.T) {
	m := listen(t, "tcp4", "127.0.0.1:0", 0)
	milters := "inet:" + m.socket.Address
	i, _ := startInstance(t, Options{Main: map[string]string{"smtpd_milters": milters, "smtpd_authorized_xforward_hosts": "127.0.0.1"}})
	c, err := i.Dial(Client{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello("filter.example"); err != nil {
		t.Fatal(err)
	}
	if err := c.Text.PrintfLine("XFORWARD ADDR=192.0.2.7 NAME=stranger.example"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Text.ReadResponse(250); err != nil {
		t.Fatal(err)
	}
	if err := Send(c, "a@example.com", []string{"user@inbox.example"}, []byte("X-Way: back\r\n"+letter)); err != nil {
		t.Fatal(err)
	}
	if msg := arrived(t, i, "back"); !bytes.Contains(msg, []byte("\nX-Passed: yes\n")) {
		t.Errorf("it did not pass the milter:\n%s", msg)
	}
	for _, client := range m.seen() {
		if client != "127.0.0.1" {
			t.Errorf("the milter is told of the client %s", client)
		}
	}

	back, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	i, _ = startInstance(t, Options{
		Main:   map[string]string{"smtpd_milters": milters, "smtpd_proxy_filter": back},
		Master: back + " inet n - n - - smtpd -o smtpd_proxy_filter= -o smtpd_milters=\n",
	})
	if err := i.Deliver(Client{}, "a@example.com", []string{"user@inbox.example"}, []byte("X-Way: proxy\r\n"+letter)); err != nil {
		t.Fatal(err)
	}
	if msg := arrived(t, i, "proxy"); bytes.Contains(msg, []byte("X-Passed")) {
		t.Errorf("a milter before a proxy filter has changed\n%s", msg)
	}
}
