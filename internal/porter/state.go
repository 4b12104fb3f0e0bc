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

// loop owns the machines. All their events are handled on its goroutine, one after the
// other. It carries out the actions that a machine returns; the decisions are the
// machine's.
type loop struct {
	interfaces
	started *config.Config // the configuration at the start, for keys that need a restart
	conf    *config.Config
	log     *slog.Logger
	metrics *metrics.Metrics
	kernel  kernel
	journal eventLog

	machines  registry
	timers    timerqueue.Queue[*entry]
	checks    timerqueue.Queue[*entry] // readiness of services
	checker   *readycheck.Checker
	budget    *handover.Budget
	awaited   awaited
	asides    wakeInterfaces
	commands  commander
	own       ownHost
	restraint registration.ChangeLimiter
	pending   []pending // events that are not handled yet
}

// pending is an event that is queued for a machine.
type pending struct {
	entry *entry
	event machine.Event
}

// commander runs wake commands; tests replace it.
type commander interface {
	Start(wakecmd.Job)
	Stop()
}
