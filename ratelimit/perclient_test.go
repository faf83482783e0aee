package ratelimit_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/ratelimit"
)

type silent struct{}

func (silent) Observe(guard.Event) {}

func pipeline(t testing.TB, parts ...guard.Part) *guard.Pipeline {
	t.Helper()
	p, err := guard.New(append(parts, guard.Settings{Observer: silent{}})...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// request judges the head of a request from addr; "" stands for none.
func request(t testing.TB, p *guard.Pipeline, addr string) guard.Decision {
	t.Helper()
	var peer netip.AddrPort
	if addr != "" {
		peer = netip.AddrPortFrom(netip.MustParseAddr(addr), 4711)
	}
	s := p.Begin(t.Context(), guard.Call{Route: "/shop.Orders/Get", Peer: peer})
	defer s.End()
	return s.Judge(guard.RequestHead)
}

// exhaust makes requests from addr until one is refused and returns how many
// were not.
func exhaust(t testing.TB, p *guard.Pipeline, addr string) (n int) {
	t.Helper()
	for !request(t, p, addr).Refused() {
		if n++; n > 10_000 {
			t.Fatalf("%s: never refused", addr)
		}
	}
	return n
}

func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline(t, ratelimit.PerClient(3, time.Minute))
		exhaust(t, p, "192.0.2.1")
		d := request(t, p, "192.0.2.1")
		if !d.Is(ratelimit.ReasonExceeded) || d.Cause != guard.CauseExhausted {
			t.Errorf("got %v %v, want %v %v", d.Reason, d.Cause, ratelimit.ReasonExceeded, guard.CauseExhausted)
		}
		if d.RetryAfter != 20*time.Second {
			t.Errorf("got RetryAfter %v, want 20s", d.RetryAfter)
		}
		if want := "more than 3 requests in 1m0s with a burst of 3"; d.Detail != want {
			t.Errorf("got Detail %q, want %q", d.Detail, want)
		}
		if len(d.Violations) > 0 || d.Err != nil {
			t.Errorf("got violations %v and error %v, want none: the client has nothing to mend, and nothing failed", d.Violations, d.Err)
		}
	})
}

func TestRefill(t *testing.T) {
	tests := []struct {
		limit ratelimit.Limit
		sleep time.Duration
		want  int // requests allowed after everything was spent and sleep has passed
	}{
		{ratelimit.Limit{Count: 4, Per: time.Second}, 0, 0},
		{ratelimit.Limit{Count: 4, Per: time.Second}, 249 * time.Millisecond, 0},
		{ratelimit.Limit{Count: 4, Per: time.Second}, 250 * time.Millisecond, 1},
		{ratelimit.Limit{Count: 4, Per: time.Second}, 999 * time.Millisecond, 3},
		{ratelimit.Limit{Count: 4, Per: time.Second}, time.Hour, 4},
		{ratelimit.Limit{Count: 4, Per: time.Second, Burst: 1}, 250 * time.Millisecond, 1},
		{ratelimit.Limit{Count: 4, Per: time.Second, Burst: 1}, time.Hour, 1},
		{ratelimit.Limit{Count: 1, Per: time.Second, Burst: 9}, 8 * time.Second, 8},
		{ratelimit.Limit{Count: 1, Per: 365 * 24 * time.Hour}, 364 * 24 * time.Hour, 0},
		{ratelimit.Limit{Count: 1, Per: 365 * 24 * time.Hour}, 365 * 24 * time.Hour, 1},
		{ratelimit.Limit{Count: 1, Per: time.Second, Burst: 10_000}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%+v %v", tt.limit, tt.sleep), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline(t, ratelimit.Config{Limit: tt.limit, MaxClients: 1})
				burst := cmp.Or(tt.limit.Burst, tt.limit.Count)
				if got := exhaust(t, p, "192.0.2.1"); got != burst {
					t.Errorf("%d allowed at once, want %d", got, burst)
				}
				time.Sleep(tt.sleep)
				if got := exhaust(t, p, "192.0.2.1"); got != tt.want {
					t.Errorf("%d allowed after %v, want %d", got, tt.sleep, tt.want)
				}
			})
		})
	}
}

