package main

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/keys/zone"
	"github.com/spf13/cobra"
)

// recommendedBits is the size below which genkey warns (RFC 8301 §3.2).
const recommendedBits = 2048

// generated is what genkey prints with --json.
type generated struct {
	// File is the private key, with its folder.
	File string `json:"file"`
	Type string `json:"type"`
	// Bits is the size of an RSA key.
	Bits     int    `json:"bits,omitempty"`
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	// Name is the record's full name, Value its text in one piece, and Zone the
	// record for a zone file.
	Name  string `json:"name"`
	Value string `json:"value"`
	Zone  string `json:"zone"`
	// KeyTable and SigningTable are the rows that use the key.
	KeyTable     string `json:"key_table"`
	SigningTable string `json:"signing_table"`
	// Added names the tables that have these rows now.
	Added []string `json:"added,omitempty"`
	// owner is the daemon's user, if the key is theirs now; reload is whether the
	// daemon has to be told of the rows.
	owner  string
	reload bool
}

func newGenkey() *cobra.Command {
	var g generated
	var asJSON, add bool
	var config, user string
	cmd := &cobra.Command{
		Use:   "genkey -d DOMAIN -s SELECTOR",
		Short: "Make a private key, and the DNS record to publish",
		Long: `Make a private key and print the DNS record that publishes its public half, in
the form of a zone file and as one value for web forms, with the rows that use the
key in key_table and signing_table.

The key goes into the file SELECTOR.private in the current folder, or where -o says,
with mode 0600. A file that is there is never overwritten. The key itself is not
printed.

With --add, the key goes into keys/DOMAIN/SELECTOR.private beside key_table, belongs
to the user that the daemon runs as, and the two rows are added at the end of the
tables that the configuration names. A running daemon sees them within moments, or
with watch_files = false at the next reload, and signs with the key: until DNS shows
the record, others see a signature that does not verify.

With --json: file, type, bits (RSA), domain, selector, name, value, zone, key_table,
signing_table, and added with --add: the tables' files.`,
		Example: `  postseal genkey -d example.com -s mail2026 --add
  postseal genkey -d example.com -s mail2026
  postseal genkey -d example.com -s mail2026ed --type ed25519 -o /etc/postseal/keys/`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g.Domain == "" || g.Selector == "" {
				return usage(cmd, "genkey needs the domain that signs (-d) and a name for the key (-s), for instance -d example.com -s mail2026")
			}
			if g.Type == "ed25519" && cmd.Flags().Changed("bits") {
				return usage(cmd, "--bits is for RSA: every Ed25519 key has the same size")
			}
			if !add && (cmd.Flags().Changed("config") || user != "") {
				return usage(cmd, "-c and --user are for --add")
			}
			key, err := g.make(cmd)
			if err != nil {
				return err
			}
			var to *tableFiles
			if add {
				if to, err = openTables(cmd, config, user); err != nil {
					return err
				}
				defer to.close()
			}
			if err := g.write(cmd, key, to); err != nil {
				return err
			}
			if g.Type == "rsa" && g.Bits < recommendedBits {
				fmt.Fprintf(cmd.ErrOrStderr(), "postseal: warning: a key of %d bits is weak; RFC 8301 recommends %d\n", g.Bits, recommendedBits)
			}
			if asJSON {
				return printJSON(cmd, g)
			}
			g.print(cmd)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&g.Domain, "domain", "d", "", "the `domain` that signs, d= of the signatures")
	f.StringVarP(&g.Selector, "selector", "s", "", "the key's `name` under the domain, s= of the signatures")
	f.StringVar(&g.Type, "type", "rsa", "`kind` of key: rsa, which everybody verifies, or ed25519, for use beside an RSA key")
	f.IntVar(&g.Bits, "bits", keys.DefaultRSABits, "`size` of an RSA key in bits, 1024 to 8192")
	f.StringVarP(&g.File, "out", "o", "", "the `file` for the private key, or its folder (default: SELECTOR.private)")
	f.BoolVar(&add, "add", false, "add the rows to the tables of the configuration, and give the key to the daemon's user")
	addConfig(cmd, &config)
	f.StringVar(&user, "user", "", "with --add, the `user` whose key it is (default: the daemon's)")
	addJSON(cmd, &asJSON)
	return cmd
}

