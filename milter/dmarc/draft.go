package dmarc

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/milter/finding"
)

// draft is a record that is being mended: names and values of its tags.
type draft struct {
	domain string // whose record it is
	tags   [][2]string
}

// mended is the record of domain with all faults out of it that have one remedy, and
// with an address for reports. What somebody may have meant stays.
func (r *Record) mended(domain string) draft {
	d := draft{domain: domain}
	for _, it := range r.items {
		if it.name == "v" || it.fault == malformed || it.fault == repeated {
			continue
		}
		value := it.value
		if it.fault == invalid || it.name == "rua" || it.name == "ruf" {
			value = meant(it.name, it.value)
		}
		if it.fault == historic {
			// pct=0 asked for what t=y asks for now (RFC 9989 §A.6).
			if it.name != "pct" || it.value != "0" {
				continue
			}
			d = d.with("t", "y")
			continue
		}
		if value != "" {
			d = d.with(it.name, value)
		}
	}
	if d.get("p") == "" {
		d.tags = slices.Insert(d.tags, 0, [2]string{"p", string(NoPolicy)})
	}
	if d.get("ruf") == "" {
		d = d.without("fo")
	}
	if d.get("rua") == "" {
		d = d.with("rua", "mailto:postmaster@"+domain)
	}
	return d
}

// meant guesses what a value that is not valid was to be, "" for the default.
func meant(name, value string) string {
	var possible []string
	switch name {
	case "p", "sp", "np":
		possible = []string{string(NoPolicy), string(Quarantine), string(Reject)}
	case "adkim", "aspf":
		possible = []string{string(Relaxed), string(Strict)}
	case "t":
		possible = []string{"y", "n"}
	case "psd":
		possible = []string{"y", "n", "u"}
	case "rua", "ruf":
		var list []string
		for text := range strings.SplitSeq(value, ",") {
			u, ok := parseURI(trim(text))
			if !ok {
				u, ok = parseURI("mailto:" + trim(text))
			}
			if ok && len(list) < maxURIs {
				list = append(list, u.Text)
			}
		}
		return strings.Join(list, ",")
	}
	for _, p := range possible {
		if value != "" && strings.EqualFold(value[:1], p[:1]) {
			return p
		}
	}
	return ""
}

func (d draft) get(name string) string {
	for _, t := range d.tags {
		if t[0] == name {
			return t[1]
		}
	}
	return ""
}

// with is the draft with a tag of this value, in its place if it has the tag.
func (d draft) with(name, value string) draft {
	d.tags = slices.Clone(d.tags)
	for i := range d.tags {
		if d.tags[i][0] == name {
			d.tags[i][1] = value
			return d
		}
	}
	d.tags = append(d.tags, [2]string{name, value})
	return d
}

// without is the draft without some tags.
func (d draft) without(names ...string) draft {
	d.tags = slices.DeleteFunc(slices.Clone(d.tags), func(t [2]string) bool { return slices.Contains(names, t[0]) })
	return d
}

// text is the TXT value.
func (d draft) text() string {
	var b strings.Builder
	b.WriteString("v=DMARC1")
	for _, t := range d.tags {
		b.WriteString("; " + t[0] + "=" + t[1])
	}
	return b.String()
}

// String is the record as it stands in a zone file.
func (d draft) String() string { return finding.Record(prefix+d.domain, d.text()) }
