package guard

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
)

// handler is a pipeline around an http.Handler.
type handler struct {
	pipeline *Pipeline
	router   Router
	next     http.Handler
	checked  atomic.Pointer[plan] // whose routes were compared with the mux
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pl := h.pipeline.plan.Load()
	if pl.phases == 0 {
		h.next.ServeHTTP(w, r)
		return
	}
	if pl.routed && h.checked.Load() != pl {
		h.checkRoutes(pl)
	}
	x := &Exchange{plan: pl, router: h.router, direct: r}
	x.begin(r.Context())
	defer x.end()
	if r.ContentLength < 0 && r.Trailer == nil {
		// net/http puts a trailer that nobody announced into the request that it
		// has made. This way the handler's copy gets it too.
		r.Trailer = http.Header{}
	}
	r = r.WithContext(&x.ctx)
	x.request.http, x.request.header = r, r.Header
	x.shared.setReached(false) // of what comes next this exchange is the gate
	x.tellRoute()
	x.choose()
	x.hint()
	if x.enforces(ResponseHead | ResponseBody) {
		// A refused response must stop a handler that ignores write errors.
		x.ctx.Context, x.stop = context.WithCancelCause(x.ctx.Context)
	} else {
		x.answer = w.Header() // there is nobody to wait for
	}

	if d := x.judge(RequestHead); d.Refused() {
		x.refuse(w, d)
		return
	}
	if x.phases&RequestBody != 0 {
		body, d := x.requestBody(r)
		if d.Refused() {
			x.refuse(w, d)
			return
		}
		defer body.release()
	}
	x.hand()
	if x.phases&(ResponseHead|ResponseBody|Done) == 0 {
		x.reach()
		h.next.ServeHTTP(w, x.request.http)
		return
	}
	x.serve(w, h.next)
}

// serve lets next answer into a writer that guards watch.
func (x *Exchange) serve(w http.ResponseWriter, next http.Handler) {
	r := x.request.http
	if x.enforces(ResponseBody) {
		plainResponse(&x.request)
	}
	rw := newWriter(x, w)
	defer rw.base().release()
	x.reach()
	next.ServeHTTP(rw, r)
	rw.base().finish()
}

// hand makes the request the handler's own. Whoever asks later for route, path
// values and client must not get what the handler has made of its request.
func (x *Exchange) hand() {
	x.handed = true
	if x.plan.believes {
		x.Client()
	}
	if r := x.request.http; x.router != nil && !x.request.owned && x.phases&^RequestHead != 0 {
		u := *r.URL
		r.URL = &u
	}
}

// plainResponse asks the handler for an answer that guards can read: a
// compressed one would be refused.
func plainResponse(m *Message) {
	if len(m.http.Header["Accept-Encoding"]) > 0 {
		editRequest(m.http, &Edit{In: InHeader, Name: "Accept-Encoding", Values: []string{"identity"}}, &m.owned)
		m.header = m.http.Header
	}
}

var (
	// errRefused is what a handler gets for writing on after its answer was
	// refused.
	errRefused = errors.New("guard: the response was refused")
	// errEnded is what it gets for writing after it has returned.
	errEnded = errors.New("guard: the exchange has ended")
)
