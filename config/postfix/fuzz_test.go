package postfix

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// A list that is written anew from its elements has the same elements; none has a blank
// or a comma outside of braces; and the form for master.cf means the same milters.
func FuzzList(f *testing.F) {
	for _, s := range []string{
		"", "inet:localhost:8891", "unix:a/b, { inet:[::1]:8893, default_action = accept } $x ${y} $(z)", "{{{", "}}", "{a}b,{", "$ ${} $()",
		"no_milters DISABLE", "${x?{a b}:{c}}", "{ a { b = c d } }",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseList(s)
		if err != nil {
			return
		}
		again, err := parseList(joinList(list))
		// A brace that is never closed takes the rest in.
		if strings.Count(s, "{") == strings.Count(s, "}") && (err != nil || !slices.EqualFunc(list, again, func(a, b element) bool { return a.text == b.text })) {
			t.Errorf("%q: %q, then %q, %v", s, list, again, err)
		}
		for _, e := range list {
			if e.text == "" || !strings.Contains(s, e.text) || !strings.Contains(e.text, e.address) || !strings.Contains(e.text, e.reference) {
				t.Errorf("%q has %+v", s, e)
			}
			if strings.IndexByte(e.text, '{') < 0 && strings.ContainsAny(e.text, blanks+",") {
				t.Errorf("%q is one element", e.text)
			}
		}
		if p := packed(s); strings.ContainsAny(p, blanks) {
			t.Errorf("%q for master.cf: %q", s, p)
		}
	})
}

// What postconf prints is read line by line: each parameter is a line of it, and each
// service has a name and a type that are.
func FuzzOutput(f *testing.F) {
	f.Add("smtp/inet/service = smtp\nsmtp/inet/chroot = y\nsmtp/inet/command = smtpd -v\n", "smtp/inet/smtpd_milters = \nsmtp/inet/x =\n")
	f.Add("a = b", " = \n=\nx/y = z\n\x00 = \n")
	f.Fuzz(func(t *testing.T, columns, overrides string) {
		list, err := parseParameters(overrides)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if !strings.Contains(overrides, p.name+" ="+p.value) && !strings.Contains(overrides, p.name+" = "+p.value) || strings.ContainsAny(p.name, " \n") {
				t.Errorf("%q has %+v", overrides, p)
			}
		}
		services, err := parseServices(columns, overrides, overrides, false)
		if err != nil {
			t.Fatal(err)
		}
		options := 0
		for _, s := range services {
			if text := s.String(); !strings.Contains(columns+"\n"+overrides, strings.TrimSuffix(text, "/")) {
				t.Errorf("service %q is nowhere", text)
			}
			options += len(s.written)
		}
		if options > len(list) {
			t.Errorf("%d options in %d lines", options, len(list))
		}
	})
}

// An address of mynetworks is in an entry that was written there, and its network says
// so again.
func FuzzNetworks(f *testing.F) {
	f.Add("127.0.0.0/8 [::ffff:127.0.0.0]/104, !192.0.2.1 [2001:db8::]/32 /etc/x cidr:/y", "# a\n10.0.0.0/8\n")
	f.Add("0.0.0.0/0 [::]/0 [::1", "/x")
	f.Fuzz(func(t *testing.T, s, file string) {
		list, _ := parseNetworks(s, func(string) ([]byte, error) { return []byte(file), nil })
		for _, n := range list {
			if !strings.Contains(s+"\n"+file, n.text) {
				t.Errorf("%q is nowhere", n.text)
			}
			for _, a := range []netip.Addr{n.Addr(), lastOf(n.Prefix)} {
				if !n.Contains(a) {
					t.Errorf("%v does not have %v", n.Prefix, a)
				}
			}
			if next := lastOf(n.Prefix).Next(); next.IsValid() && n.Contains(next) {
				t.Errorf("%v goes on after %v", n.Prefix, lastOf(n.Prefix))
			}
			if again, ok := parsePrefix(n.String()); !ok || again != n.Prefix {
				t.Errorf("%q: %v, again %v", n.text, n.Prefix, again)
			}
		}
	})
}
