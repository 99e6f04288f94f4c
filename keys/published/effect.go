package published

// kind is what the effect of a finding depends on: some are worse in one form than
// in another.
type kind struct {
	code  Code
	level Level
}

// effects say what each kind of finding causes.
var effects = map[kind]string{
	{BadName, Problem}:        "Nobody can look the key up: every signature with it fails.",
	{LookupFailed, Problem}:   "Nothing is known of the record. Receivers who cannot look it up either defer the mail, or take it for unsigned.",
	{NoRecord, Problem}:       noKey,
	{Misplaced, Problem}:      noKey,
	{NotAKey, Problem}:        noKey,
	{OtherText, Warning}:      "Verifiers that take the first text at the name find no key, so that signatures fail now and then.",
	{SeveralRecords, Problem}: "Signatures pass at some receivers and fail at others, now and then.",
	{SplitRecord, Problem}:    unreadable,
	{Quotes, Problem}:         unreadable,
	{Backslashes, Problem}:    unreadable,
	{NotASCII, Problem}:       unreadable,
	{NoSemicolon, Problem}:    unreadable,
	{Syntax, Problem}:         unreadable,
	{NoVersion, Warning}:      "Verifiers that want the version take the key for none, and its signatures fail there.",
	{Version, Problem}:        "Verifiers discard the record (RFC 6376 §3.6.1): every signature with the key fails.",
	{Revoked, Problem}:        "Every signature with the key fails, also that of mail which is under way.",
	{NoKeyData, Problem}:      unreadable,
	{PEM, Problem}:            unreadable,
	{PrivateKey, Problem}:     "Everybody can sign as this domain now.",
	{Truncated, Problem}:      unreadable,
	{KeyData, Problem}:        unreadable,
	{KeySpaces, Warning}:      "Some verifiers cannot read the key, and its signatures fail there.",
	{KeyForm, Problem}:        unreadable,
	{KeyForm, Warning}:        "Verifiers that do not read this form fail every signature with the key.",
	{UnknownType, Problem}:    unreadable,
	{OtherType, Problem}:      otherKey,
	{OtherKey, Problem}:       otherKey,
	{ShortKey, Problem}:       "Verifiers refuse the key: every signature with it fails.",
	{ShortKey, Warning}:       "Whoever has many computers can find out the private key, and some receivers trust its signatures less.",
	{LongKey, Warning}:        "Verifiers need not take a key of this size (RFC 8301 §3.2): its signatures fail at those that do not.",
	{NoSHA256, Problem}:       "Every signature with the key fails: sha256 is the one hash that signatures use.",
	{NotForEmail, Problem}:    "Verifiers do not take the key for mail: every signature with it fails.",
	{Testing, Warning}:        "Receivers may treat the domain's mail as if it were not signed, when a signature fails and when it passes.",
	{Strict, Note}:            "Signatures whose i= names a subdomain fail.",
}

// What several kinds of findings cause.
const (
	noKey      = "Receivers find no key, and every signature with it fails: the mail counts as unsigned."
	unreadable = "Verifiers cannot read the key, and every signature with it fails."
	otherKey   = "Every signature of the private key fails."
)
