package keys

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/config/dataset"
)

// manyDomains writes tables of n domains with a key each, whose files need not be
// there: "file" or "refile" is the kind of the SigningTable.
func manyDomains(t testing.TB, kind string, n int) Options {
	t.Helper()
	dir := t.TempDir()
	format := map[string]string{"file": "customer%d.example", "refile": "*@customer%d.example"}[kind]
	var keys, signing strings.Builder
	for i := range n {
		fmt.Fprintf(&keys, "mail._domainkey.customer%[1]d.example customer%[1]d.example:mail:/etc/dkimkeys/customer%[1]d.example/mail.private\n", i)
		fmt.Fprintf(&signing, format+" mail._domainkey.customer%[1]d.example\n", i)
	}
	return Options{
		KeyTable:     dataset.Text("file:" + write(t, filepath.Join(dir, "key.table"), keys.String())),
		SigningTable: dataset.Text(kind + ":" + write(t, filepath.Join(dir, "signing.table"), signing.String())),
	}
}

func BenchmarkLoad100k(b *testing.B) {
	for _, kind := range []string{"file", "refile"} {
		b.Run(kind, func(b *testing.B) {
			o := manyDomains(b, kind, 100_000)
			c := newTestCache(&prover{}, io.Discard)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(o, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSelect(b *testing.B) {
	for _, kind := range []string{"file", "refile"} {
		for _, n := range []int{1, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				s, err := Load(manyDomains(b, kind, n), newTestCache(&prover{}, io.Discard))
				if err != nil {
					b.Fatal(err)
				}
				a := Address{"someone", fmt.Sprintf("customer%d.example", n-1)}
				b.ReportAllocs()
				for b.Loop() {
					if rs, err := s.Select(a); err != nil || len(rs) != 1 {
						b.Fatal(rs, err)
					}
				}
			})
		}
	}
}
