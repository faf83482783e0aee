package ratelimit

import (
	"errors"
	"fmt"
	"time"

	"github.com/palegate/palegate/guard"
)

// Config is the [guard.Part] that makes the guard. It is data: it can be
// compared and printed. [PerClient] makes the usual one.
type Config struct {
	// Limit is what each client may do.
	Limit Limit

	// MaxClients is how many clients are told apart at a time, rounded up to a
	// multiple of 8. Each takes 97 bytes, allocated at start-up: 6.1 MiB for
	// the default of 65536; at most 16777216. A client needs its place only
	// until it has all its tokens back, so four times the number of clients
	// that come within that time (Limit.Per × Limit.Burst / Limit.Count at
	// most) is plenty.
	MaxClients int
}

// A Limit is so many requests in a time. It is a token bucket: Burst tokens at
// the start, Count new ones each Per, evenly, and never more than Burst.
type Limit struct {
	// Count is how many requests are allowed each Per; at least 1, and at most
	// one a microsecond.
	Count int
	// Per is the time for Count requests; at most a year.
	Per time.Duration
	// Burst is how many requests may come at once. The default, 0, means
	// Count. It must take no more than a year to gain so many tokens.
	Burst int
}

const (
	defaultMaxClients = 1 << 16
	mostMaxClients    = 1 << 24
	// A rate.Limiter takes waits below a nanosecond for none, which would make
	// rates near one a nanosecond no limit at all.
	minInterval = time.Microsecond
	// A longer memory than a process has; it keeps times within what
	// time.Duration can count.
	maxTime = 365 * 24 * time.Hour
)

// PerClient limits each client address to n requests per the time given, all
// of which may come at once.
func PerClient(n int, per time.Duration) Config {
	return Config{Limit: Limit{Count: n, Per: per}}
}

// Guard implements [guard.Part]. A new guard takes over from prev, if that is
// one of this package, what each client has spent. With the same Config, both
// use the same memory. Otherwise it is copied, and each client keeps the same
// share of its tokens: who had none still has none, who had half of the old
// burst has half of the new one. Where fewer MaxClients leave no place for all,
// those that have spent most keep theirs. What prev allows between the copy and
// the moment when the new guard takes its place is not counted.
func (c Config) Guard(prev guard.Guard) (guard.Guard, error) {
	if c.Limit.Burst == 0 {
		c.Limit.Burst = c.Limit.Count
	}
	if c.MaxClients == 0 {
		c.MaxClients = defaultMaxClients
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	before, _ := prev.(*perClient)
	if before != nil && before.config == c {
		return before, nil
	}
	g := newPerClient(c)
	if before != nil {
		g.clients.takeOver(before.clients)
	}
	return g, nil
}

// check returns what is wrong with c, whose defaults are set.
func (c Config) check() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("ratelimit: "+field+": "+format, args...))
	}
	l := c.Limit
	if l.Count <= 0 {
		wrong("Limit.Count", "%d is not positive", l.Count)
	}
	switch {
	case l.Per <= 0:
		wrong("Limit.Per", "%v is not positive", l.Per)
	case l.Per > maxTime:
		wrong("Limit.Per", "%v is more than a year", l.Per)
	case l.Count > 0 && l.Per/minInterval < time.Duration(l.Count):
		wrong("Limit.Count", "%d in %v is more than one a microsecond", l.Count, l.Per)
	}
	switch {
	case l.Burst < 0:
		wrong("Limit.Burst", "%d is negative", l.Burst)
	case l.Count > 0 && l.Per > 0 && l.Per <= maxTime && float64(l.Burst)/l.rate() > maxTime.Seconds():
		wrong("Limit.Burst", "%d takes more than a year to gain at %d in %v", l.Burst, l.Count, l.Per)
	}
	switch {
	case c.MaxClients < 0:
		wrong("MaxClients", "%d is negative", c.MaxClients)
	case c.MaxClients > mostMaxClients:
		wrong("MaxClients", "%d is more than %d", c.MaxClients, mostMaxClients)
	}
	return errors.Join(errs...)
}

// rate is l's in tokens a second.
func (l Limit) rate() float64 { return float64(l.Count) / l.Per.Seconds() }
