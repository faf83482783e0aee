package adaptertest

import (
	"net/http"
	"slices"
	"sync"

	"github.com/palegate/palegate/guard"
)

// spelled are targets in the spellings that routers disagree about.
var spelled = []string{
	"/users/7", "/users/7/", "/users/7//", "//users/7", "/users//7", "///users///7", "/./users/7", "/users/./7",
	"/users/../users/7", "/users/7/../8", "/users/7/.", "/users/7/..", "/admin/../users/7", "/users/../admin/7",
	"/users/%37", "/%75sers/7", "/users%2F7", "/users%2f7", "/users/a%2Fb", "/users/7%2F", "/users/7%2Fposts", "/users/7/posts%2F",
	"/users/%2e%2e/admin/7", "/users/..%2fadmin%2f7", "/users/%2e%2e%2fadmin%2f7/", "/admin/7%2F..%2F..%2Fusers%2F7",
	"/users/7%00", "/users/7%20", "/users/7%3F", "/users/7;id=8", "/users/7?/admin/7", "/users/7%23", "/users/%",
	"/Users/7", "/USERS/7", `/users\7`, `/users/..\admin\7`, "/users", "/users/", "/users/7/posts", "/users/7/posts/", "/users//posts",
	"/admin", "/admin/7/", "http://example.com/users/7", "http://example.org//users/7/", "*", "/",
}

// judgement is what guards have made of one request.
type judgement struct {
	mu            sync.Mutex
	route, id     string
	served, value string // by the handler
}

func spellings(p *probe) {
	var (
		now    judgement
		ran    list
		routes []Route
		parts  []guard.Part
	)
	for _, pattern := range []string{userPattern, "POST /users/{id}", usersPattern, "GET /users/{id}/posts", "GET /admin/{id}"} {
		routes = append(routes, Route{Pattern: pattern, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			now.mu.Lock()
			defer now.mu.Unlock()
			now.served, now.value = pattern, r.PathValue("id")
			says(200, "ok")(w, r)
		})})
		parts = append(parts, p.on(pattern, &ran))
	}
	parts = append(parts, watch(guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) {
		now.mu.Lock()
		defer now.mu.Unlock()
		now.route, now.id = x.Route(), x.PathValue("id")
	}))
	s := p.serve(routes, parts...)
	served := 0
	for _, method := range []string{"GET", "HEAD", "POST", "get", "QUERY", "GET "} {
		for _, target := range spelled {
			now.route, now.id, now.served, now.value = "", "", "", ""
			ran.take()
			s.target(method, target, "X-HTTP-Method-Override: POST", "Content-Length: 0")
			now.mu.Lock()
			p.judged(method+" "+target, &now, ran.take())
			if now.served != "" {
				served++
			}
			now.mu.Unlock()
		}
	}
	if served < 5 { // one for each route, as they are written
		p.errorf("only %d spellings came to a handler", served)
	}
}

// judged reports what is wrong with a request that has come to a handler.
func (p *probe) judged(what string, j *judgement, ran []string) {
	if j.served == "" {
		return
	}
	if !slices.Contains(ran, j.served) {
		p.errorf("%s: the handler of %q ran, and the guards of %q, want its own", what, j.served, ran)
	}
	if j.route != "" && j.route != p.adapter.Name(j.served) {
		p.errorf("%s: the handler of %q ran, but guards see the route %q", what, j.served, j.route)
	}
	if j.route != "" && j.value != "" && j.id != j.value {
		p.errorf("%s: the handler's id is %q, that of guards %q", what, j.value, j.id)
	}
}
