package opendkim

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/testdata/peers"
)

// Debian's opendkim-genzone and ours.
func TestGenzoneAsOpenDKIM(t *testing.T) {
	t.Parallel()
	prepare := func(t *testing.T, dir string) {
		t.Helper()
		writeToolKeys(t, dir)
		writeFiles(t, dir, map[string]string{
			"table":  "k1 example.com:s1:@DIR@/rsa.private\nk2 sub.example.com:s2:@DIR@/other.private\nk3 example.org:s3:@DIR@/rsa.private\n",
			"same":   "k1 Example.com:S1:@DIR@/rsa.private\nk2 example.com:s2:@DIR@/rsa.private\n",
			"one":    "k1 example.com:s1:@DIR@/rsa.private\n",
			"conf":   "KeyTable file:@DIR@/one\n",
			"empty":  "# nothing\n",
			"ed":     "k1 example.com:s1:@DIR@/ed.private\n",
			"absent": "k1 example.com:s1:@DIR@/rsa.private\nk2 example.com:s1:@DIR@/absent.private\n",
			"cut":    "k1 example.com:s1\n",
			"own":    "k1 %:s1:@DIR@/rsa.private\n",
			"bad":    "\nNonsense yes\n",
			"there":  "an old zone\n",
		})
	}
	compareTool(t, "opendkim-genzone", prepare, []toolCase{
		{name: "table", args: "@DIR@/table"},
		{name: "typed table", args: "file:@DIR@/table"},
		{name: "list", args: "csl:k1=example.com:s1:@DIR@/rsa.private,k2=example.com:s2:@DIR@/other.private"},
		{name: "configuration", args: "-x @DIR@/conf"},
		{name: "table before configuration", args: "-x @DIR@/conf file:@DIR@/table"},
		{name: "no rows", args: "@DIR@/empty"},
		{name: "domainkey", args: "-D @DIR@/table"},
		{name: "full names", args: "-F @DIR@/table"},
		{name: "both", args: "-DF @DIR@/table"},
		{name: "for email", args: "-M @DIR@/table"},
		{name: "TTL", args: "-t 300 -F @DIR@/table"},
		{name: "TTL of 0", args: "-t 0 @DIR@/one"},
		{name: "TTL, empty", args: "-t '' @DIR@/one"},
		{name: "TTL with a 0 in front", args: "-t 08 @DIR@/one"},
		{name: "domain", args: "-d example.com @DIR@/table"},
		{name: "domain in capitals", args: "-d EXAMPLE.COM @DIR@/same"},
		{name: "domain and below", args: "-s -d example.com @DIR@/table"},
		{name: "domain with a dot", args: "-s -d .com @DIR@/table"},
		{name: "part of a label", args: "-s -d ample.com @DIR@/table"},
		{name: "SOA", args: "-S @DIR@/one"},
		{name: "SOA, all of it", args: "-S -N ns1.example.com,ns2 -C hostmaster@example.com -E 1 -r 2 -R 3 -T 4 -t 5 @DIR@/one"},
		{name: "SOA, dots in the contact", args: "-S -C post.master@example.com @DIR@/one"},
		{name: "NS", args: "-N ,ns1.example.com,,ns2. -d example.com @DIR@/one"},
		{name: "NS, empty", args: "-N '' @DIR@/one"},
		{name: "nsupdate", args: "-u @DIR@/one"},
		{name: "nsupdate, all of it", args: "-uMSF -N ns1.example.com,ns2 -t 60 -d example.com @DIR@/same"},
		{name: "nsupdate, default TTL", args: "-u -F -T 7 @DIR@/one"},
		{name: "nsupdate, no rows", args: "-u @DIR@/empty"},
		{name: "nsupdate, several zones", args: "-uF @DIR@/table", why: "one message of nsupdate is about one zone", ours: outcomeOf{Out: "\"\nsend\nzone sub.example.com\nupdate add s2._domainkey.sub.example.com. 86400 TXT \"v=DKIM1\\;k=rsa\\;p="}},
		{name: "output file", args: "-o @DIR@/out @DIR@/table"},
		{name: "output file, there already", args: "-o @DIR@/there @DIR@/table"},
		{name: "output file, counted", args: "-v -o @DIR@/out @DIR@/table"},
		{name: "output file, counted: one", args: "-v -o @DIR@/out @DIR@/one"},
		{name: "output file, traced", args: "-vv -o @DIR@/out @DIR@/table"},
		{name: "output file, domain", args: "-v -d example.com -o @DIR@/out @DIR@/table", why: "Debian's counts what it skips", ours: outcomeOf{Out: "opendkim-genzone: 1 record written\n"}},
		{name: "counted", args: "-v @DIR@/table", why: "Debian's prints the count into the zone", ours: outcomeOf{Err: "database opened\nopendkim-genzone: 3 records written\n"}},
		{name: "no folder for the output", args: "-o @DIR@/absent/out @DIR@/table"},
		{name: "operands after the first", args: "@DIR@/one -D more"},
		{name: "usage", args: ""},
		{name: "unknown flag", args: "-h"},
		{name: "value missing", args: "-d"},
		{name: "subdomains of nothing", args: "-s @DIR@/table"},
		{name: "expiry", args: "-E x @DIR@/table"},
		{name: "refresh", args: "-r -5 @DIR@/table"},
		{name: "retry", args: "-R 5s @DIR@/table"},
		{name: "record TTL", args: "-t 0x10 @DIR@/table"},
		{name: "default TTL", args: "-T 1.5 @DIR@/table"},
		{name: "record TTL beyond DNS", args: "-t 99999999999 @DIR@/table", why: "Debian's cuts off the upper bits", ours: outcomeOf{Exit: 64, Err: "invalid TTL value"}},
		{name: "table is absent", args: "file:@DIR@/nothing"},
		{name: "unknown type", args: "nonsense:@DIR@/table", why: "ours says which there are", ours: outcomeOf{Exit: 1, Err: "opendkim-genzone: dkimf_db_open(): Unknown database type: "}},
		{name: "refile", args: "refile:@DIR@/one", why: "Debian's cannot read it", ours: outcomeOf{Out: "s1\tIN\tTXT\t( \"v=DKIM1\\;k=rsa\\;p="}},
		{name: "Ed25519", args: "@DIR@/ed", why: "Debian's cannot load it", ours: outcomeOf{Out: "s1\tIN\tTXT\t( \"v=DKIM1\\;k=ed25519\\;p="}},
		{name: "missing key", args: "@DIR@/absent", why: "ours writes no half zone, and says why", ours: outcomeOf{Exit: 1, Err: "opendkim-genzone: key for 'k2' load failed\nopendkim-genzone: @DIR@/absent:2: "}},
		{name: "broken row", args: "@DIR@/cut", why: "ours writes no half zone, and says why", ours: outcomeOf{Exit: 1, Err: "opendkim-genzone: dkimf_db_walk(0) failed: "}},
		{name: "each sender's own domain", args: "@DIR@/own"},
		{name: "each sender's own domain, full names", args: "-F @DIR@/own", why: "it has no zone", ours: outcomeOf{Err: "record 0 for 'k1' skipped: "}},
		{name: "a second line in a name", args: "-d a;b @DIR@/one", why: "the zone would have other lines", ours: outcomeOf{Exit: 64, Err: "cannot stand in a zone"}},
		{name: "configuration: unknown name", args: "-x @DIR@/bad @DIR@/one", why: "ours says what is wrong with the line", ours: outcomeOf{Exit: 78, Err: "@DIR@/bad: configuration error at line 2: unrecognized parameter"}},
		{name: "configuration: no table", args: "-x @DIR@/empty"},
	})
}

