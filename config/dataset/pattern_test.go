package dataset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// naive matches one row against a key with nothing but the rules: no index.
func naive(kind, pattern, key string, fold bool) bool {
	if kind == kindRefile && strings.ContainsAny(pattern, metacharacters) {
		e, err := compile(pattern, fold)
		return err == nil && e.match(bytesAsRunes(key))
	}
	if fold {
		pattern, key = lower(pattern), lower(key)
	}
	if kind != kindRefile {
		return pattern == key
	}
	return naiveGlob(pattern, key)
}

func naiveGlob(pattern, key string) bool {
	// reach[i] says that the pattern so far covers key[:i].
	reach := make([]bool, len(key)+1)
	reach[0] = true
	for _, c := range []byte(pattern) {
		next := make([]bool, len(key)+1)
		for i, ok := range reach {
			switch {
			case !ok:
			case c == '*':
				for j := i; j <= len(key); j++ {
					next[j] = true
				}
			case i < len(key) && key[i] == c:
				next[i+1] = true
			}
		}
		reach = next
	}
	return reach[len(key)]
}

func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, key string
		want         bool
	}{
		{"*", "", true},
		{"*@example.com", "a@example.com", true},
		{"*@example.com", "a@sub.example.com", false},
		{"*@*.example.com", "a@example.com", false},
		{"*@*.example.com", "a@b.example.com", true},
		{"example.com", "a@example.com", false},
		{"a*b*c", "abc", true},
		{"a*b*c", "acbc", true},
		{"a*b*c", "acb", false},
		{"ab*bc", "abc", false},
		{"a**c", "ac", true},
		{"a.c", "abc", false},
		{"a+c", "aac", false},
		{"k@x", "\u212a@x", false}, // Kelvin sign
		{"\xe9@x", "\xc9@x", false},
		{"\xe9@*", "\xe9@x", true},
		{"(a|b)@x.org", "B@X.org", true},
		{"(a|b)@x.org", "c@x.org", false},
		{"a@x.org|b@x.org", "a@x.organic", false},
		{"[0-9]*@x.org", "1st@x.org", true},
		{"[0-9]*@x.org", "first@x.org", false},
		{"[^a]@x.org", "\xff@x.org", true},
		{"[^a]@x.org", "\u00e9@x.org", false}, // two bytes
		{"a{2}@x.org", "aa@x.org", true},
		{"a?@x.org", "@x.org", true},
		{"^*@x.org$", "a@x.org", true},
		{"a\xe9?b", "a\xe9b", true},
	} {
		set, err := parse(kindRefile, "t", tt.pattern+" v\n", Options{})
		if err != nil {
			t.Errorf("%q: %v", tt.pattern, err)
			continue
		}
		if _, got := set.Get(tt.key); got != tt.want {
			t.Errorf("pattern %q, key %q: %v, want %v", tt.pattern, tt.key, got, tt.want)
		}
	}
}

func TestPatternExactCase(t *testing.T) {
	set, err := parse(kindRefile, "t", "Key*\n(K|L)ey\n", Options{ExactCase: true})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"Key1": 1, "key1": 0, "Ley": 1, "ley": 0, "Key": 2} {
		if got := set.All(key); len(got) != want {
			t.Errorf("All(%q) = %v, want %d rows", key, got, want)
		}
	}
}

