package opendkim

import "strings"

// Line is a line that sets a parameter.
type Line struct {
	// Where is "FILE:LINE", the file that was included where it was one;
	// "command line" for an override.
	Where string
	// Text is the parameter with its value, without comments.
	Text string
}

// Line is the line that the value of a parameter comes from, the last of
// several. ok is false where none sets it.
func (f *File) Line(name string) (l Line, ok bool) {
	s, ok := f.last[strings.ToLower(name)]
	if !ok {
		return Line{}, false
	}
	return Line{Where: s.place.String(), Text: s.name + " " + s.value}, true
}

// Parameter is the name that OpenDKIM has for a key of postseal.toml, "" where
// it has none.
func Parameter(key string) string {
	if key == "socket_mode" {
		return "UMask"
	}
	for _, p := range parameters() {
		if strings.ReplaceAll(strings.ToLower(p.name), "-", "") == strings.ReplaceAll(key, "_", "") {
			return p.name
		}
	}
	return ""
}
