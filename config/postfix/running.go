package postfix

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// running tells of a Postfix that does not run, where that can be seen: only root reads
// the file with its process id.
func (i *inspection) running() {
	if os.Geteuid() != 0 {
		return
	}
	text, err := readFile(filepath.Join(i.Queue(), "pid", "master.pid"))
	if err == nil {
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		name, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
		if err == nil && strings.TrimSpace(string(name)) == "master" {
			return
		}
	}
	command := "postfix"
	if i.chosen {
		command += " -c " + finding.Word(i.Dir)
	}
	i.add(NotRunning, finding.Problem, "Postfix does not run.", "No mail comes or goes.", command+" start")
}
