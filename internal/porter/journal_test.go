package porter

import (
	"context"
	"strings"
	"sync"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
)

// memoryLog is an event log that ends with the process.
type memoryLog struct {
	mu      sync.Mutex
	records []journal.Record
	fails   error
}

func (m *memoryLog) Append(r journal.Record) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Event.Seq = uint64(len(m.records) + 1)
	m.records = append(m.records, r)
	return r.Event.Seq
}

func (m *memoryLog) Sync(context.Context) error                  { return m.fails }
func (m *memoryLog) Healthy() error                              { return m.fails }
func (m *memoryLog) Events(uint64, string, int) []journal.Event  { return nil }
func (m *memoryLog) Follow(context.Context) <-chan journal.Event { return nil }
func (m *memoryLog) History(ether.MAC) journal.MachineHistory    { return journal.MachineHistory{} }
func (m *memoryLog) last() journal.Record                        { return m.records[len(m.records)-1] }

// lines returns what happened, in a line each. A line ends with the state that is
// remembered by the record.
func (m *memoryLog) lines() (lines []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		e := r.Event
		if e.Kind == "" {
			continue // a memory alone
		}
		words := []string{string(e.Kind)}
		for _, s := range []string{e.Machine, e.Service, e.By, e.Trigger, e.Reason} {
			if s != "" {
				words = append(words, s)
			}
		}
		if e.IP.IsValid() {
			words = append(words, e.IP.String())
		}
		if e.Source.IsValid() {
			words = append(words, "from "+e.Source.String())
		}
		if e.Boot > 0 {
			words = append(words, "boot "+e.Boot.Round(time.Second).String())
		}
		if r.Memory != nil {
			words = append(words, "("+r.Memory.State.String()+")")
		}
		lines = append(lines, strings.Join(words, ", "))
	}
	return lines
}
