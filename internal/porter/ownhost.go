package porter

import (
	"context"
	"log/slog"
	"net/netip"

	"golang.org/x/time/rate"

	"nightporter/internal/config"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

const (
	// ownHostRoom is how many packets of our own host may wait for the loop, and
	// ownHostRate how many of them are looked at in a second.
	ownHostQueue = 64
	ownHostRate  = 50
)

// ownHost sees what programs of our own host want of machines where they do not wake
// them (wake.local: false), so that this can be told. Nothing of it is held.
//
// Our kernel owns claimed addresses in bind mode, and sends to them over lo. Otherwise
// it finds no neighbour there: it asks by ARP or neighbour discovery, and no packet of
// the program ever leaves.
type ownHost struct {
	log        *slog.Logger
	limit      *rate.Limiter
	packets    chan localPacket
	unresolved *lan.Unresolved
	loopback   *lan.Loopback
}

// wanted is what a program of our own host wants.
type localPacket struct {
	index int // of the interface where the kernel looked for the address; 0: it owns it
	machine.Service
}

func newOwnHost(log *slog.Logger) ownHost {
	return ownHost{log: log, limit: rate.NewLimiter(ownHostRate, ownHostQueue), packets: make(chan localPacket, ownHostQueue)}
}

// open begins to look, where programs of our host do not wake.
func (o *ownHost) open(conf *config.Config) {
	var err error
	switch {
	case conf.Wake.Local:
	case conf.Claim.Mode == config.ModeBind:
		o.loopback, err = lan.OpenLoopback(o.log)
	default:
		o.unresolved, err = lan.WatchUnresolved(o.log)
	}
	if err != nil {
		o.log.Warn("what programs of this host want of sleeping machines cannot be told", "event", "own_host_unseen", "err", err)
	}
}

func (o *ownHost) close() {
	if o.unresolved != nil {
		o.unresolved.Close()
	}
	if o.loopback != nil {
		o.loopback.Close()
	}
}

// run looks until ctx ends.
func (o *ownHost) run(ctx context.Context) {
	switch {
	case o.unresolved != nil:
		o.unresolved.Run(ctx, func(index int, ip netip.Addr) {
			o.report(localPacket{index: index, Service: machine.Service{Addr: ip}})
		})
	case o.loopback != nil:
		if err := o.loopback.Run(ctx, o.handleLoopback); err != nil {
			o.log.Warn("what programs of this host want of sleeping machines cannot be told", "event", "own_host_unseen", "err", err)
		}
	}
}

// looped takes a packet that our host sends to an address that its kernel owns.
func (o *ownHost) handleLoopback(p *lan.Packet) {
	w := localPacket{Service: machine.Service{Addr: p.To}}
	switch {
	case p.SYN():
		w.Port = machine.Port{Protocol: machine.TCP, Number: p.ToPort}
	case p.Kind == lan.UDP:
		w.Port = machine.Port{Protocol: machine.UDP, Number: p.ToPort}
	case p.Kind == lan.EchoRequest:
		w.Port = machine.Port{Protocol: machine.ICMP}
	default:
		return
	}
	o.report(w)
}

// noteWant passes on what is wanted, as far as there is room.
func (o *ownHost) report(w localPacket) {
	if !o.limit.Allow() {
		return
	}
	select {
	case o.packets <- w:
	default:
	}
}

// follow has it look at packets for the addresses of machines that may sleep.
func (o *ownHost) follow(nics []*nic) {
	if o.loopback == nil {
		return
	}
	var addrs []netip.Addr
	for _, n := range nics {
		addrs = append(addrs, n.reader.View().Interest(nil).Sent...)
	}
	if err := o.loopback.SetAddrs(addrs); err != nil {
		o.log.Warn("cannot set the kernel filter", "event", "filter_failed", "interface", o.loopback.Name(), "err", err)
	}
}