// A file that is mounted by itself, and one in a folder where nothing can be
// made, are written to, as Debian's does.
func TestGenzoneWritesInPlace(t *testing.T) {
	const alone = "POSTSEAL_TEST_OWN_MOUNTS"
	if dir := os.Getenv(alone); dir != "" {
		out := filepath.Join(dir, "locked", "zone")
		if os.Geteuid() == 0 {
			out = filepath.Join(dir, "zone")
			if text, err := exec.Command("mount", "--bind", filepath.Join(dir, "file"), out).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
		}
		o := playOurs(t, "opendkim-genzone", dir, toolCase{args: "-o " + out + " csl:k1=example.com:s1:@DIR@/rsa.private"})
		if text, err := os.ReadFile(out); err != nil || o.Exit != exitOK || !strings.HasPrefix(string(text), "; DKIM public key zone data\n") {
			t.Errorf("ended with %d and %q; %q, %v", o.Exit, o.Err, text, err)
		}
		return
	}
	t.Parallel()
	dir := toolDir(t)
	writeToolKeys(t, dir)
	writeFiles(t, dir, map[string]string{"file": "old\n", "zone": "old\n"})
	if err := os.Mkdir(filepath.Join(dir, "locked"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, map[string]string{"locked/zone": "old\n"})
	if err := os.Chmod(filepath.Join(dir, "locked"), 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "locked"), 0o700) })
	run := func(words ...string) {
		t.Helper()
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Env = append(os.Environ(), alone+"="+dir)
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
			t.Errorf("%q: %v\n%s", words, err, out)
		}
	}
	this := []string{os.Args[0], "-test.run=^" + t.Name() + "$", "-test.v"}
	flags := []string{"unshare", "--mount"}
	if os.Geteuid() != 0 {
		flags = append(flags, "--map-root-user")
		run(this...)
	}
	peers.Require(t, exec.Command(flags[0], append(flags[1:], "true")...).Run())
	run(append(flags, this...)...)
}

