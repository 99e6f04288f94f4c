//go:build openssl && cgo

#include "rsa.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

// A context of our own with the provider that is a part of libcrypto, whatever
// else in the process does with the default context.
static OSSL_LIB_CTX *library;

// outcome empties the queue of errors and returns its first.
static unsigned long outcome(int ok) {
	unsigned long code = ok ? 0 : ERR_get_error();
	ERR_clear_error();
	if (!ok && code == 0)
		code = ERR_PACK(ERR_LIB_NONE, 0, ERR_R_INTERNAL_ERROR);
	return code;
}

// libcrypto_start makes libcrypto ready without the system's openssl.cnf: that
// is made for TLS and must not change how mail is signed. So no file is opened,
// now or later, and randomness comes from getrandom(2): the first signature may
// be made inside of a chroot or a sandbox.
unsigned long libcrypto_start(void) {
	int ok = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL)
		&& (library = OSSL_LIB_CTX_new()) != NULL
		&& OSSL_PROVIDER_load(library, "default") != NULL;
	return outcome(ok);
}

static const char *const names[RSA_NUMBERS] = {
	[RSA_N] = OSSL_PKEY_PARAM_RSA_N,
	[RSA_E] = OSSL_PKEY_PARAM_RSA_E,
	[RSA_D] = OSSL_PKEY_PARAM_RSA_D,
	[RSA_P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
	[RSA_Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,
	[RSA_DP] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
	[RSA_DQ] = OSSL_PKEY_PARAM_RSA_EXPONENT2,
	[RSA_QINV] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

// free_params zeroes what the builder copied, which OSSL_PARAM_free does not.
static void free_params(OSSL_PARAM *params) {
	for (OSSL_PARAM *p = params; p != NULL && p->key != NULL; p++)
		OPENSSL_cleanse(p->data, p->data_size);
	OSSL_PARAM_free(params);
}

// libcrypto_rsa_new makes a key of its numbers, big-endian and one after another.
unsigned long libcrypto_rsa_new(const unsigned char *numbers, const size_t *lengths, EVP_PKEY **key) {
	BIGNUM *bn[RSA_NUMBERS] = {NULL};
	OSSL_PARAM *params = NULL;
	EVP_PKEY_CTX *ctx = NULL;
	ERR_clear_error();
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	int ok = build != NULL;
	for (int i = 0; ok && i < RSA_NUMBERS; i++) {
		bn[i] = BN_bin2bn(numbers, (int)lengths[i], NULL);
		numbers += lengths[i];
		ok = bn[i] != NULL && OSSL_PARAM_BLD_push_BN(build, names[i], bn[i]);
	}
	ok = ok && (params = OSSL_PARAM_BLD_to_param(build)) != NULL
		&& (ctx = EVP_PKEY_CTX_new_from_name(library, "RSA", NULL)) != NULL
		&& EVP_PKEY_fromdata_init(ctx) > 0
		&& EVP_PKEY_fromdata(ctx, key, EVP_PKEY_KEYPAIR, params) > 0;
	EVP_PKEY_CTX_free(ctx);
	free_params(params);
	OSSL_PARAM_BLD_free(build);
	for (int i = 0; i < RSA_NUMBERS; i++)
		BN_clear_free(bn[i]);
	return outcome(ok);
}

// libcrypto_rsa_sign writes the PKCS #1 v1.5 signature of a SHA-256 digest, which has
// exactly sig_len octets. libcrypto blinds the operation, and with the Chinese
// remainder theorem it checks each result by the public exponent; if one is
// wrong, as a fault of the hardware makes it, it computes it anew without the
// theorem (rsa_ossl_mod_exp): no signature leaves that tells a factor.
unsigned long libcrypto_rsa_sign(EVP_PKEY *key, const unsigned char *digest, size_t digest_len, unsigned char *sig, size_t sig_len) {
	size_t len = sig_len;
	ERR_clear_error();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(library, key, NULL);
	int ok = ctx != NULL
		&& EVP_PKEY_sign_init(ctx) > 0
		&& EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0
		&& EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0
		&& EVP_PKEY_sign(ctx, sig, &len, digest, digest_len) > 0
		&& len == sig_len;
	EVP_PKEY_CTX_free(ctx);
	return outcome(ok);
}
