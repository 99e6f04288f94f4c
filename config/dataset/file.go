package dataset

import "path/filepath"

// File is the path of the file that s names, with base as in [Options]. It is
// empty for a list, and for a value that Open refuses unread.
func (s Spec) File(base string) string {
	if s.Items != nil {
		return ""
	}
	kind, path, err := detect(s.Text)
	if err != nil || kind == kindCSL || path == "" {
		return ""
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(base, path)
	}
	return path
}
