// Package journal stores what must survive a crash, a power cut and a full disk: the
// state of every machine, its history of the last days, and the last events.
//
// The journal is one file, journal.jsonl, to which lines of JSON are appended. The first
// line is a header. Each other line has a checksum and a record: an event, the memory of
// a machine after it, or the removal of a machine. Later records replace earlier ones.
// When the file is too long, a new file with the current records replaces it.
//
// The file changes only at its end, so that a crash can damage only the end and an SD
// card does not wear out.
package journal
