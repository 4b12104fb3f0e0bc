package machine

import (
	"net/netip"
	"time"
)

// Action is something the porter has to do, or to tell.
type Action interface{ action() }

// What has to be done.
type (
	// Claim: answer ARP and NDP for the addresses with our own MAC, and
	// announce that, beside what is claimed for the machine already.
	Claim struct {
		Addrs  []netip.Addr
		Unsaid time.Duration // how long to wait with the first announcement
	}

	// Yield: stop answering for the machine, it speaks for itself; go on
	// listening for those who still send to us.
	Yield struct{}

	// Release: the claim on the addresses is gone. Some clients may not have
	// heard of it yet.
	Release struct{ Addrs []netip.Addr }

	// Part: whatever still comes to us for the addresses is none of our
	// business any more. It ends what began with Claim.
	Part struct{ Addrs []netip.Addr }

	// Announce: tell the LAN that the addresses are at the machine's own MAC,
	// several times (see AnnouncedFor).
	Announce struct{ Addrs []netip.Addr }

	// Hush: stop telling anything about the addresses, their machine tests them,
	// or may be about to.
	Hush struct{ Addrs []netip.Addr }

	// Probe: ask the machine's own MAC whether it is there; with Broadcast
	// also ask everybody, to find another user of the address before it is
	// claimed (RFC 5227 section 2.1).
	Probe struct {
		Addrs     []netip.Addr
		Broadcast bool
	}

	// Ask: ask everybody for an address that was left to another host, unless it
	// is known to be in use. Whoever answers is told with Conflicted; if the
	// question cannot be asked, that is told with Unasked.
	Ask struct{ Addr netip.Addr }

	// SendMagic: send a magic packet, the Attempt-th of this wake.
	SendMagic struct{ Attempt int }

	// HandOver: watch until the services can take their clients, and answer
	// with ServicesReady; let clients in as soon as theirs can. A later one
	// replaces it.
	HandOver struct{ Services []Service }

	// Forget: drop the machine.
	Forget struct{}
)

// What has to be told.
type (
	// Moved: the machine went from one state to another.
	Moved struct {
		From, To State
		Why      Reason
		After    time.Duration // spent in From
	}

	// WakeBegan: this is who woke it and why. Service and Source are set for
	// a knock, By for a wake that was asked for. One that goes on after it was
	// put off, because the machine spoke, is told again, and not counted.
	WakeBegan struct {
		Trigger Trigger
		Service Service
		Source  netip.AddrPort
		By      string
		GoesOn  bool
	}

	// WakeEnded: it is up. Boot is the time from the first magic packet to
	// its first frame, Ready that to the hand-over. An Unready one means that
	// somebody's service was not there in time.
	WakeEnded struct {
		Boot, Ready time.Duration
		Unready     bool
	}

	// WakeFailed: the last attempt brought nothing.
	WakeFailed struct {
		Trigger  Trigger
		Attempts int
	}

	// ConflictSeen: the address is left to the other host.
	ConflictSeen struct {
		Addr netip.Addr
		By   MAC
	}

	// ConflictOver: nobody answers for an address that was left to another host.
	// Its Claim follows.
	ConflictOver struct{ Addr netip.Addr }
)

func (Claim) action()        {}
func (Yield) action()        {}
func (Release) action()      {}
func (Part) action()         {}
func (Announce) action()     {}
func (Hush) action()         {}
func (Probe) action()        {}
func (Ask) action()          {}
func (SendMagic) action()    {}
func (HandOver) action()     {}
func (Forget) action()       {}
func (Moved) action()        {}
func (WakeBegan) action()    {}
func (WakeEnded) action()    {}
func (WakeFailed) action()   {}
func (ConflictSeen) action() {}
func (ConflictOver) action() {}

// Reason is why a machine changed its state, in words for the log.
type Reason string

// The reasons.
const (
	WhyRegistered   Reason = "registered"
	WhySilent       Reason = "fell silent"
	WhyUnanswered   Reason = "answers no more"
	WhyThere        Reason = "is there after all"
	WhySilentAgain  Reason = "fell silent, though it seemed to have started"
	WhyNeverSilent  Reason = "did not fall silent within probe.timeout"
	WhyOnlyCard     Reason = "only its network card answers"
	WhySpoke        Reason = "spoke in its sleep"
	WhyStarted      Reason = "started without us"
	WhyKnock        Reason = "knock"
	WhyAsked        Reason = "wake asked for"
	WhyArrived      Reason = "spoke for its address"
	WhyFirmware     Reason = "silent again, that was firmware"
	WhyReady        Reason = "ready"
	WhyNotReady     Reason = "handed over unready after hold.ready_timeout"
	WhyAttemptsGone Reason = "wake attempts used up"
)
