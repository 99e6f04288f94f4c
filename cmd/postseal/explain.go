package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
	"github.com/postseal/postseal/milter/mailbox"
	"github.com/spf13/cobra"
)

// explanation is what explain prints with --json.
type explanation struct {
	Decision milter.Verdict  `json:"decision"`
	Reasons  []milter.Reason `json:"reasons"`
	Words    []string        `json:"words"`
	// Advice is what to change where mail is to be signed and is not.
	Advice []string       `json:"advice,omitempty"`
	Keys   []explainedKey `json:"keys"`
}

type explainedKey struct {
	Name      string `json:"name"`
	Row       string `json:"row"`
	Domain    string `json:"domain"`
	Selector  string `json:"selector"`
	AUID      string `json:"auid,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	Bits      int    `json:"bits,omitempty"`
	// Error says why the key cannot sign.
	Error string `json:"error,omitempty"`
	// Withheld says why it does not sign for now: unpublished_keys.
	Withheld string `json:"withheld,omitempty"`
}

func newExplain() *cobra.Command {
	var from source
	var dns dnsFlags
	var client, host, login, mailFrom string
	var recipients, macros []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain FROM",
		Short: "Say which keys would sign mail from an address, and why",
		Long: `Say what the daemon would do with mail whose From is FROM: which keys would sign
it, or why none would. The daemon's own code decides, with the configuration as it
stands in the files now.

The configuration (-c) may be a postseal.toml or an opendkim.conf; the reasons then
speak of OpenDKIM's parameters. --macro gives the macros of SenderMacro, MTA (that is
daemon_name) and MacroList, --rcpt the recipients of DontSignMailTo.

Where unpublished_keys is "skip" or "tempfail", DNS is asked whether it shows the keys;
those that it does not show are withheld.

Without --client the mail comes from this machine, as with sendmail(1). Root asks as
the daemon's user does, as check-config.

