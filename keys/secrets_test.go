package keys

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/postseal/postseal/testdata/secrets"
)

// texts are the forms of a private key, whole and broken.
func texts(t *testing.T, key crypto.Signer) map[string]string {
	t.Helper()
	der := pkcs8(t, key)
	pem := block("PRIVATE KEY", der)
	lines := strings.SplitAfter(pem, "\n")
	all := map[string]string{
		"PEM": pem, "base64": base64.StdEncoding.EncodeToString(der), "DER": string(der),
		"without END":        strings.Join(lines[:len(lines)-2], ""),
		"without BEGIN":      strings.Join(lines[1:], ""),
		"without its frame":  strings.Join(lines[1:len(lines)-2], ""),
		"half":               pem[:len(pem)/2],
		"a letter too much":  strings.Replace(pem, "\n", "\n!", 1),
		"a wrong letter":     pem[:len(pem)*2/3] + "A" + pem[len(pem)*2/3+1:],
		"of another type":    strings.ReplaceAll(pem, "PRIVATE KEY", "EC PRIVATE KEY"),
		"of an unknown type": strings.ReplaceAll(pem, "PRIVATE KEY", "KEY"),
		"encrypted":          strings.ReplaceAll(pem, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
		"with a header":      strings.Replace(pem, "\n", "\nProc-Type: 4,ENCRYPTED\n\n", 1),
		"half of the base64": base64.StdEncoding.EncodeToString(der[:len(der)/2]),
		"half of the DER":    string(der[:len(der)/2]),
		"as a type":          "-----BEGIN " + base64.StdEncoding.EncodeToString(der) + "-----\nAA==\n-----END " + base64.StdEncoding.EncodeToString(der) + "-----\n",
	}
	if key, ok := key.(*rsa.PrivateKey); ok {
		all["PKCS #1"] = block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
		weak := *key
		weak.E = 4
		all["not sound"] = block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(&weak))
	}
	return all
}

// Whatever is wrong with a key, and wherever it stands by mistake, nothing that is
// said has a part of it.
func TestKeysAreNotTold(t *testing.T) {
	for _, kind := range []string{kindRSA, kindEd25519} {
		key := generate(t, kind)
		secret := secrets.Of(t, key)
		for name, text := range texts(t, key) {
			inline := strings.Join(strings.Fields(text), "")
			for place, tt := range map[string]tables{
				"key file":                  {signing: "* k\n", keys: "k a.example:s:@DIR@/key\n"},
				"key table":                 {signing: "* k\n", keys: "k a.example:s:" + inline + "\n"},
				"key table, as the domain":  {signing: "* k\n", keys: "k " + inline + ":s:@DIR@/key\n"},
				"key table, as a selector":  {signing: "* k\n", keys: "k a.example:" + inline + ":@DIR@/key\n"},
				"key table, as a name":      {signing: "* k\n", keys: inline + " a.example:s:@DIR@/key\n"},
				"key table, twice":          {signing: "* k\n", keys: inline + " a.example:s:@DIR@/key\n" + inline + " a.example:s:@DIR@/key\n"},
				"key table, alone":          {signing: "* k\n", keys: inline + "\n"},
				"key table, without a name": {signing: "* k\n", keys: "a.example:s:" + inline + "\n"},
				"key table, the file":       {signing: "* k\n", keys: text},
				"signing table":             {signing: "* " + inline + "\n", keys: "k a.example:s:@DIR@/key\n"},
				"signing table, a signer":   {signing: "* k:" + inline + "\n", keys: "k a.example:s:@DIR@/key\n"},
				"signing table, a pattern":  {signing: inline + " k\n", keys: "k a.example:s:@DIR@/key\n"},
				"signing table, twice":      {signing: inline + " k\n" + inline + " k\n", keys: "k a.example:s:@DIR@/key\n"},
				"signing table, the file":   {signing: text, keys: "k a.example:s:@DIR@/key\n"},
			} {
				dir := t.TempDir()
				write(t, dir+"/key", text)
				var said bytes.Buffer
				log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
				s, err := tt.load(t, dir, NewCache(10, func(string, string, crypto.Signer) error { return nil }, log))
				fmt.Fprintln(&said, err)
				if err == nil {
					rs, err := s.Select(Address{"u", "a.example"})
					fmt.Fprintln(&said, err)
					for _, r := range rs {
						_, err := r.Signer()
						fmt.Fprintln(&said, err, r.KeyName, r.Row, r.Note)
						if e, ok := err.(*KeyError); ok {
							fmt.Fprintln(&said, e.Brief())
						}
					}
					fmt.Fprintln(&said, s.Disabled(), s.Notes())
					if err := json.NewEncoder(&said).Encode(s.Keys()); err != nil {
						t.Fatal(err)
					}
				}
				if found := secret.In(said.String()); found != "" {
					t.Errorf("%s, %s, in the %s: %s", kind, name, place, found)
				}
			}
		}
	}
}
