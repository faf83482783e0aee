package guardchi

import (
	"strings"

	"github.com/go-chi/chi/v5"
)

// tree is what [chi.Routes] tells of a router and those mounted in it.
//
// [chi.Routes].Find alone would not do: of a path that is a mount's own
// ("/users" for Mount("/users", …)) it tells neither whether the mounted
// router has a route for it nor which.
type tree struct {
	names   map[endpoint]string   // "GET /users/{id}"
	mounted map[string]chi.Routes // by the patterns that lead there, "/api/*/v1/*"
}

type endpoint struct{ method, pattern string }

// anyMethod is chi's key for a handler of every method.
const anyMethod = "*"

func newTree(root chi.Routes) *tree {
	t := &tree{names: map[endpoint]string{}, mounted: map[string]chi.Routes{}}
	t.add(root, nil)
	return t
}

// add adds the routes of r, which the patterns of above lead to.
func (t *tree) add(r chi.Routes, above []string) {
	for _, route := range r.Routes() {
		patterns := append(above[:len(above):len(above)], route.Pattern)
		if route.SubRoutes != nil {
			t.mounted[strings.Join(patterns, "")] = route.SubRoutes
			t.add(route.SubRoutes, patterns)
			continue
		}
		pattern := (&chi.Context{RoutePatterns: patterns}).RoutePattern()
		for method := range route.Handlers {
			name := method + " " + pattern
			if method == anyMethod {
				name = pattern
			}
			t.names[endpoint{method, pattern}] = name
		}
	}
}

// name returns the name of the endpoint at pattern. If there is none, pattern
// is a mount's own path, which the mounted router sees as "/": its handler for
// that would have the same pattern, so all that is left is a catch-all.
func (t *tree) name(method, pattern string) string {
	if name, ok := t.names[endpoint{method, pattern}]; ok {
		return name
	}
	return t.names[endpoint{method, strings.TrimSuffix(pattern, "/") + "/*"}]
}

// search looks for a route on the way from where a request has come to.
type search struct {
	*tree
	from   *chi.Context // the request's own, only read
	in     chi.Routes
	method string
}

// find returns the name of the route for path, and in found its parameters.
func (s *search) find(found *chi.Context, path string) string {
	s.begin(found)
	if s.in.Find(found, s.method, path) == "" {
		return ""
	}
	return s.name(s.method, found.RoutePattern())
}

// matched returns the name of the route that chi has found already.
func (s *search) matched(found *chi.Context) string {
	s.begin(found)
	return s.name(s.method, found.RoutePattern())
}

func (s *search) begin(found *chi.Context) {
	found.Reset()
	found.RoutePatterns = append(found.RoutePatterns, s.from.RoutePatterns...)
	found.URLParams.Keys = append(found.URLParams.Keys, s.from.URLParams.Keys...)
	found.URLParams.Values = append(found.URLParams.Values, s.from.URLParams.Values...)
}

// leadsAway reports whether path has a route other than name.
func (s *search) leadsAway(name, path string) bool {
	other := s.find(chi.NewRouteContext(), path)
	return other != "" && other != name
}
