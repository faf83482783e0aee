package guardchi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/palegate/palegate/adapters/adaptertest"
	"github.com/palegate/palegate/adapters/guardchi"
	"github.com/palegate/palegate/guard"
)

// register adds routes to r, those with prefixes in routers of their own.
func register(r chi.Router, routes []adaptertest.Route) {
	below := map[string][]adaptertest.Route{}
	for _, route := range routes {
		method, path := route.Split()
		if len(route.Under) == 0 {
			r.Method(method, path, route.Handler)
			continue
		}
		prefix := route.Under[0]
		path = strings.TrimPrefix(path, prefix)
		if path == "" {
			path = "/"
		}
		route.Pattern, route.Under = method+" "+path, route.Under[1:]
		below[prefix] = append(below[prefix], route)
	}
	for prefix, routes := range below {
		r.Route(prefix, func(r chi.Router) { register(r, routes) })
	}
}

type (
	pipe   = *guard.Pipeline
	routes = []adaptertest.Route
)

// Everywhere that the package's documentation names.
func TestConformance(t *testing.T) {
	outside := map[string]string{
		"not-found":          "chi answers outside the pipeline",
		"method-not-allowed": "chi answers outside the pipeline",
	}
	for _, place := range []struct {
		name string
		new  func(p pipe, routes routes) http.Handler
		skip map[string]string
	}{
		{"Use", func(p pipe, routes routes) http.Handler {
			r := chi.NewRouter()
			r.Use(guardchi.New(p))
			register(r, routes)
			return r
		}, nil},
		{"Use behind all middleware", func(p pipe, routes routes) http.Handler {
			r := chi.NewRouter()
			r.Use(middleware.RequestID, middleware.Timeout(time.Minute), middleware.CleanPath, middleware.StripSlashes)
			r.Use(guardchi.New(p))
			register(r, routes)
			return r
		}, nil},
		{"Use before all middleware", func(p pipe, routes routes) http.Handler {
			r := chi.NewRouter()
			r.Use(guardchi.New(p))
			r.Use(middleware.RequestID, middleware.Timeout(time.Minute), middleware.CleanPath, middleware.StripSlashes)
			register(r, routes)
			return r
		}, nil},
		{"GetHead", func(p pipe, routes routes) http.Handler {
			r := chi.NewRouter()
			r.Use(middleware.GetHead, guardchi.New(p), middleware.RedirectSlashes)
			register(r, routes)
			return r
		}, nil},
		{"Group", func(p pipe, routes routes) http.Handler {
			r := chi.NewRouter()
			r.Group(func(r chi.Router) {
				r.Use(guardchi.New(p))
				register(r, routes)
			})
			return r
		}, outside},
		{"With", func(p pipe, routes routes) http.Handler {
			r := chi.NewRouter()
			register(r.With(guardchi.New(p)), routes)
			return r
		}, outside},
		{"Mount at the root", func(p pipe, routes routes) http.Handler {
			sub := chi.NewRouter()
			sub.Use(guardchi.New(p))
			register(sub, routes)
			r := chi.NewRouter()
			r.Mount("/", sub)
			return r
		}, nil},
		{"in a ServeMux", func(p pipe, routes routes) http.Handler {
			r := chi.NewRouter()
			r.Use(guardchi.New(p))
			register(r, routes)
			mux := http.NewServeMux()
			mux.Handle("/", r)
			return mux
		}, nil},
	} {
		t.Run(place.name, func(t *testing.T) {
			adaptertest.Run(t, adaptertest.Adapter{New: place.new, Skip: place.skip})
		})
	}
}
