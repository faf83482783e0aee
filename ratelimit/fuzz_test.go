package ratelimit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/ratelimit"
)

// FuzzPerClient compares the decisions for one client with those of a plain
// rate.Limiter asked at the same times, and what a refusal promises with what
// the limiter does. Each byte of gaps is a request: below 128 it says how long
// after the one before, in 32nds of the time that a token takes; from 128 on it
// waits for as long as the last refusal said.
func FuzzPerClient(f *testing.F) {
	f.Add(uint16(20), uint32(1_000_000), uint16(0), []byte{0, 0, 0, 31, 1, 32, 200, 200, 33, 127})
	f.Add(uint16(1), uint32(1), uint16(1), []byte{0, 0, 128, 128, 0, 32, 31})
	f.Add(uint16(7), uint32(3_600_000_001), uint16(3), []byte{0, 0, 0, 0, 128, 0, 128, 64, 0, 0, 0})
	f.Add(uint16(997), uint32(1009), uint16(2), []byte{0, 0, 0, 128, 128, 128, 128, 128, 1, 128, 31, 31, 128})
	f.Fuzz(func(t *testing.T, count uint16, microseconds uint32, burst uint16, gaps []byte) {
		l := ratelimit.Limit{Count: int(count), Per: time.Duration(microseconds) * time.Microsecond, Burst: int(burst)}
		c := ratelimit.Config{Limit: l, MaxClients: 1}
		if _, err := c.Guard(nil); err != nil {
			t.Skip(err)
		}
		synctest.Test(t, func(t *testing.T) {
			p := pipeline(t, c)
			if l.Burst == 0 {
				l.Burst = l.Count
			}
			plain := rate.NewLimiter(rate.Limit(float64(l.Count)/l.Per.Seconds()), l.Burst)
			token := l.Per / time.Duration(l.Count)
			var retry time.Duration
			for i, gap := range gaps {
				if gap < 128 {
					time.Sleep(token * time.Duration(gap) / 32)
				} else {
					time.Sleep(retry)
				}
				d := request(t, p, "192.0.2.1")
				if want := plain.Allow(); d.Refused() == want {
					t.Fatalf("%+v: request %d: refused %t, but a rate.Limiter allows %t", l, i, d.Refused(), want)
				}
				retry = d.RetryAfter
				if d.Refused() {
					promised(t, plain, d)
				}
			}
		})
	})
}

// promised checks that d's RetryAfter is when plain has a token: never earlier,
// and no more than a nanosecond of rounding later.
func promised(t *testing.T, plain *rate.Limiter, d guard.Decision) {
	t.Helper()
	at := time.Now().Add(d.RetryAfter)
	if d.RetryAfter <= 0 || plain.TokensAt(at) < 1 {
		t.Fatalf("RetryAfter %v is too early: %v tokens then", d.RetryAfter, plain.TokensAt(at))
	}
	if plain.TokensAt(at.Add(-2)) >= 1 {
		t.Fatalf("RetryAfter %v is too late: %v tokens 2 ns before", d.RetryAfter, plain.TokensAt(at.Add(-2)))
	}
}
