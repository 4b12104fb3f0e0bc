package web

import (
	"context"
	"time"

	"nightporter/internal/ether"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// Backend is what the pages show and do. Its methods are called from several
// goroutines at once. The error for a name that no machine has is
// machine.ErrUnknown, which may be wrapped to say more.
type Backend interface {
	// Machines returns every machine known at this moment, in any order.
	Machines() []machine.Status
	// WakeRules returns what the configuration says about which packets wake.
	WakeRules() machine.WakeRules
	// Wake begins to wake a machine, and returns before it is up. By tells who
	// asked, for the log.
	Wake(ctx context.Context, name, by string) error
	// TestWake is Wake for a wake that shows whether waking works. It does not count.
	TestWake(ctx context.Context, name, by string) error
	// WakeMAC sends a magic packet for a MAC that no machine has.
	WakeMAC(ctx context.Context, mac ether.MAC, by string) error
	// Pause leaves a machine alone until then: nothing is claimed, watched or woken.
	// Unpause ends that before its time.
	Pause(ctx context.Context, name string, until time.Time, by string) error
	Unpause(ctx context.Context, name, by string) error
	// Forget ends what is done for a machine and drops what is known of it.
	Forget(ctx context.Context, name, by string) error
	// Ready returns nil once claims are restored and sockets open, and before
	// that why not.
	Ready() error
	// Events returns what happened and is not forgotten yet, oldest first: what
	// has a Seq above since, of the machine of that name unless it is empty, and
	// only the newest of it if there is more than limit.
	Events(since uint64, machine string, limit int) []journal.Event
	// Follow returns a channel that gets every event from now on, in the order of
	// their Seq, which counts without a gap. Events that there is no room for are
	// left out, and can still be had from Events. The channel is closed when ctx
	// ends or nothing will happen any more.
	Follow(ctx context.Context) <-chan journal.Event
	// History returns what is kept of the last days of the machine with that MAC:
	// nothing of one that is not known.
	History(mac ether.MAC) journal.MachineHistory
	// Guard tells whether our kernel is kept silent about claimed addresses.
	Guard() guard.Status
	// Storage tells whether what happens can be stored.
	Storage() journal.Health
}