// The strings of a record joined are the record, however long it is.
func TestZonePieces(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 74, 75, 76, 141, 142, 600} {
		text := strings.Repeat("x", size)
		got := pieces(text, firstWidth, nextWidth, "|")
		parts := strings.Split(got, "|")
		if strings.Join(parts, "") != text || len(parts[0]) > firstWidth {
			t.Errorf("%d: %q", size, got)
		}
		for i, part := range parts[1:] {
			if part == "" || len(part) > nextWidth || i+2 < len(parts) && len(part) != nextWidth {
				t.Errorf("%d: part %d is %q", size, i+1, part)
			}
		}
	}
}

// The time in a zone is the clock's.
func TestZoneHead(t *testing.T) {
	t.Parallel()
	z := zone{soa: true, servers: []string{"ns1"}, contact: "a@b", domain: "example.com", now: time.Date(2026, 11, 2, 7, 5, 9, 0, time.Local)}
	var b strings.Builder
	z.begin(&b, "opendkim-genzone")
	for _, want := range []string{"; for example.com\n; auto-generated by opendkim-genzone at Mon Nov  2 07:05:09 2026\n\n@\tIN\tSOA\tns1\ta.b\t (\n\t2026110207   ; Serial (yyyymmddhh)\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q has no %q", b.String(), want)
		}
	}
}

// FuzzZoneRecord: whatever stands in a row, a record is one record.
func FuzzZoneRecord(f *testing.F) {
	f.Add("example.com", "s1", "v=DKIM1; k=rsa; p=AAAA", true, false)
	f.Add("%", "é", "v=DKIM1; k=ed25519; p="+strings.Repeat("A", 600), false, true)
	f.Fuzz(func(t *testing.T, domain, selector, value string, full, update bool) {
		if strings.ContainsAny(domain+selector+value, "\"\n\r\\ ") {
			return // no row has these, and no key
		}
		z := zone{full: full, update: update, ttl: -1, domainkey: true, minimum: 60}
		var b strings.Builder
		z.record(&b, keys.Entry{Domain: domain, Selector: selector}, value)
		text := b.String()
		if strings.Count(text, `"`)%2 != 0 || !strings.HasSuffix(text, "\n") || strings.Count(text, "_domainkey") < 1 || z.written != 1 {
			t.Fatalf("%q", text)
		}
		if update != strings.HasPrefix(text, "zone ") && !strings.HasPrefix(selector, "zone") {
			t.Fatalf("%q", text)
		}
	})
}
