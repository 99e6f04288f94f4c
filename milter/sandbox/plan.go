package sandbox

import (
	"os"
	"path"
	"slices"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
)

// Needs are what a process goes on using. Paths are absolute; what is not there
// does no harm.
type Needs struct {
	// Config are the files of the configuration: as Files, and where one stands
	// in /etc itself, all of that, unless root asks. A configuration that could not
	// be changed would be of no use, and what is secret in /etc is root's.
	Config []string
	// Files are read again and again: each with its folder, where others take
	// its place.
	Files []string
	// Keys are private keys: each with its folder and the one above it, where the
	// folder of another domain is made. One with "%" in it stands for many: what is
	// below its part before that.
	Keys []string
	// Read are read as they are: a file, or a folder whatever it is.
	Read []string
	// Remove are removed in the end. So could be what else is in their folders.
	Remove []string
}

// common are folders that many programs, or all users, share.
var common = []string{
	"/", "/bin", "/boot", "/dev", "/dev/shm", "/etc", "/home", "/home/*", "/lib*", "/media", "/mnt", "/opt", "/proc", "/root",
	"/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/*", "/usr/local/*", "/var", "/var/*",
	"/run/credentials", "/run/keys", "/run/lock", "/run/log", "/run/secrets", "/run/systemd", "/run/user", "/run/user/*",
	"/etc/pki", "/etc/pki/tls", "/etc/pki/tls/private", "/etc/ssl", "/etc/ssl/private",
}

// isCommon reports whether a folder is never granted for what lies in it.
func isCommon(folder string) bool {
	return slices.ContainsFunc(common, func(pattern string) bool {
		match, _ := path.Match(pattern, folder) // the patterns are good ones
		return match
	})
}

// systemFiles are read by what is not configured: the name servers, whose name a
// key's file belongs to, and what the process itself is like.
var systemFiles = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/passwd", "/etc/group"}

// plan is what is granted, by paths without links.
type plan struct {
	*survey
	grants map[string]landlock.AccessFSSet
	done   map[string]bool // folders of keys
}

func newPlan(n Needs) *plan {
	p := &plan{survey: newSurvey(), grants: map[string]landlock.AccessFSSet{}, done: map[string]bool{}}
	for _, file := range slices.Concat(systemFiles, n.Files) {
		p.file(file)
	}
	for _, file := range n.Config {
		p.file(file)
		if os.Geteuid() != 0 && parent(file) == "/etc" {
			p.read("/etc")
		}
	}
	granted := func(folder string) bool { return p.grants[folder]&readFile != 0 }
	for _, key := range n.Keys {
		// A folder that is granted for another file leaves out the one above it.
		if folder := parent(key); !p.covered(key, granted) || !p.done[folder] && !granted(parent(folder)) {
			p.key(key)
		}
	}
	for _, path := range n.Read {
		p.read(path)
	}
	p.grant("/proc/self", readFile|readFolder)
	p.read("/proc/stat") // when the machine started, from which the start of a process is counted
	for _, path := range n.Remove {
		p.grant(parent(path), removeFile)
	}
	p.prune()
	return p
}

// grant gives access to what a path leads to, if that is there.
func (p *plan) grant(path string, access landlock.AccessFSSet) {
	if real, whole, _ := p.follow(path); whole {
		p.grants[real] |= access
	}
}

func (p *plan) read(path string) { p.grant(path, readFile) }

// folder grants what is below a folder, unless many share it. Of one that is not
// there, the next above it that is counts.
func (p *plan) folder(path string) {
	real, _, _ := p.follow(path)
	if !p.look(real).folder {
		real = parent(real)
	}
	if !isCommon(real) {
		p.grants[real] |= readFile
	}
}

// file grants a file and what takes its place: in the folder that its path names,
// in the one that it really stands in, and where a link is made to lead elsewhere.
func (p *plan) file(path string) {
	real, whole, switches := p.follow(path)
	p.folder(parent(path))
	p.folder(real)
	for _, folder := range switches {
		p.folder(folder)
	}
	if whole && !p.look(real).folder {
		p.grants[real] |= readFile
	}
}

// key grants a key file and its neighbours'.
func (p *plan) key(path string) {
	if fixed, _, many := strings.Cut(path, "%"); many {
		p.read(fixed[:strings.LastIndexByte(fixed, '/')+1])
		return
	}
	p.file(path)
	folder := parent(path)
	if p.done[folder] {
		return
	}
	p.done[folder] = true
	p.folder(parent(folder))
	if real, whole, _ := p.follow(folder); whole {
		p.folder(parent(real))
	}
}

// prune drops what is below something that is granted anyway.
func (p *plan) prune() {
	for path, access := range p.grants {
		for above := parent(path); ; above = parent(above) {
			if p.grants[above]&access == access && above != path {
				delete(p.grants, path)
				break
			}
			if above == "/" {
				break
			}
		}
	}
}
