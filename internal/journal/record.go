package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"nightporter/internal/ether"
)

// formatVersion is the version of the file's format. It changes only when an
// older program would misread the file; a new field is no reason.
const formatVersion = 1

// header is the first line.
type header struct {
	Version *int `json:"nightporter_journal"`
}

func headerLine() []byte { return fmt.Appendf(nil, `{"nightporter_journal":%d}`+"\n", formatVersion) }

// record is the content of one line.
type record struct {
	At        moment        `json:"at,omitzero"`    // when it was written
	Boot      string        `json:"boot,omitempty"` // ID of the host's boot
	Up        span          `json:"up,omitempty"`   // time since that boot
	End       bool          `json:"end,omitempty"`  // last record of a run that ended normally
	Event     *Event        `json:"event,omitempty"`
	Machine   *machineForm  `json:"machine,omitempty"`
	Timeline  *timelineForm `json:"timeline,omitempty"` // of Machine
	Forgotten ether.MAC     `json:"forgotten,omitzero"`
}

// A line is {"sum":"1a2b3c4d","record":{...}}. The sum is the CRC-32C of the
// record's bytes as they stand. It is found by position, so that a line can be
// judged before anything in it is believed.
const (
	beforeSum    = `{"sum":"`
	sumLength    = 8
	beforeRecord = `","record":`
	afterRecord  = '}'
	recordStart  = len(beforeSum) + sumLength + len(beforeRecord)
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// appendLine appends the line of r, with its end, to b.
func appendLine(b []byte, r *record) ([]byte, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return b, fmt.Errorf("encode a record: %w", err)
	}
	b = append(b, beforeSum...)
	b = fmt.Appendf(b, "%0*x", sumLength, checksum(raw))
	b = append(b, beforeRecord...)
	b = append(b, raw...)
	return append(b, afterRecord, '\n'), nil
}

var errNoRecord = errors.New("not a record")

// recordIn returns the record in a line without its end, once the checksum says
// that it is as it was written.
func recordIn(line []byte) ([]byte, error) {
	if len(line) <= recordStart || !bytes.HasPrefix(line, []byte(beforeSum)) || line[len(line)-1] != afterRecord {
		return nil, errNoRecord
	}
	sum, rest := line[len(beforeSum):][:sumLength], line[len(beforeSum)+sumLength:]
	if !bytes.HasPrefix(rest, []byte(beforeRecord)) {
		return nil, errNoRecord
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil {
		return nil, errNoRecord
	}
	raw := line[recordStart : len(line)-1]
	if got := checksum(raw); got != uint32(want) {
		return nil, fmt.Errorf("checksum %08x, expected %08x", got, want)
	}
	return raw, nil
}
