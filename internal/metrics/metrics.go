package metrics

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"
)

// The reasons for which a registration is rejected.
const (
	Invalid = "invalid" // it could not be understood
	Refused = "refused" // understood, but not allowed
	Limited = "limited" // too large, too slow or too many
)

// The outcomes of a notification.
const (
	NotificationSent       = "sent"
	NotificationFailed     = "failed"     // given up after several tries
	NotificationSuppressed = "suppressed" // more than notify.rate allows
)

// Metrics counts what happens. Its methods are safe for concurrent use.
type Metrics struct {
	facts    *facts
	machines *machineHistograms
	reloads  *reloads

	arpReplies    prometheus.Counter
	ndpReplies    prometheus.Counter
	registrations prometheus.Counter
	rejections    map[string]prometheus.Counter // by reason; never changed
	notifications map[string]prometheus.Counter // by outcome; never changed
	wakeLatency   prometheus.Histogram
}

// New registers all metrics of the porter with reg, those of the Go runtime, of
// the process and of the build among them. It returns an error when src has no
// Machines or when reg has a metric of one of these names already.
func New(reg prometheus.Registerer, src Source) (*Metrics, error) {
	if src.Machines == nil {
		return nil, errors.New("metrics: the source has no Machines function")
	}
	if src.Now == nil {
		src.Now = time.Now
	}
	replies := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "neighbor_replies_total",
		Help: "ARP and NDP replies for addresses of sleeping machines.",
	}, []string{"protocol"})
	rejections := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "registrations_rejected_total",
		Help: "Rejected registrations by reason.",
	}, []string{"reason"})
	notifications := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "notifications_total",
		Help: "Notifications by outcome: sent and failed once per target, suppressed once per event over notify.rate.",
	}, []string{"outcome"})
	m := &Metrics{
		facts:      newFacts(src),
		machines:   newMachineHistograms(),
		reloads:    newReloads(src.Now),
		arpReplies: replies.WithLabelValues("arp"),
		ndpReplies: replies.WithLabelValues("ndp"),
		registrations: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "registrations_total",
			Help: "Accepted registrations, including repeated ones.",
		}),
		rejections:    make(map[string]prometheus.Counter),
		notifications: make(map[string]prometheus.Counter),
		wakeLatency:   newWakeLatency(),
	}
	for _, reason := range [...]string{Invalid, Refused, Limited} {
		m.rejections[reason] = rejections.WithLabelValues(reason)
	}
	for _, outcome := range [...]string{NotificationSent, NotificationFailed, NotificationSuppressed} {
		m.notifications[outcome] = notifications.WithLabelValues(outcome)
	}
	for _, c := range []prometheus.Collector{
		m.facts, m.machines.boot, m.machines.ready, m.wakeLatency,
		m.reloads.successful, m.reloads.at,
		replies, m.registrations, rejections, notifications,
		version.NewCollector(namespace),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

// AddMachine makes the series of a machine's histograms, without observations.
// Adding a machine twice changes nothing.
func (m *Metrics) AddMachine(name string) { m.machines.add(name) }

// RemoveMachine drops what is kept about a machine. A machine of the same name
// that comes later starts anew.
func (m *Metrics) RemoveMachine(name string) {
	m.machines.remove(name)
	m.facts.marks.forget(name)
}

// Booted records the time from the first magic packet to the machine's first
// proof of life. It does nothing for a machine that was not added.
func (m *Metrics) Booted(name string, d time.Duration) {
	if h, ok := m.machines.of(name); ok {
		observe(h.boot, d)
	}
}

// Ready records the time from the first magic packet to the moment when the
// knocked services were ready. It does nothing for a machine that was not
// added.
func (m *Metrics) Ready(name string, d time.Duration) {
	if h, ok := m.machines.of(name); ok {
		observe(h.ready, d)
	}
}

// Reloaded records whether the configuration could be reloaded.
func (m *Metrics) Reloaded(ok bool) { m.reloads.note(ok) }

// WakeLatency records the time from a knock's arrival in the kernel to the
// magic packet's handing over to the kernel.
func (m *Metrics) WakeLatency(d time.Duration) { observe(m.wakeLatency, d) }

// ARPReplied counts an ARP reply given for a sleeping machine.
func (m *Metrics) ARPReplied() { m.arpReplies.Inc() }

// NDPReplied counts a neighbor advertisement sent in reply to a solicitation
// for a sleeping machine.
func (m *Metrics) NDPReplied() { m.ndpReplies.Inc() }

// Registered counts an accepted registration.
func (m *Metrics) Registered() { m.registrations.Inc() }

// RegistrationRejected counts a rejected registration. A reason
// other than Invalid, Refused and Limited is counted as Refused, so that no
// rejection goes uncounted and no caller can make new series.
func (m *Metrics) RegistrationRejected(reason string) {
	c, ok := m.rejections[reason]
	if !ok {
		c = m.rejections[Refused]
	}
	c.Inc()
}

// Notified counts what became of a notification. An outcome other than
// NotificationSent and NotificationSuppressed is counted as NotificationFailed.
func (m *Metrics) Notified(outcome string) {
	c, ok := m.notifications[outcome]
	if !ok {
		c = m.notifications[NotificationFailed]
	}
	c.Inc()
}
