package adaptertest

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

func muxOf(routes []Route) *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Pattern, r.Handler)
	}
	return mux
}

// around is a middleware of p, mounted around a mux as net/http has it, with
// inner between the two.
func around(p *guard.Pipeline, mux *http.ServeMux, inner func(w http.ResponseWriter, r *http.Request)) http.Handler {
	return p.Routed(guard.MuxRouter(mux), http.HandlerFunc(inner))
}

// A mistake is an adapter that makes one, and the rows that must find it.
type mistake struct {
	name  string
	new   func(p *guard.Pipeline, routes []Route) http.Handler
	fails []string
}

// Most were seen in the wild.
var mistakes = []mistake{
	{"goes on after a refusal", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reached := false
			around(p, mux, func(w http.ResponseWriter, r *http.Request) {
				reached = true
				mux.ServeHTTP(w, r)
			}).ServeHTTP(w, r)
			if !reached {
				mux.ServeHTTP(w, r)
			}
		})
	}, []string{"refusal-head", "refusal-body", "guard-panic"}},

	{"takes too many requests for an outage", func(p *guard.Pipeline, routes []Route) http.Handler {
		h := p.Handler(muxOf(routes))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(&outage{w}, r) })
	}, []string{"refusal-causes"}},

	{"knows no route", func(p *guard.Pipeline, routes []Route) http.Handler {
		return p.Routed(nil, muxOf(routes))
	}, []string{"route", "groups", "done", "concurrent"}},

	{"routes on the decoded path", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		return p.Routed(decoding{guard.MuxRouter(mux)}, mux)
	}, []string{"spellings"}},

	{"takes unknown paths for the last route", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		return p.Routed(&sticky{Router: guard.MuxRouter(mux)}, mux)
	}, []string{"not-found", "method-not-allowed"}},

	{"writes past the guards", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			around(p, mux, func(_ http.ResponseWriter, r *http.Request) { mux.ServeHTTP(w, r) }).ServeHTTP(w, r)
		})
	}, []string{
		"refusal-response", "error-status", "response-body", "response-header", "head", "trailers", "handler-panic", "done",
		"events", "http2", "early-hints", "websocket-refused", "concurrent", "not-found", "method-not-allowed", "guard-panic",
	}},

	{"serves the request as it came", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			around(p, mux, func(w http.ResponseWriter, _ *http.Request) { mux.ServeHTTP(w, r) }).ServeHTTP(w, r)
		})
	}, []string{"request-body", "request-edits", "context", "principal", "route", "concurrent"}},

	{"shows errors after the pipeline has ended", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := http.NewServeMux()
		for _, route := range routes {
			mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
				if failed, ok := r.Context().Value(failureKey{}).(**Failure); ok && route.Fails != nil {
					*failed = route.Fails
					return
				}
				route.Handler.ServeHTTP(w, r)
			})
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var failed *Failure
			around(p, mux, mux.ServeHTTP).ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), failureKey{}, &failed)))
			if failed != nil {
				says(failed.Status, failed.Text)(w, r)
			}
		})
	}, []string{"error-status", "done"}},

	{"holds answers back in a buffer", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		return around(p, mux, func(w http.ResponseWriter, r *http.Request) {
			held := &holding{ResponseWriter: w}
			mux.ServeHTTP(held, r)
			held.send()
		})
	}, []string{"flush", "events", "http2", "early-hints", "websocket", "websocket-refused", "controller", "monitor"}},

	{"sends the status with the first byte alone", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		return around(p, mux, func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(&lazy{ResponseWriter: w}, r) })
	}, []string{"no-body", "early-hints"}},

	{"has one writer for all requests", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux, shared := muxOf(routes), &switched{}
		return around(p, mux, func(w http.ResponseWriter, r *http.Request) {
			shared.use(w)
			mux.ServeHTTP(shared, r)
		})
	}, []string{"late-write"}},

	{"sends what it holds after a panic", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		return around(p, mux, func(w http.ResponseWriter, r *http.Request) {
			defer func() { _ = recover() }()
			mux.ServeHTTP(w, r)
		})
	}, []string{"handler-panic"}},

	{"stands around routes alone", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := http.NewServeMux()
		for _, r := range routes {
			mux.Handle(r.Pattern, p.Handler(r.Handler))
		}
		return mux
	}, []string{"not-found", "method-not-allowed"}},

	{"forgets the context around it", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		h := p.Handler(mux)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(context.Background()))
		})
	}, []string{"context", "principal", "client-gone"}},

	{"mixes requests", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		return p.Routed(&mixing{Router: guard.MuxRouter(mux)}, mux)
	}, []string{"route", "concurrent", "spellings"}},

	{"touches what is only monitored", func(p *guard.Pipeline, routes []Route) http.Handler {
		mux := muxOf(routes)
		return around(p, mux, func(w http.ResponseWriter, r *http.Request) {
			if x := guard.From(r.Context()); x != nil && len(x.Decisions()) > 0 && x.Decisions()[0].Shadow {
				w.Header().Set("X-Guarded", "yes")
			}
			mux.ServeHTTP(w, r)
		})
	}, []string{"monitor"}},
}

