package porter

import (
	"strconv"
	"strings"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/wakecmd"
)

// runCommand runs a machine's wake command, if there is one. It does not run for a machine
// that may be up: a magic packet does no harm then, but a program may. The state is
// asleep here only if the porter stops and wake.on_exit is all.
func (l waker) runCommand(e *entry, a machine.SendMagic) {
	command := e.wakePath().Command
	if len(command) == 0 || e.State() != machine.Waking && e.State() != machine.Asleep {
		return
	}
	spec := e.Spec()
	trigger := "exit"
	if e.State() == machine.Waking {
		trigger = e.LastWake().Trigger.String()
	}
	addrs := make([]string, len(spec.Monitor))
	for i, ip := range spec.Addrs() {
		addrs[i] = ip.String()
	}
	l.commands.Start(wakecmd.Job{
		Machine: spec.MAC, Name: spec.Name, Command: command, Attempt: a.Attempt, Repeated: a.Repeated,
		Env: []string{
			"NIGHTPORTER_MACHINE=" + spec.Name,
			"NIGHTPORTER_MAC=" + spec.MAC.String(),
			"NIGHTPORTER_WAKE_MAC=" + e.card().String(),
			"NIGHTPORTER_ADDRESSES=" + strings.Join(addrs, " "),
			"NIGHTPORTER_TRIGGER=" + trigger,
			"NIGHTPORTER_ATTEMPT=" + strconv.Itoa(a.Attempt),
		},
	})
}

// commandFailed records a failed wake command. It is for any goroutine.
func (l waker) commandFailed(j wakecmd.Job, err error) {
	l.journal.Append(journal.Record{Event: journal.Event{
		Kind: journal.CommandFailed, At: time.Now(), Machine: j.Name, MAC: j.Machine, Attempts: j.Attempt, Reason: err.Error()}})
}
