package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"nightporter/internal/ether"

	"github.com/spf13/cobra"

	"nightporter/internal/lan"
	"nightporter/internal/registration"
)

// defaultRegistrationPort is the port of registration.listen.
const defaultRegistrationPort = "13717"

const registerHelp = `Register this machine with its porter. Run it just before the machine goes to
sleep: the porter then waits until the machine is silent. With --watch the machine
registers that it is up, for instance after its start: the porter probes it, and no
registration before sleep is needed.

Without --mac and --monitor the registration describes this machine: the MAC address
of the interface that leads to the porter, the permanent MAC address of its network
card if that differs, and its permanent global addresses, each with the ports of --port.

Settings that no flag gives are read from ` + registerConfPath + ` (--config), if
it exists. nightporter-register.py reads the same file.

With --check it prints what it would send and asks the porter whether it would accept
it. Nothing is registered.

Exit code 0 means that the porter accepted the registration, or would with --check, 1
that it did not, 2 that the command line is wrong.`

const registerExample = `  nightporter register --to raspberrypi --port 22/tcp,25565 --check
  nightporter register --to 192.168.1.2:13717 --mac d8:cb:8a:39:be:a1 --name tower \
      --monitor 192.168.1.5=22,51820/udp --monitor 2001:db8::5=22/tcp,icmp`

// registerFlags are the flags of the register command.
type registerFlags struct {
	to, mac, wakeMAC, name, token, tokenFile, password string

	monitor, wakeFrom     []string
	port, config          string
	known, watch, check   bool
	json                  bool
	idleWatts, sleepWatts float64
	retries               int
	timeout               time.Duration

	settings []confSetting // of the file, those that no flag overrides
}

// newRegisterCommand returns the command "register".
func newRegisterCommand() *cobra.Command {
	var f registerFlags
	cmd := &cobra.Command{
		Use:     "register --to HOST[:PORT]",
		GroupID: groupMachine,
		Short:   "Register this machine with a porter, just before it sleeps",
		Long:    registerHelp,
		Example: registerExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("found %q, expected no argument: --to HOST names the porter", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.to, "to", "", "the porter's `HOST[:PORT]` (default port "+defaultRegistrationPort+")")
	fs.StringVar(&f.mac, "mac", "", "the machine's `MAC` address (default: of the interface that leads to the porter)")
	fs.StringVar(&f.wakeMAC, "wake-mac", "", "the `MAC` address of the card that wakes the machine (default: the card's permanent one, unless --mac is given)")
	fs.StringVar(&f.name, "name", "", "the machine's `NAME` (default: the host name, unless --mac is given)")
	fs.StringArrayVar(&f.monitor, "monitor", nil, "an address and the ports to wake for, as `IP=PORT,PORT`; may be repeated")
	fs.StringVar(&f.port, "port", "", "the `PORTS` to wake for at each address found, such as 22/tcp,51820/udp,icmp")
	fs.BoolVar(&f.known, "known", false, "send no addresses, since the porter's configuration has them")
	fs.BoolVar(&f.watch, "watch", false, "register that this machine is up, so that the porter probes it")
	fs.BoolVar(&f.check, "check", false, "print what would be sent, ask the porter whether it would accept it, register nothing")
	fs.BoolVar(&f.json, "json", false, "print one JSON object: what was sent, and the porter's answer")
	fs.StringVar(&f.config, "config", registerConfPath, "the `FILE` with the settings that no flag gives")
	fs.StringVar(&f.token, "token", "", "the `TOKEN` that the porter requires (visible to other users; see --token-file)")
	fs.StringVar(&f.tokenFile, "token-file", "", "the `FILE` that holds the token")
	fs.Float64Var(&f.idleWatts, "idle-watts", 0, "the power drawn while awake and idle, in `WATTS`")
	fs.Float64Var(&f.sleepWatts, "sleep-watts", 0, "the power drawn while asleep, in `WATTS`")
	fs.StringVar(&f.password, "password", "", "the SecureOn `PASSWORD` for magic packets")
	fs.StringSliceVar(&f.wakeFrom, "wake-from", nil, "the `PREFIXES` whose hosts may wake the machine (default: all)")
	fs.IntVar(&f.retries, "retries", -1, "retry at most `N` times (-1: as long as --timeout allows)")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second, "fail after this `TIME` in total")
	return cmd
}

