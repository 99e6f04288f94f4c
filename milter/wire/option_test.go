package wire

import (
	"testing"

	gomilter "github.com/emersion/go-milter"
)

// The numbers and letters of the protocol agree with those that an independent
// implementation exports.
func TestConstants(t *testing.T) {
	tests := []struct {
		name      string
		got, want uint32
	}{
		{"OPTNEG", uint32(CmdOptNeg), uint32(gomilter.CodeOptNeg)},
		{"MACRO", uint32(CmdMacro), uint32(gomilter.CodeMacro)},
		{"CONNECT", uint32(CmdConnect), uint32(gomilter.CodeConn)},
		{"QUIT", uint32(CmdQuit), uint32(gomilter.CodeQuit)},
		{"HELO", uint32(CmdHelo), uint32(gomilter.CodeHelo)},
		{"MAIL", uint32(CmdMail), uint32(gomilter.CodeMail)},
		{"RCPT", uint32(CmdRcpt), uint32(gomilter.CodeRcpt)},
		{"HEADER", uint32(CmdHeader), uint32(gomilter.CodeHeader)},
		{"EOH", uint32(CmdEOH), uint32(gomilter.CodeEOH)},
		{"BODY", uint32(CmdBody), uint32(gomilter.CodeBody)},
		{"EOM", uint32(CmdEOM), uint32(gomilter.CodeEOB)},
		{"ABORT", uint32(CmdAbort), uint32(gomilter.CodeAbort)},
		{"DATA", uint32(CmdData), uint32(gomilter.CodeData)},
		{"QUIT_NC", uint32(CmdQuitNC), uint32(gomilter.CodeQuitNewConn)},

		{"add headers", uint32(ActAddHeaders), uint32(gomilter.OptAddHeader)},
		{"change body", uint32(ActChangeBody), uint32(gomilter.OptChangeBody)},
		{"add recipient", uint32(ActAddRcpt), uint32(gomilter.OptAddRcpt)},
		{"delete recipient", uint32(ActDelRcpt), uint32(gomilter.OptRemoveRcpt)},
		{"change headers", uint32(ActChangeHeaders), uint32(gomilter.OptChangeHeader)},
		{"quarantine action", uint32(ActQuarantine), uint32(gomilter.OptQuarantine)},
		{"change sender", uint32(ActChangeFrom), uint32(gomilter.OptChangeFrom)},
		{"add recipient with parameters", uint32(ActAddRcptPar), uint32(gomilter.OptAddRcptWithArgs)},
		{"macro list", uint32(ActSetSymList), uint32(gomilter.OptSetSymList)},

		{"no CONNECT", uint32(StepNoConnect), uint32(gomilter.OptNoConnect)},
		{"no HELO", uint32(StepNoHelo), uint32(gomilter.OptNoHelo)},
		{"no MAIL", uint32(StepNoMail), uint32(gomilter.OptNoMailFrom)},
		{"no RCPT", uint32(StepNoRcpt), uint32(gomilter.OptNoRcptTo)},
		{"no BODY", uint32(StepNoBody), uint32(gomilter.OptNoBody)},
		{"no HEADER", uint32(StepNoHeader), uint32(gomilter.OptNoHeaders)},
		{"no EOH", uint32(StepNoEOH), uint32(gomilter.OptNoEOH)},
		{"no UNKNOWN", uint32(StepNoUnknown), uint32(gomilter.OptNoUnknown)},
		{"no DATA", uint32(StepNoData), uint32(gomilter.OptNoData)},
		{"skip step", uint32(StepSkip), uint32(gomilter.OptSkip)},
		{"rejected recipients", uint32(StepRcptRejected), uint32(gomilter.OptRcptRej)},
		{"no reply to HEADER", uint32(StepNRHeader), uint32(gomilter.OptNoHeaderReply)},
		{"no reply to CONNECT", uint32(StepNRConnect), uint32(gomilter.OptNoConnReply)},
		{"no reply to HELO", uint32(StepNRHelo), uint32(gomilter.OptNoHeloReply)},
		{"no reply to MAIL", uint32(StepNRMail), uint32(gomilter.OptNoMailReply)},
		{"no reply to RCPT", uint32(StepNRRcpt), uint32(gomilter.OptNoRcptReply)},
		{"no reply to DATA", uint32(StepNRData), uint32(gomilter.OptNoDataReply)},
		{"no reply to UNKNOWN", uint32(StepNRUnknown), uint32(gomilter.OptNoUnknownReply)},
		{"no reply to EOH", uint32(StepNREOH), uint32(gomilter.OptNoEOHReply)},
		{"no reply to BODY", uint32(StepNRBody), uint32(gomilter.OptNoBodyReply)},
		{"leading space", uint32(StepHeaderLeadSpace), uint32(gomilter.OptHeaderLeadingSpace)},

		{"accept", codeAccept, uint32(gomilter.ActAccept)},
		{"continue", codeContinue, uint32(gomilter.ActContinue)},
		{"discard", codeDiscard, uint32(gomilter.ActDiscard)},
		{"reject", codeReject, uint32(gomilter.ActReject)},
		{"tempfail", codeTempfail, uint32(gomilter.ActTempFail)},
		{"reply text", codeText, uint32(gomilter.ActReplyCode)},
		{"skip", codeSkip, uint32(gomilter.ActSkip)},
		{"add header", codeAddHeader, uint32(gomilter.ActAddHeader)},
		{"change header", codeChangeHeader, uint32(gomilter.ActChangeHeader)},
		{"insert header", codeInsertHeader, uint32(gomilter.ActInsertHeader)},
		{"quarantine", codeQuarantine, uint32(gomilter.ActQuarantine)},
		{"add recipient", codeAddRcpt, uint32(gomilter.ActAddRcpt)},
		{"delete recipient", codeDelRcpt, uint32(gomilter.ActDelRcpt)},

		{"unknown family", uint32(FamilyUnknown), uint32(gomilter.FamilyUnknown)},
		{"unix family", uint32(FamilyUnix), uint32(gomilter.FamilyUnix)},
		{"IPv4 family", uint32(FamilyIPv4), uint32(gomilter.FamilyInet)},
		{"IPv6 family", uint32(FamilyIPv6), uint32(gomilter.FamilyInet6)},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, tt.got, tt.want)
		}
	}
	if MaxFrame < gomilter.MaxBodyChunk+1 {
		t.Errorf("MaxFrame %d does not hold a body chunk", MaxFrame)
	}
}

