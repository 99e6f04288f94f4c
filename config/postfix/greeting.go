package postfix

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/postseal/postseal/milter/wire"
)

// greetingTimeout bounds how long a milter may take for its first answer, as
// milter_connect_timeout does.
const greetingTimeout = 30 * time.Second

// Answers reports whether a milter answers at a socket, for us as who we are.
func (s Socket) Answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, greetingTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, s.Network, s.Address)
	if err != nil {
		return false
	}
	defer conn.Close()
	return greet(ctx, conn) == nil
}

// greet begins a milter session as Postfix does, and ends it. The error says what else
// came than a milter's answer.
func greet(ctx context.Context, conn net.Conn) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	// What Postfix offers in version 6: all actions, all steps.
	const size = 13
	offer := binary.BigEndian.AppendUint32(nil, size)
	offer = append(offer, byte(wire.CmdOptNeg))
	for _, n := range []uint32{6, 0x1ff, 0x1fffff} {
		offer = binary.BigEndian.AppendUint32(offer, n)
	}
	if _, err := conn.Write(offer); err != nil {
		return err
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends the connection")
	} else if err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head)
	if length < size || length > wire.MaxFrame || head[4] != byte(wire.CmdOptNeg) {
		return fmt.Errorf("it says %q", head)
	}
	if _, err := io.CopyN(io.Discard, conn, int64(length)-1); err != nil {
		return err
	}
	_, err := conn.Write([]byte{0, 0, 0, 1, byte(wire.CmdQuit)})
	return err
}
