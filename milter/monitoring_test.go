package milter

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/keys"
)

// askMonitor asks a monitor on a unix socket.
func askMonitor(t testing.TB, socket, path string) (code int, text string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	res, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func (d *runningDaemon) ask(t testing.TB, path string) (code int, text string) {
	t.Helper()
	return askMonitor(t, filepath.Join(d.dir, "m"), path)
}

// metrics are the samples of a scrape by name and labels, but for the buckets and
// sums of histograms, and what the process and the runtime are like.
func (d *runningDaemon) metrics(t testing.TB) map[string]float64 {
	t.Helper()
	code, text := d.ask(t, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	return samples(t, text)
}

func samples(t testing.TB, text string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, "postseal_") || strings.Contains(name, "_bucket{") || strings.HasSuffix(name, "_sum") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[name] = v
	}
	return all
}

// change is what is not in now as it was before.
func change(before, now map[string]float64) map[string]float64 {
	diff := map[string]float64{}
	for name, v := range now {
		if v != before[name] {
			diff[name] = v - before[name]
		}
	}
	return diff
}

// prefixed has the prefix of all our metrics.
func prefixed(short map[string]float64) map[string]float64 {
	long := map[string]float64{}
	for name, v := range short {
		long["postseal_"+name] = v
	}
	return long
}

// startMonitored runs a daemon with a monitor, which does not ask DNS.
func startMonitored(t testing.TB, settings string, before ...func(*DaemonOptions)) *runningDaemon {
	t.Helper()
	return startDaemonWith(t, "monitor_socket = \"local:@/m\"\nmonitor_keys = 0\n"+settings, before...)
}

