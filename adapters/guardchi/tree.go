package guardchi

import (
	pathpkg "path"
	"slices"
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
	from    map[endpoint]string   // the patterns that lead to the router of a name
	own     map[string]string     // those that lead to the router with a mount at this path, "/api/v1"
}

type endpoint struct{ method, pattern string }

// wildcard is chi's key for a handler of every method, and for the rest of a
// path.
const wildcard = "*"

func newTree(root chi.Routes) *tree {
	t := &tree{names: map[endpoint]string{}, mounted: map[string]chi.Routes{}, from: map[endpoint]string{}, own: map[string]string{}}
	t.add(root, nil)
	return t
}

// add adds the routes of r, which the patterns of above lead to.
func (t *tree) add(r chi.Routes, above []string) {
	for _, route := range r.Routes() {
		patterns := slices.Concat(above, []string{route.Pattern})
		if route.SubRoutes != nil {
			t.mounted[strings.Join(patterns, "")] = route.SubRoutes
			t.own[strings.TrimSuffix(whole(patterns), "/"+wildcard)] = strings.Join(above, "")
			t.add(route.SubRoutes, patterns)
			continue
		}
		name := (&chi.Context{RoutePatterns: patterns}).RoutePattern()
		for method := range route.Handlers {
			e := endpoint{method, whole(patterns)}
			t.names[e] = method + " " + name
			t.from[e] = strings.Join(above, "")
			if method == wildcard {
				t.names[e] = name
			}
		}
	}
}

// whole returns the pattern that patterns come to, with the slash at its end.
func whole(patterns []string) string {
	p := strings.Join(patterns, "")
	for strings.Contains(p, "/*/") {
		p = strings.ReplaceAll(p, "/*/", "/")
	}
	return strings.ReplaceAll(p, "//", "/")
}

// unclear is the name of a path that is a mount's own and, by another router, a
// route's: chi does not tell which of the two serves it.
const unclear = "?"

// name returns the name of the endpoint at patterns. If there is none, they
// lead to a mount's own path, which the router mounted there sees as "/": it
// serves that by a handler for "/" or by one for the whole rest.
func (t *tree) name(method string, patterns []string) string {
	p := whole(patterns)
	if name, ok := t.names[endpoint{method, p}]; ok {
		if router, mount := t.own[p]; mount && router != t.from[endpoint{method, p}] {
			return unclear
		}
		return name
	}
	p = strings.TrimSuffix(p, "/") + "/"
	if name, ok := t.names[endpoint{method, p}]; ok {
		return name
	}
	return t.names[endpoint{method, p + wildcard}]
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
	return s.name(s.method, found.RoutePatterns)
}

// matched returns the name of the route that chi has found already.
func (s *search) matched(found *chi.Context) string {
	s.begin(found)
	return s.name(s.method, found.RoutePatterns)
}

func (s *search) begin(found *chi.Context) {
	found.Reset()
	found.RoutePatterns = append(found.RoutePatterns, s.from.RoutePatterns...)
	found.URLParams.Keys = append(found.URLParams.Keys, s.from.URLParams.Keys...)
	found.URLParams.Values = append(found.URLParams.Values, s.from.URLParams.Values...)
}

// maxStripped is how many slashes a path may have at its end. Each router on
// the way could strip one.
const maxStripped = 3

// mayChange reports whether path has another route than name once CleanPath
// has cleaned it, or StripSlashes has stripped it, which takes it decoded.
func (s *search) mayChange(name, path, decoded string) bool {
	if clean := pathpkg.Clean(path); clean != path && s.leadsAway(name, clean) {
		return true
	}
	for range maxStripped {
		stripped, ok := strings.CutSuffix(decoded, "/")
		if !ok || stripped == "" {
			return false
		}
		if s.leadsAway(name, stripped) {
			return true
		}
		decoded = stripped
	}
	return strings.HasSuffix(decoded, "/")
}

func (s *search) leadsAway(name, path string) bool {
	other := s.find(chi.NewRouteContext(), path)
	return other != "" && other != name
}
