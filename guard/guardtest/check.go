package guardtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"time"
	"weak"

	"github.com/palegate/palegate/guard"
)

// useName is the name of the guard in the pipelines of Conform.
const useName = "conform"

// subject is a guard that is being checked.
type subject struct {
	part      guard.Part
	exchanges []exchange
	report    *report
}

// check checks the guard that part makes. It returns an error if it makes none
// that a pipeline takes.
func check(part guard.Part, samples []*http.Request) (*report, error) {
	s := &subject{part: part, report: &report{}}
	var err error
	if s.exchanges, err = exchanges(samples); err != nil {
		return nil, err
	}
	g, err := part.Guard(nil)
	if err != nil {
		return nil, err
	}
	if g == nil {
		return nil, errors.New("the Part makes no guard")
	}
	s.report.declared = g.Reasons()
	if !s.declarations(g) {
		s.report.stop("no pipeline takes the guard")
		return s.report, nil
	}
	if _, err := s.pipeline(guard.ModeEnforce, part); err != nil {
		return nil, err
	}
	for _, stage := range []func() bool{
		func() bool { return s.watch(guard.ModeEnforce) },
		func() bool { return s.watch(guard.ModeMonitor) },
		s.wire,
		s.crowd,
		s.cost,
	} {
		if !stage() {
			s.report.stop("the guard blocks")
			break
		}
	}
	return s.report, nil
}

const everyPhase = guard.RequestHead | guard.RequestBody | guard.ResponseHead | guard.ResponseBody | guard.Done

var reasonForm = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)+$`)

// declarations checks what g says of itself, and reports whether a pipeline
// takes it.
func (s *subject) declarations(g guard.Guard) bool {
	phases := g.Phases()
	switch {
	case phases == 0:
		s.report.addf(rulePhases, "Phases names none: Check is never called")
		return false
	case phases&^everyPhase != 0:
		s.report.addf(rulePhases, "Phases returns %#b, of which %#b is no phase", phases, phases&^everyPhase)
		return false
	}
	ok := true
	for i, r := range g.Reasons() {
		if !reasonForm.MatchString(string(r)) {
			s.report.addf(ruleReasons, `Reasons returns %q, which is not of the form "guard.cause"`, r)
			ok = false
		}
		if slices.Contains(g.Reasons()[:i], r) {
			s.report.addf(ruleReasons, "Reasons returns %q twice", r)
		}
	}
	return ok
}

// pipeline returns a pipeline of one guard.
func (s *subject) pipeline(mode guard.Mode, part guard.Part) (*guard.Pipeline, error) {
	return guard.New(guard.Settings{Observer: deaf{}}, s.use(mode, part))
}

func (s *subject) use(mode guard.Mode, part guard.Part) guard.Use {
	return guard.Use{Name: useName, Mode: mode, Part: part}
}

// deaf keeps the refusals of the checks out of the log.
type deaf struct{}

func (deaf) Observe(guard.Event) {}

// watch sends every exchange, one after another, and looks at each Check.
func (s *subject) watch(mode guard.Mode) bool {
	probe := &probe{part: s.part, report: s.report}
	p, err := s.pipeline(mode, probe)
	if err != nil {
		s.report.addf(ruleUpdate, "the second guard cannot be made: %v", err)
		return true
	}
	for i := range s.exchanges {
		e := &s.exchanges[i]
		about := fmt.Sprintf("%s, %s", e, mode)
		ended := within(func(ctx context.Context) {
			probe.about = about
			probe.send(ctx, p, e)
			probe.about = about + ", by another transport"
			probe.call(ctx, p, e)
		})
		if !ended {
			s.report.addf(ruleBlocks, "%s: Check at %s did not return in %v", about, guard.Phase(probe.at.Load()), patience)
			return false
		}
	}
	probe.forgotten()
	runtime.KeepAlive(p) // and with it what the guard keeps
	return true
}

// collected reports whether the garbage collector has freed all of ps. It tries
// several times: a sync.Pool keeps what it has for two rounds, and an exchange
// may still be on the stack of a goroutine that is ending.
func collected[T any](ps []weak.Pointer[T]) bool {
	for try := range 6 {
		runtime.GC()
		if !slices.ContainsFunc(ps, func(p weak.Pointer[T]) bool { return p.Value() != nil }) {
			return true
		}
		time.Sleep(time.Duration(try) * 5 * time.Millisecond)
	}
	return false
}
