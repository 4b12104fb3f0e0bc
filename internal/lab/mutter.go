package lab

import (
	"context"
	"encoding/binary"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/wait"

	"github.com/mdlayher/ethernet"
)

// EtherTypes of protocols between a card and its switch.
const (
	EtherTypeLLDP  ethernet.EtherType = 0x88cc
	EtherTypeEAPOL ethernet.EtherType = 0x888e
	EtherTypeLACP  ethernet.EtherType = 0x8809
)

// The group addresses that bridges of IEEE 802.1Q forward at most to a few of
// their kind. Cheap switches forward them like any other, and so does the lab's:
// but for the first three, which Linux keeps.
const (
	groupEAPOL = 0x3
	groupLLDP  = 0xe
)

// groupsForwarded is what the lab's switch forwards, as a mask of the last digit.
func groupsForwarded() uint16 { return 1<<groupEAPOL | 1<<groupLLDP }

// GroupMAC returns 01:80:c2:00:00:0x.
func GroupMAC(x byte) ether.MAC { return ether.MAC{0x01, 0x80, 0xc2, 0, 0, x} }

// A Mutter is a frame that a card sends of its own accord while its machine
// sleeps. The zero Mutter is none.
type Mutter struct {
	Every   time.Duration // 0: never
	Dst     ether.MAC
	Type    ethernet.EtherType
	Payload []byte
}

// LLDP is what the firmware of some cards (Intel's X710) sends, whatever their
// machine does: the mandatory fields of IEEE 802.1AB.
func LLDP(every time.Duration) Mutter {
	field := func(kind byte, value ...byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(kind)<<9|uint16(len(value))), value...)
	}
	const chassis, port, ttl, end = 1, 2, 3, 0
	payload := field(chassis, append([]byte{7}, "card"...)...)
	payload = append(payload, field(port, append([]byte{7}, "0"...)...)...)
	payload = append(payload, field(ttl, 0, 121)...)
	payload = append(payload, field(end)...)
	return Mutter{Every: every, Dst: GroupMAC(groupLLDP), Type: EtherTypeLLDP, Payload: payload}
}

// EAPOL asks the switch for its authenticator (IEEE 802.1X, EAPOL-Start).
func EAPOL(every time.Duration) Mutter {
	return Mutter{Every: every, Dst: GroupMAC(groupEAPOL), Type: EtherTypeEAPOL, Payload: []byte{1, 1, 0, 0}}
}

// mutter has the card speak until the LAN is closed.
func (m *Machine) mutter() {
	what := m.cfg.Mutter
	frame := buildFrame(what.Dst, m.mac, what.Type, what.Payload)
	for ctx := m.lan.ctx; wait.For(ctx, what.Every); {
		if m.State() == Asleep {
			m.utter(ctx, frame)
		}
	}
}

func (m *Machine) utter(ctx context.Context, frame []byte) {
	if err := m.writeFrame(m.nic, frame); err != nil && ctx.Err() == nil && m.State() == Asleep {
		m.log.add(Event{Kind: Failed, Detail: "network card: " + err.Error()})
	}
}
