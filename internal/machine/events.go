package machine

import (
	"net/netip"
	"time"

	"nightporter/internal/ether"
)

// Event is what happened to a machine, or what is requested of it.
type Event interface{ event() }

// The events of a machine's life.
type (
	// Registered says that the machine is about to sleep, and what shall wake it.
	// With Here the machine is up and asks only to be monitored. Places holds what
	// is known of its addresses; an address without an entry can be claimed.
	Registered struct {
		Spec   Spec
		Here   bool
		Places []Place

		Repeated bool // it changes nothing and comes often: not worth an event
	}

	// Configured brings what the configuration says of the machine.
	Configured struct {
		Agentless bool // it need not register to be watched
		Unwatched bool // it is not watched while it is awake
		Permanent bool // it is never forgotten
	}

	// SpecChanged brings another description of the machine, which the configuration
	// gives it: it has not registered. It moves nothing by itself. Placed has to follow
	// for addresses that are new.
	SpecChanged struct{ Spec Spec }

	// Renamed gives the machine another name: its own belongs to another one.
	Renamed struct{ Name string }

	// Placed says which addresses can be claimed now, and why others cannot.
	Placed struct{ Places []Place }

	// Heard is a frame from the machine's MAC that answers no probe.
	// Addr is the address that it names as its own, and invalid if there is none:
	// boot firmware uses DHCP with the same MAC. A frame proves nothing.
	Heard struct {
		Addr netip.Addr
		Sign Sign
	}

	// Answered is an answer to a probe of Addr, or a frame that has
	// the form of one.
	Answered struct {
		Addr  netip.Addr
		Proof Proof
	}

	// Visited says that traffic came for an address whose machine may be up after all
	// (see Observe.Doubtful).
	Visited struct{}

	// ProbeFailed says that the last probe could not be sent for a reason of
	// our own: its silence says nothing about the machine.
	ProbeFailed struct{}

	// ReceptionLost says that the porter heard nothing for a while, because it has just
	// started or its interface was out. Until then the silence of a machine that
	// was awake proves nothing. A sleeping machine is probed.
	ReceptionLost struct{ Until time.Time }

	// Knocked is a packet that may wake the machine.
	Knocked struct {
		Service Service
		Source  netip.AddrPort // port 0 for an echo request
	}

	// WakeRequested is a request of a user or a program to wake the machine. A Test waits
	// for all TCP services of the machine, and counts neither as a wake nor as a failure.
	WakeRequested struct {
		Trigger Trigger
		By      string
		Test    bool
	}

	// PauseRequested is a request to pause the machine.
	PauseRequested struct {
		Until time.Time
		By    string
	}

	// ResumeRequested is a request to end a pause before its time.
	ResumeRequested struct{ By string }

	// Ticked is due at Machine.Next. An early one does nothing. While many
	// machines are awaited, Pace is the least time between two questions to one.
	Ticked struct{ Pace time.Duration }

	// ServicesReady answers a CheckServices: these services can take their clients.
	// With All none is left that a client waits for.
	ServicesReady struct {
		Services []Service
		All      bool
	}

	// Conflicted says that another host uses one of the machine's addresses
	// (RFC 5227 section 2.4).
	Conflicted struct {
		Addr netip.Addr
		By   ether.MAC
	}

	// Contested says that another host tests one of the machine's addresses, which
	// was not defended (see Observe).
	Contested struct {
		Addr netip.Addr
		By   ether.MAC
	}

	// RecheckFailed answers a Recheck that could not be sent: that no answer comes
	// says nothing.
	RecheckFailed struct{ Addr netip.Addr }

	// PolicyChanged brings new settings. It moves nothing by itself.
	PolicyChanged struct{ Policy Policy }

	// Stopped says that the porter ends: all claims end. With
	// Wake, a sleeping machine gets a last magic packet.
	Stopped struct{ Wake bool }
)

func (Registered) event()      {}
func (Configured) event()      {}
func (SpecChanged) event()     {}
func (Renamed) event()         {}
func (Placed) event()          {}
func (Heard) event()           {}
func (Answered) event()        {}
func (Visited) event()         {}
func (ProbeFailed) event()     {}
func (ReceptionLost) event()   {}
func (Knocked) event()         {}
func (WakeRequested) event()   {}
func (PauseRequested) event()  {}
func (ResumeRequested) event() {}
func (Ticked) event()          {}
func (ServicesReady) event()   {}
func (Conflicted) event()      {}
func (Contested) event()       {}
func (RecheckFailed) event()   {}
func (PolicyChanged) event()   {}
func (Stopped) event()         {}

// Sign is what an unsolicited frame shows.
type Sign uint8

// The signs.
const (
	Frame Sign = iota // ARP, IPv4 or IPv6 for none of its addresses
	Tests             // duplicate address detection (RFC 5227 section 2.1, RFC 4862 section 5.4)
	Uses              // ARP or neighbor discovery that uses the address
	Data              // an IP packet from the address
)

// Proof is how much an answer proves.
type Proof uint8

// The proofs, the weakest first.
const (
	ByNeighbor Proof = iota // ARP reply or solicited advertisement: a card with ARP offload sends it while its machine sleeps
	ByEcho                  // echo reply: management firmware sends it as well
	BySystem                // TCP from a service: only an operating system sends it
)

// Place says whether an address can be claimed at present.
type Place struct {
	Addr      netip.Addr
	Reason    string // why it cannot; empty: it can
	Forbidden bool   // it must not be claimed, so a claim ends at once
	Unproved  bool   // the machine must answer for it before it is claimed, unless it has already
}
