// Package vm gives a LAN of the lab machines with a real kernel and a real
// systemd: Debian in QEMU, whose network card is plugged into the switch.
//
// The lab's own machines are namespaces of this host's kernel. Virtual machines are for
// tests that need a kernel and an init system: suspend to RAM, a shutdown with its units,
// a boot, a network manager. They are slow, since processors are emulated unless VM_ACCEL
// names an accelerator of QEMU, such as kvm.
//
// QEMU has no Wake-on-LAN. A watcher on the switch does what a board does with a magic
// packet: it powers on a machine that is off, and resumes one that is suspended.
//
// The package does not depend on the daemon.
package vm