// make makes the key and its record.
func (g *generated) make(cmd *cobra.Command) (crypto.Signer, error) {
	name, err := published.RecordName(g.Selector, g.Domain)
	if err != nil {
		return nil, usage(cmd, "%w", err)
	}
	g.Name = name
	g.Selector, g.Domain, _ = strings.Cut(name, "._domainkey.")
	key, err := keys.Generate(g.Type, g.Bits)
	if err != nil {
		return nil, usage(cmd, "%w", err)
	}
	if g.Type != "rsa" {
		g.Bits = 0
	}
	g.Value = keys.RecordText(key.Public())
	g.Zone = zone.Key(g.Selector, g.Domain, g.Value).String()
	return key, nil
}

// write writes the key and fills in the rest of g. The rows go into tables, if not
// nil.
func (g *generated) write(cmd *cobra.Command, key crypto.Signer, to *tableFiles) error {
	var err error
	uid := -1
	if to != nil {
		if err := to.prepare(g); err != nil {
			return exitError{exitFailed, err}
		}
		uid = to.uid
	}
	if g.File, err = keyPath(g.File, g.Selector); err != nil {
		return err
	}
	if i := strings.IndexAny(g.File, "#%\n"); to != nil && i >= 0 {
		return usage(cmd, "the path %s cannot stand in a table: it has a %q; choose another with -o", g.File, g.File[i])
	}
	err = keys.WritePrivateFor(g.File, key, uid, -1)
	switch {
	case errors.Is(err, fs.ErrExist):
		return exitError{exitFailed, fmt.Errorf("%s is there already and is not overwritten; choose a new selector (-s), another file (-o), or move the old key away", g.File)}
	case errors.Is(err, fs.ErrNotExist):
		return exitError{exitFailed, fmt.Errorf("the folder %s does not exist; make it first (mkdir -m 700), or choose another with -o", filepath.Dir(g.File))}
	case err != nil:
		return exitError{exitFailed, fmt.Errorf("the key cannot be written: %w", err)}
	}
	g.KeyTable = fmt.Sprintf("%s %s:%s:%s", g.Name, g.Domain, g.Selector, g.File)
	g.SigningTable = fmt.Sprintf("*@%s %s", g.Domain, g.Name)
	if to == nil {
		return nil
	}
	if err := to.add(cmd, g); err != nil {
		return exitError{exitFailed, fmt.Errorf("the key is in %s, and not in use: %w\nadd what is missing of these rows by hand:\n%s\n%s", g.File, err, g.KeyTable, g.SigningTable)}
	}
	return nil
}

// keyPath is where the private key goes, as an absolute path.
func keyPath(out, selector string) (string, error) {
	if info, err := os.Stat(out); out == "" || err == nil && info.IsDir() || strings.HasSuffix(out, "/") {
		out = filepath.Join(out, selector+".private")
	}
	path, err := filepath.Abs(out)
	if err != nil {
		return "", exitError{exitFailed, err}
	}
	return path, nil
}

func (g *generated) print(cmd *cobra.Command) {
	out := cmd.OutOrStdout()
	kind := "Ed25519"
	if g.Type == "rsa" {
		kind = fmt.Sprintf("RSA, %d bits", g.Bits)
	}
	fmt.Fprintf(out, "The private key (%s) is in %s.\n", kind, g.File)
	if g.owner != "" {
		fmt.Fprintf(out, "It belongs to the user %s, who alone can read it.\n", g.owner)
	} else {
		fmt.Fprintln(out, "Only its owner can read it: give it to the user that the daemon runs as.")
	}
	fmt.Fprintf(out, `
1. Publish the key in DNS. In a zone file this is the record:

%s
   In a web form:

   host name  %s   (in full: %s)
   type       TXT
   value, on one line:
%s

`, g.Zone, g.Selector+"._domainkey", g.Name, g.Value)
	if len(g.Added) > 0 {
		fmt.Fprintf(out, "2. These rows are in %s now:\n\n%s\n%s\n", strings.Join(g.Added, " and "), g.KeyTable, g.SigningTable)
		if g.reload {
			fmt.Fprint(out, "\n   A running daemon reads them at a reload:\n\n   postseal reload\n")
		}
	} else {
		fmt.Fprintf(out, `2. Add a row to each table of the configuration.

   key_table:
%s

   signing_table (a refile: table):
%s
`, g.KeyTable, g.SigningTable)
	}
	fmt.Fprintf(out, `
3. Look whether the world sees the record:

   postseal testkey -d %s -s %s -k %s
`, g.Domain, g.Selector, g.File)
}
