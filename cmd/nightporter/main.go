// Command nightporter keeps sleeping machines reachable: it answers for their
// addresses, and wakes them when a client connects.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"nightporter/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
