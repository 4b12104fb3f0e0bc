package claim

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"nightporter/internal/lan"
)

// Binder has the kernel own claimed addresses on one interface, for networks
// where frames to an address come through only if the interface has it. ARP and
// NDP are still the Responder's: the guard must hold an address before it is
// bound, and until it is unbound. It is not safe for concurrent use.
type Binder struct {
	// Add and Remove change the addresses of the interface. They take any
	// number, go on after an error, and leave what is as wanted already.
	Add    func(...netip.Addr) error
	Remove func(...netip.Addr) error
	// List returns the addresses that Add gave, in this run or another.
	List func() ([]netip.Addr, error)

	held map[netip.Addr]bool
}

// NewBinder returns a Binder for the interface whose index is told each time: one
// that is removed and made again has another.
func NewBinder(index func() int) *Binder {
	return &Binder{
		Add:    func(addrs ...netip.Addr) error { return lan.BindAddr(index(), addrs...) },
		Remove: func(addrs ...netip.Addr) error { return lan.UnbindAddr(index(), addrs...) },
		List:   func() ([]netip.Addr, error) { return lan.BoundAddrs(index()) },
	}
}

// Bind gives addresses to the interface. With an error they are kept in mind,
// and Check tries again.
func (b *Binder) Bind(addrs ...netip.Addr) error {
	if b.held == nil {
		b.held = make(map[netip.Addr]bool)
	}
	for _, ip := range addrs {
		b.held[ip] = true
	}
	return unlessEmpty(b.Add, addrs)
}

// Unbind takes addresses away, whether they are there or not. With an error
// Check tries again.
func (b *Binder) Unbind(addrs ...netip.Addr) error {
	for _, ip := range addrs {
		delete(b.held, ip)
	}
	return unlessEmpty(b.Remove, addrs)
}

// Clear takes away every address that was ever bound, also by a run that
// crashed.
func (b *Binder) Clear() error {
	clear(b.held)
	return b.Check()
}

// Check makes the interface have what it should. The kernel forgets IPv6
// addresses when the interface goes down, and a network manager may remove what
// it did not add.
func (b *Binder) Check() error {
	there, err := b.List()
	if err != nil {
		return err
	}
	lost := maps.Clone(b.held)
	var left []netip.Addr
	for _, ip := range there {
		delete(lost, ip)
		if !b.held[ip] {
			left = append(left, ip)
		}
	}
	return errors.Join(unlessEmpty(b.Remove, left), unlessEmpty(b.Add, slices.Collect(maps.Keys(lost))))
}

// some does nothing where there is nothing to do.
func unlessEmpty(do func(...netip.Addr) error, addrs []netip.Addr) error {
	if len(addrs) == 0 {
		return nil
	}
	return do(addrs...)
}
