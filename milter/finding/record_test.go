package finding

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// What stands in a fix is what a name server reads.
func TestRecord(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []int // octets of each string
	}{
		{"v=spf1 mx ~all", []int{14}},
		{"", []int{0}},
		{`a "b" \c; d`, []int{11}},
		{"tab\tnul\x00high\xff\nend", []int{17}},
		{strings.Repeat("x", 255), []int{255}},
		{strings.Repeat("x", 256), []int{255, 1}},
		{strings.Repeat(`"`, 600), []int{255, 255, 90}},
	} {
		line := Record("_dmarc.example.com", tt.text)
		if strings.IndexFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) >= 0 {
			t.Errorf("%q is not printable", line)
		}
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		wire := make([]byte, 2048)
		end, err := dns.PackRR(rr, wire, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		data := wire[end-int(rr.Header().Rdlength) : end]
		var text string
		for i, want := range tt.want {
			if len(data) == 0 || int(data[0]) != want {
				t.Fatalf("%q: string %d of %q", tt.text, i, line)
			}
			text += string(data[1 : 1+want])
			data = data[1+want:]
		}
		if text != tt.text || len(data) > 0 || rr.Header().Name != "_dmarc.example.com." {
			t.Errorf("%s is read as %s", line, rr)
		}
	}
}
