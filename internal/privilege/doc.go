// Package privilege takes from the process, on all its threads at once, what it
// does not need: another user's name, and capabilities.
//
// It does so inside the running process. To start the program a second time as
// the other user would need ambient capabilities, which can be cleared again on
// one thread only, could not bind a port below 1024, and could not read a
// configuration file that is root's alone.
//
// Identity and capabilities belong to threads (capabilities(7)), and the Go
// runtime has many. syscall.AllThreadsSyscall changes them all, but refuses in a
// program with cgo, as every one with the race detector is. The psx package is
// that call in the one, and does the same through a signal in the other.
package privilege
