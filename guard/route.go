package guard

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A Router finds the route of a request before it has been served. It is how
// a pipeline outside a router knows what the router inside will do. Adapters
// implement it; it must be safe for concurrent use.
type Router interface {
	// Route returns the pattern that will serve r, or "" if none will or r
	// will only be redirected. Neither method is called after the exchange.
	Route(r *http.Request) string
	// SetPathValues sets on r the values of the wildcards of pattern, which
	// Route returned for r. It is called at most once, and only if a guard
	// asks.
	SetPathValues(r *http.Request, pattern string)
}

// MuxRouter is the Router of a [http.ServeMux]. [Pipeline.Handler] uses it
// itself when it is given a mux; [Pipeline.Routed] takes it where other
// middleware stands between the pipeline and the mux.
func MuxRouter(mux *http.ServeMux) Router { return &muxRouter{mux: mux} }

type muxRouter struct {
	mux *http.ServeMux
	one sync.Map // pattern -> *http.ServeMux of that pattern alone
}

var redirectType = reflect.TypeOf(http.RedirectHandler("/", http.StatusFound))

func (m *muxRouter) Route(r *http.Request) string {
	h, pattern := m.mux.Handler(r)
	// The mux makes a handler of its own to redirect "//users//7" to its clean
	// path, and says the pattern of the latter. It makes a new one each time,
	// which tells it from a redirect that the application has registered.
	if reflect.TypeOf(h) == redirectType {
		if again, _ := m.mux.Handler(r); again != h {
			return ""
		}
	}
	return pattern
}

// SetPathValues matches r once more, in a mux of that one pattern, since
// ServeMux.Handler tells the pattern but not what its wildcards stand for.
func (m *muxRouter) SetPathValues(r *http.Request, pattern string) {
	if !strings.Contains(pattern, "{") {
		return
	}
	mux, ok := m.one.Load(pattern)
	if !ok {
		only := http.NewServeMux()
		only.Handle(pattern, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		mux, _ = m.one.LoadOrStore(pattern, only)
	}
	if only, ok := mux.(http.Handler); ok {
		only.ServeHTTP(discard{}, r)
	}
}

// lacks reports whether the mux seems to have no route that pattern, an entry of
// [Use].Routes, stands for: a request that it should match finds none. A route of
// a host that only the mux names is not found.
func (m *muxRouter) lacks(pattern string) bool {
	method, rest := splitPattern(pattern)
	if strings.HasSuffix(rest, "*") {
		return false
	}
	methods := []string{method}
	if method == "" {
		methods = allMethods
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return true
	}
	path := wildcard.ReplaceAllStringFunc(rest[slash:], func(w string) string {
		if w == "{$}" {
			return ""
		}
		return "x"
	})
	return !slices.ContainsFunc(methods, func(method string) bool {
		_, route := m.mux.Handler(&http.Request{Method: method, Host: rest[:slash], URL: &url.URL{Path: path}, Header: http.Header{}})
		return routes{pattern}.match(route, method)
	})
}

var allMethods = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodHead, http.MethodOptions, http.MethodConnect, http.MethodTrace,
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// discard is the ResponseWriter of a match whose handler writes nothing.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// routes is a list of patterns as in [Use].Routes.
type routes []string

// match reports whether route, as the router has it, is one of rs for a
// request of that method; a transport without methods has "".
func (rs routes) match(route, method string) bool {
	_, path := splitPattern(route)
	for _, want := range rs {
		wantMethod, wantPath := splitPattern(want)
		if (covers(wantPath, path) || covers(wantPath, withoutHost(path))) && serves(wantMethod, method) {
			return true
		}
	}
	return false
}

// checkPattern says why pattern, an entry of [Use].Routes, can match no route of
// any router.
func checkPattern(pattern string) error {
	method, rest := splitPattern(pattern)
	switch {
	case rest == "*":
	case strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "":
		return fmt.Errorf("%q: %q is no method; write one in capitals, or none for all", pattern, method)
	case rest != strings.TrimSpace(rest) || strings.HasSuffix(rest, "**"):
		return fmt.Errorf("%q: ends in a blank, or in more than one \"*\"", pattern)
	case !strings.Contains(rest, "/"):
		return fmt.Errorf("%q: a path begins with \"/\"", pattern)
	case strings.Count(rest, "{") != strings.Count(rest, "}"):
		return fmt.Errorf("%q: a brace is open", pattern)
	}
	return nil
}

// serves says which requests a pattern's method is for, as http.ServeMux does.
func serves(pattern, method string) bool {
	return pattern == "" || method == "" || pattern == method || pattern == http.MethodGet && method == http.MethodHead
}

func covers(want, path string) bool {
	prefix, wild := strings.CutSuffix(want, "*")
	return want == path || wild && strings.HasPrefix(path, prefix)
}

func withoutHost(path string) string {
	if i := strings.IndexByte(path, '/'); i > 0 {
		return path[i:]
	}
	return path
}

// splitPattern splits "GET /orders" as http.ServeMux does.
func splitPattern(pattern string) (method, rest string) {
	i := strings.IndexAny(pattern, " \t")
	if i < 0 || strings.Contains(pattern[:i], "/") { // chi has blanks in "/{id:[a b]+}"
		return "", pattern
	}
	return pattern[:i], strings.TrimLeft(pattern[i:], " \t")
}
