package guardchi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/palegate/palegate/adapters/guardchi"
	"github.com/palegate/palegate/guard"
)

// part is a guard of one function.
type part struct {
	phases guard.Phase
	check  func(x *guard.Exchange) guard.Decision
}

func (p part) Guard(guard.Guard) (guard.Guard, error)                { return p, nil }
func (p part) Phases() guard.Phase                                   { return p.phases }
func (p part) Reasons() []guard.Reason                               { return []guard.Reason{"test.refused"} }
func (p part) Check(x *guard.Exchange, _ guard.Phase) guard.Decision { return p.check(x) }

// seen is what a guard has seen of the last request.
type seen struct{ route, id, rest string }

func (s *seen) pipeline(t testing.TB) *guard.Pipeline {
	t.Helper()
	p, err := guard.New(part{guard.RequestHead, func(x *guard.Exchange) guard.Decision {
		*s = seen{x.Route(), x.PathValue("id"), x.PathValue("*")}
		return guard.Decision{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tell is a handler that answers with what chi knows.
func tell(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s id=%s", chi.RouteContext(r.Context()).RoutePattern(), chi.URLParam(r, "id"))
}

func get(h http.Handler, method, target string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w.Code, w.Body.String()
}

// api is a tree of routers of every kind, each with use.
func api(use func(r chi.Router)) chi.Router {
	r := chi.NewRouter()
	use(r)
	r.Get("/", tell)
	r.Get("/users/{id}", tell)
	r.Get("/users/{id:[a-z]+}/posts", tell)
	r.Get("/slash/", tell)
	r.Handle("/any/{id}", http.HandlerFunc(tell))
	r.Get("/files/*", tell)
	r.Mount("/static", http.HandlerFunc(tell))
	r.Mount("/wrapped", http.StripPrefix("/wrapped", http.HandlerFunc(tell)))
	r.Route("/orgs", func(r chi.Router) {
		r.Get("/", tell)
		r.Post("/", tell)
		r.Route("/{id}", func(r chi.Router) {
			r.Get("/", tell)
			r.With(middleware.NoCache).Mount("/deep", deep())
		})
	})
	r.Mount("/catch", catch())
	return r
}

func deep() chi.Router {
	r, inner := chi.NewRouter(), chi.NewRouter()
	inner.Get("/x/{id}", tell)
	r.Mount("/", inner)
	return r
}

func catch() chi.Router {
	r := chi.NewRouter()
	r.Post("/", tell)
	r.Get("/*", tell)
	return r
}

var apiRoutes = []struct{ method, target, route, id, rest string }{
	{"GET", "/", "GET /", "", ""},
	{"GET", "/users/7", "GET /users/{id}", "7", ""},
	{"GET", "/users/a%2Fb", "GET /users/{id}", "a%2Fb", ""},
	{"GET", "/users/%37", "GET /users/{id}", "%37", ""},
	{"GET", "/users/abc/posts", "GET /users/{id:[a-z]+}/posts", "abc", ""},
	{"GET", "/users/123/posts", "", "", ""},
	{"GET", "/users/7/", "", "", ""},
	{"HEAD", "/users/7", "", "", ""},
	{"BREW", "/users/7", "", "", ""},
	{"GET", "/slash/", "GET /slash", "", ""},
	{"GET", "/slash", "", "", ""},
	{"PUT", "/any/7", "PUT /any/{id}", "7", ""},
	{"GET", "/files/a/b", "GET /files/*", "", "a/b"},
	{"GET", "/files/", "GET /files/*", "", ""},
	{"GET", "/static/a", "GET /static/*", "", "a"},
	{"GET", "/static", "GET /static/*", "", ""},
	{"GET", "/wrapped/a", "GET /wrapped/*", "", "a"},
	{"GET", "/orgs", "GET /orgs", "", ""},
	{"POST", "/orgs/", "POST /orgs", "", ""},
	{"PUT", "/orgs", "", "", ""},
	{"GET", "/orgs/3", "GET /orgs/{id}", "3", ""},
	{"GET", "/orgs/3/", "GET /orgs/{id}", "3", ""},
	{"GET", "/orgs/3/deep/x/9", "GET /orgs/{id}/deep/x/{id}", "9", ""},
	{"GET", "/orgs/3/deep", "", "", ""},
	{"GET", "/catch", "GET /catch/*", "", ""},
	{"GET", "/catch/", "GET /catch/*", "", ""},
	{"POST", "/catch", "POST /catch", "", ""},
	{"GET", "/catch/a/b", "GET /catch/*", "", "a/b"},
	{"POST", "/catch/a", "", "", ""},
	{"GET", "/nothing", "", "", ""},
}

func TestRoutesAreKnown(t *testing.T) {
	var s seen
	p := s.pipeline(t)
	h := api(func(r chi.Router) { r.Use(guardchi.New(p)) })
	bare := api(func(chi.Router) {})
	for _, tt := range apiRoutes {
		s = seen{}
		status, body := get(h, tt.method, tt.target)
		if want := (seen{tt.route, tt.id, tt.rest}); s.route != want.route || s.id != want.id || want.rest != "" && s.rest != want.rest {
			t.Errorf("%s %s: guards see %q, want %q", tt.method, tt.target, s, want)
		}
		wantStatus, wantBody := get(bare, tt.method, tt.target)
		if status != wantStatus || body != wantBody {
			t.Errorf("%s %s: got %d %q, want what chi answers alone, %d %q", tt.method, tt.target, status, body, wantStatus, wantBody)
		}
		if (tt.route == "") != (status >= 400) {
			t.Errorf("%s %s: guards see %q, but chi answers %d", tt.method, tt.target, tt.route, status)
		}
	}
}

// The same tree below other routers: the names have their patterns in front.
func TestRoutesAreKnownBelow(t *testing.T) {
	var s seen
	p := s.pipeline(t)
	places := map[string]func(r chi.Router){
		"in the router itself": func(r chi.Router) {
			r.Mount("/v1", api(func(r chi.Router) { r.Use(guardchi.New(p)) }))
		},
		"by With": func(r chi.Router) {
			r.With(guardchi.New(p)).Mount("/v1", api(func(chi.Router) {}))
		},
		"in a group": func(r chi.Router) {
			r.Group(func(r chi.Router) {
				r.Use(guardchi.New(p))
				r.Mount("/v1", api(func(chi.Router) {}))
			})
		},
		"in a router between": func(r chi.Router) {
			r.Route("/v1", func(r chi.Router) {
				r.Use(guardchi.New(p))
				r.Mount("/", api(func(chi.Router) {}))
			})
		},
	}
	for place, mount := range places {
		top := chi.NewRouter()
		top.Route("/{tenant}", mount)
		for _, tt := range apiRoutes {
			route := tt.route
			if route != "" {
				method, path := tt.method, route[len(tt.method)+1:]
				if path == "/" {
					path = ""
				}
				route = method + " /{tenant}/v1" + path
			}
			s = seen{}
			get(top, tt.method, "/acme/v1"+tt.target)
			if s.route != route || s.id != tt.id {
				t.Errorf("%s, %s %s: guards see %q, want %q with id %q", place, tt.method, tt.target, s, route, tt.id)
			}
		}
	}
}

func TestHeadBehindGetHead(t *testing.T) {
	var s seen
	r := chi.NewRouter()
	r.Use(middleware.GetHead, guardchi.New(s.pipeline(t)))
	r.Get("/users/{id}", tell)
	if get(r, "HEAD", "/users/7"); s.route != "GET /users/{id}" || s.id != "7" {
		t.Errorf("guards see %q, want the route of GET", s)
	}
}

// By With at a route that a mount's own path leads to.
func TestWithAtMountedRoot(t *testing.T) {
	var s seen
	p := s.pipeline(t)
	r := chi.NewRouter()
	r.Route("/orgs", func(r chi.Router) { r.With(guardchi.New(p)).Get("/", tell) })
	for _, target := range []string{"/orgs", "/orgs/"} {
		if get(r, "GET", target); s.route != "GET /orgs" {
			t.Errorf("%s: guards see %q, want %q", target, s.route, "GET /orgs")
		}
		s = seen{}
	}
}

// A handler that stands at a mount's own path is known by its own pattern. With
// a slash behind, StripSlashes could still make a difference.
func TestHandlerAtMount(t *testing.T) {
	var s seen
	r := chi.NewRouter()
	r.Use(guardchi.New(s.pipeline(t)))
	r.Mount("/a", catch())
	r.Get("/a", tell)
	for target, want := range map[string]string{"/a": "GET /a", "/a/": "", "/a/b": "GET /a/*"} {
		if get(r, "GET", target); s.route != want {
			t.Errorf("%s: guards see %q, want %q", target, s.route, want)
		}
	}
}

func TestNoRouteOutsideChi(t *testing.T) {
	s := seen{route: "not called"}
	h := guardchi.New(s.pipeline(t))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	if status, _ := get(h, "GET", "/users/7"); status != 200 || s.route != "" {
		t.Errorf("got %d, guards see %q, want 200 and no route", status, s.route)
	}
	inner := chi.NewRouter()
	inner.Use(guardchi.New(s.pipeline(t)))
	inner.Get("/admin/users/{id}", tell)
	outer := chi.NewRouter()
	outer.Mount("/admin", http.HandlerFunc(inner.ServeHTTP))
	s.route = "not called"
	if get(outer, "GET", "/admin/users/7"); s.route != "" {
		t.Errorf("in a router behind another kind of handler guards see %q, want no route", s.route)
	}
}

func TestRoutes(t *testing.T) {
	want := []string{
		"/any/{id}", "/static/*", "/wrapped/*",
		"GET /", "GET /catch/*", "GET /files/*", "GET /orgs", "GET /orgs/{id}", "GET /orgs/{id}/deep/x/{id}",
		"GET /slash", "GET /users/{id:[a-z]+}/posts", "GET /users/{id}", "POST /catch", "POST /orgs",
	}
	if got := guardchi.Routes(api(func(chi.Router) {})); !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

// What a request costs over chi alone.
func TestAllocations(t *testing.T) {
	p, err := guard.New(guard.Use{Routes: []string{"/users/{id}"}, Part: part{guard.RequestHead, func(*guard.Exchange) guard.Decision {
		return guard.Decision{}
	}}})
	if err != nil {
		t.Fatal(err)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/users/7", nil)
	nothing := func(http.ResponseWriter, *http.Request) {}
	cost := func(use ...func(http.Handler) http.Handler) float64 {
		h := chi.NewRouter()
		h.Use(use...)
		h.Get("/users/{id}", nothing)
		return testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) })
	}
	if over := cost(guardchi.New(p)) - cost(); over > 5 {
		t.Errorf("%v allocations a request over chi alone, want at most 5", over)
	}
}
