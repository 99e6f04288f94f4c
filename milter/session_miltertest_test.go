package milter

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/milter/resolver"
	"github.com/postseal/postseal/testdata/peers"
)

// miltertestScript plays Sendmail for one connection after the other. RCPT and
// DATA are left out, as scripts do. mt.negotiate takes the
// steps before the actions, other than its page says.
const miltertestScript = `
function want(what, err, reply)
	if err ~= nil then error(what .. ": " .. err) end
	if reply ~= nil and mt.getreply(conn) ~= reply then
		error(what .. ": unexpected reply " .. string.char(mt.getreply(conn)))
	end
end
function deliver(signed)
	want("mail", mt.mailfrom(conn, "<user@example.com>", "SIZE=100", "BODY=8BITMIME"))
	want("header", mt.header(conn, "From", lead .. "user@example.com"))
	want("header", mt.header(conn, "Subject", lead .. "a\r\n\tfolded\r\n  subject"))
	want("eoh", mt.eoh(conn), SMFIR_CONTINUE)
	want("body", mt.bodystring(conn, "This is a test!\r\n"))
	want("eom", mt.eom(conn), SMFIR_ACCEPT)
	if mt.eom_check(conn, MT_HDRINSERT, "DKIM-Signature") ~= signed then
		error("signed: " .. tostring(not signed))
	end
end
for _, family in ipairs{"127.0.0.1", "::1", "unspec", "192.0.2.1"} do
	for _, steps in ipairs{"all", "none"} do
		conn = mt.connect("@SOCKET@")
		lead = " "
		if steps == "none" then
			lead = ""
			want("negotiate", mt.negotiate(conn, 2, 0, 0x3f))
		else
			want("negotiate", mt.negotiate(conn, nil, nil, nil))
		end
		want("abort", mt.abort(conn))
		want("conninfo", mt.conninfo(conn, "localhost", family), SMFIR_CONTINUE)
		if not mt.test_option(conn, SMFIP_NOHELO) then want("helo", mt.helo(conn, "client.example")) end
		if not mt.test_option(conn, SMFIP_NOUNKNOWN) then want("unknown", mt.unknown(conn, "XYZZY")) end
		mt.macro(conn, SMFIC_MAIL, "i", "queue-" .. steps)
		deliver(family ~= "192.0.2.1")
		deliver(family ~= "192.0.2.1")
		want("abort", mt.abort(conn))
		deliver(family ~= "192.0.2.1")
		mt.disconnect(conn, steps == "all")
	end
end
`

// What was written for other milters' tests works with this one.
func TestMiltertest(t *testing.T) {
	program, err := exec.LookPath("miltertest")
	if err != nil {
		err = fmt.Errorf("no miltertest: %w; apt-get install miltertest", err)
	}
	peers.Require(t, err)
	inline, _ := newKey(t, "ed25519")
	srv := startServer(t, loadText(t, fmt.Sprintf("internal_hosts = [\"127.0.0.1\", \"::1\"]\n"+
		"key_table = [\"k=example.com:s1:%s\"]\nsigning_table = [\"example.com=k\"]\n", inline), resolver.NewRecords(nil)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-w")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(miltertestScript, "@SOCKET@", "local:"+srv.path))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("miltertest: %v\n%s\n%s", err, out, srv.log)
	}
	if n := srv.Counts().Messages[Sign]; n != 18 {
		t.Errorf("%d messages were signed, want 18", n)
	}
}
