package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

const testHelp = `Test one sleep and one wake of a machine, and report each step.

Put the machine to sleep by hand, in the way that it usually goes to sleep. The porter
then claims its addresses, sends magic packets, and waits until the machine answers and
each of its TCP services accepts connections. A failed test sends no notification and
does not count in the metrics of failures.

` + tokenHelp + `

Exit code 0 means that the machine sleeps and wakes, 1 that a step failed.`

const testExample = `  nightporter test nas --from raspberrypi`

// The default and the longest duration of a test.
const (
	testTimeout    = 15 * time.Minute
	maxTestTimeout = 24 * time.Hour
)

// newTestCommand returns the command "test".
func newTestCommand() *cobra.Command {
	var c changeFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:               "test NAME",
		Short:             "Test whether a machine sleeps and wakes",
		Long:              testHelp,
		Example:           testExample,
		Args:              oneName,
		ValidArgsFunction: c.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout < time.Second || timeout > maxTestTimeout {
				return usagef("--timeout: found %v, expected 1s to %v", timeout, maxTestTimeout)
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			defer client.Close()
			t := &wakeTest{client: client, name: args[0], timeout: timeout, stepPrinter: newStepPrinter(cmd.OutOrStdout(), c.json)}
			return t.run(cmd.Context())
		},
	}
	c.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&c.json, "json", false, "print each step as one JSON object a line")
	cmd.Flags().DurationVar(&timeout, "timeout", testTimeout, "the longest `TIME` of the whole test")
	return cmd
}

// wakeTest is one test of one machine.
type wakeTest struct {
	stepPrinter
	client  *web.Client
	name    string
	timeout time.Duration

	machine    web.Machine
	since      uint64          // sequence number of the last event before the test
	requested  bool            // the test wake is requested
	settledAt  time.Time       // when the machine registered, or was silent
	firstMagic time.Time       // when the first magic packet was sent; zero: not yet
	ready      map[string]bool // services that accept connections
}

// errPassed ends the stream of events when the test has passed.
var errPassed = errors.New("all works")

// run runs the test, and returns exit code 1 if it fails.
func (t *wakeTest) run(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	err := t.start(limited)
	if err == nil {
		err = t.client.Follow(limited, web.EventQuery{Since: &t.since, Machine: t.name}, func(e journal.Event) error { return t.handle(limited, e) })
	}
	var code exitCode
	switch {
	case errors.Is(err, errPassed):
		return nil
	case errors.As(err, &code):
		return code
	case ctx.Err() != nil:
		t.failed("stopped: %s stays as it is", printable(t.name))
		return exitCode(1)
	case limited.Err() != nil:
		t.reportTimeout()
		return exitCode(1)
	}
	return unchanged(t.name, "tested", explainUnknown(ctx, t.client, t.name, err))
}

// start reads the machine's state, and asks the user for sleep or the porter for the wake.
func (t *wakeTest) start(ctx context.Context) error {
	last, err := t.client.Events(ctx, web.EventQuery{Limit: 1})
	if err != nil {
		return err
	}
	if len(last) > 0 {
		t.since = last[0].Seq
	}
	if t.machine, err = t.client.Machine(ctx, t.name); err != nil {
		return err
	}
	t.ready = make(map[string]bool)
	if err := t.checkMachine(&t.machine); err != nil {
		return err
	}
	switch t.machine.State {
	case machine.Asleep:
		t.ok("it is asleep, and its addresses are claimed")
		return t.wake(ctx)
	case machine.Waking, machine.Arriving:
		return t.fail("a wake is under way already: try again when it has ended")
	case machine.Settling:
		t.wait("the porter probes whether it is off")
		return t.wake(ctx) // the wake begins when the machine is off
	default:
		t.wait("put it to sleep now, in the way that it usually goes to sleep (up to %v)", t.timeout)
	}
	return nil
}

// wake requests the test wake, once. It begins when the machine is off.
func (t *wakeTest) wake(ctx context.Context) error {
	if t.requested {
		return nil
	}
	t.requested = true
	_, err := t.client.TestWake(ctx, t.name)
	return err
}

// handle handles an event of the machine.
func (t *wakeTest) handle(ctx context.Context, e journal.Event) error {
	switch e.Kind {
	case journal.Forgotten, journal.Paused:
		return t.fail("%s", web.InWords(e))
	case journal.Conflict:
		return t.fail("%s: is the machine's MAC right, and has no other host its address?", printable(web.InWords(e)))
	}
	if t.firstMagic.IsZero() {
		return t.handleSleep(ctx, e)
	}
	return t.handleWake(ctx, e)
}

// handleSleep handles events until the first magic packet.
func (t *wakeTest) handleSleep(ctx context.Context, e journal.Event) error {
	switch e.Kind {
	case journal.Registered:
		if e.Reason != string(machine.WhyRegistered) {
			return nil // the machine is up
		}
		t.settledAt = e.At
		t.ok("it registered: it is about to sleep")
		return t.wake(ctx)
	case journal.Settling:
		t.settledAt = e.At
		t.ok("it is silent (%s)", printable(e.Reason))
	case journal.Asleep:
		t.ok("it is off, and its addresses are claimed%s", took(e.At, t.settledAt))
		return t.wake(ctx)
	case journal.Awake:
		return t.handleStillUp(e)
	case journal.ExternalStart:
		return t.fail("it was started externally, before a magic packet was sent")
	case journal.Knock:
		t.ok("a client wakes it: %s", printable(web.InWords(e)))
	case journal.Magic:
		t.firstMagic = e.At
		t.ok("magic packet sent for %s", t.wakeMAC())
	}
	return nil
}

// handleStillUp handles that the machine did not sleep.
func (t *wakeTest) handleStillUp(e journal.Event) error {
	switch machine.Reason(e.Reason) {
	case machine.WhyNeverSilent:
		return t.fail("it registered to sleep, and still answers: check on the machine what keeps it awake")
	case machine.WhyOnlyNIC:
		return t.fail("it sleeps, but its network card answers for it: switch ARP and NS offload off there, or set claim.override_offload")
	}
	t.requested = false // the porter drops the wake of a machine that is up
	t.wait("it is still up: put it to sleep")
	return nil
}

// handleWake handles events after the first magic packet.
func (t *wakeTest) handleWake(ctx context.Context, e journal.Event) error {
	switch e.Kind {
	case journal.Magic:
		t.wait("magic packets, round %d", e.Attempts)
	case journal.Arrived:
		t.ok("it is up%s", took(e.At, t.firstMagic))
		return t.reportArrival(ctx)
	case journal.Knock, journal.Asked:
		if e.Test {
			return nil // the test continues
		}
		t.wait("this wake counts, it is no longer a test: %s", printable(web.InWords(e)))
	case journal.Settling:
		t.wait("%s", printable(e.Reason))
	case journal.ServiceReady:
		t.ready[e.Service] = true
		t.ok("%s accepts connections%s", printable(e.Service), took(e.At, t.firstMagic))
	case journal.Ready:
		return t.reportReady(e)
	case journal.Failed:
		return t.reportFailure(e)
	case journal.ExternalStart, journal.Awake:
		return t.fail("it is up, but not by the magic packet: %s", printable(web.InWords(e)))
	}
	return nil
}

// reportArrival prints what the porter still waits for.
func (t *wakeTest) reportArrival(ctx context.Context) error {
	m, err := t.client.Machine(ctx, t.name)
	if err == nil && m.Arrival != nil {
		t.wait("%s", printable(m.Arrival.InWords(time.Now())))
	}
	return err
}
