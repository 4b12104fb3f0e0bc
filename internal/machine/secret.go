package machine

import (
	"crypto/sha256"
	"crypto/subtle"
)

// Secret is the hash of a token. The zero Secret is that of no token.
type Secret [sha256.Size]byte

// SecretOf returns the secret of a token, and the zero one if that is empty.
func SecretOf(token string) Secret {
	if token == "" {
		return Secret{}
	}
	return sha256.Sum256([]byte(token))
}

// Is reports whether the secret is that of a token, in constant time. Hashes are
// compared, so that the time does not show the length of the token.
func (s Secret) Is(token string) bool {
	other := SecretOf(token)
	return subtle.ConstantTimeCompare(s[:], other[:]) == 1
}
