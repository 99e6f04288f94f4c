package milter

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"github.com/postseal/postseal/testdata/peers"
)

// What the signing side answers on the wire, tag by tag and field by field, is
// as with OpenDKIM under the same opendkim.conf; what differs is listed in
// wireSetups with the reason.
func TestWireAsOpenDKIM(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inline := writeSharedKey(t, dir)
	for _, s := range wireSetups {
		t.Run(s.name, func(t *testing.T) {
			fill := strings.NewReplacer("@DIR@", dir, "@INLINE@", inline)
			files := map[string]string{"signing.table": s.signing, "key.table": s.keys}
			for name, text := range s.files {
				files[name] = text
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(fill.Replace(text)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			conf := strings.Split(strings.TrimSpace(fill.Replace(s.conf)), "\n")
			theirs := peers.StartOpenDKIM(t, nil, conf...)
			ours := startServer(t, fromConf(t, conf))
			listed := slices.Clone(s.differ)
			for _, m := range s.mails {
				m.Body = "hello\r\n"
				want := onWire(t, m)(theirs.Ask(m.Mail))
				if n := slices.IndexFunc(listed, func(d difference) bool { return d.mail == m.name }); n >= 0 {
					if listed[n].ours == want {
						t.Errorf("%q: OpenDKIM has %q as we do: the difference is listed for nothing", m.name, want)
					}
					want = listed[n].ours
					listed = slices.Delete(listed, n, n+1)
				}
				if got := onWire(t, m)(peers.Ask(ours.path, m.Mail)); got != want {
					t.Errorf("%q:\n got %s\nwant %s", m.name, got, want)
				}
			}
			for _, d := range listed {
				t.Errorf("%q is listed and is no mail of this setup", d.mail)
			}
		})
	}
}

// onWire puts an answer into words: each change that is made, in its order, or
// the reply that ends the message.
func onWire(t *testing.T, m mail) func([]gomilter.ModifyAction, gomilter.ActionCode, error) string {
	return func(changes []gomilter.ModifyAction, action gomilter.ActionCode, err error) string {
		t.Helper()
		if err != nil {
			t.Fatalf("%q: %v", m.name, err)
		}
		switch action {
		case gomilter.ActTempFail, gomilter.ActReplyCode, gomilter.ActReject:
			return "refused"
		case gomilter.ActDiscard:
			return "discarded"
		}
		var words []string
		for _, c := range changes {
			switch {
			case c.HeaderName == "DKIM-Signature" && c.HeaderValue != "":
				words = append(words, tagsOnWire(c.HeaderValue))
			case c.HeaderName == "DKIM-Filter":
				words = append(words, fmt.Sprintf("filter at %d", c.HeaderIndex))
			case strings.Contains(c.HeaderValue, "dkim=permerror"):
				words = append(words, "permerror")
			default:
				words = append(words, fmt.Sprintf("%s %d %s", c.HeaderName, c.HeaderIndex, c.HeaderValue))
			}
		}
		if len(words) == 0 {
			return unsigned
		}
		return strings.Join(words, ", ")
	}
}

var quotedOctet = regexp.MustCompile("=[0-9A-F]{2}")

// tagsOnWire is a signature without its times, its hashes of the header, and
// what z= has a choice in: "v=1; a=…".
func tagsOnWire(value string) string {
	var tags []string
	var made int64
	for tag := range strings.SplitSeq(strings.Join(strings.Fields(value), ""), ";") {
		name, text, _ := strings.Cut(tag, "=")
		switch name {
		case "v", "a", "c":
			if tag == "v=1" || tag == "a=rsa-sha256" || tag == "c=simple/simple" {
				continue // nearly always
			}
		case "t":
			made, _ = strconv.ParseInt(text, 10, 64)
			text = "T"
		case "x":
			n, _ := strconv.ParseInt(text, 10, 64)
			text = "T+" + strconv.FormatInt(n-made, 10)
		case "bh":
			text = text[:4]
		case "b":
			continue
		case "z":
			text = quotedOctet.ReplaceAllStringFunc(text, func(s string) string {
				n, _ := strconv.ParseUint(s[1:], 16, 8)
				return string([]byte{byte(n)})
			})
		}
		tags = append(tags, name+"="+text)
	}
	return strings.Join(tags, " ")
}
