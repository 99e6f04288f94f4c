package dkim

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fieldsNamed(names string) []Field {
	var fields []Field
	for _, name := range strings.Split(names, "|") {
		fields = append(fields, Field{Name: name, Value: " x"})
	}
	return fields
}

func TestHeaderSelectionNames(t *testing.T) {
	tests := []struct {
		name                 string
		sign, omit, oversign string // divided by |
		fields               string
		want                 string
	}{
		{"every instance, message order and case", "to|from|received", "", "", "Received|RECEIVED|from|TO|received|Cc", "Received:RECEIVED:from:TO:received"},
		{"From without being listed", "subject", "", "", "To|Subject|From", "Subject:From"},
		{"omit wins", "to|subject", "Subject", "", "To|Subject|From", "To:From"},
		{"wildcards", "x-*|list-*", "x-spam*", "", "X-A|x-Spam-Score|From|List-Id|X-|Y-X-", "X-A:From:List-Id:X-"},
		{"everything but", "*", "received|return-*", "", "Return-Path|Received|From|X", "From:X"},
		{"oversigned at the end, case of the configuration", "to", "", "from|SUBJECT", "From|To|Subject", "From:To:Subject:from:SUBJECT"},
		{"oversigned though absent", "", "", "Cc", "From", "From:Cc"},
		{"oversigned joins the signed set", "to", "", "Content-Type", "Content-Type|From|content-type", "Content-Type:From:content-type:Content-Type"},
		{"oversigned beats omitted", "", "content-*", "Content-Type", "Content-Type|From|Content-Language", "Content-Type:From:Content-Type"},
		{"oversigned once", "", "", "To|to|TO", "From", "From:To"},
		{"blanks before the colon", "subject", "", "", "Subject \t|From ", "Subject:From"},
		{"blanks in the lists", " subject ", " x ", " To ", "Subject|X|From", "Subject:From:To"},
		{"names that h= cannot hold", "*", "", "", "a;b|a b|\u00e9|x\x00|\x7f||" + strings.Repeat("x", 901) + "|From|!#*~", "From:!#*~"},
		{"Unicode does not fold", "key", "", "", "\u212aey|Key|From", "Key:From"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list := func(s string) []string {
				if s == "" {
					return nil
				}
				return strings.Split(s, "|")
			}
			s, err := NewHeaderSelection(list(tt.sign), list(tt.omit), list(tt.oversign))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, strings.Join(s.Names(fieldsNamed(tt.fields)), ":")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHeaderSelectionErrors(t *testing.T) {
	tests := []struct {
		name                 string
		sign, omit, oversign []string
		want                 []string
	}{
		{"From omitted", nil, []string{"FROM"}, nil, []string{"From must be signed"}},
		{"From omitted by pattern", nil, []string{"fr*"}, nil, []string{"From must be signed"}},
		{"From oversigned and omitted", nil, []string{"*"}, []string{"From"}, []string{"From must be signed"}},
		{"star inside", []string{"x-*-y"}, nil, nil, []string{`to sign: "x-*-y": a * can only end a name`}},
		{"two stars", nil, []string{"x**"}, nil, []string{"to omit", "a * can only end a name"}},
		{"several at once", []string{"a:b", ""}, []string{"a b"}, []string{"a;b", "dkim-signature"},
			[]string{`to sign: "a:b"`, "to sign: a name is empty", `to omit: "a b"`, `to oversign: "a;b"`, "take it out"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewHeaderSelection(tt.sign, tt.omit, tt.oversign)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}
