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
	// Claim: answer ARP and NDP for the addresses with our own MAC, and announce
	// that AnnounceAfter from now. Quiet has nothing announced, and stops what is: the
	// machine may be about to test the addresses, and would fail for it.
	Claim struct {
		Addrs         []netip.Addr
		AnnounceAfter time.Duration
		Quiet         bool
	}

	// Yield: stop answering for the addresses and stop announcing them. Packets
	// for them are still handled.
	Yield struct{ Addrs []netip.Addr }

	// Release: the claim on the addresses is over. Clients may still send to us.
	Release struct{ Addrs []netip.Addr }

	// EndClaim: stop forwarding packets for the addresses and end the guard. It is
	// the last step of a claim.
	EndClaim struct{ Addrs []netip.Addr }

	// Announce: announce the addresses at the machine's own MAC,
	// several times (see AnnouncedFor).
	Announce struct{ Addrs []netip.Addr }

	// StopAnnouncing: stop announcing the addresses: the machine tests them, or is about to.
	StopAnnouncing struct{ Addrs []netip.Addr }

	// Probe: send unicast requests for the addresses to the machine's MAC. With
	// Broadcast also broadcast them, to find another user of an address before it is
	// claimed (RFC 5227 section 2.1). With System ask for what only an operating
	// system answers as well. If nothing could be sent the answer is ProbeFailed.
	Probe struct {
		Addrs     []netip.Addr
		Broadcast bool
		System    bool
	}

	// Recheck: broadcast a request for an address that will be claimed while the
	// machine sleeps. An answer is Conflicted; RecheckFailed if it cannot be sent.
	Recheck struct{ Addr netip.Addr }

	// SendMagic: send a magic packet, in the Attempt-th round of this wake.
	SendMagic struct {
		Attempt  int
		Again    bool // not the first of its round
		Repeated bool // the machine did not wake before: not worth an event
	}

	// CheckServices: check when the services can take their clients, and report that
	// with ServicesReady. A later one replaces it.
	CheckServices struct{ Services []Service }

	// AdmitClients: replay the held packets for the services, and forward later ones.
	AdmitClients struct{ Services []Service }

	// Hold: do this with packets for the machine from now on.
	Hold struct{ Mode HoldMode }

	// DropPackets: drop all held packets.
	DropPackets struct{}

	// Observe: this is what the readers have to look out for from now on.
	Observe struct {
		Attention  Attention
		IgnoreBare bool // ignore answers that a network card can give
		Undefended bool // do not defend an address that another host tests
		Doubtful   bool // it may be up: report traffic for it with Visited
	}

	// FilterKnocks: whether a knock would be the first reason to wake the machine,
	// and since when it sleeps.
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

	// WakeBegan: this is who woke it and why. Service and Source are set for
	// a knock, By for a wake that was requested. One that goes on after the
	// machine spoke is reported again, and not counted.
	WakeBegan struct {
		Trigger  Trigger
		Service  Service
		Source   netip.AddrPort
		By       string
		GoesOn   bool
		Repeated bool
		Test     bool // see WakeRequested
	}

	// MagicRequested: a wake was requested of a machine that is in State, in which it
	// gets one magic packet and nothing more.
	MagicRequested struct {
		Trigger Trigger
		By      string
		State   State
	}

	// KnockIgnored: a client knocked, and the machine did not wake too often to be woken
	// now.
	KnockIgnored struct {
		Service Service
		Source  netip.AddrPort
	}

	// WakeEnded: it is up. Boot is the time from the first magic packet to its
	// first proof of life, Ready that to the handover. An Unready one means that a
	// service with a waiting client was not there in time.
	WakeEnded struct {
		Boot, Ready time.Duration
		Unready     bool
		Test        bool
	}

	// LeftUnready: these services were not ready when the machine was handed over.
	LeftUnready struct{ Services []Service }

	// WakeFailed: so many rounds of magic packets brought nothing, and no client retries.
	WakeFailed struct {
		Trigger  Trigger
		Attempts int
		Repeated bool
		Test     bool
	}

	// ServiceReady: in a test the service takes clients so long after the first magic packet.
	ServiceReady struct {
		Service Service
		After   time.Duration
	}

	// ConflictSeen: the address is conceded to the other host.
	ConflictSeen struct {
		Addr       netip.Addr
		By         ether.MAC
		Undefended bool // the address was not defended, since the machine did not wake
	}

	// ConflictOver: no other host answers for the address any more. Its Claim
	// follows.
	ConflictOver struct{ Addr netip.Addr }

	// AddressWaits: an address of a registration cannot be claimed at present, or
	// can from now on where Reason is empty.
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

	// PauseEnded: by request of By, or because its time is over.
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

// The modes.
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
