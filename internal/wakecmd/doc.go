// Package wakecmd runs the programs that wake machines which no magic packet wakes:
// a smart plug, a management controller, a hypervisor.
// A program runs without a shell, without the porter's capabilities and without most of its
// environment, in a process group of its own. The group is killed when the program ends or
// takes too long. Each machine has one run at a time, and all machines together have a
// few. No caller waits for a run. All end with the Runner.
package wakecmd