// run registers, and prints the result.
func (f *registerFlags) run(cmd *cobra.Command) error {
	if err := errors.Join(onlyOne(cmd, "monitor", "port", "known"), onlyOne(cmd, "token", "token-file")); err != nil {
		return err
	}
	if err := f.readSettings(cmd.Flags()); err != nil {
		return err
	}
	addr, err := porterAddress(f.to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	w, err := f.wire(ctx, addr, cmd.Flags().Changed)
	if err != nil {
		return err
	}
	if err := w.Check(); err != nil {
		return f.fieldError(err)
	}
	warnNoPorts(cmd.ErrOrStderr(), w)
	return f.send(ctx, cmd, addr, w)
}

// wire builds the registration; changed reports whether a flag was given.
func (f *registerFlags) wire(ctx context.Context, addr string, changed func(string) bool) (registration.Wire, error) {
	w := registration.Wire{MAC: f.mac, WakeMAC: f.wakeMAC, Name: f.name, Password: f.password, WakeFrom: f.wakeFrom, Watch: f.watch}
	var err error
	if w.Token, err = f.readToken(); err != nil {
		return w, err
	}
	if changed("idle-watts") {
		w.IdleWatts = &f.idleWatts
	}
	if changed("sleep-watts") {
		w.SleepWatts = &f.sleepWatts
	}
	for _, m := range f.monitor {
		w.Monitor = append(w.Monitor, registration.ParseMonitor(m))
	}
	if err := f.describeSelf(ctx, addr, &w); err != nil {
		return w, err
	}
	return w, nil
}

// describeSelf fills in the MAC address, name and addresses of this machine that no flag
// gives.
func (f *registerFlags) describeSelf(ctx context.Context, addr string, w *registration.Wire) error {
	findAddrs := len(f.monitor) == 0 && !f.known
	if f.mac != "" && !findAddrs {
		return nil
	}
	ports := registration.ParsePorts(f.port)
	if findAddrs && len(ports) == 0 {
		return usagef("nothing would wake this machine: expected --port (such as --port 22/tcp), --monitor or --known")
	}
	self, err := registration.Detect(ctx, addr)
	if errors.Is(err, registration.ErrThisHost) {
		return f.settingError("to", fmt.Sprintf("found %q, which is this host itself: expected another host. Run this on the machine that sleeps, not on the porter", f.to))
	}
	if lost := explainUnreachable(addr, err); lost != err {
		return lost
	}
	if err != nil {
		return fmt.Errorf("%w: give --mac and --monitor", err)
	}
	if f.mac == "" {
		w.MAC = self.MAC.String()
		if err := f.findWakeMAC(self, w); err != nil {
			return err
		}
		if w.Name == "" {
			host, err := os.Hostname()
			if err != nil {
				return fmt.Errorf("find the host name: %w: give --name", err)
			}
			w.Name, _, _ = strings.Cut(host, ".")
		}
	}
	if findAddrs {
		w.Monitor = self.Monitor(ports)
	}
	return nil
}

// findWakeMAC fills in the permanent MAC address of the network card if the machine uses
// another one: with a bond, a dock, or an address that was set.
func (f *registerFlags) findWakeMAC(self registration.Identity, w *registration.Wire) error {
	if f.wakeMAC != "" {
		return nil
	}
	card, err := lan.PermanentMAC(self.Interface)
	if err != nil {
		return fmt.Errorf("%w: give --wake-mac", err)
	}
	if card != (ether.MAC{}) && card != self.MAC {
		w.WakeMAC = card.String()
	}
	return nil
}

// readToken returns the token, from its file if one is given.
func (f *registerFlags) readToken() (string, error) {
	if f.tokenFile == "" {
		return f.token, nil
	}
	return tokenFromFile(f.tokenFile)
}
