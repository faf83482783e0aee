//go:build !race

// The race detector allocates on its own.

package ratelimit_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/ratelimit"
)

// inside is a guard that runs f in its place in a pipeline, where edits can be
// staged.
type inside struct{ f func(*guard.Exchange) }

func (i inside) Guard(guard.Guard) (guard.Guard, error) { return i, nil }
func (inside) Phases() guard.Phase                      { return guard.RequestHead }
func (inside) Reasons() []guard.Reason                  { return nil }

func (i inside) Check(x *guard.Exchange, _ guard.Phase) guard.Decision {
	i.f(x)
	return guard.Decision{}
}

func TestAllocations(t *testing.T) {
	tests := []struct {
		name    string
		config  ratelimit.Config
		refused bool
	}{
		{"allowed", ratelimit.PerClient(1_000_000, time.Second), false},
		{"refused", ratelimit.PerClient(1, time.Hour), true},
	}
	for _, tt := range tests {
		g, err := tt.config.Guard(nil)
		if err != nil {
			t.Fatal(err)
		}
		var allocs float64
		p := pipeline(t, inside{func(x *guard.Exchange) {
			var last guard.Decision
			allocs = testing.AllocsPerRun(1000, func() { last = g.Check(x, guard.RequestHead) })
			if got := last.Effect == guard.Refuse; got != tt.refused {
				t.Errorf("%s: refused %t", tt.name, got)
			}
		}})
		s := p.Begin(t.Context(), guard.Call{Peer: netip.MustParseAddrPort("[2001:db8::1]:4711")})
		s.Judge(guard.RequestHead)
		s.End()
		if allocs > 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, allocs)
		}
	}
}
