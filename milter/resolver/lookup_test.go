package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/postseal/postseal/testdata/nameserver"
)

func TestLookups(t *testing.T) {
	records := typed(t, typedZone+
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR mail.example.com\n")
	records.Fail("broken.example.com", errors.New("trouble"))
	l := Lookup{Asker: records}
	ip := func(host string) func(context.Context) ([]string, error) {
		return func(ctx context.Context) ([]string, error) {
			list, err := l.LookupIP(ctx, host)
			return texted(list), err
		}
	}
	mx := func(domain string) func(context.Context) ([]string, error) {
		return func(ctx context.Context) ([]string, error) { return l.LookupMX(ctx, domain) }
	}
	ptr := func(addr string) func(context.Context) ([]string, error) {
		return func(ctx context.Context) ([]string, error) { return l.LookupAddr(ctx, netip.MustParseAddr(addr)) }
	}
	target := func(name string) func(context.Context) ([]string, error) {
		return func(ctx context.Context) ([]string, error) {
			end, err := l.Target(ctx, name)
			return []string{end}, err
		}
	}
	for _, tt := range []struct {
		name string
		ask  func(context.Context) ([]string, error)
		want string
		err  bool
	}{
		{"both families", ip("mail.example.com"), "192.0.2.1 192.0.2.2 2001:db8::1", false},
		{"through aliases", ip("www.example.com"), "192.0.2.1 192.0.2.2 2001:db8::1", false},
		{"no address", ip("example.com"), "", false},
		{"no host", ip("nowhere.example.com"), "", false},
		{"host in trouble", ip("broken.example.com"), "", true},
		{"mail hosts by preference", mx("example.com"), "mail.example.com second.example.com", false},
		{"mail host through an alias", mx("text.example.com"), "mail.example.com second.example.com", false},
		{"null MX", mx("null.example.com"), ".", false},
		{"no mail host", mx("mail.example.com"), "", false},
		{"mail host in trouble", mx("broken.example.com"), "", true},
		{"name of an address, delegated", ptr("192.0.2.1"), "mail.example.com", false},
		{"of an IPv4 address in IPv6", ptr("::ffff:192.0.2.1"), "mail.example.com", false},
		{"of an IPv6 address", ptr("2001:db8::1"), "mail.example.com", false},
		{"of an IPv6 address with a zone", ptr("2001:db8::1%eth0"), "mail.example.com", false},
		{"of an address without one", ptr("192.0.2.9"), "", false},
		{"target", target("WWW.example.com."), "mail.example.com", false},
		{"target of no alias", target("Mail.example.com."), "mail.example.com", false},
		{"target that is not there", target("astray.example.com"), "nowhere.example.net", false},
		{"aliases in a circle", target("round.example.com"), "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.ask(t.Context())
			if strings.Join(got, " ") != tt.want || (err != nil) != tt.err {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
	for name, want := range map[string]bool{"mail.example.com": true, "_spf.example.com": true, "astray.example.com": true, "nowhere.example.com": false} {
		if got, err := l.Exists(t.Context(), name); got != want || err != nil {
			t.Errorf("%s exists: %t, %v", name, got, err)
		}
	}
	if _, err := l.Exists(t.Context(), "broken.example.com"); err == nil {
		t.Error("trouble is taken for an answer")
	}
	if _, err := l.LookupAddr(t.Context(), netip.Addr{}); err == nil {
		t.Error("no address has a name")
	}
}

func texted[T fmt.Stringer](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}

// The nearest zone, whatever lies between; all addresses of its name servers; which of
// them have none.
func TestOwnServers(t *testing.T) {
	var crowd, many strings.Builder
	for i := range MaxServers + 1 {
		fmt.Fprintf(&crowd, "crowd.example NS ns%d.crowd.example\n", i)
	}
	for i := range MaxAddresses + 1 {
		fmt.Fprintf(&many, "ns.many.example A 192.0.2.%d\n", i)
	}
	records := typed(t, crowd.String()+many.String()+`
many.example NS ns.many.example
example NS tld.example
tld.example A 192.0.2.3
example.com NS ns1.example.com
example.com NS ns2.example.net
example.com NS gone.example.net
example.com NS broken.example.net
ns1.example.com A 192.0.2.1
ns1.example.com AAAA 2001:db8::1
ns2.example.net CNAME ns1.example.com
sub.example.com NS ns1.example.com
sub.example.com x
s._domainkey.sub.example.com CNAME s._domainkey.vendor.example
alias.example.com CNAME sub.example.com
s._domainkey.vendor.example key
vendor.example NS tld.example
`)
	records.Fail("broken.example.net", errors.New("trouble"))
	records.Fail("dark.example", errors.New("trouble"))
	l := Lookup{Asker: records}
	const own = "ns1.example.com 192.0.2.1:53|ns1.example.com [2001:db8::1]:53"
	for _, tt := range []struct{ name, zone, servers, err string }{
		{"s._domainkey.Example.com.", "example.com", own + "|ns2.example.net 192.0.2.1:53|ns2.example.net [2001:db8::1]:53|" +
			"name server gone.example.net: has no address|name server broken.example.net: A broken.example.net: trouble", ""},
		{"deep.below.sub.example.com", "sub.example.com", own, ""},
		{"s._domainkey.sub.example.com", "vendor.example", "tld.example 192.0.2.3:53", ""},
		{"x.alias.example.com", "example.com", "", ""}, // an alias above the name is none of its own
		{"nobody.example", "example", "tld.example 192.0.2.3:53", ""},
		{"nobody.test", "", "", ""},
		{"not..a.name", "", "", ""},
		{"crowd.example", "", "", "the zone crowd.example has 17 name servers; at most 16 are asked"},
		{"many.example", "many.example", "name server ns.many.example: has 9 addresses; at most 8 are asked", ""},
		{"dark.example", "", "", "CNAME dark.example: trouble"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			zone, servers, err := l.OwnServers(t.Context(), tt.name)
			if zone != tt.zone || (err != nil) != (tt.err != "") || err != nil && err.Error() != tt.err {
				t.Errorf("%s, %v; want %s, %s", zone, err, tt.zone, tt.err)
			}
			var got []string
			for _, s := range servers {
				if s.Err != nil {
					got = append(got, s.Err.Error())
				} else {
					got = append(got, s.Name+" "+s.Addr.String())
				}
			}
			if tt.servers != "" {
				if diff := cmp.Diff(strings.Split(tt.servers, "|"), got); diff != "" {
					t.Errorf("servers (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A real name server and a real resolver: the servers of a name are found through the
// one, and asked themselves past it. A server for some other zone is lame.
func TestOwnServersReal(t *testing.T) {
	ns := nameserver.Start(t,
		nameserver.Zone{Name: "example.com", Signed: true, Records: "s._domainkey TXT \"v=DKIM1; p=AA\"\nmoved._domainkey CNAME s._domainkey.vendor.test.\n" +
			"*.wild TXT \"any\"\nb.ent A 192.0.2.1\nastray CNAME nowhere\n@ MX 10 mail\nmail A 192.0.2.25\nmail AAAA 2001:db8::25\n"},
		nameserver.Zone{Name: "vendor.test", Records: `s._domainkey TXT "v=DKIM1; p=BB"`})
	r := client(t, Options{Nameservers: []string{ns.Resolver(t).Addr}})
	l := Lookup{Asker: r, Port: netip.MustParseAddrPort(ns.Addr).Port()}
	for name, want := range map[string]string{
		"s._domainkey.example.com": "example.com v=DKIM1; p=AA", "moved._domainkey.example.com": "vendor.test v=DKIM1; p=BB",
		"s._domainkey.vendor.test": "vendor.test v=DKIM1; p=BB", "no._domainkey.example.com": "example.com ",
	} {
		zone, servers, err := l.OwnServers(t.Context(), name)
		if err != nil || len(servers) != 1 || servers[0].Err != nil {
			t.Errorf("%s: %s, %+v, %v", name, zone, servers, err)
			continue
		}
		target, err := l.Target(t.Context(), name)
		if err != nil {
			t.Error(err)
		}
		reply, err := servers[0].Ask(t.Context(), target, dns.TypeTXT)
		if got := zone + " " + strings.Join(texts(reply.Records), "|"); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]bool{
		"example.com": true, "ent.example.com": true, "no.example.com": false, "x.wild.example.com": true, "moved._domainkey.example.com": true, "astray.example.com": true,
	} {
		if got, err := l.Exists(t.Context(), name); got != want || err != nil {
			t.Errorf("%s exists: %t, %v", name, got, err)
		}
	}
	if list, err := l.LookupIP(t.Context(), "mail.example.com"); err != nil || strings.Join(texted(list), " ") != "192.0.2.25 2001:db8::25" {
		t.Errorf("addresses: %v, %v", list, err)
	}
	if hosts, err := l.LookupMX(t.Context(), "example.com"); err != nil || len(hosts) != 1 || hosts[0] != "mail.example.com" {
		t.Errorf("mail hosts: %q, %v", hosts, err)
	}
	signed, err := r.Ask(t.Context(), "mail.example.com", dns.TypeA)
	if err != nil || !signed.Authentic || signed.Authoritative {
		t.Errorf("signed: %+v, %v", signed, err)
	}
	here := OwnServer{Name: "ns.example.com", Addr: netip.MustParseAddrPort(ns.Addr)}
	if _, err := here.Ask(t.Context(), "s._domainkey.elsewhere.test", dns.TypeTXT); err == nil || !strings.Contains(err.Error(), "name server ns.example.com: ") {
		t.Errorf("a zone that it does not keep: %v", err)
	}
	here.Addr = r.servers[0] // it recurses, and keeps nothing itself
	if _, err := here.Ask(t.Context(), "s._domainkey.example.com", dns.TypeTXT); err == nil || !strings.Contains(err.Error(), "is lame") {
		t.Errorf("a server that only recurses: %v", err)
	}
}
