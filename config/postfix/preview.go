package postfix

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// File is a file of Postfix's configuration before and after edits.
type File struct {
	Path          string // without symbolic links
	Before, After []byte
}

// maxFile bounds main.cf and master.cf.
const maxFile = 8 << 20

// Preview returns what edits make of main.cf and master.cf, and changes neither:
// postconf itself runs on a copy. Files that stay the same are left out.
func (c *Config) Preview(ctx context.Context, edits []Edit) ([]File, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	folder, err := os.MkdirTemp("", "postseal-preview-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	names := []string{"main.cf", "master.cf"}
	var files []File
	for _, name := range names {
		path, err := filepath.EvalSymlinks(filepath.Join(c.Dir, name))
		if err != nil {
			return nil, err
		}
		text, err := readFile(path)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			return nil, err
		}
		files = append(files, File{Path: path, Before: text})
	}
	for _, e := range edits {
		for _, name := range names {
			// Postfix would wait until they are two seconds old.
			if err := settle(filepath.Join(folder, name)); err != nil {
				return nil, err
			}
		}
		// The last two are what to change and to what.
		cmd := exec.CommandContext(ctx, c.postconf, append([]string{"-c", folder}, e.Argv[len(e.Argv)-2:]...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %q", e, err, bytes.TrimSpace(out))
		}
	}
	var changed []File
	for i, name := range names {
		if files[i].After, err = readFile(filepath.Join(folder, name)); err != nil {
			return nil, err
		}
		if !bytes.Equal(files[i].Before, files[i].After) {
			changed = append(changed, files[i])
		}
	}
	return changed, nil
}

// readFile reads a file that is not endless.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than 8 MiB", path)
	}
	return text, err
}
