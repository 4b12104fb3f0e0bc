package claim

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"nightporter/internal/lan"
)

// Binder adds claimed addresses to one interface, for networks that deliver frames to an
// address only if the interface has it. The Responder still answers ARP and NDP: the guard
// must hold an address before it is bound and until it is unbound. It is not safe for
// concurrent use.
type Binder struct {
	// Add and Remove change the addresses of the interface. They take any number of
	// addresses, continue after an error, and skip what needs no change.
	Add    func(...netip.Addr) error
	Remove func(...netip.Addr) error
	// List returns the addresses that Add added, in this run or an earlier one.
	List func() ([]netip.Addr, error)

	held map[netip.Addr]bool
}

// NewBinder returns a Binder for the interface with the index that the function returns: an
// interface that is removed and created again has a new index.
func NewBinder(index func() int) *Binder {
	return &Binder{
		Add:    func(addrs ...netip.Addr) error { return lan.BindAddr(index(), addrs...) },
		Remove: func(addrs ...netip.Addr) error { return lan.UnbindAddr(index(), addrs...) },
		List:   func() ([]netip.Addr, error) { return lan.BoundAddrs(index()) },
	}
}

// Bind adds addresses to the interface. After an error Check tries again.
func (b *Binder) Bind(addrs ...netip.Addr) error {
	if b.held == nil {
		b.held = make(map[netip.Addr]bool)
	}
	for _, ip := range addrs {
		b.held[ip] = true
	}
	return unlessEmpty(b.Add, addrs)
}

// Unbind removes addresses, whether they exist or not. After an error Check tries again.
func (b *Binder) Unbind(addrs ...netip.Addr) error {
	for _, ip := range addrs {
		delete(b.held, ip)
	}
	return unlessEmpty(b.Remove, addrs)
}

// Clear removes every bound address, also those of a crashed run.
func (b *Binder) Clear() error {
	clear(b.held)
	return b.Check()
}

// Check restores the bound addresses of the interface. The kernel drops IPv6 addresses when
// the interface goes down, and a network manager may remove addresses that it did not add.
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

// unlessEmpty calls do, unless there are no addresses.
func unlessEmpty(do func(...netip.Addr) error, addrs []netip.Addr) error {
	if len(addrs) == 0 {
		return nil
	}
	return do(addrs...)
}
