package web

import (
	"context"
	"time"

	"nightporter/internal/ether"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// Backend is the source of the data and the receiver of the actions. Its methods are
// safe for concurrent use. For an unknown machine they return an error that wraps
// machine.ErrUnknown.
type Backend interface {
	// Machines returns all known machines, in any order.
	Machines() []machine.Status
	// WakeRules returns the configured rules for packets that wake.
	WakeRules() machine.WakeRules
	// Wake starts to wake a machine and returns before it is up. By is the requester,
	// for the log and the journal.
	Wake(ctx context.Context, name, by string) error
	// TestWake is Wake for a test, which the statistics do not count.
	TestWake(ctx context.Context, name, by string) error
	// WakeMAC sends a magic packet for a MAC that no machine has.
	WakeMAC(ctx context.Context, mac ether.MAC, by string) error
	// Pause stops claiming, watching and waking a machine until a time. Unpause ends
	// the pause early.
	Pause(ctx context.Context, name string, until time.Time, by string) error
	Unpause(ctx context.Context, name, by string) error
	// Forget releases a machine and deletes its data.
	Forget(ctx context.Context, name, by string) error
	// Ready returns nil when claims are restored and sockets are open, or the reason
	// why not.
	Ready() error
	// Events returns the stored events with a Seq above since, oldest first: those of
	// one machine unless the name is empty, and only the newest limit of them.
	Events(since uint64, machine string, limit int) []journal.Event
	// Follow returns a channel of all events from now on, in the order of Seq, which
	// has no gaps. Events that do not fit into the channel are dropped; Events still
	// returns them. The channel is closed when ctx or the backend ends.
	Follow(ctx context.Context) <-chan journal.Event
	// History returns the last days of the machine with that MAC: the zero value for
	// an unknown one.
	History(mac ether.MAC) journal.MachineHistory
	// Guard returns whether this host's kernel is kept silent about claimed addresses.
	Guard() guard.Status
	// Storage returns whether the journal can be written.
	Storage() journal.Health
}
