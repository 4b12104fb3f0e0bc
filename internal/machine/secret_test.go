package machine

import "testing"

func TestSecret(t *testing.T) {
	for _, tt := range []struct {
		of, token string
		want      bool
	}{{"a", "a", true}, {"a", "b", false}, {"a", "", false}, {"", "", true}, {"", "a", false}} {
		if got := SecretOf(tt.of).Is(tt.token); got != tt.want {
			t.Errorf("the secret of %q is that of %q: %t", tt.of, tt.token, got)
		}
	}
	if SecretOf("") != (Secret{}) || SecretOf("a") == (Secret{}) {
		t.Error("no token has a secret, or one has none")
	}
}
