package keys

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/config/dataset"
)

// samplesOf lists samples as "key sender" or "key: why".
func samplesOf(t *testing.T, o Options) (list []string) {
	t.Helper()
	for s := range mustLoad(t, o).Samples() {
		switch {
		case s.Why != "":
			list = append(list, s.KeyName+": "+s.Why)
		default:
			list = append(list, s.KeyName+" "+s.Sender.Local+"@"+s.Sender.Domain)
		}
	}
	return list
}

func mustLoad(t *testing.T, o Options) *Store {
	t.Helper()
	o.Later = true
	s, err := Load(o, NewCache(0, (&prover{}).prove, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSamples(t *testing.T) {
	dir := t.TempDir()
	for _, domain := range []string{"one.example", "two.example"} {
		if err := os.MkdirAll(filepath.Join(dir, domain), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, domain, "key"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const none = ": no address was found that the row csl element %d is for and none before it"
	for _, row := range []struct {
		name, kind, signing, keyTable string
		multiple                      bool
		want                          []string
	}{
		{"a domain", "refile", "*@a.example k", "k a.example:s:/k", false, []string{"k postseal-ping@a.example"}},
		{"an address", "refile", "joe@a.example k", "k a.example:s:/k", false, []string{"k joe@a.example"}},
		{"subdomains", "refile", "*@*.a.example k", "k a.example:s:/k", false, []string{"k postseal-ping@postseal-ping.a.example"}},
		{"an end", "refile", "*a.example k", "k a.example:s:/k", false, []string{"k postseal-ping@a.example"}},
		{"all", "refile", "* k", "k a.example:s:/k", false, []string{"k postseal-ping@a.example"}},
		{"all domains", "refile", "joe@* k", "k a.example:s:/k", false, []string{"k joe@a.example"}},
		{"all domains, the sender's", "refile", "*@* k", "k %:s:/k", false, []string{"k postseal-ping@example.com"}},
		{"a beginning", "refile", "no-reply-*@a.example k", "k a.example:s:/k", false, []string{"k no-reply-postseal-ping@a.example"}},
		{"alternatives", "refile", "(*@a.example|*@b.example) k", "k a.example:s:/k", false, []string{"k postseal-ping@a.example"}},
		{"an expression", "refile", "[a-z-]+@(mail[.])?a.example k", "k a.example:s:/k", false, nil},
		{"a U-label", "refile", "*@büro.example k", "k büro.example:s:/k", false, []string{"k postseal-ping@xn--bro-hoa.example"}},
		{"behind another", "refile", "*@a.example k\njoe@a.example l", "k a.example:s:/k\nl a.example:t:/l", false, []string{
			"k postseal-ping@a.example", "l: no address was found that the row signing:2 is for and none before it"}},
		{"behind another, and again", "refile", "*@a.example k\njoe@a.example l\njoe@b.example l", "k a.example:s:/k\nl a.example:t:/l", false, []string{
			"k postseal-ping@a.example", "l joe@b.example"}},
		{"both", "refile", "*@a.example k\njoe@a.example l", "k a.example:s:/k\nl a.example:t:/l", true, []string{"k postseal-ping@a.example", "l joe@a.example"}},
		{"no row", "refile", "*@a.example k", "k a.example:s:/k\nl a.example:t:/l", false, []string{
			"k postseal-ping@a.example", "l: no row of signing_table names it"}},
		{"one key, many rows", "refile", "*@a.example k\n*@b.example k", "k a.example:s:/k", false, []string{"k postseal-ping@a.example"}},
		{"the sender's domain, many rows", "refile", "*@a.example k\njoe@a.example k\n*@b.example k", "k %:s:/k", false, []string{
			"k postseal-ping@a.example", "k postseal-ping@b.example"}},
		{"a file for each domain", "refile", "* k", "k %:s:" + dir + "/%/key", false, []string{"k postseal-ping@one.example"}},
		{"a file for this domain", "refile", "*@two.example k", "k %:s:" + dir + "/%/key", false, []string{"k postseal-ping@two.example"}},
		{"no file for this domain", "refile", "*@three.example k", "k %:s:" + dir + "/%/key", false, []string{
			"k: no domain that the row signing:1 is for was found to have a key file " + dir + "/%/key"}},
		{"keys called as domains", "refile", "* %", "a.example a.example:s:/k\nnot_a/domain b.example:s:/k\nb.example b.example:s:/k", false, []string{
			"a.example postseal-ping@a.example", "b.example postseal-ping@b.example", "not_a/domain: no row of signing_table names it"}},
		{"a broken key", "refile", "*@a.example k\n*@b.example l", "k a..example:s:/k\nl b.example:s:/l", false, []string{"l postseal-ping@b.example"}},
		{"file: a host", "file", "a.example k", "k a.example:s:/k", false, []string{"k postseal-ping@a.example"}},
		{"file: an address", "file", "joe@a.example k", "k a.example:s:/k", false, []string{"k joe@a.example"}},
		{"file: below", "file", ".a.example k", "k a.example:s:/k", false, []string{"k postseal-ping@postseal-ping.a.example"}},
		{"file: an address below", "file", "joe@.a.example k", "k a.example:s:/k", false, []string{"k joe@postseal-ping.a.example"}},
		{"file: a user", "file", "joe@* k", "k a.example:s:/k", false, []string{"k joe@a.example"}},
		{"file: all", "file", "* k", "k a.example:s:/k", false, []string{"k postseal-ping@a.example"}},
		{"file: a pattern", "file", "*@a.example k", "k a.example:s:/k", false, []string{
			"k: no address was found that the row signing:1 is for and none before it"}},
		{"csl", "csl", "a.example=k,joe@b.example=l,joe@a.example=k", "k=a.example:s:/k,l=b.example:s:/l", false, []string{
			"k postseal-ping@a.example", "l joe@b.example"}},
		{"csl: twice", "csl", "a.example=k,a.example=l", "k=a.example:s:/k,l=b.example:s:/l", false, []string{
			"k postseal-ping@a.example", "l" + fmt.Sprintf(none, 2)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			folder := t.TempDir()
			o := Options{MultipleSignatures: row.multiple, SkipBadRows: true}
			table := func(name, kind, text string) dataset.Spec {
				if kind == "csl" {
					return dataset.Text("csl:" + text)
				}
				path := filepath.Join(folder, name)
				if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				return dataset.Text(kind + ":" + path)
			}
			keyKind := row.kind
			if keyKind == "refile" {
				keyKind = "file"
			}
			o.SigningTable, o.KeyTable = table("signing", row.kind, row.signing), table("keys", keyKind, row.keyTable)
			got := samplesOf(t, o)
			if row.want == nil { // told of in words
				if len(got) != 1 || !strings.Contains(got[0], ": no address was found") {
					t.Errorf("%q", got)
				}
				return
			}
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], folder+"/", "")
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got  %q\nwant %q", got, row.want)
			}
		})
	}
}

func TestSamplesOfDomain(t *testing.T) {
	for _, row := range []struct {
		name, domain string
		want         []string
	}{
		{"two", "a.example,b.example", []string{"key_file postseal-ping@a.example", "key_file postseal-ping@b.example"}},
		{"every one", "*", []string{"key_file postseal-ping@example.com"}},
		{"no name", "a..b", []string{`key_file: no address was found that "a..b" of domain is for`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := samplesOf(t, Options{Domain: dataset.Text(row.domain), Selector: "s", KeyFile: "/k"})
			if !slices.Equal(got, row.want) {
				t.Errorf("got  %q\nwant %q", got, row.want)
			}
		})
	}
}

// Nothing is configured: nothing is found. And who takes only some samples of a
// large table does not pay for the others.
func TestSamplesBounded(t *testing.T) {
	if got := samplesOf(t, Options{}); got != nil {
		t.Errorf("%q", got)
	}
	// All rows stand behind one that takes all mail.
	signing, keyTable := []string{"*=k0"}, []string{"k0=a.example:s:/k"}
	for i := 1; i < 3*mostFailures; i++ {
		signing = append(signing, fmt.Sprintf("d%d.example=k%d", i, i))
		keyTable = append(keyTable, fmt.Sprintf("k%d=d%d.example:s:/k", i, i))
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "signing")
	if err := os.WriteFile(path, []byte("* k0\n"+strings.ReplaceAll(strings.Join(signing[1:], "\n"), "=", " ")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := samplesOf(t, Options{SigningTable: dataset.Text("refile:" + path), KeyTable: dataset.List(keyTable...)})
	if !slices.Equal(got, []string{"k0 postseal-ping@a.example"}) {
		t.Errorf("%d samples: %.200q", len(got), got)
	}
}
