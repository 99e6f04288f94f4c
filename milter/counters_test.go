package milter

import (
	"slices"
	"testing"

	"github.com/postseal/postseal/milter/dkim"
)

// A message has the result that stands for it, which is one of its verdict's.
func TestMessageResult(t *testing.T) {
	results := func(statuses ...dkim.Status) (list []dkim.Result) {
		for _, s := range statuses {
			list = append(list, dkim.Result{Status: s})
		}
		return list
	}
	already := []Reason{because(ReasonInternal), because(ReasonAlreadySigned)}
	for _, row := range []struct {
		name string
		m    message
		want string
	}{
		{"signed", message{decision: Decision{Verdict: Sign}, outcome: outcome{signedWith: make([]signed, 1)}}, "signed"},
		{"not signed", message{decision: Decision{Verdict: Sign}}, "unsigned"},
		{"signed before", message{decision: Decision{Verdict: Sign, Reasons: already}}, "signed"},
		{"signed before, and then an error", message{decision: Decision{Verdict: Sign, Reasons: already}, disposed: true}, "unsigned"},
		{"no signature", message{decision: Decision{Verdict: Verify}}, "none"},
		{"a pass among others", message{decision: Decision{Verdict: Verify}, outcome: outcome{verified: results(dkim.Fail, dkim.Pass, dkim.TempError)}}, "pass"},
		{"what may pass later", message{decision: Decision{Verdict: Verify}, outcome: outcome{verified: results(dkim.Fail, dkim.TempError)}}, "temperror"},
		{"what was checked", message{decision: Decision{Verdict: Verify}, outcome: outcome{verified: results(dkim.Neutral, dkim.PermError, dkim.Fail)}}, "fail"},
		{"what was left out", message{decision: Decision{Verdict: Verify}, outcome: outcome{verified: results(dkim.Neutral)}}, "neutral"},
		{"left alone", message{decision: Decision{Verdict: Pass}}, "none"},
		{"deferred", message{decision: Decision{Verdict: Refuse}}, "none"},
	} {
		got := row.m.result()
		if got != row.want || !slices.Contains(resultsOf(row.m.decision.Verdict), got) {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}
