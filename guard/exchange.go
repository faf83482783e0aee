package guard

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net/http"
	"slices"
	"sync"
	"time"
)

// An Exchange is a request and its answer, whatever the transport. Handlers
// find it with [From]; guards get it in Check.
//
// Pipelines inside one another (one around the mux, one around a group of
// routes) share the exchange's id, principal, decisions and values; each has
// its own view of request, response and route.
//
// Its methods are safe for concurrent use. Those that tell something work on a
// nil Exchange too, and tell nothing: so From can be used where all guards may
// be off. After the exchange has ended it stays readable, but for bodies, and
// for a route and path values that nobody has asked for before.
type Exchange struct {
	ctx    exchangeContext
	plan   *plan // nil for an exchange made by WithPrincipal
	parent *Exchange
	shared *shared // own, or that of the outermost exchange
	own    shared

	call   *Call // nil for net/http
	router Router
	direct *http.Request // as it came in; what Route and Client are read from

	request, response Message

	// judging is held while guards run, since a monitored guard may judge a
	// request's body, as the handler reads it, while another judges the answer.
	judging sync.Mutex
	phases  Phase // at which some guard runs here
	enforce Phase // at which some enforced guard runs here
	skip    uint64
	edits   *scratch    // lent while a Check runs that stages some
	answer  http.Header // where edits of the response's header go at once; nil if they wait in later
	later   *scratch
	stop    context.CancelCauseFunc // ends the handler's context; set if an enforced guard judges the response
	refusal *Decision               // the first enforced refusal
	inner   bool                    // made by WithPrincipal in parent, which knows the request
	checks  bool                    // a Check runs
	handed  bool                    // the handler has the request
	sent    bool                    // the response's header has gone on
	panics  bool                    // a guard has panicked
	ended   bool

	mu        sync.Mutex // guards what follows, and shared
	principal *Principal // verified here or outside
	learned   *Principal // verified by an exchange inside
	binds     bool       // what Principal returns was not verified by a guard that is only monitored
	client    Client
	route     string
	matched   *http.Request // has the path values
	has       facts
}

// freeze makes x ask its router no more: what that keeps of the request may be
// another's next.
func (x *Exchange) freeze() {
	if x.router == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.has |= hasRoute
	if x.matched == nil {
		x.matched = &http.Request{}
	}
}

// facts says what of an Exchange has been worked out.
type facts uint8

const (
	hasClient facts = 1 << iota
	hasRoute
)

// shared is what nested exchanges have in common.
type shared struct {
	mu        sync.Mutex
	id        string
	reached   bool
	decisions []logged
	values    []keyValue
}

func (s *shared) setReached(reached bool) {
	s.mu.Lock()
	s.reached = reached
	s.mu.Unlock()
}

type keyValue struct{ key, value any }

// logged is a decision and the exchange it is about.
type logged struct {
	Decision

	by *Exchange
}

// maxDecisions bounds what an exchange remembers, however long its streams are.
const maxDecisions = 256

// exchangeContext is the context in which the exchange can be found. It is
// part of the Exchange, so that it costs no allocation.
type exchangeContext struct {
	context.Context
	x *Exchange
}

type contextKey struct{}

func (c *exchangeContext) Value(key any) any {
	if key == (contextKey{}) {
		return c.x
	}
	return c.Context.Value(key)
}

// From returns the exchange that ctx belongs to: in a handler, that of the
// innermost pipeline around it. It returns nil if there is none.
func From(ctx context.Context) *Exchange {
	x, _ := ctx.Value(contextKey{}).(*Exchange)
	return x
}

// WithPrincipal returns a context whose exchanges begin with p, for
// applications that authenticate by middleware of their own, outside the
// pipeline or between two of them. With a nil p it only gives ctx an exchange,
// whose decisions are those of the pipelines inside, and whose route is that
// of the first of them.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	x := &Exchange{}
	x.begin(ctx)
	if outer := x.parent; outer != nil {
		x.inner = true
		x.request.http, x.request.header = outer.request.http, outer.request.header
	}
	if p != nil {
		x.setPrincipal(p, true)
	}
	return &x.ctx
}

