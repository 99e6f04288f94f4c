package keys

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
)

// accounts are the files that say who is in which group. Users that only a
// directory service knows are not seen.
type accounts struct {
	passwd, group string
	// last is what they had in them when they could be read; nil for nothing.
	last *copies
}

// copies are files as they were when they could be read last. A process that
// keeps itself to certain files may not read what takes their place: every new
// user of the system makes a new /etc/passwd.
type copies struct {
	read func(path string) ([]byte, error)

	mu   sync.Mutex
	text map[string][]byte
}

func newCopies() *copies { return &copies{read: os.ReadFile, text: map[string][]byte{}} }

// get is what a file has in it, or had where it is out of reach.
func (c *copies) get(path string) ([]byte, error) {
	data, err := c.read(path)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch before, ok := c.text[path]; {
	case err == nil:
		c.text[path] = data
	case ok && errors.Is(err, fs.ErrPermission):
		return before, nil
	}
	return data, err
}

func systemAccounts() accounts {
	return accounts{passwd: "/etc/passwd", group: "/etc/group"}
}

// text is what one of the files has in it.
func (a accounts) text(path string) ([]byte, error) {
	if a.last == nil {
		return os.ReadFile(path)
	}
	return a.last.get(path)
}

// lines returns the colon-separated fields of each line that has at least n.
// A file that is not there, as in a small container, has none.
func (a accounts) lines(path string, n int) ([][]string, error) {
	data, err := a.text(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all [][]string
	for line := range strings.Lines(string(data)) {
		if fields := strings.Split(strings.TrimRight(line, "\r\n"), ":"); len(fields) >= n {
			all = append(all, fields)
		}
	}
	return all, nil
}

// others returns a group's name and one of its members besides root and uid,
// "" if it has none. member says that the user is listed in the group; else it
// is the user's primary group.
func (a accounts) others(gid, uid int) (group, user string, member bool, err error) {
	users, err := a.lines(a.passwd, 4)
	if err != nil {
		return "", "", false, err
	}
	groups, err := a.lines(a.group, 4)
	if err != nil {
		return "", "", false, err
	}
	allowed := func(id string) bool { return id == "0" || id == strconv.Itoa(uid) }
	uids := map[string]string{"root": "0"}
	for _, u := range users {
		uids[u[0]] = u[2]
	}
	group = strconv.Itoa(gid)
	for _, g := range groups {
		if g[2] != strconv.Itoa(gid) {
			continue
		}
		group = g[0]
		for name := range strings.SplitSeq(g[3], ",") {
			if name = strings.TrimSpace(name); name != "" && !allowed(uids[name]) {
				return group, name, true, nil
			}
		}
	}
	for _, u := range users {
		if u[3] == strconv.Itoa(gid) && !allowed(u[2]) {
			return group, u[0], false, nil
		}
	}
	return group, "", false, nil
}

// userName is the name of uid, or its number.
func (a accounts) userName(uid int) string { return a.name(a.passwd, uid) }

// groupName is the name of gid, or its number.
func (a accounts) groupName(gid int) string { return a.name(a.group, gid) }

func (a accounts) name(path string, id int) string {
	all, _ := a.lines(path, 3) // a number will do where there is no name
	for _, fields := range all {
		if fields[2] == strconv.Itoa(id) {
			return fields[0]
		}
	}
	return strconv.Itoa(id)
}
