package guard

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/palegate/palegate/guard/payload"
)

// errPanic is in the Err of a decision for a guard that panicked.
var errPanic = errors.New("guard: panic")

// choose works out which guards run here, by the route.
func (x *Exchange) choose() {
	pl := x.plan
	x.phases, x.enforce = pl.phases, pl.enforce
	if !pl.routed {
		return
	}
	route := x.Route()
	if route == "" {
		if x.router == nil && x.direct != nil && pl.hints.unrouted.CompareAndSwap(false, true) {
			pl.tell(Event{Kind: EventHint, Decision: Decision{
				Detail: "no route is known where the pipeline stands, so guards judge every request whatever their Routes: " +
					"hand Pipeline.Routed the router",
			}})
		}
		return // unrouted: every guard runs
	}
	method := x.method()
	x.phases, x.enforce = 0, 0
	for i := range pl.slots {
		s := &pl.slots[i]
		if len(s.routes) > 0 && !s.routes.match(route, method) {
			x.skip |= 1 << i
			continue
		}
		x.phases |= s.phases
		if s.mode == ModeEnforce {
			x.enforce |= s.phases
		}
	}
}

// judge runs the guards of a phase. It returns the refusal that ended it, or
// the zero Decision.
func (x *Exchange) judge(at Phase) (d Decision) {
	if x.phases&at == 0 {
		return d
	}
	x.judging.Lock()
	defer x.judging.Unlock()
	return x.judgeLocked(at)
}

// judgeHead lets the guards judge a response's head.
func (x *Exchange) judgeHead(status int, h http.Header) Decision {
	x.judging.Lock()
	defer x.judging.Unlock()
	x.response.setHead(status, h)
	return x.judgeLocked(ResponseHead)
}

// judgeMessage lets the guards judge b as a body of m, and returns what they
// leave of it and whether that is something else. Only meanwhile is it there
// for Message.Body: its memory may be lent.
func (x *Exchange) judgeMessage(m *Message, at Phase, b []byte) (left []byte, edited bool, d Decision) {
	x.judging.Lock()
	defer x.judging.Unlock()
	return x.judgeMessageLocked(m, at, payload.New(b))
}

func (x *Exchange) judgeMessageLocked(m *Message, at Phase, b payload.Body) (left []byte, edited bool, d Decision) {
	m.setBody(b)
	d = x.judgeLocked(at)
	if left, edited = m.edit, m.edited; !edited {
		left = b.Bytes() // not what m has: a guard gets a pointer to that
	}
	m.clearBody()
	return left, edited, d
}

func (x *Exchange) judgeLocked(at Phase) (d Decision) {
	if x.ended && at != Done {
		if x.enforces(at) {
			return x.decide(at, Decision{Effect: Refuse, Cause: CauseGone, Reason: ReasonGone})
		}
		return d
	}
	for i := 0; i < len(x.plan.slots) && !d.Refused(); {
		i, d = x.run(at, i)
	}
	return d
}

// run calls the guards from the i-th on. It returns when one of them refuses
// or panics, with where to go on; so recovering costs once a phase, not once a
// guard.
func (x *Exchange) run(at Phase, i int) (next int, d Decision) {
	defer func() {
		if v := recover(); v != nil {
			x.dropEdits()
			next = i + 1
			d = x.settle(&x.plan.slots[i], at, x.panicked(v))
		}
		x.check(false)
	}()
	x.check(true)
	for ; i < len(x.plan.slots); i++ {
		s := &x.plan.slots[i]
		if s.phases&at == 0 || x.skip&(1<<i) != 0 {
			continue
		}
		d = s.guard.Check(x, at)
		if d.silent() && x.edits == nil {
			continue
		}
		if d = x.settle(s, at, d); d.Refused() {
			return i + 1, d
		}
	}
	return i, Decision{}
}

// panicked is the decision for a guard that has panicked with v. The first one
// of an exchange tells where.
func (x *Exchange) panicked(v any) Decision {
	d := Decision{Effect: Refuse, Cause: CauseInternal, Reason: ReasonPanic, Detail: fmt.Sprint(v), Err: errPanic}
	if !x.panics {
		x.panics = true
		d.Detail += "\n" + string(stack())
	}
	return d
}

// stack returns the stack of a panic that was just recovered, from where it
// happened.
func stack() []byte {
	s := debug.Stack()
	if _, below, ok := bytes.Cut(s, []byte("\npanic(")); ok {
		if i := bytes.Index(below, []byte("\n\t")); i >= 0 {
			if j := bytes.IndexByte(below[i+2:], '\n'); j >= 0 {
				return below[i+2+j+1:]
			}
		}
	}
	return s
}

// check notes whether a Check runs.
func (x *Exchange) check(runs bool) {
	x.mu.Lock()
	x.checks = runs
	x.mu.Unlock()
}

// limit is that of a body at RequestBody or ResponseBody.
func (x *Exchange) limit(at Phase) int64 {
	if at == ResponseBody {
		return x.plan.settings.Limits.Response
	}
	return x.plan.settings.Limits.Request
}

func (x *Exchange) tooLarge(at Phase) Decision {
	d := Decision{Effect: Refuse, Cause: CauseTooLarge, Reason: ReasonTooLarge}
	if at == ResponseBody {
		d.Cause = CauseInternal
	}
	return x.decide(at, d)
}

// end runs Done and frees what x holds. It is called once for the transport,
// but adapters may call it again.
func (x *Exchange) end() {
	x.judging.Lock()
	if x.ended {
		x.judging.Unlock()
		return
	}
	x.ended = true
	x.request.clearBody()
	x.response.clearBody()
	x.judging.Unlock()
	x.judge(Done)
	x.freeze()
	x.judging.Lock()
	x.later.free()
	x.later = nil
	x.judging.Unlock()
	if x.stop != nil {
		x.stop(nil)
	}
}
