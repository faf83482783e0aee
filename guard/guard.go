// Package guard is what every guardrail shares: the [Decision] a guard makes,
// the [Exchange] it judges, and the [Pipeline] that runs guards around a
// handler.
//
//	p, err := guard.New(
//		ratelimit.PerClient(20, time.Second),
//		mask.Fields("card.number"),
//	)
//	if err != nil {
//		log.Fatal(err)
//	}
//	http.ListenAndServe("localhost:8080", p.Handler(mux))
//
// # The life of an exchange
//
// Every guard first judges the request's head, in the order given to [New];
// nothing of the body has been read by then. If a guard wants the body it is
// read once, within [Limits], and judged; the handler gets exactly the bytes
// that were judged. What the handler answers is held back where a guard must
// see it, and is judged head first, in the same order. [Done] always runs.
//
// The first enforced refusal ends the exchange. It is answered as problem
// details (RFC 9457), a page or a line of text, whichever the client accepts,
// and never with a 2xx status. What a guard cannot see for certain is refused:
// no limit, encoding or panic lets anything pass unjudged.
package guard

// A Guard judges exchanges.
//
// Check is called at each phase that Phases names, in order, from many
// goroutines at once, though never twice at once for the same exchange. At
// RequestBody and ResponseBody it is called once, or for each message or unit
// of a stream. The rules for Check:
//
//   - It changes nothing: edits are staged with [Message.Stage] and take
//     effect only where the guard is enforced.
//   - It keeps neither the exchange nor bytes of its bodies after it returns.
//     State of its own for one exchange goes to [Exchange.SetValue].
//   - It refuses with a known [Cause] and a [Reason] from Reasons.
//   - It allocates nothing where it allows.
//   - It neither blocks nor panics; a dependency that fails is reported in
//     [Decision].Err.
//   - What clients may read (Reason, Violations) repeats neither Detail nor
//     the client's own values.
//
// The package guardtest has a test for all of them, Conform.
type Guard interface {
	// Phases returns the phases at which Check is called. It is constant.
	Phases() Phase
	// Reasons returns every reason that Check can give.
	Reasons() []Reason
	// Check judges x. The zero Decision allows.
	Check(x *Exchange, at Phase) Decision
}

// A Part makes a guard. The Config of each guard package is a Part; so is
// [Settings], which makes none and sets up the pipeline itself.
//
// A Part whose guard must never be switched off along with all others, since
// that would leak what it protects, has a method Pinned() bool that returns
// true. See [Use].Pinned.
type Part interface {
	// Guard makes the guard at start-up, where prev is nil, or at an update.
	// Then prev is the guard of the same name that it replaces, and whose
	// state (limits, bans, caches) it takes over if it can.
	Guard(prev Guard) (Guard, error)
}

// Use places a Part in a pipeline. A Part that is given to [New] without one
// is used under its package's name, on every route, enforced.
type Use struct {
	// Name is unique in its pipeline; logs, modes and decisions carry it.
	// The default is the name of the Part's package.
	Name string

	// Routes limits the guard to these routes. Each is a pattern as it was
	// registered with the router: it is compared with [Exchange.Route] as text,
	// never with a path, so that "/orders/7" or "/orders/{number}" does not
	// match a route that is registered as "/orders/{id}". A method in front
	// limits it to requests of that method ("GET" means HEAD too), whether the
	// router's pattern has one or not; without a host it matches the router's
	// pattern on every host. An entry that ends in "*" matches all that begin
	// so. "POST /orders/{id}", "/orders/{id}", "/admin/*" and
	// "/pkg.Service/Method" are examples.
	//
	// The default is all routes. A request that no route is known for is judged
	// by every guard, whatever its Routes.
	Routes []string

	// Mode is the mode to start in; see [Pipeline.Modes] for changing it.
	Mode Mode

	// Exempt lets some exchanges pass, for a time.
	Exempt []Exemption

	// Pinned keeps [Modes.SetAll] from switching the guard: only its own name
	// does. A Part can ask for it too.
	Pinned bool

	// Part makes the guard.
	Part Part
}

// Covers reports whether u's Routes let its guard judge a request of that
// method ("" for transports that have none) on a route as [Exchange.Route]
// gives it.
func (u Use) Covers(route, method string) bool {
	return route == "" || len(u.Routes) == 0 || routes(u.Routes).match(route, method)
}

// Guard makes u's Part do it, so that a Use is a Part too.
func (u Use) Guard(prev Guard) (Guard, error) { return u.Part.Guard(prev) }
