package notify

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/shell"
)

// Message is plain text: names from the LAN are not markup in it. Some services do not show the
// title, so the text repeats it.
type Message struct{ Title, Text string }

// compose returns the message about an event. began is the event that began the machine's last
// wake; its Kind is empty if that is not known.
func compose(e, began journal.Event) Message {
	name := plain(e.Machine)
	switch e.Kind {
	case journal.Failed:
		return failed(e, began)
	case journal.Conflict:
		if e.Reason != "" {
			return Message{
				Title: "An address of " + name + " is used by another host",
				Text: fmt.Sprintf("Another host (%s) tests %s, which is an address of %s, for duplicates. nightporter does not defend it, because %[3]s does not wake. "+
					"Packets for the address no longer wake %[3]s.", plain(e.By), e.IP, name),
			}
		}
		return Message{
			Title: "Address conflict at " + name,
			Text: fmt.Sprintf("Another host (%s) uses %s, which is an address of %s. Packets for the address no longer wake %[3]s. "+
				"Give one of the two another address, and reserve it in the DHCP server.", plain(e.By), e.IP, name),
		}
	case journal.Refused:
		return Message{
			Title: "Registration refused",
			Text:  fmt.Sprintf("The registration of %s from %s was refused: %s", e.MAC, who(e.Source), plain(e.Reason)),
		}
	case journal.ExternalStart:
		return simple(name, "was started externally"+after(e.Slept))
	case journal.Asleep:
		return simple(name, "is asleep")
	case journal.Ready:
		return ready(e, began)
	case journal.Forgotten:
		return simple(name, "is forgotten: it cannot be woken until it registers again")
	case journal.Started:
		return started(e)
	case journal.ReloadFailed:
		return Message{
			Title: "The configuration was not reloaded",
			Text:  "The new configuration has an error, and the previous one stays in use: " + plain(e.Reason),
		}
	}
	return composeAddress(e)
}

// composeAddress is compose for events about the addresses and the name of a machine.
func composeAddress(e journal.Event) Message {
	name := plain(e.Machine)
	switch e.Kind {
	case journal.Waiting:
		return Message{
			Title: "An address of " + name + " cannot be claimed",
			Text: fmt.Sprintf("%s, an address of %s, cannot be claimed at present: %s. Packets for it do not wake %[2]s. nightporter tries again by itself.",
				e.IP, name, plain(e.Reason)),
		}
	case journal.Proved:
		return Message{
			Title: "An address of " + name + " can be claimed",
			Text:  fmt.Sprintf("%s, an address of %s, can be claimed now.", e.IP, name),
		}
	case journal.Elsewhere:
		return Message{
			Title: name + " is up at another address",
			Text: fmt.Sprintf("%s is up at %s, which it has not registered: packets for that address will not wake it. "+
				"Reserve its address in the DHCP server, or register it again.", name, e.IP),
		}
	case journal.Redefined:
		return Message{
			Title: "The registration of " + name + " changed while it slept",
			Text: fmt.Sprintf("The registration of %s changed while it slept, by a connection from %s. If that was not %[1]s itself, forget it, register it again, and give it a token of its own in the configuration.",
				name, who(e.Source)),
		}
	case journal.CardReplaced:
		return Message{
			Title: name + " has another network card",
			Text:  fmt.Sprintf("%s has another network card: %s in place of %s.", name, e.MAC, plain(e.By)),
		}
	case journal.Renamed:
		if e.By != "" {
			return Message{
				Title: name + " has another name",
				Text:  fmt.Sprintf("The machine %s has the name %s now. Its name was %s before.", e.MAC, name, plain(e.By)),
			}
		}
		return Message{
			Title: name + " did not get the name that it registered",
			Text:  fmt.Sprintf("The machine %s has the name %s, not the one that it registered: %s.", e.MAC, name, plain(e.Reason)),
		}
	}
	if e.Kind == journal.CommandFailed {
		return Message{
			Title: "The wake command of " + name + " failed",
			Text:  fmt.Sprintf("The program that wakes %s failed: %s. It runs again with each round of magic packets.", name, plain(e.Reason)),
		}
	}
	return simple(name, plain(string(e.Kind)))
}

func simple(name, what string) Message {
	return Message{Title: name + " " + what, Text: name + " " + what + "."}
}

func started(e journal.Event) Message {
	title, why := "nightporter started", ""
	if e.Reason != "" {
		title, why = "nightporter started after an unclean exit", ": "+plain(e.Reason)
	}
	known := fmt.Sprintf("%d machines", e.Machines)
	if e.Machines == 1 {
		known = "1 machine"
	}
	return Message{title, fmt.Sprintf("nightporter %s started%s. It restored %s.", plain(e.Version), why, known)}
}

func failed(e, began journal.Event) Message {
	name := plain(e.Machine)
	m := Message{Title: name + " did not wake"}
	tried := fmt.Sprintf("%d rounds", e.Attempts)
	if e.Attempts == 1 {
		tried = "1 round"
	}
	m.Text = fmt.Sprintf("%s did not wake: no answer to %s of magic packets", name, tried)
	if took := e.At.Sub(began.At); began.Kind != "" && took >= 0 { // unless the clock was set
		m.Text += fmt.Sprintf(", the first %s ago", took.Round(time.Second))
	}
	m.Text += ". " + beginning(began)
	m.Text += fmt.Sprintf("Does it have power and a cable? Is Wake-on-LAN on in its firmware and in its operating system? Is %s the address of the card with the cable? "+
		"What was tried: %s", e.MAC, history(e.Machine))
	return m
}

// history returns the command that shows the events of a machine, to be pasted into a shell. It
// leaves the name out if the message shows it changed, or if the shell would need a backslash,
// which some services take for markup.
func history(name string) string {
	const command = "nightporter events"
	if name == "" || plain(name) != name || strings.Contains(name, "'") {
		return command
	}
	return command + " --machine " + shell.Quote(name)
}

func ready(e, began journal.Event) Message {
	m := simple(plain(e.Machine), "is up")
	if e.Ready > 0 {
		m.Text = fmt.Sprintf("%s is up, ready after %.1f s.", plain(e.Machine), e.Ready.Seconds())
	}
	if s := beginning(began); s != "" {
		m.Text += " " + s[:len(s)-1]
	}
	return m
}

// beginning returns who began a wake and how, with a space after it, or "".
func beginning(began journal.Event) string {
	at := began.At.Local().Format("15:04:05 on Jan 2")
	switch began.Kind {
	case journal.Knock:
		return fmt.Sprintf("%s knocked at %s at %s. ", who(began.Source), address(began.Service), at)
	case journal.Asked:
		if began.By == "" {
			return fmt.Sprintf("The wake was requested at %s. ", at)
		}
		return fmt.Sprintf("%s requested the wake at %s. ", address(began.By), at)
	}
	return ""
}

// wakeOf returns the event of a machine's history that began the wake that ended with e.
func wakeOf(e journal.Event, history []journal.Event) journal.Event {
	for _, past := range slices.Backward(history) {
		if past.Seq < e.Seq && (past.Kind == journal.Knock || past.Kind == journal.Asked) {
			return past
		}
	}
	return journal.Event{}
}

// who returns the address of a client without its port.
func who(a netip.AddrPort) string {
	if !a.IsValid() {
		return "an unknown host"
	}
	return a.Addr().Unmap().WithZone("").String()
}

func after(slept time.Duration) string {
	if slept <= 0 {
		return ""
	}
	return fmt.Sprintf(", after %s asleep", slept.Round(time.Second))
}
