package watch

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// operations are what can be done to the files "a/file", "b" and the link
// "link", by number.
var operations = []func(f folder, text string){
	func(f folder, text string) { f.put("a/file", text) },
	func(f folder, text string) { f.put("b", text) },
	func(f folder, text string) { f.put("a/new", text); f.try(os.Rename(f.at("a/new"), f.at("a/file"))) },
	func(f folder, text string) { f.put("new", text); f.try(os.Rename(f.at("new"), f.at("b"))) },
	func(f folder, _ string) { f.try(os.Remove(f.at("a/file"))) },
	func(f folder, _ string) { f.try(os.Remove(f.at("b"))) },
	func(f folder, _ string) { f.remove("a") },
	func(f folder, text string) {
		f.remove("gone")
		f.try(os.Rename(f.at("a"), f.at("gone")))
		f.mkdir("a")
		f.put("a/file", text)
	},
	func(f folder, _ string) { f.try(os.Rename(f.at("a"), f.at("aside"))) },
	func(f folder, _ string) { f.try(os.Rename(f.at("aside"), f.at("a"))) },
	func(f folder, _ string) { f.relink("a/file") },
	func(f folder, _ string) { f.relink("b") },
	func(f folder, _ string) { f.relink("aside/file") },
	func(f folder, text string) { f.put("aside/file", text) },
	func(f folder, _ string) { f.try(os.Symlink("../b", f.at("a/file"))) },
	func(folder, string) { time.Sleep(5 * time.Millisecond) },
	func(folder, string) { time.Sleep(50 * time.Millisecond) },
}

func (f folder) put(name, text string) { f.try(os.WriteFile(f.at(name), []byte(text), 0o600)) }

// try is for what fails where the operations before it leave nothing to do.
func (folder) try(error) {}

func (f folder) relink(to string) {
	f.try(os.Remove(f.at("link2")))
	f.try(os.Symlink(to, f.at("link2")))
	f.try(os.Rename(f.at("link2"), f.at("link")))
}

// content is what a reader of the file finds.
func (f folder) content(name string) string {
	data, err := os.ReadFile(f.at(name))
	if err != nil {
		return "none"
	}
	return string(data)
}

// FuzzOperations does things to files, in the order of the bytes. Whoever reads a
// file each time he is told of it ends with what is there, whatever happened;
// nothing is looked at but what the system notifies of.
func FuzzOperations(f *testing.F) {
	for _, ops := range []string{
		"", "\x00", "\x06\x07", "\x0a\x0b\x02\x10\x0a", "\x08\x0d\x0c\x09\x10\x06\x09", "\x0e\x01\x10\x01\x01\x0f\x01",
		"\x07\x07\x07\x10\x00\x0f\x00\x0f\x00", "\x06\x10\x07\x10\x06\x10\x07", "\x00\x0f\x00\x0f\x02\x0f\x04\x0f\x00\x0f\x08\x0f\x09",
	} {
		f.Add([]byte(ops))
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		dir := newFolder(t)
		names := []string{"a/file", "b", "link"}
		dir.write("a/file", "first")
		dir.write("b", "first")
		dir.link("b", "link")
		var paths []string
		seen := map[string]string{}
		for _, name := range names {
			paths = append(paths, dir.at(name))
			seen[dir.at(name)] = "first"
		}
		r := start(t, nil, paths...)
		read := func(changed []string) {
			for _, path := range changed {
				seen[path] = dir.content(path[len(dir.at("")):])
			}
		}
		for i, op := range ops[:min(len(ops), 40)] {
			operations[int(op)%len(operations)](dir, fmt.Sprintf("%04d", i)) // all of one size
			select {
			case changed := <-r.Changes():
				read(changed)
			default:
			}
		}
		for _, name := range names {
			for seen[dir.at(name)] != dir.content(name) {
				select {
				case changed := <-r.Changes():
					read(changed)
				case <-time.After(30 * time.Second):
					t.Fatalf("%s is %q, and the last that was told is %q", name, dir.content(name), seen[dir.at(name)])
				}
			}
		}
	})
}
