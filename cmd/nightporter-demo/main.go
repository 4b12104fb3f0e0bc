// Command nightporter-demo runs nightporter in a LAN of network namespaces on this
// host: a machine sleeps there, and a client's connection wakes it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"nightporter/internal/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := demo.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
