package guard

import (
	"net/http"
	"slices"
	"time"
)

// settle makes a decision of the guard in s take effect, or not, and records
// it as what it came to.
func (x *Exchange) settle(s *slot, at Phase, d Decision) Decision {
	if d.Effect < Refuse && at != Done && x.edits != nil && slices.ContainsFunc(x.edits.list, func(e staged) bool { return !e.fits(at) }) {
		// A mask that comes too late must not be taken for one that was put on.
		d = Decision{
			Effect: Refuse, Cause: CauseInternal, Reason: ReasonEdit,
			Detail: "an edit was staged that cannot take effect at this phase; see Message.Stage",
		}
	}
	d.Guard, d.Phase, d.Shadow = s.name, at, false
	if d.Effect >= Refuse {
		d.Effect, d.Cause = Refuse, d.Cause.known()
		if d.Reason == "" {
			d.Reason = ReasonUnspecified
		}
	} else if d.Effect < Transform && x.editsMessage() {
		d.Effect = Transform
	}
	if d.Principal != nil {
		x.setPrincipal(d.Principal, s.mode == ModeEnforce)
	}
	kind := EventDecision
	switch {
	case s.mode != ModeEnforce || at == Done:
		d.Shadow = d.Effect >= Transform
	case d.Effect == Refuse && x.exempt(s, &d):
		d.Shadow = true
		kind = EventExemption
	default:
		x.applyEdits(d.Effect == Refuse)
	}
	x.dropEdits()
	if !d.silent() {
		x.record(kind, d)
	}
	if d.Refused() {
		x.keep(d)
	}
	return d
}

// keep remembers the refusal d.
func (x *Exchange) keep(d Decision) { x.refusal = &d }

func (x *Exchange) dropEdits() {
	x.edits.free()
	x.edits = nil
}

// editsMessage reports whether an edit is staged that makes the message
// another one; a header field on the answer, such as RateLimit, does not.
func (x *Exchange) editsMessage() bool {
	return x.edits != nil && slices.ContainsFunc(x.edits.list, func(e staged) bool { return !e.later() })
}

func (x *Exchange) applyEdits(refused bool) {
	if x.edits == nil {
		return
	}
	for i := range x.edits.list {
		e := &x.edits.list[i]
		switch {
		case e.later() && x.answer != nil:
			editHeader(x.answer, &e.Edit)
		case e.later() && x.sent:
		case e.later():
			if x.later == nil {
				x.later = scratches.Get().(*scratch)
			}
			x.later.put(e)
			x.response.apply(e) // for the guards that follow
		case refused:
		case e.response:
			x.response.apply(e)
		default:
			x.request.apply(e)
		}
	}
}

// applyLater gives h the header fields that guards have staged for the
// response.
func (x *Exchange) applyLater(h http.Header) {
	if x.later == nil {
		return
	}
	for i := range x.later.list {
		editHeader(h, &x.later.list[i].Edit)
	}
}

// exempt reports whether an exemption lets the refusal d pass.
func (x *Exchange) exempt(s *slot, d *Decision) bool {
	if len(s.exempt) == 0 || d.Reason == ReasonPanic || d.Reason == ReasonEdit {
		return false
	}
	now := time.Now()
	for i := range s.exempt {
		if e := &s.exempt[i]; e.matches(x, d, now) {
			d.Detail = "exempt: " + e.Why + "; " + d.Detail
			return true
		}
	}
	return false
}

// record keeps d among the exchange's decisions and tells the observer, if it is
// the first of its kind: a stream has many units.
func (x *Exchange) record(kind EventKind, d Decision) {
	if x.log(&d) {
		x.plan.tell(Event{Kind: kind, Exchange: x, Decision: d})
	}
}

// decide records a decision of the pipeline itself about a body.
func (x *Exchange) decide(at Phase, d Decision) Decision {
	d.Guard, d.Phase = bodyGuard, at
	if d.Refused() {
		d.Cause = d.Cause.known()
		x.keep(d)
	}
	x.record(EventDecision, d)
	return d
}
