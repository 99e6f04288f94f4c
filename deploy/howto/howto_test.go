//go:build deploy

package howto

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/testdata/peers"
)

// answer is what we read of what setup and check print with --json.
type answer struct {
	Changes []struct{ Text string }
	Domains []domainAnswer
	Machine []sectionAnswer
	OK      bool
}

type domainAnswer struct {
	Records  []recordAnswer
	Sections []sectionAnswer
}

type recordAnswer struct{ Kind, Name, Value, Zone, State string }

type sectionAnswer struct {
	Name, State, Summary string
	Findings             []findingAnswer
}

type findingAnswer struct{ Subject, Code, Level, Text, Effect, Fix string }

// ask runs a command of postseal with --json.
func (m *lab) ask(words string) (a answer, exit error) {
	m.t.Helper()
	cmd := m.Command("sh", "-c", "postseal "+words+" --json")
	var said strings.Builder
	cmd.Stderr = &said
	out, exit := cmd.Output()
	if err := json.Unmarshal(out, &a); err != nil {
		m.t.Fatalf("postseal %s: %v, %v\n%s%s", words, exit, err, out, said.String())
	}
	if exit != nil {
		exit = fmt.Errorf("%w: %s", exit, said.String())
	}
	return a, exit
}

// findings are what check says beside notes, as "SECTION CODE", what it printed of them
// in full, and what it tells to do.
func (m *lab) findings() (codes []string, text string, fixes []string) {
	m.t.Helper()
	a, exit := m.ask("check " + domain)
	var all []sectionAnswer
	all = append(all, a.Machine...)
	for _, d := range a.Domains {
		all = append(all, d.Sections...)
	}
	if len(all) < 6 {
		m.t.Fatalf("check looked at %d sections", len(all))
	}
	bad := false
	for _, s := range all {
		for _, f := range s.Findings {
			if f.Level == "note" {
				continue
			}
			text += fmt.Sprintf("%s %s: %s\n\t%s\n\t%s\n\t%s\n", s.Name, f.Level, f.Code, f.Text, f.Effect, f.Fix)
			bad = bad || f.Level != "warning"
			codes, fixes = append(codes, s.Name+" "+f.Code), append(fixes, f.Fix)
			if f.Text == "" || f.Effect == "" || f.Fix == "" {
				m.t.Errorf("a finding that lacks a sentence: %+v", f)
			}
		}
	}
	if bad != (exit != nil) || bad == a.OK {
		m.t.Errorf("exit status %v, ok %t, with\n%s", exit, a.OK, text)
	}
	return codes, text, fixes
}

// publish does what setup tells to do with the records: those that are missing or
// different are put into the zone, as they are printed for a zone file.
func (m *lab) publish(records []recordAnswer) {
	m.t.Helper()
	for _, r := range records {
		if r.State != "missing" && r.State != "different" {
			m.t.Errorf("%s of a new domain is %s", r.Name, r.State)
		}
		m.update("zone "+domain, "update delete "+r.Name+" TXT", "update add "+r.Name+" 60 TXT "+m.strings(r))
	}
}

// strings are the strings of a record's text for a zone file: what stands between
// the parentheses or behind TXT.
func (m *lab) strings(r recordAnswer) string {
	m.t.Helper()
	_, rest, ok := strings.Cut(r.Zone, "TXT")
	if !ok {
		m.t.Fatalf("no record of a zone file: %q", r.Zone)
	}
	rest, _, _ = strings.Cut(rest, ";-")
	return strings.NewReplacer("(", "", ")", "", "\n", " ", "\t", " ").Replace(rest)
}

// The first article from the moment where Postfix runs, in one command: a dry run
// changes nothing, the command makes everything, its records go into DNS, mail is
// signed so that others verify it, check has nothing to say, a second run changes
// nothing, and everything can be taken back.
func TestHowTo(t *testing.T) {
	m := start(t)
	folders := []string{"/etc", "/usr/local/bin", "/usr/lib/systemd"}
	before := m.tree(folders...)
	main := m.Shell("cat /etc/postfix/main.cf")

	plan, exit := m.ask("setup --dry-run " + domain)
	if exit != nil || len(plan.Changes) == 0 {
		t.Fatalf("dry run: %v, %+v", exit, plan)
	}
	if diff := cmp.Diff(before, m.tree(folders...)); diff != "" {
		t.Fatalf("a dry run changed (-before +after):\n%s", diff)
	}
	made, exit := m.ask("setup " + domain)
	if exit != nil {
		t.Fatalf("setup: %v, %+v", exit, made)
	}
	kinds := map[string]int{}
	for _, r := range made.Domains[0].Records {
		kinds[r.Kind]++
	}
	if diff := cmp.Diff(map[string]int{"dkim": 2, "spf": 1, "dmarc": 1}, kinds); diff != "" {
		t.Fatalf("records (-want +got):\n%s", diff)
	}
	m.publish(made.Domains[0].Records)
	m.settled()

	t.Run("others verify the mail", func(t *testing.T) { m.verified(t) })
	t.Run("check has nothing to say", func(t *testing.T) {
		if _, text, _ := m.findings(); text != "" {
			t.Errorf("check on a machine that setup made:\n%s", text)
		}
		t.Log(m.Shell("postseal check " + domain))
	})
	t.Run("root's own file stands in for DNS", func(t *testing.T) {
		m.Write("/root/records", "", 0o600)
		if out, _ := m.Try("postseal check example.com --only dkim --records /root/records"); !strings.Contains(out, "There is no TXT record") {
			t.Error(out)
		}
	})
	t.Run("a second run changes nothing", func(t *testing.T) {
		was := m.tree(folders...)
		again, exit := m.ask("setup " + domain)
		if exit != nil || len(again.Changes) > 0 {
			t.Errorf("%v, %+v", exit, again.Changes)
		}
		for _, r := range again.Domains[0].Records {
			if r.State != "published" {
				t.Errorf("%s is %s", r.Name, r.State)
			}
		}
		if diff := cmp.Diff(was, m.tree(folders...)); diff != "" {
			t.Errorf("the second run changed (-before +after):\n%s", diff)
		}
	})
	m.save(made.Domains[0].Records)
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) { m.breaks(t, b) })
	}
	t.Run("undo", func(t *testing.T) {
		m.Shell("postseal setup --undo --all")
		after := m.tree(folders...)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("what undo left (-before +after):\n%s", diff)
		}
		if now := m.Shell("cat /etc/postfix/main.cf"); now != main {
			t.Errorf("main.cf (-before +after):\n%s", cmp.Diff(main, now))
		}
		if mail := string(m.send()); strings.Contains(mail, "DKIM-Signature") {
			t.Errorf("mail is signed still:\n%s", mail)
		}
	})
}

