package registration

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// CheckConfigured returns nil if req says the same of a machine as its configuration. It is for
// registrations from other hosts, which must not rename a machine, change its addresses and
// services, or let other sources wake it. Fields that req leaves out were filled in from conf.
// The error is a *Refusal that names the first field that differs.
func CheckConfigured(req Request, conf machine.Spec) error {
	return same(req, conf, "the configuration knows this machine, and only %s itself may change that")
}

// CheckAsleep returns nil if req says the same of a sleeping machine as its last registration.
// The error is a *Refusal that names the first field that differs.
func CheckAsleep(req Request, was machine.Spec) error {
	return same(req, was, "this machine sleeps, and only %s itself may change that when it is up")
}

// same returns nil if req equals known. rule is the end of the error; its %s is the machine's
// MAC.
func same(req Request, known machine.Spec, rule string) error {
	differs := func(path, found, expected string) error {
		return Refuse(Refused, "%s: found %s: expected %s: "+rule, path, found, expected, known.MAC)
	}
	if req.Name != known.Name {
		return differs("name", quoted(req.Name), quoted(known.Name))
	}
	if path, found, expected := monitorDiffers(req.Monitor, known.Monitor); path != "" {
		return differs(path, found, expected)
	}
	// In constant time, and the error does not repeat it.
	if subtle.ConstantTimeCompare(req.Password, known.Password) != 1 {
		return differs("password", "another one", "the configured one, or none")
	}
	if found, expected := setDiffers(req.WakeFrom, known.WakeFrom, func(p netip.Prefix) string { return p.String() }); found != "" {
		return differs("wake_from", found, expected)
	}
	if got, want := req.MagicMAC(), known.MagicMAC(); got != want {
		return differs("wake_mac", got.String(), want.String())
	}
	if req.IdleWatts != known.IdleWatts {
		return differs("idle_watts", fmt.Sprint(req.IdleWatts), fmt.Sprint(known.IdleWatts))
	}
	if req.SleepWatts != known.SleepWatts {
		return differs("sleep_watts", fmt.Sprint(req.SleepWatts), fmt.Sprint(known.SleepWatts))
	}
	return nil
}

// monitorDiffers compares addresses and their ports, in any order, and returns the first
// difference.
func monitorDiffers(got, want []machine.Address) (path, found, expected string) {
	byIP := func(as []machine.Address, ip netip.Addr) int {
		return slices.IndexFunc(as, func(a machine.Address) bool { return a.IP == ip })
	}
	for i, a := range got {
		j := byIP(want, a.IP)
		if j < 0 {
			return entryAt(got, i) + ".ip", a.IP.String(), oneOf(want, func(a machine.Address) string { return a.IP.String() })
		}
		found, expected := setDiffers(a.Ports, want[j].Ports, machine.Port.String)
		if found != "" {
			return entryAt(got, i) + ".port", found, expected
		}
		if a.MAC != want[j].MAC {
			return entryAt(got, i) + ".mac", guestMAC(a), guestMAC(want[j])
		}
		for _, p := range a.Ports {
			if !a.Settings[p].Equal(want[j].Settings[p]) {
				return fmt.Sprintf("monitor[%d].port", i), fmt.Sprintf("other settings for %s", p), "those of the configuration, or none"
			}
		}
	}
	for _, a := range want {
		if byIP(got, a.IP) < 0 {
			return "monitor", "no entry for " + a.IP.String(), "one"
		}
	}
	return "", "", ""
}

// entryAt returns the path of the i-th address of a machine and its guests.
func entryAt(monitor []machine.Address, i int) string {
	key, n := "monitor", 0
	if monitor[i].Guest() {
		key = "guests"
	}
	for j := range i {
		if monitor[j].Guest() == monitor[i].Guest() {
			n++
		}
	}
	return fmt.Sprintf("%s[%d]", key, n)
}

func guestMAC(a machine.Address) string {
	if a.Guest() {
		return a.MAC.String()
	}
	return "none"
}

// setDiffers returns the first element that only one of two lists has.
func setDiffers[T comparable](got, want []T, text func(T) string) (found, expected string) {
	for _, v := range got {
		if !slices.Contains(want, v) {
			return text(v), oneOf(want, text)
		}
	}
	for _, v := range want {
		if !slices.Contains(got, v) {
			return "no " + text(v), "it"
		}
	}
	return "", ""
}

// maxNamed bounds the alternatives that an error lists, so that the line is not cut off.
const maxNamed = 4

// oneOf lists the expected values.
func oneOf[T any](all []T, text func(T) string) string {
	var names []string
	for _, v := range all[:min(len(all), maxNamed)] {
		names = append(names, text(v))
	}
	switch {
	case len(all) == 0:
		return "none"
	case len(all) > maxNamed:
		return fmt.Sprintf("one of %s and %d more", strings.Join(names, ", "), len(all)-maxNamed)
	case len(all) > 1:
		return "one of " + strings.Join(names, ", ")
	}
	return names[0]
}

// CheckWakeMAC returns nil unless the wake_mac of req is the MAC of another machine, known. The
// error is a *Refusal.
func CheckWakeMAC(req Request, known machine.Spec) error {
	if req.WakeMAC != known.MAC || req.WakeMAC == (ether.MAC{}) {
		return nil
	}
	return Refuse(Refused, "wake_mac: found %s, which is the mac of %q: expected that of a card of %s, or %q to be forgotten first%s",
		req.WakeMAC, known.Name, req.MAC, known.Name, ForgetHint(known.Name))
}

// CheckForeign returns nil unless req has an address that the configuration gives to another
// machine, conf. The error is a *Refusal.
func CheckForeign(req Request, conf machine.Spec) error {
	for i, a := range req.Monitor {
		if conf.Has(a.IP) {
			return Refuse(Refused, "%s: found %s, which the configuration gives to %q (%s): expected an address of %s",
				entryAt(req.Monitor, i)+".ip", a.IP, conf.Name, conf.MAC, req.MAC)
		}
	}
	return nil
}