func TestBadPattern(t *testing.T) {
	for _, pattern := range []string{"(a@x", "[a", "a)", "a)|(b", "(?i)a", `a\`} {
		_, err := parse(kindRefile, "dir/t", "ok v\n"+pattern+" v\n", Options{})
		if err == nil || !strings.HasPrefix(err.Error(), "dir/t:2: pattern ") {
			t.Errorf("%q: %v; want an error with its place", pattern, err)
		}
	}
}

// A look-up in 100,000 rows looks at no more of them than in one.
func TestLookupDoesNotGrow(t *testing.T) {
	big := func(format string) *Set {
		var b strings.Builder
		for i := range 100_000 {
			fmt.Fprintf(&b, format+" v\n", i)
		}
		set, err := parse(kindRefile, "t", b.String(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	for _, tt := range []struct{ name, format, key string }{
		{"literal", "user@customer%d.example", "user@customer99999.example"},
		{"suffix", "*@customer%d.example", "someone@customer99999.example"},
		{"subdomains", "*@*.customer%d.example", "someone@a.customer99999.example"},
		{"prefix", "customer%d@*", "customer99999@somewhere.example"},
		{"middle", "longer.than%d@*.b", "longer.than99999@a.b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := big(tt.format)
			if row, ok := set.Get(tt.key); !ok || row.Line != 100_000 {
				t.Fatalf("Get = %v, %v", row, ok)
			}
			seen, calls := len(set.index.exprs), 0
			count := func(c chain) { set.index.walk(c, func(int32) bool { seen++; return true }) }
			if c, ok := set.index.literals[tt.key]; ok {
				count(c)
			}
			set.index.chains(tt.key, func(c chain) { count(c); calls++ })
			probes := len(set.index.suffixes.lengths) + len(set.index.prefixes.lengths)
			if seen != 1 || calls > 1 || probes > 8 {
				t.Errorf("%d rows compared in %d buckets of %d probes; want one row", seen, calls, probes)
			}
		})
	}
}

func FuzzSet(f *testing.F) {
	f.Add("refile", "*@example.com k\n*@*.example.com k2\na@b c\n* d\n", "u@example.com", false)
	f.Add("refile", "(a|b)*@x v\na*b*c\n\xff* v\n*c\n", "aBc", true)
	f.Add("file", table, "key1", false)
	f.Add("csl", "a, b=c,A,=", "a", true)
	f.Add("refile", "a*a*a v\na* v\n*a v\n", "aa", false)
	f.Fuzz(func(t *testing.T, kind, text, key string, exact bool) {
		o := Options{ExactCase: exact}
		var set *Set
		var err error
		switch kind {
		case kindCSL:
			set, err = openList(strings.Split(text, ","), o)
		case kindFile, kindRefile:
			set, err = parse(kind, "t", text, o)
		default:
			return
		}
		if err != nil {
			return
		}
		keys := []string{key}
		for _, row := range set.Rows() {
			if row.Key == "" || strings.Trim(row.Key, blanks) != row.Key || strings.Trim(row.Value, blanks) != row.Value || row.Line < 1 {
				t.Fatalf("row %+v", row)
			}
			keys = append(keys, row.Key, strings.ReplaceAll(row.Key, "*", key))
		}
		for _, k := range keys[:min(len(keys), 20)] {
			var want []Row
			for _, row := range set.Rows() {
				if naive(kind, row.Key, k, !exact) {
					want = append(want, row)
				}
			}
			if got := set.All(k); !slices.Equal(got, want) {
				t.Fatalf("All(%q) = %v, want %v", k, got, want)
			}
			got, ok := set.Get(k)
			if ok != (len(want) > 0) || ok && got != want[0] {
				t.Fatalf("Get(%q) = %v, %v; want the first of %v", k, got, ok, want)
			}
		}
	})
}

func FuzzSpec(f *testing.F) {
	for _, seed := range []string{"::1", "csl:a", "a,b:c", "dsn:x", "/x.db", "file:", " REFILE:/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kind, rest, err := detect(text)
		if err != nil {
			return
		}
		if !strings.HasSuffix(strings.Trim(text, blanks), rest) {
			t.Fatalf("detect(%q) makes up %q", text, rest)
		}
		if again, same, err := detect(kind + ":" + rest); err != nil || again != kind || same != strings.Trim(rest, blanks) {
			t.Fatalf("%q: %s:%s is read as %s:%s, %v", text, kind, rest, again, same, err)
		}
	})
}
