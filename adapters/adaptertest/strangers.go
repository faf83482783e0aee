package adaptertest

import (
	"slices"
	"time"

	"github.com/palegate/palegate/guard"
)

var strangerRows = []row{
	{"not-found", "the framework's own answer to an unknown path stays, and is judged without a route", func(p *probe) {
		strangers(p, "GET", "/nothing", "/users/7/nothing", "/orgs/3/nothing", "/orgs/3/items/4/5")
	}},
	{"method-not-allowed", "its answer to an unknown method stays too", func(p *probe) {
		strangers(p, "DELETE", "/users/7", "/users", "/orgs/3/items/4")
	}},
}

// strangers sends requests that no route serves to a server with guards, and
// to one without.
func strangers(p *probe, method string, targets ...string) {
	routes := []Route{
		{Pattern: userPattern, Handler: says(200, "ok")},
		{Pattern: usersPattern, Handler: says(200, "ok")},
		{Pattern: "GET /orgs/{org}/items/{item}", Handler: says(200, "ok"), Under: []string{"/orgs/{org}", "/items"}},
	}
	bare := p.serve(routes)
	unchanged := map[string][]guard.Part{
		"request guards": {watch(guard.RequestHead, func(*guard.Exchange, guard.Phase) {})},
		"a mask":         {mask()},
	}
	for what, parts := range unchanged {
		s := p.serve(routes, append(parts, limit(false))...)
		for _, target := range targets {
			want, got := bare.do(method, target, ""), s.do(method, target, "")
			p.want(target+" behind "+what, got, want.status, want.body)
			if got.header.Get("X-Limit") != "guard" {
				p.errorf("%s behind %s: X-Limit is %q in %v", target, what, got.header["X-Limit"], got)
			}
		}
	}
	for _, at := range []guard.Phase{guard.RequestHead, guard.ResponseHead, guard.ResponseBody} {
		s := p.serve(routes, refuse(at, guard.CauseForbidden))
		for _, target := range targets {
			p.refused(target+" at "+at.String(), s.do(method, target, ""), 403, reason)
		}
	}
	unrouted(p, method, routes, targets)
}

// unrouted tests what guards know of such requests.
func unrouted(p *probe, method string, routes []Route, targets []string) {
	type end struct {
		route  string
		status int
	}
	ends := make(chan end, len(targets))
	var ran list
	bare := p.serve(routes)
	s := p.serve(routes, p.on(userPattern, &ran), watch(guard.Done, func(x *guard.Exchange, _ guard.Phase) {
		ends <- end{x.Route(), x.Response().Status()}
	}))
	for _, target := range targets {
		want := end{"", bare.do(method, target, "").status}
		s.do(method, target, "")
		select {
		case got := <-ends:
			if got != want {
				p.errorf("%s: in the end guards know %v, want %v", target, got, want)
			}
		case <-time.After(p.patience):
			p.errorf("%s: the Done phase did not run", target)
			return
		}
		if got := ran.take(); !slices.Equal(got, []string{userPattern}) {
			p.errorf("%s: the guards of %q ran, want %q, since no route is known", target, got, userPattern)
		}
	}
}
