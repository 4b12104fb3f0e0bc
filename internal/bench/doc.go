// Package bench measures the daemon in the lab: the real program, as a process
// of its own, on the porter's host of a LAN in network namespaces. Its
// benchmarks are in the test files; run them with
//
//	go test -run '^$' -bench . ./internal/bench
//
// Each compares in one run with what the kernel does by itself, since absolute
// times say little about another machine. The latencies that a client feels
// stand together: ConnectedAfterReady, KnockToMagic, NeighborAnswer. The first
// is what a program sees, the others are differences of kernel timestamps on
// the porter's interface. A sample that is missing fails the benchmark.
package bench
