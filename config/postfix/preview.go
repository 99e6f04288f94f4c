package postfix

import "context"

// File is a file of Postfix's configuration before and after edits.
type File struct {
	Path          string // without symbolic links
	Before, After []byte
}

// Preview returns what edits make of main.cf and master.cf, and changes neither:
// postconf itself runs on a copy. Files that stay the same are left out.
func (c *Config) Preview(ctx context.Context, edits []Edit) ([]File, error) { return nil, nil }
