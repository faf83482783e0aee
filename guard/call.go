package guard

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"

	"github.com/palegate/palegate/guard/payload"
)

// A Call is what another transport than net/http tells of a request before its
// first message.
type Call struct {
	Route    string      // "/pkg.Service/Method"; "" if no route serves it
	Host     string      // what the client called the service
	Header   http.Header // canonical keys; the pipeline does not change it
	Peer     netip.AddrPort
	TLS      *tls.ConnectionState
	Outbound bool // a call that this service makes
}

// Begin begins an exchange of another transport than net/http. The adapter
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
//	…
//
// Handlers must get x.Context(). If ctx belongs to an exchange already, the
// two share what [Exchange] says.
func (p *Pipeline) Begin(ctx context.Context, c Call) *Exchange {
	x := &Exchange{plan: p.plan.Load(), call: &c}
	x.begin(ctx)
	x.request.header = c.Header
	x.choose()
	x.hint(p)
	return x
}

// Judge lets every guard judge x at a phase and returns the refusal to answer
// with, if [Decision.Refused] says that it is one. What a refused exchange
// would do next is refused as well.
func (x *Exchange) Judge(at Phase) Decision {
	if x.refusal != nil {
		return *x.refusal
	}
	d := x.judge(at)
	if at == ResponseHead || d.Refused() {
		x.applyLater(x.response.Header())
	}
	return d
}

// End ends the exchange: its Done phase runs, and what it holds is freed.
// Ending twice does nothing.
func (x *Exchange) End() { x.end() }

// SetBody gives the body, or the next message, to judge: how adapters of other
// transports feed it.
func (m *Message) SetBody(b payload.Body) {
	m.x.judging.Lock()
	defer m.x.judging.Unlock()
	m.body, m.hasBody, m.edited = b, !m.x.ended, false
}

// SetHead gives the response's status, as HTTP has it, and its header.
func (m *Message) SetHead(status int, h http.Header) {
	m.status, m.header = status, h
}

// Edited returns the body that guards have put in the place of the one given
// by SetBody, if they have.
func (m *Message) Edited() ([]byte, bool) { return m.body.Bytes(), m.edited }
