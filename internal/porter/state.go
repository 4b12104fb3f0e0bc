package porter

import (
	"log/slog"

	"nightporter/internal/config"
	"nightporter/internal/handover"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
	"nightporter/internal/readycheck"
	"nightporter/internal/registration"
	"nightporter/internal/timerqueue"
	"nightporter/internal/wakecmd"
)

// loop owns the machines. Everything that happens to them happens on its
// goroutine, one thing after the other. It executes the actions that a machine
// returns, and decides nothing about its life.
type loop struct {
	interfaces
	started *config.Config // what the sockets were opened with
	conf    *config.Config
	log     *slog.Logger
	metrics *metrics.Metrics
	kernel  kernel
	journal eventLog

	machines  registry
	timers    timerqueue.Queue[*entry]
	checks    timerqueue.Queue[*entry] // of services: are they ready?
	checker   *readycheck.Checker
	budget    *handover.Budget
	awaited   awaited
	asides    wakeInterfaces
	commands  commander
	own       ownHost
	restraint registration.ChangeLimiter
	pending   []pending // events that are not handled yet
}

// pending is an event on its way to a machine.
type pending struct {
	entry *entry
	event machine.Event
}

// commander runs the programs that wake machines; tests replace it.
type commander interface {
	Start(wakecmd.Job)
	Stop()
}
