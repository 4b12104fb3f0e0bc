package handover

// CostOf is what a frame of so many octets takes of a budget.
func CostOf(octets int) int64 { return memoryOf(octets) }
