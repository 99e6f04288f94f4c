package diagnosis

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/postseal/postseal/milter/dkim"
)

// mail is a message with LF, as tests write it.
type mail string

func (m mail) parse(t testing.TB) Message {
	t.Helper()
	fields, body, err := dkim.ReadMessage(strings.NewReader(string(m)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return Message{fields, text}
}

const sent = mail(`From: Joe <joe@example.com>
To: jane@example.net
Subject: dinner
Date: Mon, 2 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Hello Jane,

are you  hungry?
From here it is not far.
.dots
Grüße
`)

// signing is how a test signs.
type signing struct {
	ed           bool
	header, body dkim.Canonicalization
	copies       bool
	limit        int64 // l=, 0 for none
}

type signer struct {
	key    crypto.Signer
	record *dkim.KeyRecord
}

func newSigner(t testing.TB, ed bool) signer {
	t.Helper()
	var key crypto.Signer
	var err error
	kind, data := "rsa", []byte(nil)
	if ed {
		kind = "ed25519"
		_, key, err = ed25519.GenerateKey(rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	if ed {
		data = key.Public().(ed25519.PublicKey)
	} else if data, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		t.Fatal(err)
	}
	record, err := dkim.ParseKeyRecord(fmt.Sprintf("v=DKIM1; k=%s; p=%s", kind, base64.StdEncoding.EncodeToString(data)))
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, record}
}

// sign puts a signature on top of a message.
func (k signer) sign(t testing.TB, m mail, s signing) mail {
	t.Helper()
	message := m.parse(t)
	selection, err := dkim.NewHeaderSelection([]string{"From", "To", "Subject", "Date", "MIME-Version", "Content-*"}, nil, []string{"Subject", "Reply-To"})
	if err != nil {
		t.Fatal(err)
	}
	o := dkim.SignOptions{
		Domain: "example.com", Selector: "s", Key: k.key, Time: time.Unix(1793613600, 0), Selection: selection,
		Header: s.header, Body: s.body, BodyLimit: -1, CopyFields: s.copies,
	}
	if s.limit > 0 {
		o.BodyLimit = s.limit
	}
	body := dkim.NewBody()
	signer, err := dkim.NewSigner(message.Fields, body, o)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = body.Write(message.Body)
	body.Close()
	field, err := signer.Sign()
	if err != nil {
		t.Fatal(err)
	}
	return mail(field.Name + ":" + strings.ReplaceAll(field.Value, "\r\n", "\n") + "\n" + string(m))
}

func examine(t testing.TB, m mail, original *Message, keys ...*dkim.KeyRecord) *Diagnosis {
	t.Helper()
	message := m.parse(t)
	field := -1
	for i, f := range message.Fields {
		if f.Is("DKIM-Signature") {
			field = i
		}
	}
	d, err := Examine(Case{Fields: message.Fields, Field: field, Body: message.Body, Keys: keys, Original: original})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func codes(proofs []Proof) string {
	var list []string
	for _, p := range proofs {
		list = append(list, string(p.Code))
	}
	return strings.Join(list, " ")
}

// replace is a change of a message that has to change it.
func replace(pairs ...string) func(string) string {
	return func(m string) string {
		changed := strings.NewReplacer(pairs...).Replace(m)
		if changed == m {
			panic("nothing to replace: " + pairs[0])
		}
		return changed
	}
}

func end(text string) func(string) string { return func(m string) string { return m + text } }

func top(text string) func(string) string {
	return func(m string) string { return strings.Replace(m, "\n\n", "\n\n"+text, 1) }
}

func both(f, g func(string) string) func(string) string {
	return func(m string) string { return g(f(m)) }
}

var long = strings.Repeat("x", 990)

func TestExamine(t *testing.T) {
	rsaKey, edKey := newSigner(t, false), newSigner(t, true)
	relaxed := signing{header: dkim.Relaxed, body: dkim.Relaxed}
	var simple signing
	footer := "\n_______________\nlist mailing list\nlist@lists.example.org\n"
	quoted := replace("8bit", "quoted-printable", "Grüße", "Gr=C3=BC=C3=9Fe")
	multipart := replace("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n", `Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

`, "Grüße\n", "Grüße\n--b--\n")
	for _, row := range []struct {
		name         string
		before       func(string) string // of the message before it is signed
		signing      signing
		change       func(string) string
		key          KeyState
		body, header string // proofs; "intact"
		text         string // of the proofs
	}{
		{"nothing", nil, relaxed, nil, RightKey, "intact", "intact", ""},
		{"nothing, simple", nil, simple, nil, RightKey, "intact", "intact", ""},
		{"other words", nil, relaxed, replace("hungry", "thirsty"), RightKey, "", "intact", ""},
		{"a footer", nil, relaxed, end(footer), RightKey, "lines-added", "intact", "list mailing list"},
		{"a footer, simple", nil, simple, end(footer), RightKey, "lines-added", "intact", "list mailing list"},
		{"a banner", nil, relaxed, top("CAUTION: external\n\n"), RightKey, "lines-added", "intact", "CAUTION: external"},
		{"a banner and a footer", nil, relaxed, both(top("CAUTION: external\n\n"), end(footer)), RightKey, "lines-added lines-added", "intact", "CAUTION"},
		{"a part put in", nil, relaxed, replace("are you", "--x\ninserted\n\nare you"), RightKey, "lines-added", "intact", "inserted"},
		{"everything added", func(m string) string { return m[:strings.Index(m, "\n\n")+2] }, relaxed, end("buy this\n"), RightKey, "body-added", "intact", "buy this"},
		{">From", nil, relaxed, replace("\nFrom here", "\n>From here"), RightKey, "from-quoted", "intact", ">From here"},
		{">From and a footer", nil, relaxed, both(replace("\nFrom here", "\n>From here"), end(footer)), RightKey, "from-quoted lines-added", "intact", ">From here"},
		{"dots", nil, relaxed, replace("\n.dots", "\n..dots"), RightKey, "dots-doubled", "intact", "..dots"},
		{"blanks at line ends", nil, simple, replace("hungry?\n", "hungry? \n"), RightKey, "blanks-at-line-ends", "intact", "hungry? "},
		{"a long line broken", replace("hungry", long+long), relaxed, replace("  "+long+"x", "  "+long+"\n x"), RightKey, "lines-broken", "intact", ""},
		{"a long line broken at a blank", replace("hungry", long+" "+long), relaxed, replace(long+" "+long, long+"\n  "+long), RightKey, "lines-broken", "intact", "xxx"},
		{"quoted-printable", nil, relaxed, quoted, RightKey, "quoted-printable", "encoding-changed", "Gr=C3=BC=C3=9Fe"},
		{"quoted-printable in a part", multipart, relaxed, quoted, RightKey, "quoted-printable", "intact", "quoted-printable"},
		{"a CR", nil, relaxed, replace("hungry?\n", "hungry?\r"), RightKey, "bare-cr", "intact", "hungry?\r"},
		{"a CR put in", nil, relaxed, replace("hungry", "hun\rgry"), RightKey, "cr-put-in", "intact", "hun\rgry"},
		{"other c= for the body", nil, relaxed, replace("c=relaxed/relaxed", "c=relaxed/simple"), RightKey, "relaxed-is-signed", "", ""},
		{"other c= for the body, relaxed", nil, simple, replace("c=simple/simple", "c=simple/relaxed"), RightKey, "other-canonicalization", "", ""},
		{"blanks at line ends of plain text", replace("  ", " "), simple, replace("hungry?\n", "hungry? \n"), RightKey, "relaxed-is-signed", "intact", "hungry? "},
		{"l= and more", nil, signing{header: dkim.Relaxed, body: dkim.Relaxed, limit: 20}, replace("Hello", "Hallo"), RightKey, "", "intact", ""},
		{"l= and >From", nil, signing{header: dkim.Relaxed, body: dkim.Relaxed, limit: 50}, replace("\nFrom here", "\n>From here"), RightKey, "from-quoted", "intact", ""},

		{"a Subject with a tag", nil, relaxed, replace("Subject: ", "Subject: [list] "), RightKey, "intact", "subject-tagged", "[list] dinner"},
		{"a Subject with a tag behind Re", replace("dinner", "Re: dinner"), relaxed, replace("Subject: Re: ", "Subject: Re: [list] "), RightKey, "intact", "subject-tagged", ""},
		{"a tag and a new Re", replace("dinner", "Re: dinner"), relaxed, replace("Subject: ", "Subject: Re: [list] "), RightKey, "intact", "subject-tagged", ""},
		{"a spam tag", nil, relaxed, replace("Subject: ", "Subject: ***SPAM*** "), RightKey, "intact", "subject-tagged", ""},
		{"a tag and a footer", nil, relaxed, both(replace("Subject: ", "Subject: [list] "), end(footer)), RightKey, "lines-added", "subject-tagged", ""},
		{"a field that was absent", nil, relaxed, replace("To: ", "Reply-To: list@example.org\nTo: "), RightKey, "intact", "field-added", "list@example.org"},
		{"a tag and a field", nil, relaxed, both(replace("Subject: ", "Subject: [list] "), replace("To: ", "Reply-To: list@example.org\nTo: ")), RightKey, "intact", "subject-tagged field-added", ""},
		{"From rewritten", nil, relaxed, replace("From: Joe <joe@example.com>", "From: Joe via List <list@example.org>\nX-Original-From: Joe <joe@example.com>"), RightKey, "intact", "field-moved", "X-Original-From"},
		{"another Subject", nil, relaxed, replace("dinner", "lunch"), RightKey, "intact", "", ""},
		{"a Subject below", nil, relaxed, replace("Date:", "Subject: lunch\nDate:"), RightKey, "intact", "field-added fields-reordered", ""},
		{"letter case", nil, simple, replace("MIME-Version", "Mime-Version"), RightKey, "intact", "name-case", ""},
		{"folds", replace("Joe <", "Joe\n <"), simple, replace("Joe\n <", "Joe\n\t<"), RightKey, "intact", "refolded", ""},
		{"unfolded", nil, simple, replace("Joe <", "Joe\n <"), RightKey, "intact", "refolded", ""},

		{"copies tell the Subject", nil, signing{header: dkim.Relaxed, body: dkim.Relaxed, copies: true}, replace("Subject: dinner", "Subject: lunch"), RightKey, "intact", "copies-are-signed", ""},
		{"Ed25519, copies", nil, signing{ed: true, header: dkim.Relaxed, body: dkim.Relaxed, copies: true}, replace("Subject: dinner", "Subject: lunch"), RightKey, "intact", "copies-are-signed", ""},
		{"Ed25519, a tag", nil, signing{ed: true, header: dkim.Relaxed}, replace("Subject: ", "Subject: [list] "), RightKey, "intact", "subject-tagged", ""},
		{"Ed25519, another Subject", nil, signing{ed: true, header: dkim.Relaxed}, replace("dinner", "lunch"), UnknownKey, "intact", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := rsaKey
			if row.signing.ed {
				k = edKey
			}
			m := string(sent)
			if row.before != nil {
				m = row.before(m)
			}
			signed := string(k.sign(t, mail(m), row.signing))
			if row.change != nil {
				head, rest, _ := strings.Cut(signed, "\nFrom: ") // the signature has names, too
				if strings.Contains(row.name, "other c=") {
					signed = row.change(signed)
				} else {
					signed = head + row.change("\nFrom: "+rest)
				}
			}
			d := examine(t, mail(signed), nil, k.record)
			got := func(intact bool, proofs []Proof) string {
				if intact {
					return "intact"
				}
				return codes(proofs)
			}
			if b := got(d.Body.Intact, d.Body.Proofs); b != row.body {
				t.Errorf("body: %q, want %q", b, row.body)
			}
			if h := got(d.Header.Intact, d.Header.Proofs); h != row.header {
				t.Errorf("header: %q, want %q; %+v", h, row.header, d.Header.Differences)
			}
			if d.Header.Key != row.key || d.Exhausted {
				t.Errorf("key: %s, want %s; exhausted %t", d.Header.Key, row.key, d.Exhausted)
			}
			var texts []string
			for _, p := range append(d.Body.Proofs, d.Header.Proofs...) {
				texts = append(texts, p.Text)
			}
			if !strings.Contains(strings.Join(texts, "|"), row.text) {
				t.Errorf("%q is not in %q", row.text, texts)
			}
		})
	}
}

// A signature that another key made is known as such, with RSA.
func TestOtherKey(t *testing.T) {
	key, other, ed := newSigner(t, false), newSigner(t, false), newSigner(t, true)
	signed := key.sign(t, sent, signing{header: dkim.Relaxed})
	for _, row := range []struct {
		name string
		keys []*dkim.KeyRecord
		want KeyState
	}{
		{"none", nil, NoKey},
		{"another", []*dkim.KeyRecord{other.record}, OtherKey},
		{"two, one of them right", []*dkim.KeyRecord{other.record, key.record}, RightKey},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := examine(t, signed, nil, row.keys...)
			if d.Header.Key != row.want || d.Header.Intact != (row.want == RightKey) {
				t.Errorf("%s, intact %t", d.Header.Key, d.Header.Intact)
			}
		})
	}
	if d := examine(t, ed.sign(t, sent, signing{}), nil, newSigner(t, true).record); d.Header.Key != UnknownKey {
		t.Errorf("Ed25519: %s", d.Header.Key)
	}
}

