package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A long run that nobody looks on says where it is, every ten seconds.
func TestProgress(t *testing.T) {
	for _, row := range []struct {
		messages int
		want     string
	}{
		{100, "milterload: 10 of 100 messages, 10 s\nmilterload: 20 of 100 messages, 20 s\n"},
		{0, "milterload: 10 messages, 10 s\nmilterload: 20 messages, 20 s\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out strings.Builder
			tell := progress(&out, row.messages)
			for second := range 25 {
				tell(second)
				time.Sleep(time.Second)
			}
			if out.String() != row.want {
				t.Errorf("got  %q\nwant %q", &out, row.want)
			}
		})
	}
}
