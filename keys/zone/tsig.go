package zone

// TSIG is a key for transactions with a name server (RFC 8945).
type TSIG struct {
	// Name and Algorithm are as on the wire, with a final dot.
	Name, Algorithm string

	secret []byte
}

// ReadTSIG reads the file of a key: a key statement of named.conf, as tsig-keygen and
// ddns-confgen write it. Others than root and the user uid must be able neither to read it
// nor to replace it (keys.UnsafeError).
func ReadTSIG(path string, uid int) (*TSIG, error) { panic("being written") }
