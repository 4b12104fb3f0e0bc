package lan

import (
	"net/netip"

	"golang.org/x/net/bpf"
)

// What the black-box tests have to see of the inside.
var IsWireless = isWireless

// Body returns the part of the kernel filter that a VM can run.
func (in Interest) Body(limit int) ([]bpf.Instruction, bool) { return in.sets().body(limit) }

// Prologue returns the part that it cannot run.
func Prologue() []bpf.Instruction { return new(sets).prologue() }

// Program returns the whole kernel filter.
func (in Interest) Program() ([]bpf.RawInstruction, error) {
	program, _, err := in.sets().program(maxInstructions)
	return program, err
}

// GroupSockets returns how many sockets the group memberships take.
func (i *Interface) GroupSockets() int {
	i.groups.mu.Lock()
	defer i.groups.mu.Unlock()
	return len(i.groups.sockets)
}

// OutgoingBody is Body for what the host itself sends to addrs.
func OutgoingBody(addrs []netip.Addr, limit int) ([]bpf.Instruction, bool) {
	return outgoingTo(addrs).body(limit)
}

// CountDrops counts n frames as dropped by links before l.
func (l *Link) CountDrops(n uint64) { l.drops += n }
