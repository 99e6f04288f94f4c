package spf

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The test suite of RFC 7208 lies beside the library's source. All of its cases hold.
func TestSuiteOfTheRFC(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "blitiri.com.ar/go/spf").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", "rfc7208-tests.yml"))
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for i, document := range strings.Split(string(text), "\n---\n")[1:] {
		s := readScenario(t, document)
		for _, c := range s.cases {
			cases++
			t.Run(fmt.Sprintf("%d/%s", i, c["case"]), func(t *testing.T) {
				got := Check(t.Context(), s.zone, Query{Client: netip.MustParseAddr(c["host"]), HELO: c["helo"], MailFrom: c["mailfrom"]})
				if want := list(c["result"]); !slices.Contains(want, string(got.Status)) {
					t.Errorf("%s (%s), want %v", got.Status, got.Reason(), want)
				}
			})
		}
	}
	if cases != 203 {
		t.Errorf("%d cases were read", cases)
	}
}

// scenario is one document of the suite.
type scenario struct {
	zone  *zone
	cases []map[string]string
}

// readScenario reads as much YAML as the suite has: maps by depth of indentation,
// values on one line or folded over several.
func readScenario(t *testing.T, document string) scenario {
	t.Helper()
	s := scenario{zone: &zone{names: map[string]*node{}}}
	var section, name string
	records := map[string][][2]string{}
	lines := strings.Split(document, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		text := strings.TrimLeft(line, " ")
		if text == "" || text[0] == '#' {
			continue
		}
		depth := len(line) - len(text)
		for i+1 < len(lines) && depth >= 4 && len(lines[i+1])-len(strings.TrimLeft(lines[i+1], " ")) > depth {
			i++
			text += " " + strings.TrimSpace(lines[i])
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(text, "- "), ":")
		if quoted, ok := strings.CutPrefix(text, `"`); ok {
			key, value, _ = strings.Cut(quoted, `":`)
		}
		value = strings.TrimSpace(value)
		switch {
		case depth == 0:
			section = key
		case depth == 2 && section == "tests":
			s.cases = append(s.cases, map[string]string{"case": key})
		case depth == 2:
			name = strings.TrimSuffix(strings.TrimSpace(strings.TrimPrefix(text, `"`)), ":")
			name = strings.TrimSuffix(name, `"`)
		case section == "tests":
			s.cases[len(s.cases)-1][key] = scalar(t, value)
		case section == "zonedata":
			records[name] = append(records[name], [2]string{key, value})
		}
	}
	for name, list := range records {
		s.publish(t, name, list)
	}
	return s
}

// publish puts the records of a name into the zone. One of type SPF stands for TXT
// where there is none.
func (s *scenario) publish(t *testing.T, name string, records [][2]string) {
	t.Helper()
	n := s.zone.at(name)
	if addr, ok := reverse(name); ok {
		n = s.zone.at(addr.String())
	}
	typed := slices.ContainsFunc(records, func(r [2]string) bool { return r[0] == "TXT" })
	for _, r := range records {
		switch kind, value := r[0], r[1]; kind {
		case "A", "AAAA":
			n.addrs = append(n.addrs, netip.MustParseAddr(scalar(t, value)))
		case "TXT":
			if value != "NONE" {
				n.txt = append(n.txt, joined(t, value))
			}
		case "SPF":
			if !typed {
				n.txt = append(n.txt, joined(t, value))
			}
		case "MX":
			n.mx = append(n.mx, scalar(t, list(value)[1]))
		case "PTR":
			n.ptr = append(n.ptr, scalar(t, value))
		case "CNAME":
			n.cname = scalar(t, value)
		case "TIMEOUT", "SERVFAIL", "CNAMELOOP":
			n.fails = !typed || slices.ContainsFunc(records, func(r [2]string) bool { return r[1] == "NONE" })
		default:
			t.Fatalf("%s: type %q", name, kind)
		}
	}
}

// list reads [a, b], or a single value.
func list(value string) []string {
	inner, ok := strings.CutPrefix(value, "[")
	if !ok {
		return []string{value}
	}
	var items []string
	for item := range strings.SplitSeq(strings.TrimSuffix(inner, "]"), ",") {
		items = append(items, strings.TrimSpace(item))
	}
	return items
}

func joined(t *testing.T, value string) string {
	t.Helper()
	var b strings.Builder
	for _, item := range list(value) {
		b.WriteString(scalar(t, item))
	}
	return b.String()
}

func scalar(t *testing.T, value string) string {
	t.Helper()
	switch {
	case strings.HasPrefix(value, `"`):
		text, err := strconv.Unquote(strings.ReplaceAll(value, `\0"`, `\x00"`))
		if err != nil {
			t.Fatalf("value %s: %v", value, err)
		}
		return text
	case strings.HasPrefix(value, "'"):
		return strings.Trim(value, "'")
	}
	return value
}

// reverse is the address in a name of a reverse zone.
func reverse(name string) (netip.Addr, bool) {
	if text, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		labels := strings.Split(text, ".")
		slices.Reverse(labels)
		return netip.MustParseAddr(strings.Join(labels, ".")), true
	}
	text, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok {
		return netip.Addr{}, false
	}
	nibbles := strings.Split(text, ".")
	slices.Reverse(nibbles)
	var b strings.Builder
	for i, nibble := range nibbles {
		if i > 0 && i%4 == 0 {
			b.WriteByte(':')
		}
		b.WriteString(nibble)
	}
	return netip.MustParseAddr(b.String()), true
}
