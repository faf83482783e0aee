package guardtest

import (
	"context"
	"time"
)

// patience is how long a Check, which should take microseconds, may take. It is
// counted in ticks, of which a process that does not get the processor misses
// most: a busy machine makes no guard a slow one.
const (
	patience = 2 * time.Second
	tick     = 50 * time.Millisecond
)

// within calls f and reports whether it returned in time. If not, its context
// ends, and it is left alone.
func within(f func(ctx context.Context)) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	return await(done, func() int64 { return 0 })
}

// await waits for done as long as progress tells another number now and then.
func await(done <-chan struct{}, progress func() int64) bool {
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	last := progress()
	for still := time.Duration(0); still < patience; still += tick {
		select {
		case <-done:
			return true
		case <-ticks.C:
		}
		if now := progress(); now != last {
			last, still = now, 0
		}
	}
	return false
}