// begin makes x the exchange of ctx, inside the one that ctx has already.
func (x *Exchange) begin(ctx context.Context) {
	x.ctx = exchangeContext{Context: ctx, x: x}
	x.request.x, x.response.x = x, x
	x.response.isResponse = true
	x.shared = &x.own
	if outer := From(ctx); outer != nil {
		x.parent = outer
		x.shared = outer.shared
		x.principal, x.binds = outer.inherited()
	}
}

// Context returns the context that handlers get, which leads back to x.
func (x *Exchange) Context() context.Context { return &x.ctx }

// ID returns a random name of the exchange, which logs and refusals carry.
func (x *Exchange) ID() string {
	if x == nil {
		return ""
	}
	s := x.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id == "" {
		s.id = rand.Text()
	}
	return s.id
}

// Route returns the pattern of the route that serves the request, as its
// router has it: "POST /orders/{id}", "/pkg.Service/Method". It is "" if no
// route does, or none is known.
func (x *Exchange) Route() string {
	if x == nil {
		return ""
	}
	if x.inner {
		return x.parent.Route()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.has&hasRoute == 0 {
		x.has |= hasRoute
		x.route = x.findRoute()
	}
	return x.route
}

// tellRoute tells an exchange that WithPrincipal made outside every pipeline
// what route the first one inside has found: tests ask it.
func (x *Exchange) tellRoute() {
	outer := x.parent
	if outer == nil || outer.plan != nil || outer.inner {
		return
	}
	route := x.Route()
	outer.mu.Lock()
	defer outer.mu.Unlock()
	if outer.route == "" {
		outer.has |= hasRoute
		outer.route = route
	}
}

func (x *Exchange) findRoute() string {
	switch {
	case x.router != nil && x.direct != nil:
		return x.router.Route(x.direct)
	case x.direct != nil:
		return x.direct.Pattern
	case x.call != nil:
		return x.call.Route
	}
	return ""
}

// PathValue returns what the wildcard of that name stands for in the path, as
// [http.Request.PathValue] does, or "".
func (x *Exchange) PathValue(name string) string {
	if x != nil && x.inner {
		return x.parent.PathValue(name)
	}
	if x == nil || x.direct == nil {
		return ""
	}
	route := x.Route()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.matched == nil {
		x.matched = x.direct
		if x.router != nil {
			// A copy: the router itself has not matched the request yet. Once it
			// may, path values that it sets must not be shared either.
			if x.matched = x.direct.WithContext(x.ctx.Context); x.handed {
				x.matched = x.direct.Clone(x.ctx.Context)
			}
			x.router.SetPathValues(x.matched, route)
		}
	}
	return x.matched.PathValue(name)
}

// Client returns where the exchange comes from.
func (x *Exchange) Client() Client {
	if x == nil {
		return Client{}
	}
	if x.inner {
		return x.parent.Client()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.has&hasClient == 0 {
		x.has |= hasClient
		x.client = x.findClient()
	}
	return x.client
}

func (x *Exchange) findClient() Client {
	switch {
	case x.direct != nil:
		r := x.direct
		return Client{Addr: x.plan.client.of(r.RemoteAddr, r.Header), Cert: certName(r.TLS)}
	case x.call != nil:
		return Client{Addr: x.plan.client.ofPeer(x.call.Peer.Addr(), x.call.Header), Cert: certName(x.call.TLS)}
	}
	return Client{}
}

func certName(state *tls.ConnectionState) string {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return ""
	}
	leaf := state.VerifiedChains[0][0]
	if len(leaf.URIs) > 0 {
		return leaf.URIs[0].String()
	}
	return leaf.Subject.String()
}

// Principal returns who asks, or nil as long as nobody has verified that.
func (x *Exchange) Principal() *Principal {
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.principal == nil {
		return x.learned
	}
	return x.principal
}

// inherited returns the principal that exchanges inside x begin with. It is not
// one that x has learned from inside: of two requests of a batch, the second is
// not made by whom the first has authenticated.
func (x *Exchange) inherited() (p *Principal, binds bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.principal, x.binds
}

// expired reports whether the principal's time is over at now, unless it was
// verified by a guard that is only monitored.
func (x *Exchange) expired(now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.principal
	if p == nil {
		p = x.learned
	}
	return p != nil && x.binds && !p.Expires.IsZero() && !now.Before(p.Expires)
}

// setPrincipal attaches a verified principal to x, and tells the exchanges
// around it: a pipeline around the mux can mask by role although one inside
// authenticates.
func (x *Exchange) setPrincipal(p *Principal, binds bool) {
	x.mu.Lock()
	x.principal, x.binds = p, binds
	x.mu.Unlock()
	for outer := x.parent; outer != nil; outer = outer.parent {
		outer.mu.Lock()
		if outer.learned == nil {
			outer.learned = p
			outer.binds = binds || outer.principal != nil && outer.binds
		}
		outer.mu.Unlock()
	}
}

// enforces reports whether an enforced guard judges x at one of the phases in
// at: what it could not be shown must be refused.
func (x *Exchange) enforces(at Phase) bool { return x.enforce&at != 0 }

// Request returns the request's side of x.
func (x *Exchange) Request() *Message { return &x.request }

// Response returns the response's side of x.
func (x *Exchange) Response() *Message { return &x.response }

// Decisions returns what has been decided so far, but for plain Allows, in
// order: 256 decisions at most. What a guard decides of many units of a stream
// in the same way, for the same reason, is there once. The slice is the
// caller's.
func (x *Exchange) Decisions() []Decision {
	if x == nil {
		return nil
	}
	x.shared.mu.Lock()
	defer x.shared.mu.Unlock()
	var ds []Decision
	for i := range x.shared.decisions {
		ds = append(ds, x.shared.decisions[i].Decision)
	}
	return ds
}

// log keeps d, and reports whether it is the first of its kind.
func (x *Exchange) log(d *Decision) bool {
	x.shared.mu.Lock()
	defer x.shared.mu.Unlock()
	if x.knows(d) {
		return false
	}
	if len(x.shared.decisions) < maxDecisions {
		x.shared.decisions = append(x.shared.decisions, logged{*d, x})
	}
	return true
}

// knows reports whether a decision of the same guard, phase, effect and reason
// is kept. The lock of shared is held.
func (x *Exchange) knows(d *Decision) bool {
	return slices.ContainsFunc(x.shared.decisions, func(old logged) bool {
		return old.by == x && old.Guard == d.Guard && old.Phase == d.Phase && old.Effect == d.Effect && old.Reason == d.Reason && old.Shadow == d.Shadow
	})
}

// Reached reports whether the exchange has come to the handler: that of the
// innermost pipeline, where there are several.
func (x *Exchange) Reached() bool {
	if x == nil {
		return false
	}
	x.shared.mu.Lock()
	defer x.shared.mu.Unlock()
	return x.shared.reached
}

// reach notes that x comes to its handler.
func (x *Exchange) reach() { x.shared.setReached(true) }

// Value returns what [Exchange.SetValue] has put under key, or nil.
func (x *Exchange) Value(key any) any {
	if x == nil {
		return nil
	}
	x.shared.mu.Lock()
	defer x.shared.mu.Unlock()
	for _, kv := range x.shared.values {
		if kv.key == key {
			return kv.value
		}
	}
	return nil
}

// SetValue keeps a guard's own state for this exchange. As with context
// values, key should be of a type of the guard's own; it must be comparable.
// Where one guard is used twice in a pipeline, the guard itself, a pointer,
// keeps the two apart.
func (x *Exchange) SetValue(key, value any) {
	if x == nil {
		return
	}
	x.shared.mu.Lock()
	defer x.shared.mu.Unlock()
	for i := range x.shared.values {
		if x.shared.values[i].key == key {
			x.shared.values[i].value = value
			return
		}
	}
	x.shared.values = append(x.shared.values, keyValue{key, value})
}

func (x *Exchange) method() string {
	if x.direct != nil {
		return x.direct.Method
	}
	return ""
}
