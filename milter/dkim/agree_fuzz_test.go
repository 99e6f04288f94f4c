package dkim

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/emersion/go-msgauth/dkim"
)

// agreeCase is one message that both verifiers have judged.
type agreeCase struct {
	fields    []Field
	signature string // the value of the uppermost one
	body      string
	record    string
}

// looser are our errors where the other verifier passes a signature: each is a
// rule that it does not have.
var looser = []struct {
	err    error
	reason string
}{
	{ErrSyntax, "it takes tag names, values and numbers of any form, blanks inside of them, and x= before t="},
	{ErrFuture, "it does not look at t="},
	{ErrDomainMismatch, "it ignores t=s, and takes i= with anything before a dot and d="},
	{ErrKeySyntax, "it reads key records of any form, v= anywhere"},
	{ErrInappropriateKeyAlgorithm, "an empty k= is RSA to it"},
}

// stricter are the other verifier's errors where we pass a signature.
var stricter = []struct {
	words  string // its error begins so
	reason string
	when   func(agreeCase) bool
}{
	{"message contains an insecure body length tag", "it takes no l= at all", func(c agreeCase) bool { return hasLength.MatchString(c.signature) }},
	{"signature did not verify", "it empties whatever looks like b=, in z= and in names that end so", func(c agreeCase) bool {
		return len(looksLikeB.FindAllString(c.signature, -1)) > 1
	}},
	{"signature did not verify", "b= without anything, or with blanks, keeps them", func(c agreeCase) bool { return looksEmpty.MatchString(c.signature) }},
	{"signature did not verify", "h= may mean its own field to it", func(c agreeCase) bool {
		return strings.Contains(strings.ToLower(c.signature), "dkim-signature")
	}},
	{"signature did not verify", "it takes white space of Unicode off names, and line ends that are none", hasOddSpace},
	{"body hash did not verify", "it mends line ends of the body", func(c agreeCase) bool {
		return strings.ContainsAny(strings.ReplaceAll(c.body, "\r\n", ""), "\r\n")
	}},
	{"domain mismatch", "letter case, encoded octets and U-labels count in i= and d=", func(c agreeCase) bool { return hasIdentity.MatchString(c.signature) }},
	{"unsupported", "letter case counts in a=, c= and q=", hasCapitals},
	{"inappropriate key algorithm", "letter case counts in a= and k=", func(c agreeCase) bool { return hasCapitals(c) || c.record != strings.ToLower(c.record) }},
	{"inappropriate", "letter case counts in the lists of a key record", func(c agreeCase) bool { return c.record != strings.ToLower(c.record) }},
	{"key syntax error", "only SP is white space in p=, and its padding must be there", func(c agreeCase) bool {
		return strings.ContainsAny(c.record, "\t\r\n") || !isPadded(c.record)
	}},
	{"From field not signed", "white space of Unicode", hasOddSpace},
}

var (
	looksLikeB = regexp.MustCompile(`b\s*=`)
	looksEmpty = regexp.MustCompile(`b\s*=\s*(;|$)`)

	hasLength    = regexp.MustCompile(`(^|;)\s*l\s*=`)
	hasIdentity  = regexp.MustCompile(`(^|;)\s*i\s*=`)
	publishedKey = regexp.MustCompile(`(?:^|;)\s*p\s*=([^;]*)`)
)

// isPadded reports whether the key in a record is base64 of full length.
func isPadded(record string) bool {
	data := publishedKey.FindStringSubmatch(record)
	return data != nil && len(strings.ReplaceAll(data[1], " ", ""))%4 == 0
}

func hasCapitals(c agreeCase) bool { return strings.ToLower(c.signature) != c.signature }

func hasOddSpace(c agreeCase) bool {
	odd := func(r rune) bool { return unicode.IsSpace(r) && r != ' ' && r != '\t' }
	return strings.ContainsFunc(strings.ReplaceAll(messageText(c.fields, ""), "\r\n", ""), odd)
}

