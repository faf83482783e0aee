package guard

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"time"

	"github.com/palegate/palegate/guard/payload"
)

// A Call is what another transport than net/http tells of a request before its
// first message.
type Call struct {
	Route  string      // "/pkg.Service/Method"; "" if no route serves it
	Host   string      // what the client called the service
	Header http.Header // canonical keys; the pipeline does not change it
	Peer   netip.AddrPort
	TLS    *tls.ConnectionState
}

// A Session is, for adapters, an [Exchange] of another transport than net/http,
// which the adapter leads through the phases. Guards and handlers do not get it.
//
// Of its methods only Exchange, Enforces, Expired and Reach are safe for
// concurrent use.
type Session struct{ x Exchange }

// Begin begins an exchange of another transport than net/http. The adapter
// judges it phase by phase and ends it, whatever happens:
//
//	s := p.Begin(ctx, call)
//	defer s.End()
//	if d := s.Judge(guard.RequestHead); d.Refused() {
//		return refusal(d)
//	}
//	left, edited, d := s.JudgeBody(guard.RequestBody, payload.New(message))
//	if d.Refused() {
//		return refusal(d)
//	}
//	if edited {
//		message = left
//	}
//	s.Reach()
//	…
//
// Handlers must get s.Exchange().Context(). If ctx belongs to an exchange
// already, the two share what [Exchange] says.
func (p *Pipeline) Begin(ctx context.Context, c Call) *Session {
	s := &Session{Exchange{plan: p.plan.Load(), call: &c}}
	x := &s.x
	x.begin(ctx)
	x.request.header = c.Header
	x.shared.setReached(false) // of what comes next this exchange is the gate
	x.tellRoute()
	x.choose()
	x.hint()
	return s
}

// Exchange returns what guards judge, and what [From] finds in the context of
// handlers.
func (s *Session) Exchange() *Exchange { return &s.x }

// Judge lets every guard judge the head at RequestHead or ResponseHead, and
// returns the refusal to answer with, if [Decision.Refused] says that it is
// one. What a refused exchange would do next is refused as well.
//
// Judged after the end of the exchange, everything is refused that an enforced
// guard would have had to see.
func (s *Session) Judge(at Phase) Decision {
	x := &s.x
	x.judging.Lock()
	defer x.judging.Unlock()
	if x.refusal != nil {
		return *x.refusal
	}
	var d Decision
	if x.phases&at != 0 {
		d = x.judgeLocked(at)
	}
	if at == ResponseHead && !d.Refused() {
		x.applyLater(x.response.Header())
	}
	return s.answer(d)
}

// JudgeBody lets every guard judge b as the body, or the next message, at
// RequestBody or ResponseBody, and returns the refusal as Judge does. If guards
// have put another body in its place, left is that one and edited is true;
// otherwise left is nil, and a lazy b is made only if a guard needs it.
//
// What an enforced guard is to see must be there and within [Limits]. The bytes
// of b are the caller's again when JudgeBody returns.
func (s *Session) JudgeBody(at Phase, b payload.Body) (left []byte, edited bool, d Decision) {
	x := &s.x
	x.judging.Lock()
	defer x.judging.Unlock()
	switch {
	case x.refusal != nil:
		return nil, false, *x.refusal
	case x.phases&at == 0:
		return nil, false, Decision{}
	}
	if d := x.unread(at, &b); d.Refused() {
		return nil, false, s.answer(d)
	}
	m := &x.request
	if at == ResponseBody {
		m = &x.response
	}
	left, edited, d = x.judgeMessageLocked(m, at, b)
	switch {
	case d.Refused():
	case !edited:
		left = nil
	case int64(len(left)) > x.limit(at):
		left, edited, d = nil, false, x.tooLarge(at)
	}
	return left, edited, s.answer(d)
}

// unread refuses a message that enforced guards cannot be shown.
func (x *Exchange) unread(at Phase, b *payload.Body) Decision {
	if x.ended || !x.enforces(at) {
		return Decision{}
	}
	if err := b.Load(); err != nil {
		d := Decision{Effect: Refuse, Cause: CauseMediaType, Reason: ReasonUnread, Detail: err.Error()}
		if at == ResponseBody {
			d.Cause = CauseInternal
		}
		return x.decide(at, d)
	}
	if int64(len(b.Bytes())) > x.limit(at) {
		return x.tooLarge(at)
	}
	return Decision{}
}

// answer makes the response's header that of the refusal d, if it is one:
// nothing of the handler's goes with it.
func (s *Session) answer(d Decision) Decision {
	if d.Refused() {
		s.x.response.header = http.Header{}
		s.x.applyLater(s.x.response.header)
	}
	return d
}

// SetHead gives the response's status, as HTTP has it, and its header.
func (s *Session) SetHead(status int, h http.Header) {
	s.x.judging.Lock()
	defer s.x.judging.Unlock()
	s.x.response.setHead(status, h)
}

// Refuse records a decision that the adapter itself has made at a phase, about
// a body that guards could not be shown, say, and tells the observer. It
// returns d as recorded; what is refused stays refused.
func (s *Session) Refuse(at Phase, d Decision) Decision {
	s.x.judging.Lock()
	defer s.x.judging.Unlock()
	return s.answer(s.x.decide(at, d))
}

// Enforces reports whether an enforced guard judges the exchange at one of the
// phases in at: what it could not be shown must be refused.
func (s *Session) Enforces(at Phase) bool { return s.x.enforces(at) }

// Expired reports whether the principal's time is over at now, unless it was
// verified by a guard that is only monitored: the next message of a stream is
// to be refused with [ReasonExpired].
func (s *Session) Expired(now time.Time) bool { return s.x.expired(now) }

// Reach notes that the exchange comes to its handler; see [Exchange.Reached].
func (s *Session) Reach() { s.x.reach() }

// End ends the exchange: its Done phase runs, and what it holds is freed.
// Ending twice does nothing.
func (s *Session) End() { s.x.end() }
