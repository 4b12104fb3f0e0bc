package lan

import "golang.org/x/net/bpf"

const (
	wholeFrame = 0x40000 // octets of the frame to deliver: more than any frame has

	// Up to about this number a linear search is faster than another step of the binary
	// search.
	leafKeys = 16

	// The largest conditional jump of a classic BPF instruction.
	maxBranch = 255

	// The kernel sign-extends the constant of a comparison, and needs a second
	// instruction to undo that for keys with the top bit set. Without that bit a key
	// takes half the kernel memory, of which some kernels allow a socket only 20 KiB,
	// and few additional addresses match.
	keyMask = 0x7fffffff
)

// assembler collects the instructions of a program.
type assembler struct {
	code []bpf.Instruction
}

func (a *assembler) emit(ins ...bpf.Instruction) { a.code = append(a.code, ins...) }

// accept and drop end the program.
func (a *assembler) accept() { a.emit(bpf.RetConstant{Val: wholeFrame}) }
func (a *assembler) drop()   { a.emit(bpf.RetConstant{Val: 0}) }

// jump emits a jump whose target land sets.
func (a *assembler) jump() int {
	a.emit(bpf.Jump{})
	return len(a.code) - 1
}

// land sets the target of the jumps to the next instruction.
func (a *assembler) land(jumps ...int) {
	for _, at := range jumps {
		a.code[at] = bpf.Jump{Skip: uint32(len(a.code) - at - 1)}
	}
}

// search accepts the frame if the masked register A is one of keys, which are sorted and
// without duplicates. Otherwise the program continues.
func (a *assembler) search(keys []uint32) {
	if len(keys) == 0 {
		return
	}
	var misses []int
	a.subtree(keys, &misses)
	a.land(misses...)
}

// subtree searches keys by halves, cut so that every leaf but one is full, and notes the
// jumps for a key that is absent.
func (a *assembler) subtree(keys []uint32, misses *[]int) {
	if len(keys) <= leafKeys {
		a.leaf(keys, misses)
		return
	}
	leaves := (len(keys) + leafKeys - 1) / leafKeys
	cut := leaves / 2 * leafKeys
	left := assembler{}
	var leftMisses []int
	left.subtree(keys[:cut], &leftMisses)
	if n := len(left.code); n <= maxBranch {
		a.emit(bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: keys[cut], SkipTrue: uint8(n)})
	} else {
		a.emit(
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: keys[cut], SkipFalse: 1},
			bpf.Jump{Skip: uint32(n)},
		)
	}
	base := len(a.code)
	a.emit(left.code...)
	for _, at := range leftMisses {
		*misses = append(*misses, base+at)
	}
	a.subtree(keys[cut:], misses)
}

// leaf compares the keys one by one, and has its own accept within reach of the jumps.
func (a *assembler) leaf(keys []uint32, misses *[]int) {
	for i, key := range keys {
		a.emit(bpf.JumpIf{Cond: bpf.JumpEqual, Val: key, SkipTrue: uint8(len(keys) - i)})
	}
	*misses = append(*misses, a.jump())
	a.accept()
}
