package notify

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"nightporter/internal/ether"
	"nightporter/internal/notifyconf"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/journal"
)

var (
	atNight = time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	mac     = ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa1}
)

func TestCompose(t *testing.T) {
	knocked := journal.Event{
		At: atNight, Kind: journal.Knock, Machine: "nas", Service: "10.77.0.20:22/tcp", Source: netip.MustParseAddrPort("[::ffff:10.77.0.9]:40000"),
	}
	asked := journal.Event{At: atNight, Kind: journal.Asked, Machine: "nas", By: "10.77.0.9"}
	unnamed := journal.Event{At: atNight, Kind: journal.Asked, Machine: "nas"}
	failed := journal.Event{At: atNight.Add(90 * time.Second), Kind: journal.Failed, Machine: "nas", MAC: mac, Attempts: 6}
	early := failed
	early.At = atNight.Add(-time.Hour)
	const advice = "Does it have power and a cable? Is Wake-on-LAN on in its firmware and in its operating system? " +
		"Is d8:cb:8a:39:be:a1 the address of the card with the cable? What was tried: nightporter events --machine nas"
	for _, tt := range []struct {
		name     string
		e, began journal.Event
		want     Message
	}{
		{"failed after a knock", failed, knocked, Message{"nas did not wake",
			"nas did not wake: no answer to 6 rounds of magic packets, the first 1m30s ago. 10.77.0.9 knocked at 10.77.0.20:22/tcp at 03:04:05 on Jan 2. " + advice}},
		{"failed when requested", failed, asked, Message{"nas did not wake",
			"nas did not wake: no answer to 6 rounds of magic packets, the first 1m30s ago. 10.77.0.9 requested the wake at 03:04:05 on Jan 2. " + advice}},
		{"failed when requested, by an unknown client", failed, unnamed, Message{"nas did not wake",
			"nas did not wake: no answer to 6 rounds of magic packets, the first 1m30s ago. The wake was requested at 03:04:05 on Jan 2. " + advice}},
		{"failed before it began, on a clock that was set", early, asked, Message{"nas did not wake",
			"nas did not wake: no answer to 6 rounds of magic packets. 10.77.0.9 requested the wake at 03:04:05 on Jan 2. " + advice}},
		{"failed for a forgotten reason", failed, journal.Event{}, Message{"nas did not wake",
			"nas did not wake: no answer to 6 rounds of magic packets. " + advice}},
		{"conflict", journal.Event{Kind: journal.Conflict, Machine: "nas", IP: netip.MustParseAddr("10.77.0.20"), By: "02:00:00:00:00:07"}, journal.Event{},
			Message{"Address conflict at nas", "Another host (02:00:00:00:00:07) uses 10.77.0.20, which is an address of nas. Packets for the address no longer wake nas. " +
				"Give one of the two another address, and reserve it in the DHCP server."}},
		{"refused", journal.Event{Kind: journal.Refused, MAC: mac, Source: netip.MustParseAddrPort("10.77.0.9:1"), Reason: "no such name: <b>@everyone</b>"}, journal.Event{},
			Message{"Registration refused", "The registration of d8:cb:8a:39:be:a1 from 10.77.0.9 was refused: no such name: ?b??everyone?/b?"}},
		{"external start", journal.Event{Kind: journal.ExternalStart, Machine: "nas", Slept: 3*time.Hour + 4*time.Millisecond}, journal.Event{},
			Message{"nas was started externally, after 3h0m0s asleep", "nas was started externally, after 3h0m0s asleep."}},
		{"asleep", journal.Event{Kind: journal.Asleep, Machine: "nas"}, journal.Event{}, Message{"nas is asleep", "nas is asleep."}},
		{"ready", journal.Event{Kind: journal.Ready, Machine: "nas", Ready: 12340 * time.Millisecond}, knocked,
			Message{"nas is up", "nas is up, ready after 12.3 s. 10.77.0.9 knocked at 10.77.0.20:22/tcp at 03:04:05 on Jan 2."}},
		{"handed over unready", journal.Event{Kind: journal.Ready, Machine: "nas"}, journal.Event{}, Message{"nas is up", "nas is up."}},
		{"an address that waits", journal.Event{Kind: journal.Waiting, Machine: "nas", IP: netip.MustParseAddr("fd00::20"), Reason: "no host answers for it"}, journal.Event{},
			Message{"An address of nas cannot be claimed", "fd00::20, an address of nas, cannot be claimed at present: no host answers for it. Packets for it do not wake nas. nightporter tries again by itself."}},
		{"an address that no longer waits", journal.Event{Kind: journal.Proved, Machine: "nas", IP: netip.MustParseAddr("fd00::20")}, journal.Event{},
			Message{"An address of nas can be claimed", "fd00::20, an address of nas, can be claimed now."}},
		{"not defended", journal.Event{Kind: journal.Conflict, Machine: "nas", IP: netip.MustParseAddr("10.77.0.20"), By: "02:00:00:00:00:07", Reason: "not defended"}, journal.Event{},
			Message{"An address of nas is used by another host", "Another host (02:00:00:00:00:07) tests 10.77.0.20, which is an address of nas, for duplicates. " +
				"nightporter does not defend it, because nas does not wake. Packets for the address no longer wake nas."}},
		{"elsewhere", journal.Event{Kind: journal.Elsewhere, Machine: "nas", IP: netip.MustParseAddr("10.77.0.77")}, journal.Event{},
			Message{"nas is up at another address", "nas is up at 10.77.0.77, which it has not registered: packets for that address will not wake it. Reserve its address in the DHCP server, or register it again."}},
		{"command failed", journal.Event{Kind: journal.CommandFailed, Machine: "nas", MAC: mac, Reason: "exit status 3: no such plug", Attempts: 1}, journal.Event{},
			Message{"The wake command of nas failed", "The program that wakes nas failed: exit status 3: no such plug. It runs again with each round of magic packets."}},
		{"card replaced", journal.Event{Kind: journal.CardReplaced, Machine: "nas", MAC: mac, By: "02:00:00:00:00:07"}, journal.Event{},
			Message{"nas has another network card", "nas has another network card: d8:cb:8a:39:be:a1 in place of 02:00:00:00:00:07."}},
		{"renamed itself", journal.Event{Kind: journal.Renamed, Machine: "vm", MAC: mac, By: "tower"}, journal.Event{},
			Message{"vm has another name", `The machine ` + mac.String() + ` has the name vm now. Its name was tower before.`}},
		{"renamed", journal.Event{Kind: journal.Renamed, Machine: "nas-2", MAC: mac, Reason: `the name "nas" belongs to 02:00:00:00:00:07 already`}, journal.Event{},
			Message{"nas-2 did not get the name that it registered",
				`The machine d8:cb:8a:39:be:a1 has the name nas-2, not the one that it registered: the name "nas" belongs to 02:00:00:00:00:07 already.`}},
		{"started", journal.Event{Kind: journal.Started, Version: "v1", Machines: 3}, journal.Event{},
			Message{"nightporter started", "nightporter v1 started. It restored 3 machines."}},
		{"started after a crash", journal.Event{Kind: journal.Started, Version: "v1", Reason: "the run before did not end in order"}, journal.Event{},
			Message{"nightporter started after an unclean exit", "nightporter v1 started: the run before did not end in order. It restored 0 machines."}},
		{"not reloaded", journal.Event{Kind: journal.ReloadFailed, Reason: "wake: found 3"}, journal.Event{},
			Message{"The configuration was not reloaded", "The new configuration has an error, and the previous one stays in use: wake: found 3"}},
		{"forgotten", journal.Event{Kind: journal.Forgotten, Machine: "nas"}, journal.Event{},
			Message{"nas is forgotten: it cannot be woken until it registers again", "nas is forgotten: it cannot be woken until it registers again."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, compose(tt.e, tt.began)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
	for _, k := range notifyconf.Kinds() {
		if m := compose(journal.Event{Kind: k, Machine: "nas"}, journal.Event{}); strings.Contains(m.Text, string(k)+".") && m.Title == "nas "+string(k) {
			t.Errorf("%s has no words of its own", k)
		}
	}
}

// A wake began with the last knock or request before its end.
func TestWakeOf(t *testing.T) {
	history := []journal.Event{
		{Seq: 1, Kind: journal.Knock, Service: "first"}, {Seq: 3, Kind: journal.Failed}, {Seq: 4, Kind: journal.Asked, By: "second"},
		{Seq: 5, Kind: journal.Magic}, {Seq: 7, Kind: journal.Failed}, {Seq: 9, Kind: journal.Knock, Service: "third"},
	}
	for seq, want := range map[uint64]uint64{1: 0, 3: 1, 7: 4, 10: 9} {
		if got := wakeOf(journal.Event{Seq: seq}, history); got.Seq != want {
			t.Errorf("the wake that ended at %d began at %d, want %d", seq, got.Seq, want)
		}
	}
}

// FuzzPlain: a message is plain text, with any name from the LAN.
func FuzzPlain(f *testing.F) {
	f.Add("nas", "reason", "02:00:00:00:00:01")
	f.Add("a\r\nBcc: x@example.org", "<script>", "\u202e\x1b[2J")
	f.Add("@everyone <!channel>", "[x](http://evil.example)", "`*_~|\\#")
	f.Add("\xff\xfe", "\u2028\u0000", "&amp;")
	f.Fuzz(func(t *testing.T, name, why, by string) {
		for _, k := range notifyconf.Kinds() {
			e := journal.Event{Kind: k, Machine: name, Reason: why, By: by}
			began := journal.Event{Kind: journal.Asked, By: by, Machine: name}
			var o summary
			o.add(e)
			m := o.appendTo(compose(e, began))
			for _, s := range []string{m.Title, strings.ReplaceAll(m.Text, "\nEarlier", "Earlier"), o.message().Text} {
				if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune("<>&@#*`~|\\[]{}", r) }); i >= 0 {
					t.Fatalf("%s: %q has %q", k, s, s[i:])
				}
			}
		}
	})
}
