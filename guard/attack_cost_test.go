package guard_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

// lines answers with n lines of a stream, and then does what then says.
func lines(n int, then func(r *http.Request)) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ndjson)
		for range n {
			io.WriteString(w, "secret\n")
		}
		then(r)
	})
}

// discardAnswer lets h answer a request to nobody.
func discardAnswer(h http.Handler) {
	h.ServeHTTP(&sink{h: http.Header{}}, httptest.NewRequest("GET", "/", nil))
}

// A stream without an end has decisions without an end: each is kept, and told,
// once.
func TestDecisionsOfAStreamAreKeptOnce(t *testing.T) {
	flagging := policy{guard.ResponseBody, func(*guard.Exchange, guard.Phase) guard.Decision {
		return guard.Decision{Effect: guard.Flag, Reason: masked}
	}}
	monitor := func(p policy) guard.Part { return guard.Use{Name: "monitored", Mode: guard.ModeMonitor, Part: p} }
	for name, part := range map[string]guard.Part{
		"masked":        masking(guard.ResponseBody, "*****"),
		"flagged":       flagging,
		"would be":      monitor(refusing(guard.ResponseBody)),
		"would panic":   monitor(panicking(guard.ResponseBody)),
		"flagged, too":  monitor(flagging),
		"masked, maybe": monitor(masking(guard.ResponseBody, "*****")),
	} {
		t.Run(name, func(t *testing.T) {
			told := &diary{}
			var kept []guard.Decision
			discardAnswer(build(t, part, guard.Settings{Observer: told}).Handler(lines(1000, func(r *http.Request) {
				kept = guard.From(r.Context()).Decisions()
			})))
			if got := told.all(); len(kept) != 1 || len(got) != 1 {
				t.Errorf("1000 units: %d decisions kept, %d told, want one each", len(kept), len(got))
			}
		})
	}
}

// A guard whose reasons differ from unit to unit, as a client may have it, fills
// no memory either.
func TestDecisionsAreBounded(t *testing.T) {
	n := 0
	changing := policy{guard.ResponseBody, func(*guard.Exchange, guard.Phase) guard.Decision {
		n++
		return guard.Decision{Effect: guard.Flag, Reason: guard.Reason("test.n" + strconv.Itoa(n))}
	}}
	var kept []guard.Decision
	discardAnswer(build(t, changing).Handler(lines(1000, func(r *http.Request) {
		kept = guard.From(r.Context()).Decisions()
	})))
	if n != 1000 || len(kept) != 256 {
		t.Errorf("%d decisions: %d kept, want 1000 and 256", n, len(kept))
	}
}

// A guard that panics at each phase tells once where: stacks are long.
func TestOnePanicStackAnExchange(t *testing.T) {
	told := &diary{}
	p := build(t, guard.Use{Name: "a", Mode: guard.ModeMonitor, Part: panicking(everyPhase)}, guard.Settings{Observer: told})
	discardAnswer(p.Handler(lines(100, func(*http.Request) {})))
	stacks := 0
	for _, d := range told.all() {
		if d.Reason != guard.ReasonPanic {
			t.Errorf("decided %+v, want panics alone", d)
		}
		if strings.Contains(d.Detail, "http_test.go:") {
			stacks++
		}
	}
	if stacks != 1 {
		t.Errorf("%d stacks told, want one", stacks)
	}
}

// What guards do at each unit of a stream is not kept to its end.
func TestStreamsPinNoMemory(t *testing.T) {
	const n, most = 100_000, 4 << 20
	values := []string{"1"}
	for name, part := range map[string]guard.Part{
		"masking":       masking(guard.ResponseBody, "*****"),
		"setting field": staging(guard.ResponseBody, true, guard.Edit{In: guard.InHeader, Name: "X-Judged", Values: values}),
		"panicking":     guard.Use{Name: "a", Mode: guard.ModeMonitor, Part: panicking(guard.ResponseBody)},
	} {
		t.Run(name, func(t *testing.T) {
			before := heapInUse()
			discardAnswer(build(t, part, guard.Settings{Observer: silent{}}).Handler(lines(n, func(r *http.Request) {
				if grown := heapInUse() - before; grown > most {
					t.Errorf("%d units pin %d KiB, want less than %d", n, grown>>10, most>>10)
				}
				runtime.KeepAlive(r)
			})))
		})
	}
}

// Bytes that tell nothing of what will follow are looked at once, however many the
// pieces in which they come.
func TestUndecidedBodiesCostLinearTime(t *testing.T) {
	const smallest, doublings, piece = 1 << 17, 5, 4096
	for name, tt := range map[string]struct {
		contentType string
		filler      byte
	}{
		"zeros of no type":   {"application/octet-stream", 0},
		"blanks of an image": {"image/png", ' '},
	} {
		t.Run(name, func(t *testing.T) {
			filler := bytes.Repeat([]byte{tt.filler}, piece)
			p := build(t, allowing(guard.ResponseBody), guard.Settings{Observer: silent{}})
			fastest := func(size int) time.Duration {
				h := p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", tt.contentType)
					for range size / piece {
						w.Write(filler)
					}
				}))
				best := time.Hour
				for range 5 {
					begin := time.Now()
					discardAnswer(h)
					best = min(best, time.Since(begin))
				}
				return best
			}
			small, large := fastest(smallest), fastest(smallest<<doublings)
			// 32 times the bytes: 32 times the time if it is linear, 1024 if it is
			// quadratic.
			if large > 256*small {
				t.Errorf("%d bytes take %v, %d times as many take %v", smallest, small, 1<<doublings, large)
			}
		})
	}
}
