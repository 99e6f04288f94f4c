package opendkim

import (
	"fmt"
	"runtime"

	"github.com/postseal/postseal/cmd/postseal/service"
)

// emulated is the version of OpenDKIM whose behaviour this is.
const emulated = "2.11.0"

// printVersion is -V. The first line is the one that scripts read.
func (c call) printVersion() (exit int) {
	fmt.Fprintf(c.out, `%s: OpenDKIM Filter v%s
	postseal %s
	Compiled with %s
	Supported signing algorithms:
		rsa-sha256
		ed25519-sha256
	Supported canonicalization algorithms:
		relaxed
		simple
	Active code options:
		QUERY_CACHE
		_FFR_REPLACE_RULES
		_FFR_SENDER_MACRO
`, c.name, emulated, service.Version(), runtime.Version())
	return exitOK
}
