package machine

import (
	"net/netip"
	"time"

	"nightporter/internal/ether"
)

// Event is what happened to a machine, or what is requested of it.
type Event interface{ event() }

// The events.
type (
	// Registered: the machine registered before it sleeps. With Here it stays up and
	// registered only to be monitored. Places has the places of its addresses; an
	// address without an entry can be claimed.
	Registered struct {
		Spec   Spec
		Here   bool
		Places []Place

		Repeated bool // it changes nothing and comes often: it is not reported
	}

	// Configured: these are the settings of the machine in the configuration.
	Configured struct {
		Agentless bool // it is watched without a registration
		Unwatched bool // it is not watched while it is awake
		Permanent bool // it is never forgotten
	}

	// SpecChanged: the configuration changed the Spec of the machine, which has not
	// registered. The state stays. Placed has to follow for new addresses.
	SpecChanged struct{ Spec Spec }

	// Renamed: the machine gets this name, because another machine has its present one.
	Renamed struct{ Name string }

	// Placed: these addresses can be claimed now, or cannot for a reason.
	Placed struct{ Places []Place }

	// Heard: a frame came from the machine's MAC that answers no probe. Addr is the
	// address that the frame states as the machine's, or invalid: boot firmware uses
	// DHCP with the same MAC. A frame proves nothing.
	Heard struct {
		Addr netip.Addr
		Sign Sign
	}

	// Answered: an answer to a probe of Addr came, or a frame in the form of one.
	Answered struct {
		Addr  netip.Addr
		Proof Proof
	}

	// Visited: traffic came for an address of a machine that may be up (see
	// Observe.Doubtful).
	Visited struct{}

	// ProbeFailed: the porter could not send the last probe. That no answer comes
	// proves nothing.
	ProbeFailed struct{}

	// ReceptionLost: the porter received nothing for a while, because it has just
	// started or its interface was down. Before Until, the silence of an awake machine
	// proves nothing. A sleeping machine is probed.
	ReceptionLost struct{ Until time.Time }

	// Knocked: a packet came that may wake the machine.
	Knocked struct {
		Service Service
		Source  netip.AddrPort // port 0 for an echo request
	}

	// WakeRequested: a user or a program requested a wake. A Test waits for all TCP
	// services of the machine, and counts neither as a wake nor as a failure.
	WakeRequested struct {
		Trigger Trigger
		By      string
		Test    bool
	}

	// PauseRequested: a pause of the machine was requested.
	PauseRequested struct {
		Until time.Time
		By    string
	}

	// ResumeRequested: the end of the pause before its time was requested.
	ResumeRequested struct{ By string }

	// Ticked: the time of Machine.Next has come. An early Ticked does nothing. Pace is
	// the least time between two probes of one machine while many are awaited.
	Ticked struct{ Pace time.Duration }

	// ServicesReady answers a CheckServices: these services accept clients. With All, no
	// client waits for any other service.
	ServicesReady struct {
		Services []Service
		All      bool
	}

	// Conflicted: another host uses one of the machine's addresses
	// (RFC 5227 section 2.4).
	Conflicted struct {
		Addr netip.Addr
		By   ether.MAC
	}

	// Contested: another host tests one of the machine's addresses, which was not
	// defended (see Observe).
	Contested struct {
		Addr netip.Addr
		By   ether.MAC
	}

	// RecheckFailed: a Recheck could not be sent. That no answer comes proves nothing.
	RecheckFailed struct{ Addr netip.Addr }

	// PolicyChanged: these are the new settings. The state stays.
	PolicyChanged struct{ Policy Policy }

	// Stopped: the porter ends, and all claims with it. With Wake, a sleeping machine
	// gets a last magic packet.
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
	ByNeighbor Proof = iota // ARP reply or solicited advertisement: a network card with ARP offload sends it while its machine sleeps
	ByEcho                  // echo reply: management firmware sends it too
	BySystem                // TCP from a service: only an operating system sends it
)

// Place is whether an address can be claimed at present.
type Place struct {
	Addr      netip.Addr
	Reason    string // why the address cannot be claimed; empty: it can
	Forbidden bool   // the address must not be claimed, so a claim ends at once
	Unproved  bool   // the machine must have answered for the address before it is claimed
}
