package guardchi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/palegate/palegate/adapters/guardchi"
	"github.com/palegate/palegate/guard"
)

type use = func(http.Handler) http.Handler

// Wherever middleware that changes the path stands, and however a path is
// spelled: guards see the route of the handler that runs, or none.
func TestNoSpellingHasAnotherRoute(t *testing.T) {
	var served, route string
	p, err := guard.New(part{guard.RequestHead, func(x *guard.Exchange) guard.Decision {
		route = x.Route()
		return guard.Decision{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	at := func(r chi.Router, pattern, name string) {
		r.Get(pattern, func(http.ResponseWriter, *http.Request) { served = "GET " + name })
	}
	// The tree has catch-alls, so that every path leads somewhere.
	tree := func(around, below []use, mount ...use) http.Handler {
		r := chi.NewRouter()
		r.Use(around...)
		at(r, "/{id}", "/{id}")
		at(r, "/users/{id}", "/users/{id}")
		at(r, "/admin/{a}/{b}", "/admin/{a}/{b}")
		at(r, "/admin/users", "/admin/users")
		r.With(mount...).Route("/a", func(r chi.Router) {
			r.Use(below...)
			at(r, "/", "/a")
			at(r, "/users", "/a/users")
			at(r, "/{id}/x", "/a/{id}/x")
			at(r, "/*", "/a/*")
		})
		at(r, "/*", "/*")
		return r
	}
	g := guardchi.New(p)
	handlers := map[string]http.Handler{
		"alone":                   tree([]use{g}, nil),
		"GetHead before":          tree([]use{middleware.GetHead, g}, nil),
		"GetHead behind":          tree([]use{g, middleware.GetHead}, nil),
		"StripSlashes before":     tree([]use{middleware.StripSlashes, g}, nil),
		"StripSlashes behind":     tree([]use{g, middleware.StripSlashes}, nil),
		"StripSlashes below":      tree([]use{g}, []use{middleware.StripSlashes}),
		"StripSlashes twice":      tree([]use{g, middleware.StripSlashes}, []use{middleware.StripSlashes}),
		"CleanPath before":        tree([]use{middleware.CleanPath, g}, nil),
		"CleanPath behind":        tree([]use{g, middleware.CleanPath}, nil),
		"CleanPath below":         tree([]use{g}, []use{middleware.CleanPath}),
		"both behind":             tree([]use{g, middleware.CleanPath, middleware.StripSlashes}, nil),
		"both behind, otherwise":  tree([]use{g, middleware.StripSlashes, middleware.CleanPath}, nil),
		"RedirectSlashes behind":  tree([]use{g, middleware.RedirectSlashes}, nil),
		"below":                   tree(nil, []use{g}),
		"at a mount":              tree(nil, nil, g),
		"at a mount, strip below": tree(nil, []use{middleware.StripSlashes}, g),
		"below, StripSlashes":     tree(nil, []use{g, middleware.StripSlashes}),
		"StripSlashes, below":     tree([]use{middleware.StripSlashes}, []use{g}),
	}
	runs, known := 0, 0
	spelled := func(yield func(string) bool) {
		for path := range paths(3, "", ".", "..", "a", "users", "admin", "a%2Fb", "%61", "x%2F") {
			if !yield(path) {
				return
			}
		}
		paths(4, "", "..", "a", "x", "x%2F")(yield)
	}
	for path := range spelled {
		for name, h := range handlers {
			for _, method := range []string{"GET", "HEAD"} {
				r, err := http.NewRequest(method, "http://example.com"+path, nil)
				if err != nil {
					continue
				}
				served, route = "", "not judged"
				h.ServeHTTP(httptest.NewRecorder(), r)
				if served == "" || route == "not judged" {
					continue
				}
				runs++
				if route != "" && route != served {
					t.Fatalf("%s, %s %s: the handler of %q ran, but guards see %q", name, method, path, served, route)
				}
				if route != "" {
					known++
				}
			}
		}
	}
	if runs < 10_000 || known < runs/2 {
		t.Errorf("%d handlers ran, of which guards knew %d: too few to tell", runs, known)
	}
}

// paths yields the paths of up to n segments.
func paths(n int, segments ...string) func(yield func(string) bool) {
	var add func(path string, n int, yield func(string) bool) bool
	add = func(path string, n int, yield func(string) bool) bool {
		if path != "" && !yield(path) {
			return false
		}
		for _, s := range segments {
			if n > 0 && !add(path+"/"+s, n-1, yield) {
				return false
			}
		}
		return true
	}
	return func(yield func(string) bool) { add("", n, yield) }
}
