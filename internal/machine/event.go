package machine

import (
	"net/netip"
	"time"
)

// Event is something that happened to a machine, or that somebody wants of it.
type Event interface{ event() }

// The events of a machine's life.
type (
	// Registered says that the machine is about to sleep, and what it wants
	// to be woken for. It is welcome in every state.
	Registered struct{ Spec Spec }

	// Entrusted says whether we have to notice ourselves that the machine falls
	// silent (Spec.Agentless), now that we can see it. Without it an agentless
	// machine is not looked after.
	Entrusted struct{ Agentless bool }

	// Heard is a frame from the machine's MAC. Addr is the address it spoke
	// for (sender of an ARP packet, target of a duplicate address detection,
	// source of an IP packet), and invalid when it spoke for none of its own:
	// boot firmware asks for DHCP with the same MAC. InUse says that it uses
	// the address, rather than testing whether it may. Answer says that it was
	// nothing but an ARP reply or an advertisement for which somebody had asked:
	// a network card can send that while its machine sleeps.
	Heard struct {
		Addr   netip.Addr
		InUse  bool
		Answer bool
	}

	// Unprobed says that the last Probe, or Question, could not be sent for a
	// reason of our own: that nobody answers it says nothing about the machine.
	Unprobed struct{}

	// Knocked is a packet that may wake the machine.
	Knocked struct {
		Service Service
		Source  netip.AddrPort // port 0 for an echo request
	}

	// WakeAsked is a person, a program or the schedule wanting it awake.
	WakeAsked struct {
		Trigger Trigger
		By      string
	}

	// Ticked is due at Machine.Next. An early one does nothing. While many
	// machines are awaited, Pace is the least time between two questions to one.
	Ticked struct{ Pace time.Duration }

	// ServicesReady answers a HandOver: the knocked services can take their
	// clients.
	ServicesReady struct{}

	// Conflicted says that another host uses one of the machine's addresses
	// (RFC 5227 section 2.4).
	Conflicted struct {
		Addr netip.Addr
		By   MAC
	}

	// Unasked answers an Ask that could not be carried out: that nobody answers
	// says nothing.
	Unasked struct{ Addr netip.Addr }

	// PolicyChanged brings new settings. It moves nothing by itself.
	PolicyChanged struct{ Policy Policy }

	// Stopped says that the porter ends: nothing of ours may stay behind.
	// With Wake, a sleeping machine gets a last magic packet, because nobody
	// will be there to wake it.
	Stopped struct{ Wake bool }
)

func (Registered) event()    {}
func (Entrusted) event()     {}
func (Heard) event()         {}
func (Unprobed) event()      {}
func (Knocked) event()       {}
func (WakeAsked) event()     {}
func (Ticked) event()        {}
func (ServicesReady) event() {}
func (Conflicted) event()    {}
func (Unasked) event()       {}
func (PolicyChanged) event() {}
func (Stopped) event()       {}
