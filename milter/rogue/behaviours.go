package rogue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	soa    = "example.com. 60 IN SOA ns.example.com. x.example.com. 1 60 60 60 60"
	record = "@ 60 IN TXT VALUE"
)

// Behaviours are all ways to answer.
func Behaviours() []Behaviour {
	list := []Behaviour{
		{Label: "well", udp: reply(record)},
		{Label: "tcp-works", udp: truncated, tcp: reply(record)},
		{Label: "letter-case", udp: changed(func(m *dns.Msg) { m.Question[0].Name = strings.ToUpper(m.Question[0].Name) }, record)},
		{Label: "one-octet-strings", udp: truncated, tcp: shortStrings(1)},
		{Label: "empty-strings", udp: truncated, tcp: emptyStrings},
		{Label: "beside-another", udp: reply(`@ 60 IN TXT "v=spf1 -all"`, record)},
		{Label: "beside-foreign", udp: reply(`other.example. 60 IN TXT "v=DKIM1; p="`, record, `@ 60 CH TXT "v=DKIM1; p="`)},
		{Label: "beside-60-kib", udp: truncated, tcp: beside60KiB},
		{Label: "alias", udp: reply("@ 60 IN CNAME well.example.net.", "well.example.net. 60 IN TXT VALUE")},
		{Label: "alias-elsewhere", udp: reply("@ 60 IN CNAME well.example.net.")},
		{Label: "alias-to-no-host", udp: reply(`@ 60 IN CNAME well.a\032b.example.`)},
		{Label: "dname", udp: reply("example.com. 60 IN DNAME example.net.", "@ 60 IN CNAME x.example.net.", "x.example.net. 60 IN TXT VALUE")},
		{Label: "after-garbage", udp: stray(func(*question) []byte { return []byte("\xff\xff\xff\xff\xff") })},
		{Label: "after-wrong-id", udp: strayChange(func(m *dns.Msg) { m.Id++ })},
		{Label: "after-wrong-question", udp: strayChange(func(m *dns.Msg) { m.Question[0].Name = "other.example." })},
		{Label: "after-another-port", udp: fromAnotherPort(true)},
		{Label: "more-announced", udp: raw(moreAnnounced)},
		{Label: "slow", udp: func(q *question) { q.after(50*time.Millisecond, func() { q.send(pack(q.answer(record))) }) }},

		{Label: "nxdomain", Outcome: Absent, udp: changed(func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, soa)},
		{Label: "nodata", Outcome: Absent, udp: reply(soa)},
		{Label: "nodata-no-soa", Outcome: Absent, udp: reply()},
		{Label: "alias-astray", Outcome: Absent, udp: reply("@ 60 IN CNAME nowhere.example.net.", soa)},

		{Label: "servfail", Outcome: Temporary, udp: rcode(dns.RcodeServerFailure)},
		{Label: "refused", Outcome: Temporary, udp: rcode(dns.RcodeRefused)},
		{Label: "formerr", Outcome: Temporary, udp: rcode(dns.RcodeFormatError)},
		{Label: "notimp", Outcome: Temporary, udp: rcode(dns.RcodeNotImplemented)},
		{Label: "rcode-14", Outcome: Temporary, udp: rcode(14)},
		{Label: "alias-to-itself", Outcome: Temporary, udp: reply("@ 60 IN CNAME @")},
		{Label: "alias-loop", Outcome: Temporary, udp: reply("@ 60 IN CNAME a.example.", "a.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME a.example.")},
		{Label: "alias-without-end", Outcome: Temporary, udp: reply("@ 60 IN CNAME alias-without-end.@")},
		{Label: "alias-to-the-root", Outcome: Temporary, udp: reply("@ 60 IN CNAME .")},
		{Label: "dname-alone", Outcome: Temporary, udp: reply("example.com. 60 IN DNAME example.net.")},
		{Label: "dname-loop", Outcome: Temporary, udp: reply("example.com. 60 IN DNAME x.example.com.", "@ 60 IN CNAME @")},
		{Label: "foreign-alone", Outcome: Temporary, udp: reply("other.example. 60 IN TXT VALUE")},
		{Label: "address-alone", Outcome: Temporary, udp: reply("@ 60 IN A 192.0.2.1")},
		{Label: "referral", Outcome: Temporary, udp: referral},
		{Label: "101-records", Outcome: Temporary, udp: truncated, tcp: func(q *question) { manyRecords(q, 101) }},
		{Label: "thousands-of-records", Outcome: Temporary, udp: truncated, tcp: func(q *question) { manyRecords(q, 4000) }},
		{Label: "stray-flood", Outcome: Temporary, udp: strayFlood},

		{Label: "silent", Outcome: Temporary, Waits: true},
		{Label: "late", Outcome: Temporary, Waits: true, udp: func(q *question) { q.after(late, func() { q.send(pack(q.answer(record))) }) }},
		{Label: "wrong-id", Outcome: Temporary, Waits: true, udp: changed(func(m *dns.Msg) { m.Id++ }, record)},
		{Label: "no-answer-but-a-question", Outcome: Temporary, Waits: true, udp: changed(func(m *dns.Msg) { m.Response = false }, record)},
		{Label: "wrong-question", Outcome: Temporary, Waits: true, udp: changed(func(m *dns.Msg) { m.Question[0].Name = "other.example." }, record)},
		{Label: "wrong-type", Outcome: Temporary, Waits: true, udp: changed(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }, record)},
		{Label: "two-questions", Outcome: Temporary, Waits: true, udp: changed(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, record)},
		{Label: "no-question", Outcome: Temporary, Waits: true, udp: changed(func(m *dns.Msg) { m.Question = nil }, record)},
		{Label: "another-port", Outcome: Temporary, Waits: true, udp: fromAnotherPort(false)},
		{Label: "garbage", Outcome: Temporary, Waits: true, udp: raw(func(*question) []byte { return bytes.Repeat([]byte{0xff}, 200) })},
		{Label: "empty", Outcome: Temporary, Waits: true, udp: raw(func(*question) []byte { return nil })},
		{Label: "header-alone", Outcome: Temporary, Waits: true, udp: raw(func(q *question) []byte { return pack(q.answer(record))[:12] })},
		{Label: "cut-short", Outcome: Temporary, Waits: true, udp: raw(func(q *question) []byte { p := pack(q.answer(record)); return p[:len(p)-3] })},
		{Label: "pointer-loop", Outcome: Temporary, Waits: true, udp: raw(func(q *question) []byte { return pointers(q, 0) })},
		{Label: "pointer-ahead", Outcome: Temporary, Waits: true, udp: raw(func(q *question) []byte { return pointers(q, 40) })},
		{Label: "text-beyond-its-record", Outcome: Temporary, Waits: true, udp: raw(textBeyond)},

		{Label: "tcp-closes", Outcome: Temporary, udp: truncated, tcp: func(*question) {}},
		{Label: "tcp-hangs", Outcome: Temporary, Waits: true, udp: truncated},
		{Label: "tcp-no-octets", Outcome: Temporary, udp: truncated, tcp: raw(func(*question) []byte { return nil })},
		{Label: "tcp-shorter-than-announced", Outcome: Temporary, udp: truncated, tcp: func(q *question) { q.announce(500, 100) }},
		{Label: "tcp-shorter-and-hangs", Outcome: Temporary, Waits: true, udp: truncated, tcp: func(q *question) { q.announce(500, 100); q.hang() }},
		{Label: "tcp-longer-than-announced", Outcome: Temporary, udp: truncated, tcp: func(q *question) { q.announce(20, 500) }},
		{Label: "tcp-one-octet-of-length", Outcome: Temporary, Waits: true, udp: truncated, tcp: func(q *question) { q.write([]byte{1}); q.hang() }},
		{Label: "tcp-trickles", Outcome: Temporary, Waits: true, udp: truncated, tcp: trickle},
		{Label: "tcp-truncates", Outcome: Temporary, udp: truncated, tcp: changed(func(m *dns.Msg) { m.Truncated = true }, record)},
		{Label: "tcp-wrong-id", Outcome: Temporary, udp: truncated, tcp: changed(func(m *dns.Msg) { m.Id++ }, record)},
		{Label: "tcp-wrong-question", Outcome: Temporary, udp: truncated, tcp: changed(func(m *dns.Msg) { m.Question[0].Name = "other.example." }, record)},
		{Label: "tcp-garbage", Outcome: Temporary, udp: truncated, tcp: raw(func(*question) []byte { return bytes.Repeat([]byte{0xff}, 60000) })},
		{Label: "tcp-servfail", Outcome: Temporary, udp: truncated, tcp: rcode(dns.RcodeServerFailure)},
		{Label: "tcp-pointer-loops", Outcome: Temporary, udp: truncated, tcp: raw(func(q *question) []byte { return pointers(q, 0) })},
	}
	return list
}

