// Package vm gives a LAN of the lab machines with a real kernel and a real
// systemd: Debian in QEMU, whose network card is plugged into the switch.
//
// The lab's own machines are namespaces of this host's kernel. These are for what
// only a system of its own shows: suspend to RAM, a shutdown with its units, a boot,
// a network manager. They are slow: processors are emulated, unless VM_ACCEL names
// an accelerator of QEMU's, such as kvm.
//
// QEMU has no Wake-on-LAN. A watcher on the switch does what the board would do with
// a magic packet: it powers a machine on that is off, and resumes one that is
// suspended.
//
// Nothing in this package knows the daemon.
package vm
