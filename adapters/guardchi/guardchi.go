// Package guardchi puts a [guard.Pipeline] into a chi router
// (github.com/go-chi/chi/v5).
//
//	r := chi.NewRouter()
//	r.Use(middleware.Recoverer, middleware.Logger, middleware.StripSlashes)
//	r.Use(guardchi.New(p)) // the last Use of the outermost router
//	r.Get("/users/{id}", getUser)
//
// # Where to mount it
//
// As the last Use of the outermost router every request is judged, also one
// that chi answers with 404 or 405, and what logs, recovers or compresses
// stands outside, where it sees what clients get.
//
// In a router of [chi.Router.Route] or Mount, in a Group or by With, the
// pipeline judges what comes there, under the same names of routes. A router
// that is mounted behind a handler of another kind (http.StripPrefix) is one
// route to guards, such as "GET /admin/*"; for a pipeline inside of it, and
// outside of chi, requests have no route.
//
// Middleware that changes what chi routes on must stand before the pipeline:
// StripSlashes, CleanPath, GetHead, URLFormat, PathRewrite. One that cleans or
// strips behind it, or in a router below, is no way around the rules of a
// route: a path that would lead to another route then has none, which every
// guard judges. What rewrites to an unrelated path cannot be foreseen.
//
// middleware.Timeout answers after its handler has returned, and so stands
// behind: where guards hold answers back, one outside comes too late.
package guardchi

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"github.com/palegate/palegate/guard"
)

// New returns p as a middleware of chi.
//
// Guards see a route as "GET /users/{id}": the method, and the pattern with
// those of the routers around it, as [chi.Context.RoutePattern] writes it. So
// it has no slash at its end, even where the handler was registered with one,
// and [guard.Use].Routes names it "GET /users/{id}", or "/users/{id}" for
// every method. As chi has it, HEAD is served by GET's handler only behind
// middleware.GetHead, and path values are still escaped where the path was.
//
// The routes are read once, at the first request.
func New(p *guard.Pipeline) func(http.Handler) http.Handler {
	m := &matcher{}
	return func(next http.Handler) http.Handler { return p.Routed(m, next) }
}

// Routes returns the name of every route of r, sorted, as guards see it; one
// that serves every method has none in its name. It is for tests that every
// route has a rule, and every rule a route.
func Routes(r chi.Routes) []string {
	t := newTree(r)
	var names []string
	for e, name := range t.names {
		if _, every := t.names[endpoint{wildcard, e.pattern}]; !every || e.method == wildcard {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// matcher is the [guard.Router] of every chi router that its middleware is in.
type matcher struct {
	trees sync.Map // outermost chi.Routes -> *tree
}

var contexts = sync.Pool{New: func() any { return chi.NewRouteContext() }}

// Route finds r's route from where in the tree of routers it has come to.
func (m *matcher) Route(r *http.Request) string {
	found := contexts.Get().(*chi.Context)
	defer contexts.Put(found)
	return m.match(r, found)
}

// SetPathValues sets them as chi will, and leaves chi's own context alone.
func (m *matcher) SetPathValues(r *http.Request, pattern string) {
	if pattern == "" {
		return
	}
	found := contexts.Get().(*chi.Context)
	defer contexts.Put(found)
	m.match(r, found)
	for i, key := range found.URLParams.Keys {
		if v := found.URLParams.Values[i]; r.PathValue(key) != v { // copies of a request share the map of values
			r.SetPathValue(key, v)
		}
	}
}

// match returns the name of r's route, and in found its parameters.
func (m *matcher) match(r *http.Request, found *chi.Context) string {
	c := chi.RouteContext(r.Context())
	if c == nil || c.Routes == nil {
		return ""
	}
	t := m.tree(c.Routes)
	s := search{tree: t, from: c, in: c.Routes, method: cmp.Or(c.RouteMethod, r.Method)}
	path, decoded := cmp.Or(c.RoutePath, r.URL.RawPath, r.URL.Path, "/"), cmp.Or(c.RoutePath, r.URL.Path)
	if len(c.RoutePatterns) > 0 {
		s.in = t.mounted[strings.Join(c.RoutePatterns, "")]
		switch {
		case s.in != nil:
		case r.PathValue(wildcard) != "" && r.PathValue(wildcard) != lastValue(c):
			return "" // a handler that tells no routes stands between, and had the rest of the path
		default:
			return known(s.matched(found))
		}
		path = rest(c)
		decoded = path
	}
	name := s.find(found, path)
	if known(name) == "" {
		return ""
	}
	if s.mayChange(name, path, decoded) {
		return ""
	}
	return name
}

// known returns name, or "" if it is unclear: then every guard judges.
func known(name string) string {
	if name == unclear {
		return ""
	}
	return name
}

// rest returns the path that the router mounted at the last pattern of c will
// route on. It has not come there yet if the wildcard still has a value.
func rest(c *chi.Context) string {
	if v := lastValue(c); v != "" {
		return "/" + v
	}
	return cmp.Or(c.RoutePath, "/")
}

func lastValue(c *chi.Context) string {
	if n := len(c.URLParams.Values); n > 0 {
		return c.URLParams.Values[n-1]
	}
	return ""
}

func (m *matcher) tree(root chi.Routes) *tree {
	v, ok := m.trees.Load(root)
	if !ok {
		v, _ = m.trees.LoadOrStore(root, newTree(root))
	}
	t, _ := v.(*tree) // the map holds nothing else
	return t
}