// putBeside writes a file into the folder of the configuration.
func putBeside(t testing.TB, o *DaemonOptions, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(o.ConfigFile), name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Each message adds to the metrics what it was, and to no other.
func TestMetricsOfMail(t *testing.T) {
	t.Parallel()
	key := testKey()
	names := rogueServer(t, key)
	d := startMonitored(t, fmt.Sprintf(`
multiple_signatures = true
check_signing_table = false
maximum_header_fields = 20
dns_timeout = 1
nameservers = [%q]
`, names.Addr()), func(o *DaemonOptions) {
		o.Resolver = nil
		rsa, err := keys.Generate("rsa", 2048)
		if err == nil {
			err = keys.WritePrivate(filepath.Join(filepath.Dir(o.ConfigFile), "rsa.private"), rsa)
		}
		if err != nil {
			t.Fatal(err)
		}
		putBeside(t, o, "key.table", "ed example.com:s1:./s1.example.com.private\nrsa example.com:r:./rsa.private\nlost lost.example:s:./lost.private\n")
		putBeside(t, o, "signing.table", "*@example.com ed\n*@example.com rsa\n*@lost.example lost\n*@nokey.example nokey\n")
	})
	ours := d.connect(t)
	theirs := (&testServer{path: filepath.Join(d.dir, "s")}).connect(t, "mail.elsewhere.example", "192.0.2.9")
	signedBy := func(selectors ...string) []string { return strangersHeader(t, key, selectors...) }

	internal := map[string]float64{`reasons_total{reason="internal"}`: 1}
	external := map[string]float64{`reasons_total{reason="not_internal"}`: 1, `reasons_total{reason="not_authenticated"}`: 1}
	asked := func(outcome string) map[string]float64 {
		return map[string]float64{
			`dns_lookups_total{outcome="` + outcome + `"}`: 1, "dns_lookup_duration_seconds_count": 1, "dns_cache_misses_total": 1,
		}
	}
	remembered := map[string]float64{"dns_cache_hits_total": 1}
	message := func(decision, result, action string) map[string]float64 {
		return map[string]float64{
			`messages_total{decision="` + decision + `",result="` + result + `"}`: 1,
			`actions_total{action="` + action + `"}`:                              1, "message_duration_seconds_count": 1,
		}
	}
	verified := func(result string) map[string]float64 {
		return map[string]float64{`verified_total{result="` + result + `"}`: 1}
	}
	for _, row := range []struct {
		name string
		from *mta
		letter
		want []map[string]float64 // together
	}{
		{"signed twice", ours, letter{header: plainHeader}, []map[string]float64{message("sign", "signed", "accept"), internal, {
			`reasons_total{reason="table_match"}`: 2, `signatures_total{algorithm="rsa-sha256"}`: 1, `signatures_total{algorithm="ed25519-sha256"}`: 1,
		}}},
		{"its key is not there", ours, letter{header: header("lost.example")}, []map[string]float64{message("sign", "unsigned", "tempfail"), internal, {
			`reasons_total{reason="table_match"}`: 1, `reasons_total{reason="key_unusable"}`: 1,
		}}},
		{"its row names no key", ours, letter{header: header("nokey.example")}, []map[string]float64{message("refuse", "none", "tempfail"), internal, {
			`reasons_total{reason="unknown_key"}`: 1,
		}}},
		{"not signed", theirs, letter{header: header("example.net")}, []map[string]float64{message("verify", "none", "accept"), external}},
		{"passes", theirs, letter{header: signedBy("well"), body: plainBody}, []map[string]float64{
			message("verify", "pass", "accept"), external, verified("pass"), asked("found"), {`reasons_total{reason="stranger_uses_our_domain"}`: 1},
		}},
		{"passes by a key that is known", theirs, letter{header: signedBy("well"), body: plainBody}, []map[string]float64{
			message("verify", "pass", "accept"), external, verified("pass"), remembered, {`reasons_total{reason="stranger_uses_our_domain"}`: 1},
		}},
		{"was changed", theirs, letter{header: signedBy("well"), body: "x\r\n"}, []map[string]float64{
			message("verify", "fail", "accept"), external, verified("fail"), remembered, {`reasons_total{reason="stranger_uses_our_domain"}`: 1},
		}},
		{"one passes, one has no key", theirs, letter{header: signedBy("nxdomain", "well"), body: plainBody}, []map[string]float64{
			message("verify", "pass", "accept"), external, verified("pass"), verified("fail"), asked("absent"), remembered,
			{`reasons_total{reason="stranger_uses_our_domain"}`: 1},
		}},
		{"a name server refuses", theirs, letter{header: signedBy("servfail")}, []map[string]float64{
			message("verify", "temperror", "tempfail"), external, verified("temperror"), asked("failure"), {`reasons_total{reason="stranger_uses_our_domain"}`: 1},
		}},
		{"a name server is silent", theirs, letter{header: signedBy("silent")}, []map[string]float64{
			message("verify", "temperror", "tempfail"), external, verified("temperror"), asked("timeout"), {`reasons_total{reason="stranger_uses_our_domain"}`: 1},
		}},
		{"a signature that is none", theirs, letter{header: append([]string{"DKIM-Signature: v=1"}, header("example.net")...)}, []map[string]float64{
			message("verify", "permerror", "accept"), external, verified("permerror"),
		}},
		{"no author", theirs, letter{header: []string{"Subject: x"}}, []map[string]float64{
			message("bad_from", "none", "accept"), external, {`reasons_total{reason="no_from"}`: 1},
		}},
		{"too many fields", theirs, letter{header: append(header("example.net"), slices.Repeat([]string{"X: y"}, 30)...)}, []map[string]float64{
			message("pass", "none", "tempfail"), {`reasons_total{reason="header_fields"}`: 1},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := d.metrics(t)
			row.from.deliver(row.letter)
			want := map[string]float64{}
			for _, w := range row.want {
				for name, n := range prefixed(w) {
					want[name] += n
				}
			}
			diff := "not asked"
			// A question may go on for a moment when the mail's time for it is over.
			for end := time.Now().Add(time.Minute); diff != "" && time.Now().Before(end); time.Sleep(time.Millisecond) {
				diff = cmp.Diff(want, change(before, d.metrics(t)))
			}
			if diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if t.Failed() {
		t.Log(d.log)
	}
}
