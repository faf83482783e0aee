package guardtest

import (
	"context"
	"math"
	"runtime"
	"slices"
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
	m := &meter{Guard: g, report: s.report, atDone: math.MaxUint64}
	p, err := guard.New(
		guard.Settings{Observer: deaf{}},
		s.use(guard.ModeEnforce, made{m}),
		guard.Use{Name: "after", Part: made{after{m}}},
	)
	if err != nil {
		s.report.addf(ruleUpdate, "the guard cannot be made again: %v", err)
		return true
	}
	// Allocations are counted for the whole process, so nothing else may run.
	measuring.Lock()
	defer measuring.Unlock()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
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

// meter stands for one guard in a pipeline and measures it, where it can have
// bodies and stage edits. It is used by one exchange at a time.
type meter struct {
	guard.Guard

	report   *report
	about    string       // which exchange, for messages
	least    uint64       // what the last Check allocates
	atDone   uint64       // the least that any exchange took
	measured atomic.Int64 // exchanges
}

func (m *meter) exchange(p *guard.Pipeline, e *exchange) {
	m.about = e.String()
	serve(e.handler(p), e.request(context.Background()))
	m.about += ", by another transport"
	e.call(context.Background(), p, func(b []byte) []byte { return b })
}

// tries is how often a Check is counted. The least of them counts, so that
// neither a cache that fills nor a goroutine in the background does, nor the
// list of edits, which grows with what is staged each time.
const tries = 8

// Check calls the guard's again and again, as long as it says nothing, and
// returns the last decision.
func (m *meter) Check(x *guard.Exchange, at guard.Phase) guard.Decision {
	m.least = 0
	if at == guard.Done {
		// Once: a guard frees there what it holds.
		d, n := m.count(x, at)
		if silent(&d) {
			m.atDone = min(m.atDone, n)
		}
		return d
	}
	d := m.Guard.Check(x, at) // what the exchange works out once is worked out
	least := uint64(math.MaxUint64)
	for range tries {
		if !silent(&d) {
			return d
		}
		var n uint64
		d, n = m.count(x, at)
		least = min(least, n)
	}
	if silent(&d) {
		m.least = least
	}
	return d
}

// count calls the guard's Check and returns how often it allocates.
func (m *meter) count(x *guard.Exchange, at guard.Phase) (d guard.Decision, n uint64) {
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	d = m.Guard.Check(x, at)
	runtime.ReadMemStats(&now)
	return d, now.Mallocs - before.Mallocs
}

func silent(d *guard.Decision) bool {
	return d.Effect == guard.Allow && d.Reason == "" && d.Principal == nil && d.Err == nil
}

// after is the guard after a meter's. Its Check comes when the pipeline has
// recorded what the other has staged: edits of the message cost what they cost.
type after struct{ meter *meter }

func (a after) Phases() guard.Phase   { return a.meter.Phases() }
func (after) Reasons() []guard.Reason { return nil }

func (a after) Check(x *guard.Exchange, at guard.Phase) guard.Decision {
	n := a.meter.least
	said := func(d guard.Decision) bool { return d.Guard == useName && d.Phase == at }
	if n > 0 && !slices.ContainsFunc(x.Decisions(), said) {
		a.meter.report.addf(ruleAllocates, "%s: Check at %s allows and allocates %d times", a.meter.about, at, n)
	}
	return guard.Decision{}
}

// made is the Part of a guard that is there already.
type made struct{ guard guard.Guard }

func (m made) Guard(guard.Guard) (guard.Guard, error) { return m.guard, nil }
