package zone

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// An independent zone parser reads what String writes.
func TestString(t *testing.T) {
	rsa4096 := "v=DKIM1; h=sha256; k=rsa; p=" + strings.Repeat("A", 736)
	for _, tt := range []struct {
		name, selector, domain, value, owner string
		lines                                int
	}{
		{"short", "s", "example.com", "v=DKIM1; p=", "s._domainkey.example.com.", 1},
		{"one string", "s", "example.com", "v=DKIM1; p=" + strings.Repeat("A", 244), "s._domainkey.example.com.", 1},
		{"an octet more", "s", "example.com", "v=DKIM1; p=" + strings.Repeat("A", 245), "s._domainkey.example.com.", 2},
		{"long key", "s", "example.com.", rsa4096, "s._domainkey.example.com.", 4},
		{"U-label", "s", "bücher.example", "x", "s._domainkey.xn--bcher-kva.example.", 1},
		{"awkward text", "s", "example.com", "a\"b\\c;d\x00\xff" + strings.Repeat("\xc3", 300), "s._domainkey.example.com.", 2},
		{"empty", "s", "example.com", "", "s._domainkey.example.com.", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := Key(tt.selector, tt.domain, tt.value).String()
			if n := strings.Count(text, "\n"); n != tt.lines || strings.Contains(text, "(") != (n > 1) {
				t.Errorf("%d lines, want %d:\n%s", n, tt.lines, text)
			}
			rr, err := dns.NewRR("$ORIGIN origin.example.\n$TTL 3600\n" + text)
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			txt, ok := rr.(*dns.TXT)
			if !ok || txt.Hdr.Name != tt.owner {
				t.Fatalf("%v from\n%s", rr, text)
			}
			// On the wire, where escapes are gone.
			buf := make([]byte, 4096)
			if _, err := dns.PackRR(rr, buf, 0, nil, false); err != nil {
				t.Fatal(err)
			}
			_, off, err := dns.UnpackDomainName(buf, 0)
			if err != nil {
				t.Fatal(err)
			}
			data := buf[off+10 : off+10+int(buf[off+8])<<8+int(buf[off+9])]
			value := ""
			for len(data) > 0 {
				n := int(data[0])
				value, data = value+string(data[1:1+n]), data[1+n:]
			}
			if value != tt.value {
				t.Errorf("value %q, want %q", value, tt.value)
			}
		})
	}
}
