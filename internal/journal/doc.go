// Package journal keeps what must survive a crash, a power cut and a full disk:
// the memory of every machine, what it did in the last days, and the last events.
//
// It is one file, journal.jsonl, to which lines of JSON are appended. The first
// is a header; each other one is a transition, whole in itself: an event, the
// memory of a machine after it, or that a machine is forgotten, under a
// checksum. What comes later replaces what came before. When the file has grown
// too long, a new one with what still counts takes its place.
//
// The file is never changed anywhere but at its end, so that a crash can only
// hurt the end, and an SD card is not worn out by rewriting.
package journal
