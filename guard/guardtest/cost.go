package guardtest

import (
	"context"
	"net/http"
	"runtime"

	"github.com/palegate/palegate/guard"
)

// cost counts what a Check allocates that allows. Only those count that say
// nothing at all and leave the message as it is; what the pipeline does is left
// out.
func (s *subject) cost() bool {
	if raceEnabled {
		return true
	}
	g, err := s.part.Guard(nil)
	if err != nil {
		s.report.add(ruleUpdate, "the guard cannot be made again: %v", err)
		return true
	}
	p, err := s.pipeline(guard.ModeEnforce, made{g})
	if err != nil {
		s.report.add(ruleUpdate, "the guard cannot be made again: %v", err)
		return true
	}
	same := func(b []byte) []byte { return b }
	for i := range s.exchanges {
		e := &s.exchanges[i]
		// With the request as net/http has it, from inside the handler.
		serve(e.behind(p, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			x := guard.From(r.Context())
			if g.Phases()&guard.RequestHead != 0 && len(x.Decisions()) == 0 {
				s.count(g, x, guard.RequestHead, e)
			}
		})), e.request(context.Background()))
		e.call(context.Background(), p, same, func(x *guard.Exchange, at guard.Phase) bool {
			before := len(x.Decisions())
			d := x.Judge(at)
			if g.Phases()&at != 0 && len(x.Decisions()) == before {
				s.count(g, x, at, e)
			}
			return !d.Refused()
		})
	}
	return true
}

// tries is how often a Check is counted. The least of them counts, so that
// neither a cache that fills nor another goroutine's garbage does.
const tries = 8

// count counts what Check allocates, called once more after the pipeline has
// called it. What it stages now goes nowhere.
func (s *subject) count(g guard.Guard, x *guard.Exchange, at guard.Phase, e *exchange) {
	// A guard that panics every now and then is told of elsewhere.
	defer func() { _ = recover() }()
	var (
		before, after runtime.MemStats
		least         uint64
		counted       bool
	)
	for range tries {
		runtime.ReadMemStats(&before)
		d := g.Check(x, at)
		runtime.ReadMemStats(&after)
		if d.Effect != guard.Allow || d.Reason != "" || d.Principal != nil || d.Err != nil {
			break
		}
		n := after.Mallocs - before.Mallocs
		if !counted || n < least {
			least, counted = n, true
		}
	}
	if least > 0 {
		s.report.add(ruleAllocates, "%s: Check at %s allows and allocates %d times", e, at, least)
	}
}

// made is the Part of a guard that is there already.
type made struct{ guard guard.Guard }

func (m made) Guard(guard.Guard) (guard.Guard, error) { return m.guard, nil }
