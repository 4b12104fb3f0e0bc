package machine

import "time"

// Inquiry is whether a machine that counts as awake has answered since a wake of it was
// requested.
type Inquiry string

// The inquiries. There is none before a request, in another state than Awake, and for a
// machine that cannot be asked.
const (
	NoInquiry       Inquiry = ""
	InquiryOpen     Inquiry = "open"     // it is asked: if it stays silent it is woken
	InquiryAnswered Inquiry = "answered" // it is up
)

// inquire asks a machine that counts as awake, which can have been switched off without a
// word. It stays awake if it answers, whether it is watched or not. Otherwise the wake
// begins once it is surely off.
func (m waking) inquire(now time.Time, w wake) {
	if m.pending != nil { // it is asked already
		if m.pending.began.Test && !w.began.Test {
			m.pending = &w // which counts
		}
		return
	}
	m.inquiry = NoInquiry
	if !m.known() || len(m.probedAddrs()) == 0 {
		return // its silence would say nothing
	}
	if m.presence.next.IsZero() {
		m.presence = doubt(now)
	}
	m.pending, m.inquiry = &w, InquiryOpen
	m.presence.next, m.presence.since = now, now // if it was off it starts now
}

// endInquiry takes in that the machine answered.
func (m *Machine) endInquiry() {
	if m.inquiry == InquiryOpen {
		m.inquiry = InquiryAnswered
	}
	m.pending = nil // it was up when the wake was requested
}
