package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/diagnosis"
	"github.com/postseal/postseal/milter/dkim"
)

// A message that is too large to be explained is verified all the same.
func TestExplainLarge(t *testing.T) {
	x, err := (&explainFlags{on: true}).begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	piece := bytes.Repeat([]byte("x"), 1<<20)
	for range diagnosis.MaxBody >> 20 {
		_, _ = x.Write(piece)
	}
	if x.large || x.body.Len() != diagnosis.MaxBody {
		t.Fatalf("of %d octets %d are kept", diagnosis.MaxBody, x.body.Len())
	}
	if n, err := x.Write([]byte("x")); n != 1 || err != nil || !x.large || x.body.Len() != 0 {
		t.Errorf("one octet more: %d, %v; %d are kept", n, err, x.body.Len())
	}
	v := &verification{Signatures: []verifiedSignature{{Result: dkim.Fail}}}
	if err := x.explain(v, nil, time.Time{}); err != nil || v.Signatures[0].Explanation != nil {
		t.Errorf("%v, %v", err, v.Signatures[0].Explanation)
	}
}
