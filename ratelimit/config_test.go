package ratelimit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/ratelimit"
)

func TestConfig(t *testing.T) {
	second := func(count, burst int) ratelimit.Limit {
		return ratelimit.Limit{Count: count, Per: time.Second, Burst: burst}
	}
	tests := []struct {
		name   string
		config ratelimit.Config
		errs   []string
	}{
		{"usual", ratelimit.PerClient(20, time.Second), nil},
		{"fastest", ratelimit.PerClient(1_000_000, time.Second), nil},
		{"slowest", ratelimit.PerClient(1, 365*24*time.Hour), nil},
		{"longest burst", ratelimit.Config{Limit: second(1, 365*24*60*60)}, nil},
		{"one client", ratelimit.Config{Limit: second(1, 1), MaxClients: 1}, nil},
		{"zero", ratelimit.Config{}, []string{
			"ratelimit: Limit.Count: 0 is not positive",
			"ratelimit: Limit.Per: 0s is not positive",
		}},
		{"negative", ratelimit.Config{Limit: ratelimit.Limit{Count: -1, Per: -time.Second, Burst: -2}, MaxClients: -3}, []string{
			"ratelimit: Limit.Count: -1 is not positive",
			"ratelimit: Limit.Per: -1s is not positive",
			"ratelimit: Limit.Burst: -2 is negative",
			"ratelimit: MaxClients: -3 is negative",
		}},
		{"too fast", ratelimit.PerClient(1_000_001, time.Second), []string{
			"ratelimit: Limit.Count: 1000001 in 1s is more than one a microsecond",
		}},
		{"too slow", ratelimit.PerClient(1000, 366*24*time.Hour), []string{
			"ratelimit: Limit.Per: 8784h0m0s is more than a year",
		}},
		{"burst never gained", ratelimit.Config{Limit: second(1, 366*24*60*60)}, []string{
			"ratelimit: Limit.Burst: 31622400 takes more than a year to gain at 1 in 1s",
		}},
		{"too many clients", ratelimit.Config{Limit: second(1, 1), MaxClients: 1<<24 + 1}, []string{
			"ratelimit: MaxClients: 16777217 is more than 16777216",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := tt.config.Guard(nil)
			var got string
			if err != nil {
				got = err.Error()
			}
			if want := strings.Join(tt.errs, "\n"); got != want {
				t.Errorf("%+v: got error %q, want %q", tt.config, got, want)
			}
			if (g == nil) != (err != nil) {
				t.Errorf("%+v: got guard %v with error %v", tt.config, g, err)
			}
		})
	}
}

func TestConfigIsData(t *testing.T) {
	want := ratelimit.Config{Limit: ratelimit.Limit{Count: 20, Per: time.Second}}
	if got := ratelimit.PerClient(20, time.Second); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestGuard(t *testing.T) {
	g, err := ratelimit.PerClient(20, time.Second).Guard(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Phases(); got != guard.RequestHead {
		t.Errorf("got phases %v, want %v", got, guard.RequestHead)
	}
	if got := g.Reasons(); len(got) != 1 || got[0] != ratelimit.ReasonExceeded {
		t.Errorf("got reasons %v, want only %v", got, ratelimit.ReasonExceeded)
	}
}
