package adaptertest_test

import (
	"net/http"
	"testing"

	"github.com/palegate/palegate/adapters/adaptertest"
	"github.com/palegate/palegate/guard"
)

func mux(routes []adaptertest.Route, wrap func(http.Handler) http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Pattern, wrap(r.Handler))
	}
	return mux
}

func bare(h http.Handler) http.Handler { return h }

func TestAroundMux(t *testing.T) {
	adaptertest.Run(t, adaptertest.Adapter{New: func(p *guard.Pipeline, routes []adaptertest.Route) http.Handler {
		return p.Handler(mux(routes, bare))
	}})
}

func TestInsideMux(t *testing.T) {
	adaptertest.Run(t, adaptertest.Adapter{
		New: func(p *guard.Pipeline, routes []adaptertest.Route) http.Handler {
			return mux(routes, p.Handler)
		},
		Skip: map[string]string{
			"not-found":          "the mux answers outside the pipeline",
			"method-not-allowed": "the mux answers outside the pipeline",
		},
	})
}

func TestRouted(t *testing.T) {
	adaptertest.Run(t, adaptertest.Adapter{New: func(p *guard.Pipeline, routes []adaptertest.Route) http.Handler {
		mux := mux(routes, bare)
		return p.Routed(guard.MuxRouter(mux), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Middleware", "ran")
			mux.ServeHTTP(w, r)
		}))
	}})
}
