package postfix

import (
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
)

// Client is who an SMTP client seems to be, to Postfix and to its milters
// (XCLIENT). The zero value is this machine.
type Client struct {
	// Addr is its address, Name its verified host name.
	Addr, Name string
	// Login is its SASL user name.
	Login string
}

// Dial opens an SMTP session as somebody else. The caller closes it.
func (i *Instance) Dial(as Client) (*smtp.Client, error) {
	conn, err := net.Dial("tcp", i.addr)
	if err != nil {
		return nil, err
	}
	var attributes []string
	for _, a := range [][2]string{{"ADDR", as.Addr}, {"NAME", as.Name}, {"LOGIN", as.Login}} {
		if a[1] != "" {
			attributes = append(attributes, a[0]+"="+a[1])
		}
	}
	if len(attributes) > 0 {
		if err := introduce(conn, strings.Join(attributes, " ")); err != nil {
			conn.Close()
			return nil, err
		}
	}
	c, err := smtp.NewClient(conn, i.addr) // XCLIENT is answered with a greeting
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func introduce(conn net.Conn, attributes string) error {
	c := textproto.NewConn(conn)
	if _, _, err := c.ReadResponse(220); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if err := c.PrintfLine("EHLO client.example"); err != nil {
		return err
	}
	if _, _, err := c.ReadResponse(250); err != nil {
		return fmt.Errorf("EHLO: %w", err)
	}
	return c.PrintfLine("XCLIENT %s", attributes)
}

// Deliver sends one message by SMTP. msg has CRLF line ends.
func (i *Instance) Deliver(as Client, from string, rcpts []string, msg []byte) error {
	c, err := i.Dial(as)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := Send(c, from, rcpts, msg); err != nil {
		return err
	}
	return c.Quit()
}

// Send sends one message in a session that goes on.
func Send(c *smtp.Client, from string, rcpts []string, msg []byte) error {
	if err := c.Mail(from); err != nil {
		return fmt.Errorf("MAIL: %w", err)
	}
	for _, r := range rcpts {
		if err := c.Rcpt(r); err != nil {
			return fmt.Errorf("RCPT: %w", err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	if _, err := w.Write(msg); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("end of DATA: %w", err)
	}
	return nil
}
