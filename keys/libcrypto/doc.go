// Package libcrypto signs with RSA on OpenSSL's libcrypto, which takes less
// than half the time of crypto/rsa. It is empty unless the program is built
// with the tag openssl, which needs CGO and the headers of libcrypto 3.
package libcrypto
