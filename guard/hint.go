package guard

import (
	"net/netip"
	"strconv"
)

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

// checkRoutes tells the observer, once a plan, of routes that a mux does not
// have: a guard whose routes are misspelled would never run, and nobody would
// notice. It is done at the first request, when the mux is complete.
func (h *handler) checkRoutes(pl *plan) {
	h.checked.Store(pl)
	mux, ok := h.router.(*muxRouter)
	if !ok {
		return
	}
	for _, s := range pl.slots {
		for _, pattern := range s.routes {
			if mux.lacks(pattern) {
				pl.tell(Event{Kind: EventHint, Decision: Decision{
					Guard:  s.name,
					Detail: "Use.Routes names " + strconv.Quote(pattern) + ", but the mux has no such route, so the guard may never run on it",
				}})
			}
		}
	}
}
