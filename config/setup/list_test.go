package setup

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/dkim"
)

func TestParseDomains(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
		err        string // all of it
		again      string
	}{
		{"a line each", "example.com\nexample.net\n", []string{"example.com", "example.net"}, "", ""},
		{"comments, blanks, CRLF, no last line end", "# ours\r\n\r\n \texample.com  # the first\r\nexample.net.", []string{"example.com", "example.net"}, "", ""},
		{"U-labels and capitals", "\xef\xbb\xbfBücher.Example\nEXAMPLE.COM\n", []string{"xn--bcher-kva.example", "example.com"}, "", ""},
		{"empty", "# nothing\n\n", nil, "there is no domain in it; write one on each line", ""},
		{"all bad lines at once", "example.com\na b.example\nexample.net\n\nlocalhost\nExample.COM.\n" + strings.Repeat("a", 64) + ".example\n", nil,
			"line 2: \"a b.example\": ' ' cannot stand in a domain name\n" +
				"line 5: \"localhost\" is no domain that mail comes from; write one such as example.com\n" +
				"line 7: \"" + strings.Repeat("a", 64) + "\"…: label longer than 63 octets", "line 6: example.com stands in line 1 already"},
		{"twice", "example.com\nexample.com\n", []string{"example.com"}, "", "line 2: example.com stands in line 1 already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, again, err := ParseDomains(strings.NewReader(tt.text))
			if fmt.Sprint(err) != tt.err && !(err == nil && tt.err == "") {
				t.Errorf("error %v\nwant  %s", err, tt.err)
			}
			if strings.Join(again, "\n") != tt.again {
				t.Errorf("again: %q", again)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	_, _, err := ParseDomains(strings.NewReader(strings.Repeat("-\n", 1000)))
	if err == nil || strings.Count(err.Error(), "\n") != maxBad || !strings.HasSuffix(err.Error(), "and 950 more lines") {
		t.Errorf("%v", err)
	}
}

// FuzzParseDomains: what comes out are domain names, each once, and in the text.
func FuzzParseDomains(f *testing.F) {
	f.Add("example.com\n#x\nBücher.example.\n")
	f.Add("a\x00.b\r\n..\nexample.com\nexample.com")
	f.Fuzz(func(t *testing.T, text string) {
		got, _, err := ParseDomains(strings.NewReader(text))
		if (err == nil) != (len(got) > 0) {
			t.Fatalf("%q: %v", got, err)
		}
		seen := map[string]bool{}
		for _, d := range got {
			if name, err := dkim.DomainName(d); err != nil || name != d || seen[d] {
				t.Fatalf("%q: %q, %v", d, name, err)
			}
			seen[d] = true
		}
		if err == nil && len(got) > strings.Count(text, "\n")+1 {
			t.Fatalf("%d domains of %q", len(got), text)
		}
	})
}
