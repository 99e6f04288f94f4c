package opendkim

import (
	"errors"
	"testing"
)

func TestWords(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{"signing_table: /x:1: no key", "SigningTable: /x:1: no key"},
		{"set on_bad_signature, or mta.", "set On-BadSignature, or MTA."},
		{"/etc/key_table stays, key_table does not", "/etc/key_table stays, KeyTable does not"},
		{"the mode of a domain", "the mode of a domain"},
		{"socket_mode and watch_files", "UMask and watch_files"},
	} {
		if got := Words(row.in); got != row.want {
			t.Errorf("%q: got %q, want %q", row.in, got, row.want)
		}
	}
}

func TestIn(t *testing.T) {
	err := In("/etc/opendkim.conf", errors.New("key_table: a\nsigning_table: b"))
	if want := "/etc/opendkim.conf: KeyTable: a\n/etc/opendkim.conf: SigningTable: b"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	known := &Error{}
	if In("x", known) != error(known) {
		t.Error("a known error is changed")
	}
}
