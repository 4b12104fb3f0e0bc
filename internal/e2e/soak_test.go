package e2e

import "flag"

var soakFlag = flag.Bool("soak", false, "fault tests at full size; see `make soak`")

// soak returns how much of a fault a test makes: small in an ordinary run, full
// with -soak.
func soak(small, full int) int {
	if *soakFlag {
		return full
	}
	return small
}
