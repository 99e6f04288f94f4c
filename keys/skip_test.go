package keys

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// With SkipBadRows a row that makes the tables unusable otherwise disables
// itself alone: mail that needs it has an error, other rows sign.
func TestSkipBadRows(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir+"/good")
	tt := tables{
		signing: "*@a.example good\n*@b.example missing\n*@c.example\n*@d.example short\n*@e.example %\n*@f.example GOOD\n",
		keys:    "good a.example:s:@DIR@/good\nshort x:y\nempty\n",
	}
	if _, err := tt.load(t, dir, newTestCache(&prover{}, io.Discard)); err == nil {
		t.Fatal("bad rows pass where they are not to be skipped")
	}
	tt.options.SkipBadRows = true
	s := tt.mustLoad(t, dir, newTestCache(&prover{}, io.Discard))
	rs, err := s.Select(Address{"u", "a.example"})
	if err != nil || len(rs) != 1 {
		t.Fatalf("good row: %v, %v", rs, err)
	}
	if _, err := rs[0].Signer(); err != nil {
		t.Errorf("good row: %v", err)
	}
	listed := errors.Join(s.Disabled()...).Error()
	for _, row := range []struct{ domain, name, want string }{
		{"b.example", "missing", dir + `/signing.table:2: key "missing": signing table references unknown key: the row names the key "missing", which key_table`},
		{"c.example", "", dir + `/signing.table:3: key "": signing table references unknown key: the row names no key`},
		{"e.example", "e.example", dir + `/signing.table:5: key "e.example": signing table references unknown key: add a row for it`},
		{"f.example", "GOOD", dir + `/signing.table:6: key "GOOD": signing table references unknown key: the row names the key "GOOD", but ` + dir + `/key.table:1 calls it "good"`},
	} {
		rs, err := s.Select(Address{"u", row.domain})
		var keyErr *KeyError
		if !errors.As(err, &keyErr) || keyErr.Name != row.name || !errors.Is(err, ErrUnknownKey) || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%s: %v, %v\nwant %s", row.domain, rs, err, row.want)
		}
		if row.domain != "e.example" && !strings.Contains(listed, row.want) {
			t.Errorf("%s is not listed as disabled", row.domain)
		}
	}
	rs, err = s.Select(Address{"u", "d.example"})
	if err != nil || len(rs) != 1 {
		t.Fatalf("short row: %v, %v", rs, err)
	}
	want := dir + `/key.table:2: key "short": `
	if _, err := rs[0].Signer(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("short row: %v\nwant %s", err, want)
	}
	for _, want := range []string{want, dir + `/key.table:3: key "empty": `} {
		if !strings.Contains(listed, want) {
			t.Errorf("%s is not listed as disabled", want)
		}
	}
	if n := len(s.Disabled()); n != 5 {
		t.Errorf("%d disabled, want 5: %s", n, listed)
	}
}
