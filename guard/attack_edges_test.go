package guard_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/payload"
)

// A stream does not outlive its principal, wherever it was authenticated.
func TestExpiryOfPrincipalFromInside(t *testing.T) {
	auth := policy{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
		return guard.Decision{Principal: &guard.Principal{Subject: "a", Expires: time.Now().Add(-time.Hour)}}
	}}
	inner := build(t, auth).Handler(writing(sse, "data: secret\n\n"))
	if a := send(t, serve(t, build(t, allowing(guard.ResponseBody)).Handler(inner)), "GET", "/", ""); strings.Contains(a.body, "data") {
		t.Errorf("got %d %q, want it cut", a.status, a.body)
	}
}

// A handler that moves the deadline after the refusal cannot make the rest of a
// stream look whole, where middleware recovers from the abort.
func TestRefusedStreamWithDeadlineMoved(t *testing.T) {
	h := build(t, rejecting(guard.ResponseBody, "secret")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ndjson)
		rc := http.NewResponseController(w)
		defer rc.SetWriteDeadline(time.Time{})
		for _, line := range []string{"1\n", "secret\n", "2\n"} {
			rc.SetWriteDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(w, line)
		}
	}))
	recovers := handle(func(w http.ResponseWriter, r *http.Request) {
		defer func() { _ = recover() }()
		h.ServeHTTP(w, r)
	})
	overBoth(t, recovers, func(t *testing.T, s *httptest.Server) {
		if a := send(t, s, "GET", "/", ""); a.err == nil {
			t.Errorf("got %d %q whole, want it broken off", a.status, a.body)
		}
	})
}

// Header fields staged for each message of a stream do not pile up.
func TestSessionKeepsOneEditOfAField(t *testing.T) {
	p := build(t, policy{guard.ResponseBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "X-Judged", Values: []string{"1"}})
		return guard.Decision{}
	}})
	s := p.Begin(context.Background(), guard.Call{Route: "/s/m", Header: http.Header{}})
	defer s.End()
	before := heapInUse()
	for range 100_000 {
		s.JudgeBody(guard.ResponseBody, payload.New([]byte("x")))
	}
	if grown := heapInUse() - before; grown > 4<<20 {
		t.Errorf("100000 messages keep %d bytes", grown)
	}
	if got := s.Exchange().Response().Header().Get("X-Judged"); got != "1" {
		t.Errorf("the edit came to %q", got)
	}
}

// frozenRouter counts who asks it after the exchange.
type frozenRouter struct{ ended, late atomic.Int32 }

func (f *frozenRouter) Route(*http.Request) string {
	f.late.Add(f.ended.Load())
	return "/late"
}
func (f *frozenRouter) SetPathValues(*http.Request, string) { f.late.Add(f.ended.Load()) }

// Nobody asks a router about a request that is over: it may keep another's.
func TestRouterIsNotAskedLate(t *testing.T) {
	for _, wrapped := range []bool{false, true} {
		var x *guard.Exchange
		router := &frozenRouter{}
		h := build(t, allowing(guard.RequestHead)).Routed(router, handle(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			if wrapped {
				ctx = guard.WithPrincipal(ctx, &guard.Principal{Subject: "a"})
			}
			x = guard.From(ctx)
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		router.ended.Store(1)
		x.Route()
		x.PathValue("id")
		if n := router.late.Load(); n > 0 {
			t.Errorf("WithPrincipal %v: asked %d times", wrapped, n)
		}
	}
}

// What a guard has started with the exchange's context may still read it.
func TestContextStaysTheSame(t *testing.T) {
	g := policy{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		ctx := context.WithoutCancel(x.Context())
		go func() {
			for range 100 {
				ctx.Value("x")
			}
		}()
		return guard.Decision{}
	}}
	h := build(t, guard.Use{Name: "a", Part: g}, guard.Use{Name: "b", Part: allowing(guard.ResponseBody)}).Handler(writing("text/plain", "in"))
	for range 100 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
}

// statusMapper is a writer outside that answers 200 whatever it is told.
type statusMapper struct{ http.ResponseWriter }

func (w statusMapper) WriteHeader(int) { w.ResponseWriter.WriteHeader(http.StatusOK) }
func (w statusMapper) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, r)
}

func TestNoBodyByReadFrom(t *testing.T) {
	h := build(t, masking(guard.ResponseBody, "*****")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		w.(io.ReaderFrom).ReadFrom(strings.NewReader("secret"))
	}))
	s := serve(t, handle(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(statusMapper{w}, r) }))
	if a := send(t, s, "GET", "/", ""); strings.Contains(a.body, "secret") {
		t.Errorf("got %d %q", a.status, a.body)
	}
}

// A digest in an answer without a body is of one that nobody has judged.
func TestNoDigestWithoutBody(t *testing.T) {
	for _, status := range []int{201, 204, 301, 404} {
		h := build(t, masking(guard.ResponseBody, "*****")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Repr-Digest", "sha-256=:of-secret:")
			w.WriteHeader(status)
		}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("PUT", "/", nil))
		if got := w.Header().Get("Repr-Digest"); got != "" || w.Code != status {
			t.Errorf("%d: got %d, Repr-Digest %q", status, w.Code, got)
		}
	}
}

// A handler that encodes in the coding that middleware outside has announced is
// not taken for one that leaves it to that.
func TestEncodedAsAnnouncedOutside(t *testing.T) {
	inner := build(t, masking(guard.ResponseBody, "*****")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, "a secret")
		z.Close()
	}))
	w := httptest.NewRecorder()
	w.Header().Set("Content-Encoding", "gzip")
	inner.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), string(guard.ReasonEncoding)) {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

// The client is that of the request as it came, not as the handler has made it.
func TestClientAskedByTheHandler(t *testing.T) {
	var got string
	p := build(t, allowing(guard.RequestHead), guard.Settings{Trust: guard.Trust{Hops: 1}})
	h := p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		got = guard.From(r.Context()).Client().String()
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Forwarded-For", "198.51.100.1")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if got != "198.51.100.1" {
		t.Errorf("got %s", got)
	}
}

// A refusal of the adapter's own takes nothing of the handler's along.
func TestSessionRefuseClearsTheHeader(t *testing.T) {
	s := build(t, allowing(everyPhase)).Begin(context.Background(), guard.Call{Header: http.Header{}})
	defer s.End()
	s.SetHead(200, http.Header{"X-Secret": {"handler"}})
	s.Refuse(guard.ResponseBody, guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Reason: guard.ReasonUnread})
	if h := s.Exchange().Response().Header(); len(h) > 0 {
		t.Errorf("got %v", h)
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
