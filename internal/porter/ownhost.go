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
	// ownHostQueue is how many packets of our own host may wait for the loop, and
	// ownHostRate how many are handled in a second.
	ownHostQueue = 64
	ownHostRate  = 50
)

// ownHost reports packets of our own host's programs to sleeping machines while they do not
// wake (wake.local: false). It holds none of them.
//
// In bind mode our kernel owns claimed addresses and sends to them over lo. Otherwise it
// gets no answer to its ARP request or neighbor solicitation, and no packet of the program
// leaves the host.
type ownHost struct {
	log        *slog.Logger
	limit      *rate.Limiter
	packets    chan localPacket
	unresolved *lan.Unresolved
	loopback   *lan.Loopback
}

// localPacket is what a program of our own host sent.
type localPacket struct {
	index int // of the interface on which the kernel resolved the address; 0: it owns the address
	machine.Service
}

func newOwnHost(log *slog.Logger) ownHost {
	return ownHost{log: log, limit: rate.NewLimiter(ownHostRate, ownHostQueue), packets: make(chan localPacket, ownHostQueue)}
}

// open opens the sockets, unless programs of our host wake machines.
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
		o.log.Warn("packets of this host's programs to sleeping machines cannot be reported", "event", "own_host_unseen", "err", err)
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

// run reads packets until ctx ends.
func (o *ownHost) run(ctx context.Context) {
	switch {
	case o.unresolved != nil:
		o.unresolved.Run(ctx, func(index int, ip netip.Addr) {
			o.report(localPacket{index: index, Service: machine.Service{Addr: ip}})
		})
	case o.loopback != nil:
		if err := o.loopback.Run(ctx, o.handleLoopback); err != nil {
			o.log.Warn("packets of this host's programs to sleeping machines cannot be reported", "event", "own_host_unseen", "err", err)
		}
	}
}

// handleLoopback handles a packet of our host to an address that its kernel owns.
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

// report queues a packet for the loop, within the rate and the queue's length.
func (o *ownHost) report(w localPacket) {
	if !o.limit.Allow() {
		return
	}
	select {
	case o.packets <- w:
	default:
	}
}

// follow sets the kernel filter to the addresses of machines that may sleep.
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
