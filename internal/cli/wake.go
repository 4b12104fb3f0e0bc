package cli

import (
	"fmt"
	"time"

	"nightporter/internal/ether"

	"github.com/spf13/cobra"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

const wakeHelp = `Have a porter wake one of its machines.

Without --wait it returns once the porter has accepted the request. With --wait the
events of the machine are shown until it is awake and each of its TCP services accepts
connections at one of its addresses, or the wake has failed. A machine that counts as
awake is probed first. If it answers, the wait ends and its services are not checked. If
it is silent, it is woken.

With --mac a magic packet is sent for a network card that belongs to no machine of the
porter, on each of the porter's interfaces. Whether it wakes is not checked.

` + tokenHelp + `

Exit code 0 means that the porter accepted the request, and with --wait that the machine
was woken and its services are ready, or that it was awake and was heard after the request.
2 means that the machine was not awake or not heard within that time, that a service was
not ready when the porter stopped waiting for it (hold.ready_timeout), or that the command
line is wrong. 1 means any other failure.`

const wakeExample = `  nightporter wake tower --from raspberrypi
  nightporter wake tower --wait 2m
  nightporter wake --mac d8:cb:8a:39:be:a9`

// wakeFlags are the flags of the wake command.
type wakeFlags struct {
	changeFlags
	mac  string
	wait time.Duration
	json bool
}

// newWakeCommand returns the command "wake".
func newWakeCommand() *cobra.Command {
	var f wakeFlags
	cmd := &cobra.Command{
		Use:               "wake NAME | --mac MAC",
		Short:             "Wake a machine",
		Long:              wakeHelp,
		Example:           wakeExample,
		Args:              f.oneTarget,
		ValidArgsFunction: f.completeName,
		RunE:              f.run,
	}
	fs := cmd.Flags()
	f.addTo(fs)
	fs.StringVar(&f.mac, "mac", "", "the `MAC` of a network card that belongs to no machine of the porter")
	fs.DurationVar(&f.wait, "wait", 0, "wait until the machine is ready, for this `TIME` at most, such as 2m")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

// oneTarget requires one name, or --mac without a name.
func (f *wakeFlags) oneTarget(cmd *cobra.Command, args []string) error {
	switch {
	case f.mac == "":
		return oneName(cmd, args)
	case len(args) > 0:
		return usagef("--mac: found the name %q too, expected one of the two", args[0])
	case f.wait != 0 || f.json:
		return usagef("--mac: found --wait or --json too, which need the name of a machine")
	}
	return nil
}

func (f *wakeFlags) run(cmd *cobra.Command, args []string) error {
	if f.wait < 0 {
		return usagef("--wait: found %v, expected a time such as 2m, or 0", f.wait)
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if f.mac != "" {
		return f.wakeMAC(cmd, client)
	}
	return f.wake(cmd, client, args[0])
}

// wakeMAC has the porter send one magic packet for a card of no machine.
func (f *wakeFlags) wakeMAC(cmd *cobra.Command, client *web.Client) error {
	mac, err := ether.ParseMAC(f.mac)
	if err != nil || !mac.Unicast() {
		return usagef("--mac: found %q, expected the MAC address of one network card, such as d8:cb:8a:39:be:a1", f.mac)
	}
	if err := client.WakeMAC(cmd.Context(), mac); err != nil {
		return unchanged(mac.String(), "woken", err)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "magic packet sent for %s\n", mac)
	return err
}

func (f *wakeFlags) wake(cmd *cobra.Command, client *web.Client, name string) error {
	ctx := cmd.Context()
	w := wakeWait{client: client, name: name, show: showTable(cmd.OutOrStdout()), began: time.Now()}
	if f.json {
		w.show = func(journal.Event) error { return nil }
	}
	if f.wait > 0 {
		if err := w.noteLastEvent(ctx); err != nil {
			return err
		}
	}
	m, err := client.Wake(ctx, name)
	if err != nil {
		return unchanged(name, "woken", explainUnknown(ctx, client, name, err))
	}
	if f.wait == 0 {
		return f.printResult(cmd, m, name, atRequest(&m))
	}
	done, err := w.untilOver(ctx, f.wait, m)
	if err != nil {
		return err
	}
	if err := f.printResult(cmd, done, name, done.text()); err != nil {
		return err
	}
	return done.code()
}

// atRequest is the machine's state at the request, in words.
func atRequest(m *web.Machine) string {
	if m.State == machine.Awake {
		return fmt.Sprintf("counts as awake (%s); one magic packet was sent anyway", lastHeard(m.HeardAt))
	}
	return "is " + m.State.String()
}

// printResult prints v as JSON, or the words about a machine.
func (f *wakeFlags) printResult(cmd *cobra.Command, v any, name, words string) error {
	if f.json {
		return printJSON(cmd.OutOrStdout(), v)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", printable(name), printable(words))
	return err
}
