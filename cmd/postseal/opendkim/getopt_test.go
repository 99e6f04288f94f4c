package opendkim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestGetopt(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"", ""},
		{"-a -b x", "a b=x"},
		{"-ab x y", "a b=x y"},
		{"-abx", "a b=x"},
		{"-b-a", "b=-a"},
		{"y -a z", "a y z"},
		{"-a -- -b", "a -b"},
		{"-", "-"},
		{"-a - -a", "a a -"},
		{"-c", "invalid option -- 'c'"},
		{"-:", "invalid option -- ':'"},
		{"-a -b", "option requires an argument -- 'b'"},
		{"--ab", "invalid option -- '-'"},
	} {
		found, operands, err := getopt(strings.Fields(tt.args), "ab:")
		var words []string
		for _, o := range found {
			word := string(o.letter)
			if o.value != "" {
				word += "=" + o.value
			}
			words = append(words, word)
		}
		got := strings.Join(append(words, operands...), " ")
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
}

// Written out again, one flag a word and operands last, a command line means
// the same.
func FuzzGetopt(f *testing.F) {
	f.Add("-a -bx y -- -a")
	f.Fuzz(func(t *testing.T, line string) {
		found, operands, err := getopt(strings.Split(line, " "), "ab:c:")
		if err != nil {
			return
		}
		var again []string
		for _, o := range found {
			again = append(again, "-"+string(o.letter))
			if o.letter != 'a' {
				again = append(again, o.value)
			}
		}
		again = append(append(again, "--"), operands...)
		found2, operands2, err := getopt(again, "ab:c:")
		if err != nil || !slices.Equal(found, found2) || !slices.Equal(operands, operands2) {
			t.Errorf("%q: %v %q; again %v %q %v", line, found, operands, found2, operands2, err)
		}
		if n := len(found) + len(operands); n > len(line)+1 {
			t.Error(fmt.Sprint(n, " words"))
		}
	})
}
