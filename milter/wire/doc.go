// Package wire speaks the milter protocol from the filter's side, versions 2
// to 6: frames, option negotiation, macros, replies and header changes. It
// opens nothing and decides nothing: a caller brings the connection, asks for
// frames and says what to answer.
//
// # Frames
//
// Both sides send frames: a length of four octets in network order, one octet
// that says what the frame is, and length-1 octets of payload. Strings in a
// payload end with a NUL.
//
// # The way of a connection
//
// The MTA (Postfix, Sendmail) opens the connection, sends every command and
// waits for one answer to each, as far as an answer is due:
//
//	MTA                     filter
//	OPTNEG                  OPTNEG             Conn.Negotiate
//	MACRO for CONNECT
//	CONNECT                 reply              ParseConnect, Conn.Reply
//	MACRO for HELO
//	HELO                    reply
//	MACRO for MAIL
//	MAIL                    reply              ParseEnvelope
//	MACRO for RCPT
//	RCPT (any number)       reply
//	DATA (version 4 on)     reply
//	HEADER (any number)     reply              Conn.ParseHeader
//	EOH                     reply
//	BODY (any number)       reply              at most 65535 octets each
//	EOM                     changes, reply     its payload may be a last body chunk
//	ABORT                   nothing            the message is over; the connection is not
//	MAIL …                                     the next message, with or without ABORT before it
//	QUIT                    nothing            the connection is over
//	QUIT_NC                 nothing            a new CONNECT follows, without OPTNEG
//
// UNKNOWN, an SMTP command that the MTA does not know, may come anywhere and
// is answered. MACRO may come at any time, also for steps that the MTA then
// leaves out, and is never answered.
//
// # Negotiation
//
// The MTA says which version it speaks, which changes a filter may make
// ([Action]) and what it can do about the steps of the protocol ([Step]): leave
// steps out, go without our reply (NR), stop a body (SKIP), send header values
// with their leading blank (HDR_LEADSPC). What we ask for is ANDed with what it
// offers, and the result binds both sides: a reply that was negotiated away
// must not be sent, since the MTA would take it for the answer to a later
// command. [Conn.Reply] sees to that.
//
// # Header values
//
// Outside this package a header value is everything after the colon as it
// stands in the message: the leading blank is there, and folds are CRLF
// followed by a blank. On the wire folds are LF, and the first space is left out
// unless HDR_LEADSPC was agreed; [Conn.ParseHeader] and the changes
// ([Conn.InsertHeader] and the others) translate.
//
// # Costs
//
// A peer is never trusted: memory follows the octets that have arrived and not
// the length that was announced, the number of strings in a payload is capped,
// and every parser is linear in its input and returns an error wrapping
// [ErrMalformed] where the input makes no sense. A Conn serves one goroutine.
package wire
