package postfix

// Socket is one of our daemon's listeners, as config.ParseSocket returns it: "unix"
// and a path, or "tcp4" or "tcp6" and HOST:PORT, where no HOST means all addresses.
type Socket struct {
	Network, Address string
	// VerifyOnly: what comes in here is never signed.
	VerifyOnly bool
}

// Edit is one change to main.cf or master.cf: a run of postconf.
type Edit struct {
	// Argv is the command.
	Argv []string
	// Reason says what it is for, in a sentence.
	Reason string
}

// String is the command for a shell.
func (e Edit) String() string { return "" }

// Wire returns the edits that put our milter into the lists of milters: socket where it
// is not yet. others are further sockets of ours: a list that has one of them has us.
// Other milters stay, in their order. There are no edits where nothing is to be done.
//
// The error says what to do where Postfix cannot reach the socket from its root folder.
func (c *Config) Wire(socket Socket, others ...Socket) ([]Edit, error) { return nil, nil }

// Unwire returns the edits that take our milter, at any of the sockets, out of all
// lists.
func (c *Config) Unwire(sockets ...Socket) ([]Edit, error) { return nil, nil }
