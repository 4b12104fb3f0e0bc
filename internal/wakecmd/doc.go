// Package wakecmd runs the programs that wake machines which no magic packet wakes:
// a smart plug, a management controller, a hypervisor.
//
// A program runs without a shell, without the porter's capabilities and without
// most of its environment, in a process group of its own. One that takes longer than
// it may is killed with its group; what one leaves there when it ends is killed too. Each machine has one run at a time, and all
// machines together have a few; nobody waits for any of them. All end with the
// Runner.
package wakecmd