// A client that hammers on is served again as soon as one that waits.
func TestRefusedRequestsCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline(t, ratelimit.PerClient(1, time.Second))
		exhaust(t, p, "192.0.2.1")
		for range 999 {
			time.Sleep(time.Millisecond)
			if !request(t, p, "192.0.2.1").Refused() {
				t.Fatal("allowed before its time")
			}
		}
		time.Sleep(time.Millisecond)
		if request(t, p, "192.0.2.1").Refused() {
			t.Error("refused after a second")
		}
	})
}

func TestClients(t *testing.T) {
	tests := []struct {
		name, a, b string
		same       bool
	}{
		{"two IPv4 addresses", "192.0.2.1", "192.0.2.2", false},
		{"IPv4 and the same mapped", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"two mapped addresses", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"one IPv6 network", "2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
		{"two IPv6 networks", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"IPv6 that looks like IPv4", "192.0.2.1", "0:0:c000:201::", false},
		{"IPv6 zones", "fe80::1%eth0", "fe80::1%eth1", true},
		{"unknown and unspecified", "", "0.0.0.0", false},
		{"unknown and IPv6's unspecified", "", "::", false},
		{"two unknown", "", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipeline(t, ratelimit.PerClient(2, time.Hour))
				if got := exhaust(t, p, tt.a); got != 2 {
					t.Errorf("%q: %d allowed, want 2", tt.a, got)
				}
				want := 2
				if tt.same {
					want = 0
				}
				if got := exhaust(t, p, tt.b); got != want {
					t.Errorf("%q after %q: %d allowed, want %d", tt.b, tt.a, got, want)
				}
			})
		})
	}
}

// Operators must be told when a limit counts what it should tell apart.
func TestDetailOfSharedLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline(t, ratelimit.Config{Limit: ratelimit.Limit{Count: 1, Per: time.Hour}, MaxClients: 1})
		exhaust(t, p, "")
		if d := request(t, p, ""); !strings.Contains(d.Detail, "not known") {
			t.Errorf("unknown client: got Detail %q", d.Detail)
		}
		for i := range 7 { // the set of 8 is full then
			exhaust(t, p, fmt.Sprintf("192.0.2.%d", i))
		}
		if d := request(t, p, "198.51.100.1"); !d.Refused() || !strings.Contains(d.Detail, "MaxClients") {
			t.Errorf("no place left: got %v with Detail %q, want a refusal that names MaxClients", d.Effect, d.Detail)
		}
	})
}

func TestMonitorSpendsAndStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeline(t, guard.Use{Mode: guard.ModeMonitor, Part: ratelimit.PerClient(1, time.Hour)})
		for i := range 3 {
			s := p.Begin(t.Context(), guard.Call{})
			if d := s.Judge(guard.RequestHead); d.Refused() {
				t.Fatalf("request %d was refused", i)
			}
			if got, want := len(s.Exchange().Decisions()), min(i, 1); got != want {
				t.Errorf("request %d: %d shadow decisions, want %d", i, got, want)
			}
			s.End()
		}
	})
}

// In a bubble time stands still while goroutines run, so exactly the burst may
// pass, however they race.
func TestRace(t *testing.T) {
	const clients, goroutines, rounds, burst = 40, 16, 50, 100
	synctest.Test(t, func(t *testing.T) {
		p := pipeline(t, ratelimit.PerClient(burst, time.Hour))
		var allowed [clients]atomic.Int64
		for range 2 { // the second time nothing is left
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					for range rounds {
						for c := range clients {
							if !request(t, p, fmt.Sprintf("2001:db8:0:%d::1", c)).Refused() {
								allowed[c].Add(1)
							}
						}
					}
				})
			}
			wg.Wait()
		}
		for c := range allowed {
			if got := allowed[c].Load(); got != burst {
				t.Errorf("client %d: %d of %d requests allowed, want %d", c, got, 2*goroutines*rounds, burst)
			}
		}
	})
}

// With real time and real clocks, the rate holds too.
func TestRaceInRealTime(t *testing.T) {
	const perSecond, burst = 5000, 10
	p := pipeline(t, ratelimit.Config{Limit: ratelimit.Limit{Count: perSecond, Per: time.Second, Burst: burst}})
	var allowed atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range 8 {
		wg.Go(func() {
			for time.Since(begin) < 200*time.Millisecond {
				if !request(t, p, "192.0.2.1").Refused() {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	most := int64(burst+time.Since(begin).Seconds()*perSecond) + 1
	if got := allowed.Load(); got > most {
		t.Errorf("%d requests allowed, want at most %d", got, most)
	}
}
