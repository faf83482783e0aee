package ratelimit_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/ratelimit"
)

func TestTakeOver(t *testing.T) {
	limit := func(count, burst, clients int) ratelimit.Config {
		return ratelimit.Config{Limit: ratelimit.Limit{Count: count, Per: time.Hour, Burst: burst}, MaxClients: clients}
	}
	before := limit(8, 8, 64)
	tests := []struct {
		name    string
		to      ratelimit.Config
		half    int // allowed to a client that had half of its tokens
		fresh   int // and to a new one
		refused time.Duration
	}{
		{"same", before, 4, 8, time.Hour / 8},
		{"more burst", limit(8, 80, 64), 40, 80, time.Hour / 8},
		{"less burst", limit(8, 2, 64), 1, 2, time.Hour / 8},
		{"faster", limit(80, 8, 64), 4, 8, time.Hour / 80},
		{"slower", limit(1, 8, 64), 4, 8, time.Hour},
		{"more clients", limit(8, 8, 1000), 4, 8, time.Hour / 8},
		{"fewer clients", limit(8, 8, 48), 4, 8, time.Hour / 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline(t, before)
				exhaust(t, p, "192.0.2.1")
				for range 4 {
					request(t, p, "192.0.2.2")
				}
				if err := p.Update(tt.to, guard.Settings{Observer: silent{}}); err != nil {
					t.Fatal(err)
				}
				if d := request(t, p, "192.0.2.1"); d.RetryAfter != tt.refused {
					t.Errorf("who had no token: RetryAfter %v, want %v", d.RetryAfter, tt.refused)
				}
				if got := exhaust(t, p, "192.0.2.2"); got != tt.half {
					t.Errorf("who had half its tokens: %d allowed, want %d", got, tt.half)
				}
				if got := exhaust(t, p, "192.0.2.3"); got != tt.fresh {
					t.Errorf("who is new: %d allowed, want %d", got, tt.fresh)
				}
			})
		})
	}
}

// To and fro, nobody gains.
func TestTakeOverRepeatedly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline(t, ratelimit.PerClient(7, time.Hour))
		exhaust(t, p, "192.0.2.1")
		for i := range 200 {
			if err := p.Update(ratelimit.PerClient(3+i%97, time.Hour), guard.Settings{Observer: silent{}}); err != nil {
				t.Fatal(err)
			}
			if !request(t, p, "192.0.2.1").Refused() {
				t.Fatalf("allowed after %d updates", i+1)
			}
		}
	})
}

// Where there is no place for all, the blocked ones keep theirs.
func TestTakeOverKeepsTheMostIndebted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline(t, ratelimit.PerClient(2, time.Hour))
		for i := range 100 {
			request(t, p, fmt.Sprintf("198.51.100.%d", i))
		}
		for i := range 5 {
			exhaust(t, p, fmt.Sprintf("192.0.2.%d", i))
		}
		c := ratelimit.PerClient(2, time.Hour)
		c.MaxClients = 8
		if err := p.Update(c, guard.Settings{Observer: silent{}}); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if got := exhaust(t, p, fmt.Sprintf("192.0.2.%d", i)); got > 0 {
				t.Errorf("blocked client %d: %d allowed", i, got)
			}
		}
	})
}

func TestFailedUpdateChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline(t, ratelimit.PerClient(4, time.Hour))
		request(t, p, "192.0.2.1")
		if err := p.Update(ratelimit.PerClient(100, time.Hour), guard.Use{Name: "bad"}); err == nil {
			t.Fatal("no error")
		}
		if got := exhaust(t, p, "192.0.2.1"); got != 3 {
			t.Errorf("%d allowed, want 3", got)
		}
	})
}
