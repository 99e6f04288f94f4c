package authres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShortSignatures(t *testing.T) {
	for _, tt := range []struct {
		name     string
		in, want []string
	}{
		{"none", nil, []string{}},
		{"one", []string{"abcdefghijkl"}, []string{"abcdefgh"}},
		{"short", []string{"abc", ""}, []string{"abc", ""}},
		{"different", []string{"zbcdefghij", "abcdefghij"}, []string{"zbcdefgh", "abcdefgh"}},
		{"same beginning", []string{"abcdefghXY", "abcdefghYX", "bbcdefghij"}, []string{"abcdefghX", "abcdefghY", "bbcdefgh"}},
		{"equal", []string{"abcdefghij", "abcdefghij"}, []string{"abcdefghij", "abcdefghij"}},
		{"one begins with the other", []string{"abcdefghij", "abcdefghijklm"}, []string{"abcdefghij", "abcdefghijk"}},
		{"neighbours on both sides", []string{"aaaaaaaaaaX", "aaaaaaaaaY0", "aaaaaaaaaaZ"}, []string{"aaaaaaaaaaX", "aaaaaaaaaY", "aaaaaaaaaaZ"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, ShortSignatures(tt.in)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestShortSignaturesMany(t *testing.T) {
	sigs := make([]string, 20000)
	for i := range sigs {
		sigs[i] = strings.Repeat("A", 300) + fmt.Sprintf("%06d", i) + strings.Repeat("B", 38)
	}
	seen := map[string]bool{}
	for i, s := range ShortSignatures(sigs) {
		if seen[s] || !strings.HasPrefix(sigs[i], s) || len(s) > 306 {
			t.Fatalf("signature %d became %q", i, s)
		}
		seen[s] = true
	}
}
