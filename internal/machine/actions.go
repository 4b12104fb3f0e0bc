package machine

import (
	"net/netip"
	"time"

	"nightporter/internal/ether"
)

// Action is what the porter has to do or to report.
type Action interface{ action() }

// Actions to execute.
type (
	// Claim: answer ARP and NDP for the addresses with the porter's MAC, and announce
	// them AnnounceAfter from now. With Quiet do not announce them, and stop present
	// announcements: they would fail a test of the addresses by the machine.
	Claim struct {
		Addrs         []netip.Addr
		AnnounceAfter time.Duration
		Quiet         bool
	}

	// Yield: stop answering for the addresses and stop announcing them. Packets
	// for them are still handled.
	Yield struct{ Addrs []netip.Addr }

	// Release: end the claim of the addresses. Clients may still send to the porter.
	Release struct{ Addrs []netip.Addr }

	// EndClaim: stop forwarding packets for the addresses and end the guard. It is
	// the last step of a claim.
	EndClaim struct{ Addrs []netip.Addr }

	// Announce: announce the addresses at the machine's own MAC, several times (see
	// AnnouncedFor).
	Announce struct{ Addrs []netip.Addr }

	// StopAnnouncing: stop announcing the addresses. The machine tests them, or may
	// test them soon.
	StopAnnouncing struct{ Addrs []netip.Addr }

	// Probe: send unicast requests for the addresses to the machine's MAC. With
	// Broadcast also broadcast them, to find another user of an address before it is
	// claimed (RFC 5227 section 2.1). With System also send requests that only an
	// operating system answers. If nothing can be sent, the answer is ProbeFailed.
	Probe struct {
		Addrs     []netip.Addr
		Broadcast bool
		System    bool
	}

	// Recheck: broadcast a request for an address that will be claimed while the
	// machine sleeps. The answer of a host is Conflicted. If the request cannot be
	// sent, the answer is RecheckFailed.
	Recheck struct{ Addr netip.Addr }

	// SendMagic: send a magic packet of round Attempt of this wake.
	SendMagic struct {
		Attempt  int
		Again    bool // not the first of its round
		Repeated bool // the wake before failed: it is not reported
	}

	// CheckServices: check when the services accept clients, and answer with
	// ServicesReady. It replaces an earlier CheckServices.
	CheckServices struct{ Services []Service }

	// AdmitClients: replay the held packets for the services, and forward later ones.
	AdmitClients struct{ Services []Service }

	// Hold: handle packets for the machine in this mode from now on.
	Hold struct{ Mode HoldMode }

	// DropPackets: drop all held packets.
	DropPackets struct{}

	// Observe: observe the machine like this from now on.
	Observe struct {
		Attention  Attention
		IgnoreBare bool // ignore answers that a network card can give
		Undefended bool // do not defend an address that another host tests
		Doubtful   bool // the machine may be up: report traffic for it with Visited
	}

	// FilterKnocks: filter knocks if AtRest. See Machine.AtRest for both values.
	FilterKnocks struct {
		AsleepSince time.Time
		AtRest      bool
	}

	// Persist: store the machine's Memory. It is the last action of an event.
	Persist struct{}

	// Forget: remove the machine.
	Forget struct{ Reason string }
)

