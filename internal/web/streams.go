package web

import (
	"context"
	"log/slog"
	"math"
	"time"
)

// streams bounds how many clients follow the events at once, and has them end
// when the server stops: by themselves they would hold a stop up until they are
// cut off.
type streams struct {
	peers   peers
	slots   *slots
	log     *slog.Logger
	stopped <-chan struct{}
	stop    context.CancelFunc // may be called more than once
}

func newStreams(p peers, log *slog.Logger) *streams {
	ctx, stop := context.WithCancel(context.Background())
	return &streams{peers: p, slots: newSlots(maxStreams, eachStreams, math.MaxInt64), log: log, stopped: ctx.Done(), stop: stop}
}

// Limits on clients that follow the events.
const (
	maxStreams    = 32
	eachStreams   = 4                // for one source
	keepAlive     = 15 * time.Second // proxies close what is silent for longer than a minute or so
	streamTimeout = 10 * time.Second // for one that does not read
)
