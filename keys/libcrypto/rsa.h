#include <openssl/evp.h>
#include <openssl/opensslv.h>

// LibreSSL and BoringSSL do not define the first.
#if !defined(OPENSSL_VERSION_MAJOR) || OPENSSL_VERSION_MAJOR < 3
#error "the build tag openssl needs libcrypto of OpenSSL 3 or later"
#endif

// The functions return 0, or the first code of OpenSSL's error queue, which
// they leave empty: the queue belongs to the thread, and the goroutine may be
// on another one after the call.

// The numbers of an RSA key, in the order of RFC 8017 §A.1.2.
enum { RSA_N, RSA_E, RSA_D, RSA_P, RSA_Q, RSA_DP, RSA_DQ, RSA_QINV, RSA_NUMBERS };

unsigned long libcrypto_start(void);
unsigned long libcrypto_rsa_new(const unsigned char *numbers, const size_t *lengths, EVP_PKEY **key);
unsigned long libcrypto_rsa_sign(EVP_PKEY *key, const unsigned char *digest, size_t digest_len, unsigned char *sig, size_t sig_len);