// Actions that report an event.
type (
	// Moved: the machine went from one state to another.
	Moved struct {
		From, To State
		Why      Reason
		After    time.Duration // spent in From
		Repeated bool          // the same was reported within the hour
	}

	// WakeBegan: a wake began. Service and Source are set for a knock, By for a
	// requested wake. With GoesOn the wake had begun before: it continues after a frame
	// of the machine, and is not counted again.
	WakeBegan struct {
		Trigger  Trigger
		Service  Service
		Source   netip.AddrPort
		By       string
		GoesOn   bool
		Repeated bool
		Test     bool // see WakeRequested
	}

	// MagicRequested: a wake was requested in State, in which the machine gets only one
	// magic packet.
	MagicRequested struct {
		Trigger Trigger
		By      string
		State   State
	}

	// KnockIgnored: a client knocked, and the machine is not woken because its last
	// wakes failed.
	KnockIgnored struct {
		Service Service
		Source  netip.AddrPort
	}

	// WakeEnded: the machine is up. Boot is the time from the first magic packet to the
	// first proof of life, Ready the time to the handover. Unready means that a service
	// with a waiting client was not ready in time.
	WakeEnded struct {
		Boot, Ready time.Duration
		Unready     bool
		Test        bool
	}

	// LeftUnready: these services were not ready when the machine was handed over.
	LeftUnready struct{ Services []Service }

	// WakeFailed: the machine did not wake after Attempts rounds of magic packets.
	WakeFailed struct {
		Trigger  Trigger
		Attempts int
		Repeated bool
		Test     bool
	}

	// ServiceReady: in a test, the service was ready After the first magic packet.
	ServiceReady struct {
		Service Service
		After   time.Duration
	}

	// ConflictSeen: the address is conceded to the other host.
	ConflictSeen struct {
		Addr       netip.Addr
		By         ether.MAC
		Undefended bool // the address was not defended, because the machine did not wake
	}

	// ConflictOver: no other host answers for the address any more. Claim follows.
	ConflictOver struct{ Addr netip.Addr }

	// AddressWaits: an address of a registration cannot be claimed at present, or, if
	// Reason is empty, can be claimed from now on.
	AddressWaits struct {
		Addr   netip.Addr
		Reason string
	}

	// WatchBegan: the machine registered to be monitored while it is awake.
	WatchBegan struct{}

	// PauseBegan: the machine is paused from now on.
	PauseBegan struct {
		Until time.Time
		By    string
	}

	// PauseEnded: the pause ended by request of By, or because its time is over.
	PauseEnded struct{ By string }

	// Deferred: the machine registered during a pause, and is handled after it.
	Deferred struct{ Until time.Time }

	// Elsewhere: the machine is up, and answers for Addr instead of its own.
	Elsewhere struct{ Addr netip.Addr }
)

func (Claim) action()          {}
func (Yield) action()          {}
func (Release) action()        {}
func (EndClaim) action()       {}
func (Announce) action()       {}
func (StopAnnouncing) action() {}
func (Probe) action()          {}
func (Recheck) action()        {}
func (SendMagic) action()      {}
func (CheckServices) action()  {}
func (AdmitClients) action()   {}
func (Hold) action()           {}
func (DropPackets) action()    {}
func (Observe) action()        {}
func (FilterKnocks) action()   {}
func (Persist) action()        {}
func (Forget) action()         {}
func (Moved) action()          {}
func (WakeBegan) action()      {}
func (MagicRequested) action() {}
func (KnockIgnored) action()   {}
func (WakeEnded) action()      {}
func (LeftUnready) action()    {}
func (WakeFailed) action()     {}
func (ConflictSeen) action()   {}
func (ConflictOver) action()   {}
func (AddressWaits) action()   {}
func (WatchBegan) action()     {}
func (Elsewhere) action()      {}
func (ServiceReady) action()   {}
func (PauseBegan) action()     {}
func (PauseEnded) action()     {}
func (Deferred) action()       {}

// HoldMode is what is done with packets for a machine.
type HoldMode uint8

// The modes of holding.
const (
	Ignore      HoldMode = iota // not for the porter: the machine has its addresses
	HoldAll                     // hold knocks
	HoldUnready                 // hold knocks at services that are not ready, forward the rest
	AdmitAll                    // replay held packets, forward the rest, and correct the clients' neighbor caches
)

// Attention is how closely the readers observe a machine.
type Attention uint8

// The degrees of attention.
const (
	ObserveNothing  Attention = iota
	ObserveNeighbor           // its ARP and neighbor discovery, and packets for it that still come to the porter
	ObserveAll                // all frames from it and to it
)

// Reason is why a machine changed its state, as text for the log.
type Reason string

// The reasons.
const (
	WhyRegistered   Reason = "registered"
	WhySilent       Reason = "fell silent"
	WhyUnanswered   Reason = "stopped answering"
	WhyStillUp      Reason = "still up"
	WhyNeverSilent  Reason = "did not fall silent within probe.timeout"
	WhyOnlyNIC      Reason = "only the network card or management firmware answers"
	WhySpoke        Reason = "sent a frame while asleep"
	WhyStarted      Reason = "started externally"
	WhyElsewhere    Reason = "up at another address"
	WhyKnock        Reason = "knock"
	WhyRequested    Reason = "wake requested"
	WhyArrived      Reason = "up"
	WhyFirmware     Reason = "silent again (boot firmware only)"
	WhyReady        Reason = "ready"
	WhyNotReady     Reason = "handed over unready after hold.ready_timeout"
	WhyFlap         Reason = "went off again soon after it was up"
	WhyAttemptsGone Reason = "wake attempts used up"
	WhyPaused       Reason = "paused"
)
