package zone

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/testdata/peers"
)

const someSecret = "xo9fqhpfwinz+t/gA7dgZJndNOmLHBmdqSIQneK0+9M="

func TestParseTSIG(t *testing.T) {
	key := func(algorithm string) string {
		return "key \"name\" {\n\talgorithm " + algorithm + ";\n\tsecret \"" + someSecret + "\";\n};\n"
	}
	for _, tt := range []struct{ name, text, want string }{
		{"as tsig-keygen has it", key("hmac-sha256"), "name. hmac-sha256."},
		{"another algorithm", key("HMAC-SHA512"), "name. hmac-sha512."},
		{"on one line, bare words", "key Name.Example. { secret " + someSecret + "; algorithm hmac-sha224; };", "name.example. hmac-sha224."},
		{"a secret with comment signs", `key n { algorithm hmac-sha384; secret AAAA//AA; };`, "n. hmac-sha384."},
		{"comments", "# key \"no\" {\n// key\n/* key \"no\" { */ " + key("hmac-sha256") + "# end", "name. hmac-sha256."},
		{"beside other statements", "options { directory \"/x\"; a { b; }; };\n" + key("hmac-sha256") + "update-policy { grant name zonesub ANY; };\nnsupdate -k <keyfile>", "name. hmac-sha256."},

		{"empty", "", "there is no key statement"},
		{"another file", "-----BEGIN PRIVATE KEY-----\nMIIB\n", "there is no key statement"},
		{"two keys", key("hmac-sha256") + key("hmac-sha256"), "there are several"},
		{"MD5", key("hmac-md5"), "hmac-md5, which is too weak; make another, on the name server too: tsig-keygen -a hmac-sha256 name"},
		{"MD5 in full", key("hmac-md5.sig-alg.reg.int"), "too weak"},
		{"SHA-1", key("hmac-sha1"), "too weak"},
		{"truncated", key("hmac-sha256-128"), "without a length behind them"},
		{"unknown", key("gss-tsig"), `"gss-tsig"`},
		{"no algorithm", "key n { secret " + someSecret + "; };", "does not say its algorithm"},
		{"no secret", "key n { algorithm hmac-sha256; };", "is not base64"},
		{"a broken secret", `key n { algorithm hmac-sha256; secret "xo9fqh!"; };`, "is not base64"},
		{"a name that is none", `key "a b" { algorithm hmac-sha256; secret "` + someSecret + `"; };`, "its name"},
		{"cut in the secret", key("hmac-sha256")[:60], "in the middle"},
		{"cut before the end", `key n { algorithm hmac-sha256; secret "` + someSecret + `";`, "in the middle"},
		{"cut in a comment", "/* " + key("hmac-sha256"), "in the middle"},
		{"another word", `key n { algorithm hmac-sha256; server x; };`, "nothing but algorithm and secret"},
		{"no brace", `key n algorithm hmac-sha256;`, `lacks a "{"`},
		{"no semicolon", `key n { algorithm hmac-sha256 secret x; };`, `lacks a ";"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseTSIG(tt.text)
			switch {
			case err != nil && (!strings.Contains(err.Error(), tt.want) || !errors.Is(err, ErrNoTSIG)):
				t.Errorf("%v; want %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "xo9fqh"):
				t.Errorf("the secret is told: %v", err)
			case err == nil && got.Name+" "+got.Algorithm != tt.want:
				t.Errorf("%s %s; want %q", got.Name, got.Algorithm, tt.want)
			}
		})
	}
}

// FuzzParseTSIG: what is taken is what BIND takes, a key with all its parts, and no error
// has a part of the secret.
func FuzzParseTSIG(f *testing.F) {
	f.Add("key \"a\" { algorithm hmac-sha256; secret \"" + someSecret + "\"; };")
	f.Add("/**/ options { x { y; }; }; key a. { secret \"QUJDREVGR0g=\"; algorithm hmac-sha512; }; # end")
	f.Add("key \"")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseTSIG(text)
		if err != nil {
			if !errors.Is(err, ErrNoTSIG) {
				t.Fatal(err)
			}
			return
		}
		if len(k.secret) == 0 || hashes[strings.TrimSuffix(k.Algorithm, ".")] == nil || len(k.Name) < 2 || !strings.HasSuffix(k.Name, ".") {
			t.Fatalf("%+v", k)
		}
		if !strings.Contains(strings.ToLower(text), strings.TrimSuffix(k.Algorithm, ".")) || !strings.Contains(text, "secret") {
			t.Fatalf("%q: the key is not in the text", text)
		}
	})
}

// What BIND's own tools write, in files as safe as theirs.
func TestReadTSIG(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	output := func(program string, args ...string) string {
		t.Helper()
		out, err := exec.Command(program, args...).Output()
		peers.Require(t, err)
		return string(out)
	}
	const private = "Private-key-format: v1.3\nAlgorithm: 163 (HMAC_SHA256)\nKey: " + someSecret + "\nBits: AAA=\n"
	for _, tt := range []struct{ name, path, want, err string }{
		{"tsig-keygen", write("a.key", output("tsig-keygen", "-a", "hmac-sha512", "mine"), 0o600), "mine. hmac-sha512.", ""},
		{"ddns-confgen", write("b.key", output("ddns-confgen", "-z", "example.com"), 0o600), "ddns-key.example.com. hmac-sha256.", ""},
		{"dnssec-keygen", write("Kmine.example.+163+12345.private", private, 0o600), "mine.example. hmac-sha256.", ""},
		{"dnssec-keygen, the other file", filepath.Join(dir, "Kmine.example.+163+12345.key"), "mine.example. hmac-sha256.", ""},
		{"dnssec-keygen, MD5", write("Kmine.+157+12345.private", strings.Replace(private, "163", "157", 1), 0o600), "", "too weak"},
		{"a key of DNSSEC", write("Kmine.+013+12345.private", strings.Replace(private, "163", "13", 1), 0o600), "", "no TSIG key"},
		{"empty", write("c.key", "", 0o600), "", "there is no key statement"},
		{"too large", write("d.key", strings.Repeat(" ", 65<<10), 0o600), "", "at most"},
		{"absent", filepath.Join(dir, "e.key"), "", "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := ReadTSIG(tt.path)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if err == nil && k.Name+" "+k.Algorithm != tt.want {
				t.Errorf("%s %s, want %s", k.Name, k.Algorithm, tt.want)
			}
		})
	}
	for _, mode := range []os.FileMode{0o604, 0o602, 0o644} {
		var unsafe *keys.UnsafeError
		_, err := ReadTSIG(write("open.key", output("tsig-keygen", "x"), mode))
		if !errors.As(err, &unsafe) || !strings.Contains(err.Error(), "chmod 0600 ") {
			t.Errorf("mode %04o: error %v", mode, err)
		}
	}
}
