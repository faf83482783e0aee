package ratelimit

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/palegate/palegate/guard"
)

// naive is what services write themselves: a limiter for each client that ever
// came.
type naive struct {
	mu       sync.Mutex
	limiters map[client]*rate.Limiter
}

func (n *naive) allows(c client) bool {
	n.mu.Lock()
	l := n.limiters[c]
	if l == nil {
		l = rate.NewLimiter(20, 20)
		n.limiters[c] = l
	}
	n.mu.Unlock()
	return l.Allow()
}

// BenchmarkTake compares the table with a map: one client, 10,000 clients, and
// a new client each time.
func BenchmarkTake(b *testing.B) {
	traffic := []struct {
		name    string
		clients int
	}{{"one", 1}, {"many", 10_000}, {"spray", 1 << 62}}
	limiters := []struct {
		name string
		make func() func(client) bool
	}{
		{"table", func() func(client) bool { return newTestTable(20, time.Second, 20, defaultMaxClients).allows }},
		{"map", func() func(client) bool { return (&naive{limiters: map[client]*rate.Limiter{}}).allows }},
	}
	for _, tr := range traffic {
		for _, l := range limiters {
			b.Run(tr.name+"/"+l.name, func(b *testing.B) {
				b.ReportAllocs()
				allows := l.make()
				var mu sync.Mutex
				worker := 0
				b.RunParallel(func(pb *testing.PB) {
					mu.Lock()
					worker++
					i := worker << 40
					mu.Unlock()
					for pb.Next() {
						i++
						allows(numbered(i % tr.clients))
					}
				})
			})
		}
	}
}

// BenchmarkHandler is the whole pipeline with this guard alone, allowed and
// refused, and without it.
func BenchmarkHandler(b *testing.B) {
	bare := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	behind := func(c Config) http.Handler {
		p, err := guard.New(c, guard.Settings{Observer: silent{}})
		if err != nil {
			b.Fatal(err)
		}
		return p.Handler(bare)
	}
	handlers := []struct {
		name string
		h    http.Handler
	}{
		{"bare", bare},
		{"allowed", behind(PerClient(1_000_000, time.Second))},
		{"refused", behind(PerClient(1, time.Hour))},
	}
	for _, h := range handlers {
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			w := discard{http.Header{}}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			for b.Loop() {
				h.h.ServeHTTP(w, r)
			}
		})
	}
}

type silent struct{}

func (silent) Observe(guard.Event) {}

type discard struct{ h http.Header }

func (d discard) Header() http.Header       { return d.h }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
