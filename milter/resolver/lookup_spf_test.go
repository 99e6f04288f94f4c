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

func TestLookupFamily(t *testing.T) {
	a, err := dns.NewRR("example.com. A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	asker := &asked{reply: Reply{Exists: true, Records: []dns.RR{a}}}
	for v4, qtype := range map[bool]uint16{true: dns.TypeA, false: dns.TypeAAAA} {
		got, err := Lookup{Asker: asker}.LookupFamily(t.Context(), "example.com", v4)
		if len(got) != 1 || got[0].String() != "192.0.2.1" || err != nil || asker.qtype != qtype {
			t.Errorf("type %d: %v, %v", asker.qtype, got, err)
		}
	}
	asker.err = errors.New("trouble")
	if _, err := (Lookup{Asker: asker}).LookupFamily(t.Context(), "example.com", true); !errors.Is(err, asker.err) {
		t.Error(err)
	}
}