func TestOptionNames(t *testing.T) {
	tests := []struct {
		got, want string
	}{
		{Action(0).String(), "none"},
		{ActQuarantine.String(), "quarantine"},
		{(ActAddHeaders | ActChangeHeaders | ActSetSymList).String(), "addhdrs|chghdrs|setsymlist"},
		{(ActAddHeaders | 1<<9 | 1<<31).String(), "addhdrs|0x80000200"},
		{Step(0).String(), "none"},
		{(StepNoHelo | StepNRHeader | StepSkip | StepHeaderLeadSpace).String(), "nohelo|nr_hdr|skip|hdr_leadspc"},
		{(StepNRConnect | StepNREOH | StepNRBody).String(), "nr_conn|nr_eoh|nr_body"},
		{Step(1 << 28).String(), "0x10000000"},
		{CmdEOM.String(), "EOM"},
		{CmdQuitNC.String(), "QUIT_NC"},
		{Command('\n').String(), `'\n'`},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// Every command has a name of its own.
func TestCommandNames(t *testing.T) {
	seen := map[string]Command{}
	for _, c := range []Command("OCHMRTLNBEADQKU") {
		name := c.String()
		if other, ok := seen[name]; ok || name[0] == '\'' {
			t.Errorf("%q is named %s, as is %q", byte(c), name, byte(other))
		}
		seen[name] = c
	}
}
