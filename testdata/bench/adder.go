package main

import (
	"net"
	"os"

	"github.com/postseal/postseal/milter/wire"
)

// adderCommand runs this program as the filter that Postfix's rates are compared
// with: it is sent what postseal is sent, and does nothing but add one field.
const adderCommand = "adder"

// serveAdder serves until its socket fails.
func serveAdder(path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = addField(wire.NewConn(c, wire.Limits{}))
		}()
	}
}

func addField(c *wire.Conn) error {
	for {
		cmd, payload, err := c.Read()
		if err != nil {
			return err
		}
		switch cmd {
		case wire.CmdOptNeg:
			_, err = c.Negotiate(payload, wire.Want{
				Actions: wire.ActAddHeaders,
				Steps: wire.StepNRHelo | wire.StepNRMail | wire.StepNRRcpt | wire.StepNRHeader | wire.StepNRData | wire.StepNRUnknown |
					wire.StepSkip | wire.StepHeaderLeadSpace,
			})
		case wire.CmdMacro, wire.CmdAbort, wire.CmdQuitNC:
		case wire.CmdQuit:
			return nil
		case wire.CmdEOM:
			if err = c.InsertHeader(0, "X-Bench", "1"); err == nil {
				err = c.Reply(cmd, wire.Accept())
			}
		default:
			err = c.Reply(cmd, wire.Continue())
		}
		if err != nil {
			return err
		}
	}
}
