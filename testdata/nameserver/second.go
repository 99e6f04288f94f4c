package nameserver

import (
	"io"
	"net"
	"testing"
	"time"
)

// Second starts another named that ends with the test, which is reached at 127.0.0.2 and
// the same port, as the name servers of a zone are. It knows nothing of the first.
func (s *Server) Second(t testing.TB, zones ...Zone) *Server {
	t.Helper()
	second := Start(t, zones...)
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	// named itself listens on addresses of interfaces alone, and ::1 is not everywhere.
	at := net.JoinHostPort("127.0.0.2", port)
	relay(t, at, second.Addr)
	second.Addr = at
	return second
}

// relay hands what comes to an address, by UDP and TCP, on to another until the test ends.
func relay(t testing.TB, from, to string) {
	t.Helper()
	packets := listen(t, func() (net.PacketConn, error) { return net.ListenPacket("udp", from) })
	streams := listen(t, func() (net.Listener, error) { return net.Listen("tcp", from) })
	go func() {
		for {
			question := make([]byte, 1<<16)
			n, client, err := packets.ReadFrom(question)
			if err != nil {
				return
			}
			go answer(packets, client, question[:n], to)
		}
	}()
	go func() {
		for {
			client, err := streams.Accept()
			if err != nil {
				return
			}
			go pass(client, to)
		}
	}()
}

// listen opens a listener that closes with the test; a client may have the port for a
// moment.
func listen[L io.Closer](t testing.TB, open func() (L, error)) L {
	t.Helper()
	l, err := open()
	for range tries {
		if err == nil {
			break
		}
		time.Sleep(pause)
		l, err = open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// answer answers a question by UDP with what the server at to says.
func answer(packets net.PacketConn, client net.Addr, question []byte, to string) {
	server, err := net.Dial("udp", to)
	if err != nil {
		return
	}
	defer server.Close()
	_ = server.SetDeadline(time.Now().Add(patience))
	text := make([]byte, 1<<16)
	if _, err := server.Write(question); err != nil {
		return
	}
	if n, err := server.Read(text); err == nil {
		_, _ = packets.WriteTo(text[:n], client)
	}
}

// pass connects a client to the server at to, until one of them ends.
func pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}
