package resolver

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// asked answers one question.
type asked struct {
	Asker
	qtype uint16
	reply Reply
	err   error
}

func (a *asked) Ask(_ context.Context, _ string, qtype uint16) (Reply, error) {
	a.qtype = qtype
	return a.reply, a.err
}

func TestLookupSPF(t *testing.T) {
	rr, err := dns.NewRR(`example.com. SPF "v=spf1 x=\"a\" " "-all"`)
	if err != nil {
		t.Fatal(err)
	}
	asker := &asked{reply: Reply{Exists: true, Records: []dns.RR{&dns.TXT{}, rr}}}
	got, err := Lookup{Asker: asker}.LookupSPF(t.Context(), "example.com")
	if diff := cmp.Diff([]string{`v=spf1 x="a" -all`}, got); diff != "" || err != nil || asker.qtype != dns.TypeSPF {
		t.Errorf("type %d: %v\n%s", asker.qtype, err, diff)
	}
	asker.err = errors.New("trouble")
	if _, err := (Lookup{Asker: asker}).LookupSPF(t.Context(), "example.com"); !errors.Is(err, asker.err) {
		t.Error(err)
	}
}
