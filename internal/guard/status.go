package guard

// Status says whether our own host's kernel is kept silent about claimed
// addresses, as the API shows it.
type Status struct {
	Mode   string `json:"mode"` // claim.guard
	Active bool   `json:"active"`
	Reason string `json:"reason"` // why it is not active, and what that means
}
