package wire

import (
	"fmt"
	"strings"
)

// Action is a set of changes that a filter may make (SMFIF_*).
type Action uint32

const (
	ActAddHeaders    Action = 1 << iota // add and insert header fields
	ActChangeBody                       // replace the body
	ActAddRcpt                          // add recipients
	ActDelRcpt                          // remove recipients
	ActChangeHeaders                    // change and delete header fields
	ActQuarantine                       // put the message on hold
	ActChangeFrom                       // change the envelope sender
	ActAddRcptPar                       // add recipients with ESMTP parameters
	ActSetSymList                       // say which macros are wanted
)

// Step is a set of things about the steps of the protocol (SMFIP_*): commands
// that the MTA leaves out, replies that it does not wait for, and what else it
// can do.
type Step uint32

const (
	StepNoConnect       Step = 1 << iota // the MTA does not send CONNECT
	StepNoHelo                           // … HELO
	StepNoMail                           // … MAIL
	StepNoRcpt                           // … RCPT
	StepNoBody                           // … BODY
	StepNoHeader                         // … HEADER
	StepNoEOH                            // … EOH
	StepNRHeader                         // no reply to HEADER
	StepNoUnknown                        // the MTA does not send UNKNOWN
	StepNoData                           // … DATA
	StepSkip                             // the MTA understands Skip
	StepRcptRejected                     // the MTA sends the recipients that it has rejected, too
	StepNRConnect                        // no reply to CONNECT
	StepNRHelo                           // … HELO
	StepNRMail                           // … MAIL
	StepNRRcpt                           // … RCPT
	StepNRData                           // … DATA
	StepNRUnknown                        // … UNKNOWN
	StepNREOH                            // … EOH
	StepNRBody                           // … BODY
	StepHeaderLeadSpace                  // header values keep their leading blank, both ways
)

// String joins libmilter's names of the actions in lower case with "|", as in
// "addhdrs|chghdrs"; bits without a name are one hexadecimal number, and no
// action is "none".
func (a Action) String() string {
	return bitNames(uint32(a), []string{
		"addhdrs", "chgbody", "addrcpt", "delrcpt", "chghdrs", "quarantine",
		"chgfrom", "addrcpt_par", "setsymlist",
	})
}

// String joins libmilter's names of the steps in lower case with "|", as in
// "nohelo|nr_hdr|hdr_leadspc"; bits without a name are one hexadecimal number,
// and no step is "none".
func (s Step) String() string {
	return bitNames(uint32(s), []string{
		"noconnect", "nohelo", "nomail", "norcpt", "nobody", "nohdrs", "noeoh",
		"nr_hdr", "nounknown", "nodata", "skip", "rcpt_rej", "nr_conn", "nr_helo",
		"nr_mail", "nr_rcpt", "nr_data", "nr_unkn", "nr_eoh", "nr_body",
		"hdr_leadspc",
	})
}

// bitNames names the bits of v, bit 0 by names[0].
func bitNames(v uint32, names []string) string {
	var set []string
	for i, name := range names {
		if v&(1<<i) != 0 {
			set = append(set, name)
			v &^= 1 << i
		}
	}
	if v != 0 {
		set = append(set, fmt.Sprintf("%#x", v))
	}
	if len(set) == 0 {
		return "none"
	}
	return strings.Join(set, "|")
}
