package guardtest

import (
	"context"
	"math"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"

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
		s.report.addf(ruleUpdate, "the guard cannot be made again: %v", err)
		return true
	}
	p, err := s.pipeline(guard.ModeEnforce, made{g})
	if err != nil {
		s.report.addf(ruleUpdate, "the guard cannot be made again: %v", err)
		return true
	}
	// Allocations are counted for the whole process, so nothing else may run.
	measuring.Lock()
	defer measuring.Unlock()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	m := &meter{subject: s, guard: g, phases: g.Phases(), atDone: math.MaxUint64}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range s.exchanges {
			m.exchange(p, &s.exchanges[i])
			m.measured.Add(1)
		}
	}()
	if !await(done, m.measured.Load) {
		s.report.addf(ruleBlocks, "called again for the same exchange, Check did not return in %v", patience)
		return false
	}
	if m.atDone > 0 && m.atDone != math.MaxUint64 {
		s.report.addf(ruleAllocates, "Check at %s allows and allocates %d times", guard.Done, m.atDone)
	}
	return true
}

// measuring is held while the process runs on one processor.
var measuring sync.Mutex

// meter measures one guard.
type meter struct {
	subject  *subject
	guard    guard.Guard
	phases   guard.Phase
	atDone   uint64       // the least that any exchange took
	measured atomic.Int64 // exchanges
}

func (m *meter) exchange(p *guard.Pipeline, e *exchange) {
	// With the request as net/http has it, from inside the handler.
	serve(e.behind(p, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if x := guard.From(r.Context()); m.phases&guard.RequestHead != 0 && len(x.Decisions()) == 0 {
			m.measure(x, guard.RequestHead, e)
		}
	})), e.request(context.Background()))
	same := func(b []byte) []byte { return b }
	e.call(context.Background(), p, same, func(x *guard.Exchange, at guard.Phase) bool {
		if at == guard.Done {
			// Once, instead of the pipeline: a guard frees there what it holds.
			if n, ok := m.count(x, at); ok && m.phases&at != 0 {
				m.atDone = min(m.atDone, n)
			}
			return false
		}
		before := len(x.Decisions())
		d := x.Judge(at)
		if m.phases&at != 0 && len(x.Decisions()) == before {
			m.measure(x, at, e)
		}
		return !d.Refused()
	})
}

// tries is how often a Check is counted. The least of them counts, so that
// neither a cache that fills nor a goroutine in the background does.
const tries = 8

// measure counts what Check allocates, called again after the pipeline has
// called it. What it stages now goes nowhere.
func (m *meter) measure(x *guard.Exchange, at guard.Phase, e *exchange) {
	least := uint64(math.MaxUint64)
	for range tries {
		n, ok := m.count(x, at)
		if !ok {
			break
		}
		least = min(least, n)
	}
	if least > 0 && least != math.MaxUint64 {
		m.subject.report.addf(ruleAllocates, "%s: Check at %s allows and allocates %d times", e, at, least)
	}
}

// count returns how often one Check allocates, and whether it allows and says
// nothing.
func (m *meter) count(x *guard.Exchange, at guard.Phase) (n uint64, silent bool) {
	// A guard that panics is told of elsewhere.
	defer func() { _ = recover() }()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d := m.guard.Check(x, at)
	runtime.ReadMemStats(&after)
	silent = d.Effect == guard.Allow && d.Reason == "" && d.Principal == nil && d.Err == nil
	return after.Mallocs - before.Mallocs, silent
}

// made is the Part of a guard that is there already.
type made struct{ guard guard.Guard }

func (m made) Guard(guard.Guard) (guard.Guard, error) { return m.guard, nil }
