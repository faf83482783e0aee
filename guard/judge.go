package guard

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"github.com/palegate/palegate/guard/payload"
)

// Reasons of the pipeline itself. Decisions for them name the guard "body" or,
// for the others, the guard concerned.
const (
	ReasonPanic       Reason = "guard.panic"       // a guard panicked
	ReasonUnspecified Reason = "guard.unspecified" // a guard refused without a reason
	ReasonEdit        Reason = "guard.edit"        // an edit that cannot take effect
	ReasonGone        Reason = "client.gone"       // the client went away, or the context ended
	ReasonExpired     Reason = "principal.expired" // a stream outlived its principal
	ReasonTooLarge    Reason = "body.too_large"    // over Limits
	ReasonTruncated   Reason = "body.truncated"    // a body ended before its declared length
	ReasonEncoding    Reason = "body.encoding"     // a Content-Encoding that guards cannot read
	ReasonPartial     Reason = "body.partial"      // a part (206) of a response that guards must see whole
	ReasonHijacked    Reason = "body.hijacked"     // a connection taken over, with guards that must see the response
	ReasonOpaque      Reason = "body.opaque"       // flagged: a response of a media type that no guard reads
	ReasonUnread      Reason = "body.unread"       // guards did not get to see a body; in shadow if all of them are monitored
)

// bodyGuard is the name under which the pipeline itself decides about bodies.
const bodyGuard = "body"

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
			x.later.list = append(x.later.list, *e)
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
	if len(s.exempt) == 0 || d.Reason == ReasonPanic {
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

// hint tells the observer, once, of forwarding headers from a peer that looks
// like a proxy nobody has told us to trust.
func (x *Exchange) hint() {
	if x.plan.hints.untrusted.Load() {
		return
	}
	h := x.request.header
	if len(h["X-Forwarded-For"]) == 0 && len(h["Forwarded"]) == 0 {
		return
	}
	var peer netip.Addr
	if x.direct == nil {
		peer = x.call.Peer.Addr()
	} else if ap, err := netip.ParseAddrPort(x.direct.RemoteAddr); err == nil {
		peer = ap.Addr()
	}
	if x.plan.client.suspicious(peer, h) && x.plan.hints.untrusted.CompareAndSwap(false, true) {
		from := peer.String() + ", which Settings.Trust.Proxies does not name"
		if !peer.IsValid() {
			from = "a peer without an address, which only Settings.Trust.Hops can trust"
		}
		x.plan.tell(Event{Kind: EventHint, Decision: Decision{
			Detail: "forwarding headers come from " + from + ": if it is your proxy, every client behind it now counts as one",
		}})
	}
}
