package main

import (
	"strings"
	"testing"
)

func TestReadReceived(t *testing.T) {
	const by = "\r\n\tby mx.example.net (Postfix) with ESMTPS id 4XQ1\r\n\tfor <jane@example.net>; Mon,  2 Nov 2026 10:00:00 +0000 (UTC)"
	for _, row := range []struct {
		name, value, client, helo, err string
	}{
		{"Postfix", " from mail.example.com (mx.example.com [192.0.2.7])" + by, "192.0.2.7", "mail.example.com", ""},
		{"Postfix with TLS", " from mail.example.com (unknown [192.0.2.7])\r\n\t(using TLSv1.3 with cipher X (256/256 bits))" + by, "192.0.2.7", "mail.example.com", ""},
		{"IPv6", " from mail (mx [IPv6:2001:db8::7])" + by, "2001:db8::7", "mail", ""},
		{"IPv4-mapped", " from mail (mx [IPv6:::ffff:192.0.2.7])" + by, "192.0.2.7", "mail", ""},
		{"an address for HELO", " from [198.51.100.1] (mx [192.0.2.7])" + by, "192.0.2.7", "[198.51.100.1]", ""},
		{"nothing but an address", " from [192.0.2.7]" + by, "192.0.2.7", "[192.0.2.7]", ""},
		{"Exim", " from mx.example.com ([192.0.2.7] helo=mail.example.com)\r\n\tby x with esmtp", "192.0.2.7", "mail.example.com", ""},
		{"Exim without a name", " from [192.0.2.7] (helo=[198.51.100.1])\r\n\tby x with esmtp", "192.0.2.7", "[198.51.100.1]", ""},
		{"on one line", " from mail (mx. [192.0.2.7]) by mx.google.com with ESMTPS id x", "192.0.2.7", "mail", ""},
		{"a HELO like a whole field", " from x (y [198.51.100.1]) by z (unknown [192.0.2.7])" + by, "", "", "has 2 addresses"},
		{"a HELO with an address in it", " from x (y [198.51.100.1]) (unknown [192.0.2.7])" + by, "", "", "has 2 addresses"},
		{"no address", " from mail (mx)" + by, "", "", "has 0 addresses"},
		{"local", " by mail.example.com (Postfix, from userid 0)\r\n\tid 4XQ1", "", "", "does not say from where"},
		{"no address at all", " from mail (mx [192.0.2.700])" + by, "", "", "cannot be read"},
		{"empty", "", "", "", "does not say from where"},
		{"a zone", " from mail (mx [fe80::1%eth0])" + by, "fe80::1%eth0", "mail", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			client, helo, err := readReceived(row.value)
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Errorf("%v, %q, %v; want %q", client, helo, err, row.err)
				}
				return
			}
			if err != nil || client.String() != row.client || helo != row.helo {
				t.Errorf("%v, %q, %v", client, helo, err)
			}
		})
	}
}

// What is read has one address, and nobody else's words in its error.
func FuzzReadReceived(f *testing.F) {
	f.Add(" from mail.example.com (mx.example.com [192.0.2.7])\r\n\tby mx.example.net")
	f.Add(" from [1] ([IPv6:::1] helo=[x]) by")
	f.Add("from host[IPv6:::1] helo=")
	f.Fuzz(func(t *testing.T, value string) {
		client, helo, err := readReceived(value)
		if (err == nil) != client.IsValid() || err == nil && (helo == "" || strings.ContainsAny(helo, " \t")) {
			t.Fatalf("%v, %q, %v", client, helo, err)
		}
		if err != nil && printable(err.Error()) != err.Error() {
			t.Fatalf("the error has text that is not printable: %q", err)
		}
	})
}
