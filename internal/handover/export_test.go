package handover

// MemoryOf is what a frame of so many bytes takes of a budget.
func MemoryOf(frameLen int) int64 { return memoryOf(frameLen) }
