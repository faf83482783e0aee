package guard

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"

	"github.com/palegate/palegate/guard/payload"
)

// A Call is, for adapters, what another transport than net/http tells of a
// request before its first message.
type Call struct {
	Route  string      // "/pkg.Service/Method"; "" if no route serves it
	Host   string      // what the client called the service
	Header http.Header // canonical keys; the pipeline does not change it
	Peer   netip.AddrPort
	TLS    *tls.ConnectionState
}

// Begin, for adapters, begins an exchange of another transport than net/http. The adapter
// judges it phase by phase and ends it, whatever happens:
//
//	x := p.Begin(ctx, call)
//	defer x.End()
//	if d := x.Judge(guard.RequestHead); d.Refused() {
//		return refusal(d)
//	}
//	x.Request().SetBody(payload.New(message))
//	if d := x.Judge(guard.RequestBody); d.Refused() {
//		return refusal(d)
//	}
//	if b, ok := x.Request().Edited(); ok {
//		message = b
//	}
//	x.Reach()
//	…
//
// Handlers must get x.Context(). If ctx belongs to an exchange already, the
// two share what [Exchange] says.
func (p *Pipeline) Begin(ctx context.Context, c Call) *Exchange {
	x := &Exchange{plan: p.plan.Load(), call: &c}
	x.begin(ctx)
	x.request.header = c.Header
	x.shared.setReached(false) // of what comes next this exchange is the gate
	x.tellRoute()
	x.choose()
	x.hint()
	return x
}

// Judge, for adapters, lets every guard judge x at a phase and returns the refusal to answer
// with, if [Decision.Refused] says that it is one. What a refused exchange
// would do next is refused as well.
//
// A message that an enforced guard is to see must be there and within [Limits].
// Judged after the end of the exchange, everything is refused that a guard
// would have had to see.
func (x *Exchange) Judge(at Phase) Decision {
	if x.refusal != nil {
		return *x.refusal
	}
	d := x.unread(at)
	if !d.Refused() {
		d = x.judge(at)
	}
	switch {
	case d.Refused():
		x.response.header = http.Header{} // nothing of the handler's goes with a refusal
		x.applyLater(x.response.header)
	case at == ResponseHead:
		x.applyLater(x.response.Header())
	}
	return d
}

// unread refuses a message that enforced guards cannot be shown.
func (x *Exchange) unread(at Phase) Decision {
	m, limit := &x.request, x.plan.settings.Limits.Request
	if at == ResponseBody {
		m, limit = &x.response, x.plan.settings.Limits.Response
	}
	if at&(RequestBody|ResponseBody) == 0 || !x.Enforces(at) || !m.hasBody {
		return Decision{}
	}
	d := Decision{Effect: Refuse, Cause: CauseTooLarge, Reason: ReasonTooLarge}
	if err := m.body.Load(); err != nil {
		d = Decision{Effect: Refuse, Cause: CauseMediaType, Reason: ReasonUnread, Detail: err.Error()}
	} else if int64(len(m.body.Bytes())) <= limit {
		return Decision{}
	}
	if at == ResponseBody {
		d.Cause = CauseInternal
	}
	return x.decide(at, d)
}

// Decide, for adapters, records a decision that the adapter itself has made at a phase, about
// a body that guards could not be shown, say, and tells the observer. It
// returns d as recorded; what is refused stays refused.
func (x *Exchange) Decide(at Phase, d Decision) Decision {
	x.judging.Lock()
	defer x.judging.Unlock()
	return x.decide(at, d)
}

// Reach, for adapters, notes that the exchange comes to its handler; see [Exchange.Reached].
func (x *Exchange) Reach() { x.shared.setReached(true) }

// End, for adapters, ends the exchange: its Done phase runs, and what it holds is freed.
// Ending twice does nothing.
func (x *Exchange) End() {
	if x != nil && x.call != nil {
		x.end()
	}
}

// SetBody, for adapters, gives the body, or the next message, to judge.
func (m *Message) SetBody(b payload.Body) {
	if m.x.call == nil {
		return // a handler's; net/http has the pipeline's own
	}
	m.x.judging.Lock()
	defer m.x.judging.Unlock()
	m.setBody(b)
}

// SetHead, for adapters, gives the response's status, as HTTP has it, and its header.
func (m *Message) SetHead(status int, h http.Header) {
	if m.x.call == nil {
		return // as in SetBody
	}
	m.x.judging.Lock()
	defer m.x.judging.Unlock()
	m.setHead(status, h)
}

// Edited, for adapters, returns the body that guards have put in the place of the one given
// by SetBody, if they have. It is gone when the exchange has ended.
func (m *Message) Edited() ([]byte, bool) { return m.edit, m.edited }