// reply answers with records, see question.answer.
func reply(records ...string) func(*question) { return changed(func(*dns.Msg) {}, records...) }

// changed answers with records after change has had its way with the message.
func changed(change func(*dns.Msg), records ...string) func(*question) {
	return func(q *question) {
		m := q.answer(records...)
		change(m)
		q.send(pack(m))
	}
}

// raw answers with octets.
func raw(make func(*question) []byte) func(*question) { return func(q *question) { q.send(make(q)) } }

func rcode(code int) func(*question) { return changed(func(m *dns.Msg) { m.Rcode = code }) }

func truncated(q *question) {
	m := q.answer()
	m.Truncated = true
	q.send(pack(m))
}

// stray sends something else ahead of the answer.
func stray(make func(*question) []byte) func(*question) {
	return func(q *question) {
		q.send(make(q))
		q.send(pack(q.answer(record)))
	}
}

// strayChange sends a forged answer ahead of the right one.
func strayChange(change func(*dns.Msg)) func(*question) {
	return stray(func(q *question) []byte {
		m := q.answer(`@ 60 IN TXT "v=DKIM1; p="`)
		change(m)
		return pack(m)
	})
}

// strayFlood forges more answers than anybody reads.
func strayFlood(q *question) {
	m := q.answer(record)
	m.Id++
	for p := range 200 {
		m.Id += uint16(p % 2)
		if m.Id == q.Id {
			m.Id++
		}
		q.send(pack(m))
	}
}