// FuzzAgree alters a signed message, its signature or its key's record somewhere
// and asks both verifiers. They agree, or the tables above say why not.
func FuzzAgree(f *testing.F) {
	const header = "Subject: a  b\r\n\tc\r\nTo : x@example.net\r\n"
	for way := range uint8(16) {
		f.Add(header, letterBody, way, uint16(0), uint8(0), "", uint8(0))
	}
	for at := uint16(0); at < 600; at += 17 { // somewhere in the signature, the header and the body
		f.Add(header, letterBody, uint8(at%4), at, uint8(0), "y", uint8(0))
	}
	f.Add(header, letterBody, uint8(3), uint16(60), uint8(1), "X", uint8(0))
	f.Add(header, letterBody, uint8(1), uint16(30), uint8(0), " l=5;", uint8(0))
	f.Add(header, letterBody, uint8(2), uint16(25), uint8(0), " t=+5; i=@EXAMPLE.com; z=b=x;", uint8(0))
	f.Add(header, letterBody, uint8(5), uint16(700), uint8(3), "\r\n ", uint8(0))
	f.Add(header, "", uint8(7), uint16(9), uint8(0), "t=s;", uint8(1))
	f.Add(header, "x", uint8(11), uint16(20), uint8(9), "", uint8(1))
	records := map[bool]string{false: edRecord(), true: rsaRecord(&rsaKey().PublicKey)}
	f.Fuzz(func(t *testing.T, header, body string, way uint8, at uint16, cut uint8, patch string, where uint8) {
		if len(header)+len(body)+len(patch) > 4000 {
			t.Skip("long enough is long enough")
		}
		fields, body := splitText(t, "From: a@example.com\r\n"+header+"\r\n\r\n"+body)
		for _, f := range fields {
			if strings.ContainsAny(f.Name, ";") || f.Is("DKIM-Signature") {
				t.Skip("another signature, or a name that h= cannot hold")
			}
		}
		o := signingOptions(t)
		o.Selector, o.Header, o.Body, o.Key = "s", Canonicalization(way&1), Canonicalization(way>>1&1), edKey
		if way&4 != 0 {
			o.Key = rsaKey()
		}
		o.CopyFields = way&8 != 0
		text := messageText(append([]Field{signMessage(t, fields, body, o)}, fields...), body)
		record := records[way&4 != 0]
		if where&1 == 0 {
			text = altered(text, at, cut, patch)
		} else {
			record = altered(record, at, cut, patch)
		}
		fields, body = splitText(t, text)
		c := agreeCase{fields: fields, body: body, record: record}
		for _, f := range fields {
			if f.Is("DKIM-Signature") {
				c.signature = f.Value
				break
			}
		}
		if c.signature != "" {
			c.check(t)
		}
	})
}

// altered puts patch in place of cut octets.
func altered(text string, at uint16, cut uint8, patch string) string {
	begin := int(at) % (len(text) + 1)
	return text[:begin] + patch + text[min(begin+int(cut), len(text)):]
}

// check compares the verdicts.
func (c agreeCase) check(t *testing.T) {
	t.Helper()
	z := oneKey(c.record)
	b := NewBody()
	v := NewVerifier(t.Context(), c.fields, b, z, VerifyOptions{Now: time.Now(), BodyLength: BodyLengthAccept})
	_, _ = b.Write([]byte(c.body))
	b.Close()
	ours := v.Results()[0]
	text := messageText(c.fields, c.body)
	got, err := dkim.VerifyWithOptions(strings.NewReader(text), &dkim.VerifyOptions{
		LookupTXT:        func(name string) ([]string, error) { return z.txt[name], nil },
		MaxVerifications: 1,
	})
	if len(got) == 0 {
		if err == nil || ours.Status != Pass || hasOddSpace(c) {
			return // it does not see a signature, or no message
		}
		t.Fatalf("we pass what it cannot read: %v\n%q", err, text)
	}
	theirs := got[0].Err
	switch {
	case (ours.Status == Pass) == (theirs == nil):
		return
	case theirs == nil:
		for _, e := range looser {
			if errors.Is(ours.Err, e.err) {
				return
			}
		}
	default:
		for _, e := range stricter {
			if strings.HasPrefix(strings.TrimPrefix(theirs.Error(), "dkim: "), e.words) && e.when(c) {
				return
			}
		}
	}
	t.Errorf("we say %s, %v; they say %v\n%q\n%q", ours.Status, ours.Err, theirs, text, c.record)
}