// The difference is shown from copies, and from the message as it was sent.
func TestDifferences(t *testing.T) {
	key := newSigner(t, false)
	original := sent.parse(t)
	changed := replace("dinner", "lunch", "Joe <", "Joseph <", "hungry", "thirsty", ".dots\n", "")
	want := func(fromOriginal bool) []Difference {
		return []Difference{
			{"From", "from:Joe <joe@example.com>\r\n", "from:Joseph <joe@example.com>\r\n", fromOriginal},
			{"Subject", "subject:dinner\r\n", "subject:lunch\r\n", fromOriginal},
		}
	}
	s := signing{header: dkim.Relaxed, body: dkim.Relaxed, copies: true}
	signed := string(key.sign(t, sent, s))
	head, rest, _ := strings.Cut(signed, "\nFrom: ")
	d := examine(t, mail(head+changed("\nFrom: "+rest)), nil, key.record)
	if diff := cmp.Diff(want(false), d.Header.Differences); diff != "" || codes(d.Header.Proofs) != string(Restored) || d.Body.Diff != nil {
		t.Errorf("from copies: %s\n%v", diff, d.Header.Proofs)
	}
	s.copies = false
	head, rest, _ = strings.Cut(string(key.sign(t, sent, s)), "\nFrom: ")
	d = examine(t, mail(head+changed("\nFrom: "+rest)), &original, key.record)
	if diff := cmp.Diff(want(true), d.Header.Differences); diff != "" || codes(d.Header.Proofs) != string(AsSent) {
		t.Errorf("from the original: %s\n%v", diff, d.Header.Proofs)
	}
	wantDiff := &Diff{Line: 3, Before: []string{"Hello Jane,", ""},
		Signed: []string{"are you hungry?", "From here it is not far.", ".dots"}, Now: []string{"are you thirsty?", "From here it is not far."}}
	if diff := cmp.Diff(wantDiff, d.Body.Diff); diff != "" || d.Body.Original == nil || !*d.Body.Original {
		t.Errorf("body: %s, %v", diff, d.Body.Original)
	}
	other := mail(replace("hungry", "angry")(string(sent))).parse(t)
	if d = examine(t, mail(head+changed("\nFrom: "+rest)), &other, key.record); *d.Body.Original {
		t.Error("another message counts as the original")
	}
}

// What is hashed is what the verifier hashes.
func TestHashed(t *testing.T) {
	key := newSigner(t, false)
	d := examine(t, key.sign(t, sent, signing{header: dkim.Relaxed, body: dkim.Relaxed}), nil, key.record)
	var block strings.Builder
	for _, h := range d.Header.Hashed {
		block.Write(h.Octets)
	}
	if !strings.HasPrefix(block.String(), "from:Joe <joe@example.com>\r\nto:jane@example.net\r\n") || !strings.HasSuffix(block.String(), "; b=") {
		t.Errorf("%q", block.String())
	}
	if want := "Hello Jane,\r\n\r\nare you hungry?\r\nFrom here it is not far.\r\n.dots\r\nGrüße\r\n"; string(d.Body.Octets) != want || d.Body.Whole != int64(len(want)) {
		t.Errorf("%q", d.Body.Octets)
	}
}
