package keys

// maxText bounds a local part, or a domain before U-labels become A-labels.
const maxText = 1024

// lowerASCII makes the ASCII letters of s small and leaves other bytes alone.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
