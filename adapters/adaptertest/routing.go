package adaptertest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/palegate/palegate/guard"
)

var routeRows = []row{
	{"route", "guards and handlers know the route's name and path values, and a guard of one route runs there alone", routing},
	{"groups", "routes in groups and routers of their own are known by their whole pattern", groups},
	{"spellings", "no spelling of a path leads to a handler around the guards of its route", spellings},
	{"concurrent", "exchanges that run at once do not mix", concurrent},
}

// on places a guard of name's route that notes in l that it ran.
func (p *probe) on(pattern string, l *list) guard.Part {
	return guard.Use{
		Name:   pattern,
		Routes: []string{p.adapter.Name(pattern)},
		Part: part{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
			l.add(pattern)
			return guard.Decision{}
		}},
	}
}

func routing(p *probe) {
	const posts = "GET /users/{id}/posts/{post}"
	var told, ran list
	tell := func(x *guard.Exchange) {
		if x == nil {
			told.add("no exchange")
			return
		}
		told.add(fmt.Sprintf("%s id=%s post=%s", x.Route(), x.PathValue("id"), x.PathValue("post")))
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tell(guard.From(r.Context()))
		says(200, "ok")(w, r)
	})
	routes := []Route{{Pattern: userPattern, Handler: h}, {Pattern: posts, Handler: h}, {Pattern: usersPattern, Handler: h}}
	unasked := p.serve(routes, watch(guard.RequestHead, func(*guard.Exchange, guard.Phase) {}))
	s := p.serve(routes,
		watch(allPhases&^guard.Done, func(x *guard.Exchange, _ guard.Phase) { tell(x) }),
		p.on(userPattern, &ran), p.on(posts, &ran), p.on(usersPattern, &ran))
	for _, tt := range []struct{ method, target, pattern, values string }{
		{"GET", "/users/7?id=8", userPattern, " id=7 post="},
		{"GET", "/users/7/posts/9", posts, " id=7 post=9"},
		{"POST", "/users", usersPattern, " id= post="},
	} {
		a := s.do(tt.method, tt.target, "")
		if got := ran.take(); !slices.Equal(got, []string{tt.pattern}) {
			p.errorf("%s %s: the guards of %q ran, want that of %q; %v", tt.method, tt.target, got, tt.pattern, a)
		}
		got, want := told.take(), p.adapter.Name(tt.pattern)+tt.values
		if len(got) != 5 || slices.ContainsFunc(got, func(s string) bool { return s != want }) {
			p.errorf("%s %s: four phases and the handler know %q, want five times %q", tt.method, tt.target, got, want)
		}
		unasked.do(tt.method, tt.target, "")
		if got := told.take(); !slices.Equal(got, []string{want}) {
			p.errorf("%s %s: the handler is the first to ask and knows %q, want %q", tt.method, tt.target, got, want)
		}
	}
}

func groups(p *probe) {
	const org, items, item = "GET /orgs/{org}", "GET /orgs/{org}/items", "GET /orgs/{org}/items/{item}"
	var told, ran list
	h := says(200, "ok")
	routes := []Route{
		{Pattern: org, Handler: h, Under: []string{"/orgs/{org}"}},
		{Pattern: items, Handler: h, Under: []string{"/orgs/{org}", "/items"}},
		{Pattern: item, Handler: h, Under: []string{"/orgs/{org}", "/items"}},
	}
	s := p.serve(routes, p.on(org, &ran), p.on(items, &ran), p.on(item, &ran),
		watch(guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) {
			told.add(fmt.Sprintf("%s org=%s item=%s", x.Route(), x.PathValue("org"), x.PathValue("item")))
		}))
	for _, tt := range []struct{ target, pattern, values string }{
		{"/orgs/3", org, " org=3 item="},
		{"/orgs/3/items", items, " org=3 item="},
		{"/orgs/3/items/4", item, " org=3 item=4"},
	} {
		p.want(tt.target, s.get(tt.target), 200, "ok")
		if got := ran.take(); !slices.Equal(got, []string{tt.pattern}) {
			p.errorf("%s: the guards of %q ran, want that of %q", tt.target, got, tt.pattern)
		}
		if got, want := told.take(), p.adapter.Name(tt.pattern)+tt.values; !slices.Equal(got, []string{want}) {
			p.errorf("%s: guards know %q, want %q", tt.target, got, want)
		}
	}
}

func concurrent(p *probe) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := "no exchange"
		if x := guard.From(r.Context()); x != nil {
			id = x.PathValue("id")
		}
		says(200, secret+r.URL.Query().Get("n")+" "+id)(w, r)
	})
	s := p.serve([]Route{{Pattern: userPattern, Handler: h}}, mask(),
		guard.Use{Name: "id", Part: part{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "X-Id", Values: []string{x.PathValue("id")}})
			return guard.Decision{}
		}}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				n := strings.Repeat(fmt.Sprint(i), j+1)
				a := s.get("/users/" + n + "?" + url.Values{"n": {n}}.Encode())
				p.want("of many", a, 200, masked+n+" "+n)
				if got := a.header.Get("X-Id"); got != n {
					p.errorf("of many: guards see id %q, want %q", got, n)
				}
			}
		})
	}
	wg.Wait()
}
