package guardtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/palegate/palegate/guard"
)

// crowdSize is how many goroutines send to each pipeline at once.
const crowdSize = 4

// crowd sends the exchanges from many goroutines at once, enforced and
// monitored, while the guard is replaced. Nothing here may order what one
// goroutine does before what another does, no mutex and no atomic that two of
// them use: the race detector would take it for the guard's own doing.
func (s *subject) crowd() bool {
	var (
		wg      sync.WaitGroup
		begin   = make(chan struct{})
		members []*member
	)
	update := func() {}
	for _, mode := range []guard.Mode{guard.ModeEnforce, guard.ModeMonitor} {
		p, err := s.pipeline(mode, s.part)
		if err != nil {
			s.report.addf(ruleUpdate, "the guard cannot be made again: %v", err)
			return true
		}
		for range crowdSize {
			m := &member{subject: s, pipeline: p, mode: mode}
			members = append(members, m)
			// A context of its own: those of exchanges meet in the lock of a
			// common one.
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			wg.Go(func() {
				<-begin
				m.run(ctx)
			})
		}
		before := update
		update = func() { before(); s.update(p, mode) }
	}
	done := make(chan struct{})
	wg.Go(func() {
		<-begin
		// Not at once, or nobody has used what is taken over. To ask how far
		// they are would put all that they have done before the update.
		for _, pause := range []time.Duration{2 * time.Millisecond, 20 * time.Millisecond} {
			time.Sleep(pause)
			update()
		}
	})
	close(begin)
	go func() { wg.Wait(); close(done) }()
	sent := func() (n int64) {
		for _, m := range members {
			n += m.sent.Load()
		}
		return n
	}
	if !await(done, sent) {
		s.report.addf(ruleBlocks, "with %d exchanges at once, none of them went on for %v", len(members), patience)
		return false
	}
	for _, m := range members {
		for _, found := range m.found {
			s.report.addf(found.rule, "%s", found.text)
		}
	}
	return true
}

// update replaces the guard of p by one that takes over from it.
func (s *subject) update(p *guard.Pipeline, mode guard.Mode) {
	defer func() {
		if v := recover(); v != nil {
			s.report.addf(ruleUpdate, "Guard(prev), where prev is a guard that it has made, panics: %v", v)
		}
	}()
	if err := p.Update(guard.Settings{Observer: deaf{}}, s.use(mode, s.part)); err != nil {
		s.report.addf(ruleUpdate, "Guard(prev), where prev is a guard that it has made, fails: %v", err)
	}
}

// member is one goroutine of the crowd.
type member struct {
	subject  *subject
	pipeline *guard.Pipeline
	mode     guard.Mode
	sent     atomic.Int64 // its own: only await reads it
	found    []violation
}

type violation struct{ rule, text string }

func (m *member) run(ctx context.Context) {
	declared := m.subject.report.declared
	for i := range m.subject.exchanges {
		e := &m.subject.exchanges[i]
		res := serve(e.handler(m.pipeline), e.request(ctx))
		m.sent.Add(1)
		for _, d := range res.Decisions {
			switch {
			case d.Guard != useName:
			case d.Reason == guard.ReasonPanic:
				m.add(rulePanics, e, d, "panics: "+d.Detail)
			case d.Reason != "" && !slices.Contains(declared, d.Reason):
				m.add(ruleReasons, e, d, fmt.Sprintf("gives the reason %q, which Reasons does not return", d.Reason))
			}
		}
	}
}

func (m *member) add(rule string, e *exchange, d guard.Decision, what string) {
	m.found = append(m.found, violation{rule, fmt.Sprintf("%s, %s, with others at once: Check at %s %s", e, m.mode, d.Phase, what)})
}