// verified sends mail and has dkimpy and OpenDKIM verify what arrives, with the
// records that DNS has.
func (m *lab) verified(t *testing.T) {
	mail := m.send()
	zone := map[string]string{}
	status := m.Shell("cat /etc/postseal/key.table")
	for line := range strings.Lines(status) {
		name := strings.Fields(line + " #")[0]
		if strings.HasPrefix(name, "#") {
			continue
		}
		if list := m.records(name); len(list) == 1 {
			zone[name] = list[0]
		}
	}
	if len(zone) != 2 {
		t.Fatalf("DNS has %v", zone)
	}
	for _, v := range []peers.Verifier{peers.StartDkimpy(t, zone), peers.StartOpenDKIMVerifier(t, zone)} {
		list, err := v.Verify(mail)
		if err != nil {
			t.Fatal(err)
		}
		pass := 0
		for _, verdict := range list {
			if verdict.Status == "pass" && verdict.Domain == domain {
				pass++
			}
		}
		if pass != 2 {
			t.Errorf("%s: %+v, want two that pass\n%s", v.Name(), list, mail)
		}
	}
}

// breaks breaks one thing, has check name that and nothing else, and mends it.
func (m *lab) breaks(t *testing.T, b breakage) {
	m.t = t
	r := strings.NewReplacer("RSA", m.selector("r"), "EDKEY", m.publicKey(m.selector("e")), "ED", m.selector("e"))
	m.Shell("set -e\n" + r.Replace(b.shell))
	if len(b.update) > 0 {
		for i := range b.update {
			b.update[i] = r.Replace(b.update[i])
		}
		m.update(append([]string{"zone " + domain}, b.update...)...)
	}
	codes, text, fixes := m.findings()
	if diff := cmp.Diff(b.want, codes); diff != "" {
		t.Errorf("findings (-want +got):\n%s\n%s", diff, text)
	}
	t.Log(text)
	if !b.hand && m.follow(fixes) {
		if _, text, _ := m.findings(); text != "" {
			t.Errorf("after what was told to do:\n%s", text)
		}
	}
	m.mend()
	if _, text, _ := m.findings(); text != "" {
		t.Fatalf("after it was mended:\n%s", text)
	}
}

// told are the records of fixes, and their commands that change something.
var (
	toldRecord  = regexp.MustCompile(`(\S+)\.\s+(?:IN\s+)?TXT\s+\(?((?:\s*"(?:[^"\\]|\\.)*")+)`)
	toldCommand = regexp.MustCompile(`(?m)^ *((?:postconf|postfix|chmod|chown|usermod|postseal reload|systemctl (?:re)?start) .*|postseal reload)$`)
)

// follow does what fixes tell to do, as far as that is commands and records, and reports
// whether there are any.
func (m *lab) follow(fixes []string) (any bool) {
	m.t.Helper()
	for _, fix := range fixes {
		for _, record := range toldRecord.FindAllStringSubmatch(fix, -1) {
			any = true
			m.update("update delete "+record[1]+" TXT", "update add "+record[1]+" 60 TXT "+strings.Join(strings.Fields(record[2]), " "))
		}
		for _, command := range toldCommand.FindAllStringSubmatch(fix, -1) {
			any = true
			m.Shell(command[1])
		}
	}
	return any
}

// publicKey is the value of p= of a selector.
func (m *lab) publicKey(selector string) string {
	m.t.Helper()
	list := m.records(selector + "._domainkey." + domain)
	if len(list) != 1 {
		m.t.Fatalf("records of %s: %q", selector, list)
	}
	_, key, _ := strings.Cut(list[0], "p=")
	return key
}

// selector is that of the key that setup made of a kind.
func (m *lab) selector(kind string) string {
	m.t.Helper()
	entries, err := os.ReadDir(m.Path("/etc/postseal/keys/" + domain))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), kind+".private"); ok {
			return name + kind
		}
	}
	m.t.Fatalf("no key of kind %s in %v", kind, entries)
	return ""
}
