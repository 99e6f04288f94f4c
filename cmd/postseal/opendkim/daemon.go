package opendkim

// daemon is opendkim(8).
func daemon(c call) int { return exitUsage }
