package machine

import (
	"fmt"
	"net/netip"
	"reflect"
	"time"
)

// Settings are what is configured for one service in place of the general settings.
// The zero value sets nothing.
type Settings struct {
	Ready        Ready
	ReadyTimeout time.Duration  // in place of hold.ready_timeout; 0: that
	Established  *bool          // in place of wake.established; nil: that
	WakeFrom     []netip.Prefix // who may wake it, of those that may wake the machine; empty: all of them
}

// Bounds of what a machine's services have of their own.
const (
	MaxSettings        = 16 // services of one machine that have any
	MaxServiceWakeFrom = 8  // entries of WakeFrom of one service

	MinReadyTimeout = 10 * time.Millisecond
	MaxReadyTimeout = time.Hour
)

// IsZero reports whether nothing is set.
func (s Settings) IsZero() bool {
	return s.Ready == Ready{} && s.ReadyTimeout == 0 && s.Established == nil && len(s.WakeFrom) == 0
}

// Equal reports whether two services have the same settings.
func (s Settings) Equal(o Settings) bool { return reflect.DeepEqual(s, o) }

// Check returns the field that does not fit the others for a service at these ports,
// and what was expected. Both are empty if all fits.
func (s Settings) Check(ports []Port) (field, expected string) {
	byTCP := s.Ready.By == ByHTTP || s.Ready.By == ByHTTPS || s.Ready.By == ByBanner
	for _, p := range ports {
		switch {
		case p.Protocol == TCP:
		case byTCP:
			return "port", fmt.Sprintf(`a TCP port, such as "80/tcp", since ready is %q`, s.Ready)
		case s.Established != nil:
			return "port", `a TCP port, such as "22/tcp", since it has established`
		}
	}
	if s.ReadyTimeout > 0 && s.Ready.Delay >= s.ReadyTimeout {
		return "ready_timeout", fmt.Sprintf("more than the delay of ready, which is %s", s.Ready.Delay)
	}
	return "", ""
}
