package guard_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/internal/bufpool"
	"github.com/tidwall/gjson"
)

// document is the 1 KiB of JSON whose validation is the unit V in which times
// are asked for.
var document = []byte(`{"items":[` + strings.Repeat(`{"sku":"abc-123","qty":12,"price":19.95,"ok":true},`, 19) + `{"sku":"abc-124","qty":1}]}`)

// asked is a budget: what a pipeline may add to the handler that it guards.
type asked struct {
	name   string
	v      float64 // in units of V
	allocs float64
	parts  []guard.Part
	serve  func(p *guard.Pipeline) (bare, guarded func())
}

// sink is a ResponseWriter that keeps nothing.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}

// bodyReader gives the same body again and again.
type bodyReader struct{ bytes.Reader }

func (*bodyReader) Close() error { return nil }

func use(name string, p policy) guard.Part { return guard.Use{Name: name, Part: p} }

func budgets() []asked {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(document)
	})
	mux := http.NewServeMux()
	mux.Handle("POST /orders/{id}", handler)
	call := func(h http.Handler) func() {
		w := &sink{http.Header{}}
		body := &bodyReader{}
		r := httptest.NewRequest("POST", "/orders/7", body)
		r.ContentLength = int64(len(document))
		r.Header.Set("Content-Length", strconv.Itoa(len(document)))
		return func() {
			body.Reset(document)
			r.Body = body
			h.ServeHTTP(w, r)
		}
	}
	inside := func(p *guard.Pipeline) (bare, guarded func()) {
		in := http.NewServeMux()
		in.Handle("POST /orders/{id}", p.Handler(handler))
		return call(mux), call(in)
	}
	outside := func(p *guard.Pipeline) (bare, guarded func()) { return call(mux), call(p.Handler(mux)) }
	head := []guard.Part{
		use("limit", policy{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			if !x.Client().Addr.IsValid() {
				return forbidden()
			}
			return guard.Decision{}
		}}),
		use("rules", policy{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			if x.Route() == "" {
				return forbidden()
			}
			return guard.Decision{}
		}}),
	}
	values := []guard.Part{use("rules", policy{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		if x.PathValue("id") != "7" {
			return forbidden()
		}
		return guard.Decision{}
	}})}
	reads := func(phase guard.Phase) []guard.Part {
		return []guard.Part{use("reads", policy{phase, func(x *guard.Exchange, at guard.Phase) guard.Decision {
			if b, err := messageAt(x, at).Body(); err != nil || len(b.Bytes()) != len(document) {
				return forbidden()
			}
			return guard.Decision{}
		}})}
	}
	off := []guard.Part{guard.Use{Name: "off", Mode: guard.ModeOff, Part: allowing(guard.RequestHead | guard.ResponseBody)}}
	return []asked{
		{"off", 0.02, 0, off, inside},
		{"head guards inside a mux", 0.5, 3, head, inside},
		{"path values outside a mux", 1.3, 7, values, outside},
		{"request body 1 KiB", 3, 8, reads(guard.RequestBody), inside},
		{"response held 1 KiB", 1.5, 12, reads(guard.ResponseBody), inside},
	}
}

// BenchmarkBudget times, in turn, the validation of a 1 KiB document (V), the
// bare handler and the guarded one, and reports the medians: V/op is what the
// pipeline adds in units of V, to be compared with the budget.
func BenchmarkBudget(b *testing.B) {
	bufpool.Poison.Store(false)
	defer bufpool.Poison.Store(true)
	const batch = 200
	spend := func(f func()) float64 {
		start := time.Now()
		for range batch {
			f()
		}
		return float64(time.Since(start).Nanoseconds()) / batch
	}
	for _, budget := range budgets() {
		b.Run(budget.name, func(b *testing.B) {
			bare, guarded := budget.serve(build(b, budget.parts...))
			var v, without, with []float64
			for b.Loop() {
				v = append(v, spend(func() { gjson.ValidBytes(document) }))
				without = append(without, spend(bare))
				with = append(with, spend(guarded))
			}
			b.ReportMetric(median(v), "V-ns")
			b.ReportMetric(median(with)-median(without), "added-ns")
			b.ReportMetric((median(with)-median(without))/median(v), "V/op")
			b.ReportMetric(budget.v, "budget-V")
			b.ReportMetric(testing.AllocsPerRun(100, guarded)-testing.AllocsPerRun(100, bare), "added-allocs")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func median(xs []float64) float64 {
	slices.Sort(xs)
	return xs[len(xs)/2]
}

func TestAllocationBudgets(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, budget := range budgets() {
		bare, guarded := budget.serve(build(t, budget.parts...))
		if got := testing.AllocsPerRun(200, guarded) - testing.AllocsPerRun(200, bare); got > budget.allocs {
			t.Errorf("%s: %v allocations over the bare handler, want at most %v", budget.name, got, budget.allocs)
		}
	}
}