type failureKey struct{}

// decoding is a Router that looks at the path only after decoding it.
type decoding struct{ guard.Router }

func (d decoding) Route(r *http.Request) string {
	c := r.Clone(r.Context())
	c.URL.RawPath = ""
	c.URL.Path = strings.TrimSuffix(c.URL.Path, "/")
	return d.Router.Route(c)
}

// sticky is a Router that gives the first route of all to unknown requests.
type sticky struct {
	guard.Router
	sync.Mutex
}

func (s *sticky) Route(r *http.Request) string {
	if route := s.Router.Route(r); route != "" || strings.HasPrefix(r.URL.Path, "/orgs") {
		return route
	}
	return userPattern
}

// mixing is a Router that keeps path values in a place of its own.
type mixing struct {
	guard.Router
	once sync.Once
	id   string
}

func (m *mixing) SetPathValues(r *http.Request, pattern string) {
	m.Router.SetPathValues(r, pattern)
	m.once.Do(func() { m.id = r.PathValue("id") })
	r.SetPathValue("id", m.id)
}

// outage is a writer with statuses of its own.
type outage struct{ http.ResponseWriter }

func (o *outage) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *outage) WriteHeader(status int) {
	if status == http.StatusTooManyRequests {
		status = http.StatusServiceUnavailable
	}
	o.ResponseWriter.WriteHeader(status)
}

// holding is the writer that every first attempt at a mask has.
type holding struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *holding) WriteHeader(status int)      { h.status = status }
func (h *holding) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *holding) send() {
	if h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
	}
	if h.body.Len() > 0 {
		_, _ = h.ResponseWriter.Write(h.body.Bytes())
	}
}

// lazy is a writer that forgets the status of an answer without a body.
type lazy struct {
	http.ResponseWriter
	status int
}

func (l *lazy) Unwrap() http.ResponseWriter { return l.ResponseWriter }
func (l *lazy) WriteHeader(status int)      { l.status = status }

func (l *lazy) Write(p []byte) (int, error) {
	if l.status != 0 {
		l.ResponseWriter.WriteHeader(l.status)
		l.status = 0
	}
	return l.ResponseWriter.Write(p)
}

// switched is a writer that is used again, as pools do.
type switched struct {
	mu sync.Mutex
	w  http.ResponseWriter
}

func (s *switched) use(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w = w
}

func (s *switched) Unwrap() http.ResponseWriter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w
}

func (s *switched) Header() http.Header         { return s.Unwrap().Header() }
func (s *switched) WriteHeader(status int)      { s.Unwrap().WriteHeader(status) }
func (s *switched) Write(p []byte) (int, error) { return s.Unwrap().Write(p) }

// races are rows that would find a mistake by a data race.
var races = map[string][]string{
	"writes past the guards":          {"late-write"},
	"has one writer for all requests": {"concurrent"},
}

// Each mistake is found by the rows that are about it, and by no other.
func TestRowsFindMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range mistakes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, r := range rows {
				if slices.Contains(races[tt.name], r.name) {
					continue
				}
				patience := 20 * time.Second
				if slices.Contains(tt.fails, r.name) {
					patience = time.Second
				}
				if failures := r.failures(Adapter{New: tt.new}, patience); len(failures) > 0 {
					got = append(got, r.name)
					t.Logf("%s: %s", r.name, failures[0])
				}
			}
			slices.Sort(got)
			slices.Sort(tt.fails)
			if !slices.Equal(got, tt.fails) {
				t.Errorf("the rows that failed:\n%q, want\n%q", got, tt.fails)
			}
		})
	}
}

// Each row finds some mistake.
func TestRowsAreNeeded(t *testing.T) {
	for _, r := range rows {
		if !slices.ContainsFunc(mistakes, func(m mistake) bool { return slices.Contains(m.fails, r.name) }) {
			t.Errorf("no mistake is found by %s", r.name)
		}
	}
}
