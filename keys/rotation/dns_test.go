package rotation

import (
	"context"
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/keys/ledger"
	"github.com/postseal/postseal/keys/published"
	"github.com/postseal/postseal/keys/zone"
	"github.com/postseal/postseal/milter/resolver"
)

// What name servers say, in the words of the state machine: those that do not show the
// key say how long that may be remembered, and silence is no answer.
func TestLook(t *testing.T) {
	shows := published.Seen{Shows: true, TTL: time.Hour}
	lacks := published.Seen{Why: "Not here.", TTL: 5 * time.Minute}
	other := published.Seen{Why: "Another.", TTL: 10 * time.Minute}
	silent := published.Seen{Silent: true, Why: "No answer."}
	for _, tt := range []struct {
		name    string
		servers []published.Seen
		want    View
	}{
		{"all", []published.Seen{shows, shows}, View{Shown: Everywhere, Anywhere: true, TTL: time.Hour}},
		{"none", []published.Seen{lacks, lacks}, View{Shown: Missing, TTL: 5 * time.Minute, Why: "Not here."}},
		{"some", []published.Seen{shows, lacks, other}, View{Shown: Missing, Anywhere: true, TTL: 10 * time.Minute, Why: "Not here. Another."}},
		{"one is silent", []published.Seen{shows, silent}, View{Shown: Unsure, Anywhere: true, TTL: time.Hour, Why: "No answer."}},
		{"one is silent, one lacks it", []published.Seen{silent, lacks}, View{Shown: Missing, TTL: 5 * time.Minute, Why: "No answer. Not here."}},
		{"all are silent", []published.Seen{silent, silent}, View{Shown: Unsure, Why: "No answer."}},
		{"no zone", nil, View{Shown: Unsure}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := &Zones{Sight: func(context.Context, string, string, crypto.PublicKey) (published.Sight, error) {
				s := published.Sight{Servers: tt.servers}
				for _, one := range tt.servers {
					s.TTL = max(s.TTL, one.TTL)
				}
				return s, nil
			}}
			v, err := z.Look(t.Context(), ledger.Key{State: ledger.Pending})
			if diff := cmp.Diff(tt.want, v); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

// The record at the end of an alias is somebody else's: nothing is sent, and a person is
// told whose it is.
func TestAliasIsNotOurs(t *testing.T) {
	key, err := keys.Generate("ed25519", 0)
	if err != nil {
		t.Fatal(err)
	}
	text := keys.RecordText(key.Public())
	records, err := resolver.ParseRecords(strings.NewReader("s1._domainkey.example.com CNAME s1.keys.example\ns1.keys.example " + text + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	server := published.NameServer{Address: "a", Ask: records.Ask}
	z := &Zones{
		Ask: records,
		Sight: func(ctx context.Context, domain, selector string, pub crypto.PublicKey) (published.Sight, error) {
			return published.At(ctx, []published.NameServer{server}, domain, selector, pub)
		},
		Updater: func(string) (*zone.Updater, error) { return &zone.Updater{Server: "nowhere"}, nil },
	}
	k := ledger.Key{Name: "k", Domain: "example.com", Selector: "s1", Record: text, State: ledger.Retired}
	v, err := z.Look(t.Context(), k)
	if err != nil || v.Shown != Everywhere || v.Alias != "s1.keys.example" {
		t.Errorf("%+v, %v", v, err)
	}
	if !z.Taken(t.Context(), k.RecordName()) {
		t.Error("the name is taken for free")
	}
	for name, change := range map[string]func(context.Context, ledger.Key) (bool, error){"publish": z.Publish, "revoke": z.Revoke, "withdraw": z.Withdraw} {
		if handed, err := change(t.Context(), k); handed || err != nil {
			t.Errorf("%s: %t, %v", name, handed, err)
		}
	}
	// Without the alias the name server is asked, and this one is none.
	k.Selector = "s2"
	if handed, err := z.Revoke(t.Context(), k); handed || err == nil {
		t.Errorf("%t, %v", handed, err)
	}
	z.Updater = func(string) (*zone.Updater, error) { return nil, errors.New("no key") }
	if handed, err := z.Revoke(t.Context(), k); handed || err == nil {
		t.Errorf("%t, %v", handed, err)
	}
}