With --json: {decision, reasons: [{code, args}], words: [text], advice: [text], keys:
[{name, row, domain, selector, auid, algorithm, bits, error, withheld}]}; decision is sign, verify,
pass (left alone), bad_from, malformed or refuse.`,
		Example: `  postseal explain user@example.com
  postseal explain user@example.com --client 192.0.2.7
  postseal explain user@example.com --client 192.0.2.7 --login user@example.com
  postseal explain user@example.com -c /etc/opendkim.conf --macro daemon_name=ORIGINATING`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, "explain takes one address, that of From, for instance user@example.com")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f := milter.Facts{Host: host, MailFrom: args[0], Recipients: recipients}
			if _, err := mailbox.Parse(args[0]); err != nil {
				return usage(cmd, "%q is no address: %w; give one such as user@example.com", args[0], err)
			}
			// Date is there for required_headers.
			f.Fields = []dkim.Field{{Name: "From", Value: " " + args[0]}, {Name: "Date", Value: " Mon, 2 Nov 2026 10:00:00 +0000"}}
			if cmd.Flags().Changed("mail-from") {
				f.MailFrom = mailFrom
			}
			if client != "" {
				addr, err := netip.ParseAddr(client)
				if err != nil {
					return usage(cmd, "--client %q is no address of a host; give one such as 192.0.2.7 or 2001:db8::7", client)
				}
				f.Addr = addr.Unmap()
				if !cmd.Flags().Changed("host") && !f.Addr.IsLoopback() {
					f.Host = "[" + f.Addr.String() + "]" // as Postfix calls a client without a name
				}
			}
			known := map[string]string{}
			if login != "" {
				known["auth_type"], known["auth_authen"] = "PLAIN", login
			}
			for _, m := range macros {
				name, value, _ := strings.Cut(m, "=")
				known[strings.Trim(name, "{}")] = value
			}
			f.Macro = func(name string) (string, bool) { v, ok := known[name]; return v, ok }

			var r dkim.Resolver
			if dns.set() {
				asker, err := dns.open(cmd, lookupTimeout)
				if err != nil {
					return err
				}
				r = asker
			}
			l, err := from.load(cmd, r)
			l.printWarnings(cmd)
			if err != nil {
				return l.failed(err)
			}
			f.Mode = l.cfg.Mode
			d := milter.Decision{Verdict: milter.Pass}
			if why, peer := l.snapshot.Peer(f); peer {
				d.Reasons = []milter.Reason{why}
			} else {
				d = l.snapshot.Decide(f)
			}
			e, bad := explain(d, l)
			if hint := whoAsked(l.user, bad...); hint != "" && len(bad) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "postseal: %s\n", hint)
			}
			if asJSON {
				return printJSON(cmd, e)
			}
			printExplanation(cmd, e, l)
			return nil
		},
	}
	from.add(cmd)
	dns.add(cmd)
	addJSON(cmd, &asJSON)
	fl := cmd.Flags()
	fl.StringVar(&client, "client", "", "the client's `address` (default: local submission)")
	fl.StringVar(&host, "host", "localhost", "the client's `name`, as the MTA reports it; of another --client the address")
	fl.StringVar(&login, "login", "", "the client is authenticated as this `user`")
	fl.StringVar(&mailFrom, "mail-from", "", "the envelope sender `address` (default: FROM)")
	fl.StringArrayVar(&recipients, "rcpt", nil, "an envelope recipient's `address`; may be repeated")
	fl.StringArrayVar(&macros, "macro", nil, "a milter macro, `NAME=VALUE`; may be repeated")
	return cmd
}

// explain tries the keys of a decision; bad says which cannot sign.
func explain(d milter.Decision, l *loaded) (e explanation, bad []error) {
	names := l.form
	e = explanation{Decision: d.Verdict, Reasons: d.Reasons, Words: []string{}, Keys: []explainedKey{}}
	for _, r := range d.Reasons {
		e.Words = append(e.Words, names.words(r.String()))
	}
	e.Advice = advise(d, names)
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	var seen milter.Sightings
	for _, r := range d.Requests {
		k := explainedKey{Name: r.KeyName, Row: r.Row, Domain: r.Domain, Selector: r.Selector, AUID: r.AUID}
		key, err := r.Signer()
		if err != nil {
			k.Error = names.words(err.Error())
			bad = append(bad, err)
		} else {
			if a, bits, err := dkim.AlgorithmOf(key.Public()); err == nil {
				k.Algorithm, k.Bits = string(a), bits
			}
			if why := seen.Withhold(ctx, l.snapshot, r, key.Public()); why != nil {
				k.Withheld = why.Args[1]
				e.Reasons = append(e.Reasons, *why)
				e.Words = append(e.Words, names.words(why.String()))
			}
		}
		e.Keys = append(e.Keys, k)
		if d.FirstOnly && k.Error == "" && k.Withheld == "" {
			break
		}
	}
	if nobody := func(k explainedKey) bool { return k.Withheld == "" }; len(e.Keys) > 0 && !slices.ContainsFunc(e.Keys, nobody) {
		e.Advice = append(e.Advice, names.words("publish the key's record (postseal testkey says what is wrong with it), or wait until DNS shows it everywhere"))
	}
	return e, bad
}

func printExplanation(cmd *cobra.Command, e explanation, l *loaded) {
	out, names := cmd.OutOrStdout(), l.form
	fmt.Fprintf(out, "decision: %s\n", e.Decision)
	for _, w := range e.Words {
		fmt.Fprintf(out, "  because %s\n", w)
	}
	for _, a := range e.Advice {
		fmt.Fprintf(out, "to have it signed: %s\n", a)
	}
	for _, k := range e.Keys {
		fmt.Fprintf(out, "key %q: d=%s s=%s", k.Name, k.Domain, k.Selector)
		if k.AUID != "" {
			fmt.Fprintf(out, " i=%s", k.AUID)
		}
		if k.Error != "" {
			fmt.Fprintf(out, "\n  CANNOT SIGN, so the mail would be deferred (%s): %s\n", names.words("on_internal_error"), k.Error)
			continue
		}
		fmt.Fprintf(out, " a=%s (%d bits)\n", k.Algorithm, k.Bits)
		if k.Withheld != "" {
			effect := "is passed over"
			if l.cfg.UnpublishedKeys == config.DeferUnpublished {
				effect = "would have the mail deferred"
			}
			fmt.Fprintf(out, "  DOES NOT SIGN and %s (%s): %s\n", effect, names.words("unpublished_keys"), printable(k.Withheld))
		}
	}
}

// keyWords shows a key on one line.
func keyWords(k keys.KeyInfo) string {
	return fmt.Sprintf("%s: d=%s s=%s %s", k.Name, k.Domain, k.Selector, k.Path)
}
