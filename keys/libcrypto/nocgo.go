//go:build openssl && !cgo

package libcrypto

// Without this the tag would be without effect, and nobody would notice.
var _ = theTagOpensslNeedsCGOAndACompiler
