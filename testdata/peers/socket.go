package peers

// Socket is the path of the daemon's unix socket, for tests that speak to it
// frame by frame.
func (o *OpenDKIM) Socket() string { return o.socket }
