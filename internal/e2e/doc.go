// Package e2e holds the end-to-end tests and the benchmarks of the daemon. The real program
// runs as a process on the porter's host of a LAN in network namespaces.
//
// Each test opens a harness with one of the open functions. Files named fault_ have the
// faults of a network or a machine, files named attack_ what another host may try.
//
// The benchmarks are in the files named bench_:
//
//	go test -run '^$' -bench . ./internal/e2e
//
// Each compares the daemon with the kernel in one run, because absolute times depend on the
// computer. ConnectedAfterReady measures what a program sees; KnockToMagic and NeighborAnswer
// measure differences of kernel timestamps on the porter's interface. A missing sample fails
// the benchmark. The program is built as it is delivered; -nightporter FILE measures another.
package e2e
