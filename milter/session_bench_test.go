package milter

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/milter/wire"
)

// frames are the frames of a message, as one write has them.
type frames []byte

func (f *frames) add(cmd wire.Command, payload string) {
	*f = binary.BigEndian.AppendUint32(*f, uint32(1+len(payload)))
	*f = append(append(*f, byte(cmd)), payload...)
}

// BenchmarkSession is what a message of 2 KB costs the daemon besides the
// signature: frames, decision, log line, system calls. The bench's own side of
// the connection is in it.
func BenchmarkSession(b *testing.B) {
	inline, record := newKey(b, "ed25519")
	records := resolver.NewRecords(map[string][]string{"s1._domainkey.example.com": {record}})
	tables := fmt.Sprintf("\nkey_table = [\"k=example.com:s1:%s\"]\nsigning_table = [\"example.com=k\"]\n", inline)
	body := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 20)
	for _, row := range []struct{ name, settings, client string }{
		{"sign", tables, "127.0.0.1"},
		{"sign with what DNS shows", tables + "unpublished_keys = \"skip\"", "127.0.0.1"},
		{"verify unsigned", tables + "always_add_ar_header = true", "192.0.2.1"},
		{"pass", tables + "mode = \"s\"", "192.0.2.1"},
	} {
		b.Run(row.name, func(b *testing.B) {
			srv := startServer(b, loadText(b, row.settings, records), func(s *Server) {
				s.log = slog.New(slog.NewTextHandler(io.Discard, nil))
				s.troubles = nil // as without a monitor
			})
			m := srv.connect(b, "client.example.net", row.client)
			var first, second, third frames
			first.add(wire.CmdMail, "<user@example.com>\x00")
			first.add(wire.CmdRcpt, "<user@example.org>\x00")
			for _, h := range append(header("example.com"), "Received: "+strings.Repeat("y", 200), "X-Long: "+strings.Repeat("z", 300)) {
				name, value, _ := strings.Cut(h, ":")
				first.add(wire.CmdHeader, name+"\x00"+value+"\x00")
			}
			first.add(wire.CmdMacro, string(wire.CmdEOH)+"i\x004XQ1\x00")
			first.add(wire.CmdEOH, "")
			second.add(wire.CmdBody, body)
			third.add(wire.CmdEOM, "")
			b.ReportAllocs()
			for b.Loop() {
				done := false
				for _, f := range []frames{first, second, third} {
					if done {
						break
					}
					if _, err := m.c.Write(f); err != nil {
						b.Fatal(err)
					}
					for {
						code, _, err := m.frame()
						if err != nil {
							b.Fatal(err)
						}
						if code == 'a' {
							done = true
						}
						if code == 'a' || code == 'c' || code == 's' {
							break
						}
					}
				}
			}
		})
	}
}
