package lan

import "golang.org/x/net/bpf"

// What the black-box tests have to see of the inside.
var (
	IsWireless = isWireless
	Prologue   = prologue
)

// Body returns the part of the kernel filter that a VM can run.
func (in Interest) Body(limit int) ([]bpf.Instruction, bool) { return in.body(limit) }

// Program returns the whole kernel filter.
func (in Interest) Program() ([]bpf.RawInstruction, error) { return in.program() }

// GroupSockets returns how many sockets the group memberships take.
func (i *Interface) GroupSockets() int {
	i.groups.mu.Lock()
	defer i.groups.mu.Unlock()
	return len(i.groups.sockets)
}