// fromAnotherPort sends what is not from the address that was asked.
func fromAnotherPort(thenWell bool) func(*question) {
	return func(q *question) {
		forged := q.answer(`@ 60 IN TXT "v=DKIM1; p="`)
		_, _ = q.server.other.WriteTo(pack(forged), q.from)
		if thenWell {
			q.send(pack(q.answer(record)))
		}
	}
}

func referral(q *question) {
	m := q.answer()
	m.Ns = q.answer("com. 60 IN NS a.gtld.example.").Answer
	q.send(pack(m))
}

// shortStrings splits the record into strings of size octets.
func shortStrings(size int) func(*question) {
	return func(q *question) { q.send(pack(q.answer("@ 60 IN TXT " + q.server.zoneStrings(size)))) }
}

// emptyStrings has thousands of strings of no octets around the record.
func emptyStrings(q *question) {
	q.send(pack(q.answer("@ 60 IN TXT " + strings.Repeat(`"" `, 20000) + q.server.zoneStrings(255) + strings.Repeat(`"" `, 20000))))
}

// beside60KiB has a text of 60 KiB beside the record.
func beside60KiB(q *question) {
	q.send(pack(q.answer("@ 60 IN TXT "+strings.Repeat(`"`+strings.Repeat("x", 255)+`" `, 240), record)))
}

func manyRecords(q *question, n int) {
	m := q.answer(record)
	for i := range n - 1 {
		m.Answer = append(m.Answer, q.answer(fmt.Sprintf(`@ 60 IN TXT "%d"`, i)).Answer...)
	}
	m.Compress = true
	q.send(pack(m))
}

// moreAnnounced counts more records than there are.
func moreAnnounced(q *question) []byte {
	p := pack(q.answer(record))
	binary.BigEndian.PutUint16(p[6:], 60000)
	return p
}

// pointers is an answer whose record has a compressed name that points to
// itself, or that many octets ahead.
func pointers(q *question, ahead int) []byte {
	m := q.answer()
	p := pack(m)
	binary.BigEndian.PutUint16(p[6:], 1)
	at := len(p) + ahead
	return append(p, 0xc0|byte(at>>8), byte(at), 0, 16, 0, 1, 0, 0, 0, 60, 0, 2, 1, 'x')
}

// textBeyond has a string that is longer than its record.
func textBeyond(q *question) []byte {
	p := pack(q.answer())
	binary.BigEndian.PutUint16(p[6:], 1)
	return append(p, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 3, 200, 'x', 'y')
}

// write sends octets as they are, by TCP.
func (q *question) write(p []byte) { _, _ = q.conn.Write(p) }

// announce sends the first octets of an answer after a length.
func (q *question) announce(length, octets int) {
	p := append(pack(q.answer(record)), make([]byte, octets)...)
	q.write(append([]byte{byte(length >> 8), byte(length)}, p[:octets]...))
}

// hang waits until the asker goes.
func (q *question) hang() { _, _ = q.conn.Read(make([]byte, 1)) }

// trickle sends a whole answer, an octet now and then: it would take minutes.
func trickle(q *question) {
	p := pack(q.answer(record))
	for _, octet := range append([]byte{0, byte(len(p))}, p...) {
		if _, err := q.conn.Write([]byte{octet}); err != nil {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-q.server.done:
			return
		}
	}
}
