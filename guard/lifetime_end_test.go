package guard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/palegate/palegate/guard"
)

// view is what can be read of an exchange at any time.
type view struct {
	id, route, value, client string
	principal                *guard.Principal
	reached                  bool
	decisions                []guard.Decision
	kept                     any
	status                   int
}

func viewOf(x *guard.Exchange) view {
	return view{
		id: x.ID(), route: x.Route(), value: x.PathValue("id"), client: x.Client().String(),
		principal: x.Principal(), reached: x.Reached(), decisions: x.Decisions(), kept: x.Value("key"),
		status: x.Response().Status(),
	}
}

// What a context leads to after the end is the exchange as it was, without
// bodies, and never another one.
func TestExchangeAfterTheEnd(t *testing.T) {
	for _, mode := range []guard.Mode{guard.ModeEnforce, guard.ModeMonitor} {
		t.Run(mode.String(), func(t *testing.T) {
			identify := policy{everyPhase, func(x *guard.Exchange, at guard.Phase) guard.Decision {
				x.PathValue("id") // what nobody asks for in time is unknown afterwards
				x.SetValue("key", x.Request().Header().Get("X-Key"))
				return guard.Decision{Effect: guard.Flag, Reason: masked, Principal: &guard.Principal{Subject: x.Request().Header().Get("X-Key")}}
			}}
			var kept []*guard.Exchange
			mux := http.NewServeMux()
			mux.HandleFunc("POST /users/{id}", func(w http.ResponseWriter, r *http.Request) {
				kept = append(kept, guard.From(r.Context()))
				io.Copy(w, r.Body)
			})
			h := build(t, guard.Use{Mode: mode, Part: identify}).Handler(mux)
			serveOne := func(id string) {
				r := httptest.NewRequest("POST", "/users/"+id, strings.NewReader("body of "+id))
				r.Header.Set("X-Key", id)
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Body.String() != "body of "+id {
					t.Errorf("got %d %q", w.Code, w.Body)
				}
			}
			serveOne("1")
			first := kept[0]
			before := viewOf(first)
			if before.route != "POST /users/{id}" || before.value != "1" || before.principal.Subject != "1" || before.kept != "1" ||
				!before.reached || before.status != 200 || len(before.decisions) != 5 {
				t.Errorf("after the end: %+v", before)
			}
			for range 100 {
				serveOne("2")
			}
			if got, want := fmt.Sprintf("%+v", viewOf(first)), fmt.Sprintf("%+v", before); got != want {
				t.Errorf("after other exchanges: %s\nwant %s", got, want)
			}
			for name, m := range map[string]*guard.Message{"request": first.Request(), "response": first.Response()} {
				if b, err := m.Body(); !errors.Is(err, guard.ErrNoBody) {
					t.Errorf("the body of the %s after the end: %v, error %v; want %v", name, b, err, guard.ErrNoBody)
				}
				m.Stage(guard.Edit{Body: []byte("late")}) // changes nothing, and does not panic
			}
			if kept[1] == first {
				t.Error("the exchange was used for another request")
			}
		})
	}
}

// Goroutines that a handler has started may read the exchange while it goes on
// and ends.
func TestReadingTheExchangeWhileItEnds(t *testing.T) {
	reads := map[string]func(x *guard.Exchange){
		"exchange": func(x *guard.Exchange) { viewOf(x) },
		"bodies": func(x *guard.Exchange) {
			x.Request().Body()
			x.Response().Body()
		},
	}
	for name, read := range reads {
		for _, mode := range []guard.Mode{guard.ModeEnforce, guard.ModeMonitor} {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				var behind sync.WaitGroup
				stop := make(chan bool)
				part := guard.Use{Mode: mode, Part: masking(guard.RequestBody|guard.ResponseBody, "*****")}
				h := build(t, part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
					x := guard.From(r.Context())
					behind.Go(func() {
						for {
							read(x)
							select {
							case <-stop:
								return
							default:
							}
						}
					})
					w.Header().Set("Content-Type", ndjson)
					for range 100 {
						io.WriteString(w, "a secret\n")
					}
				}))
				for range 5 {
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader("a secret")))
				}
				close(stop)
				behind.Wait()
			})
		}
	}
}

func TestDoneRunsOnce(t *testing.T) {
	panics := handle(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x"); panic("oops") })
	aborts := handle(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x"); panic(http.ErrAbortHandler) })
	answers := handle(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	streams := writing(sse, "data: 1\n\ndata: 2\n\n")
	head, body := guard.RequestHead, guard.RequestBody
	tests := []struct {
		name    string
		part    guard.Part
		handler http.Handler
		reached bool
	}{
		{"allowed", allowing(everyPhase), answers, true},
		{"refused at the head", refusing(head), answers, false},
		{"refused at the body", refusing(body), answers, false},
		{"refused at the head of the response", refusing(guard.ResponseHead), answers, true},
		{"refused at the body of the response", refusing(guard.ResponseBody), answers, true},
		{"refused at the end", refusing(guard.Done), answers, true},
		{"a unit refused", refusing(guard.ResponseBody), streams, true},
		{"a guard panics at the head", panicking(head), answers, false},
		{"a guard panics at the body", panicking(body), answers, false},
		{"a guard panics at the head of the response", panicking(guard.ResponseHead), answers, true},
		{"a guard panics at the body of the response", panicking(guard.ResponseBody), answers, true},
		{"a guard panics at the end", panicking(guard.Done), answers, true},
		{"the handler panics", allowing(everyPhase), panics, true},
		{"the handler aborts", allowing(everyPhase), aborts, true},
		{"the handler panics after a refusal", refusing(guard.ResponseHead), panics, true},
		{"hijacked", allowing(guard.ResponseHead), upgrades["raw"], true},
		{"hijacking refused", allowing(guard.ResponseBody), upgrades["raw"], true},
		{"nothing but Done", allowing(guard.Done), answers, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var ended atomic.Int32
			over := make(chan bool, 1)
			wrong := policy{guard.Done, func(x *guard.Exchange, at guard.Phase) guard.Decision {
				if x.Reached() != tt.reached {
					t.Errorf("reached: %t, want %t", x.Reached(), tt.reached)
				}
				return guard.Decision{}
			}}
			h := build(t, tt.part, counting(&ended), wrong).Handler(tt.handler)
			s := serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
				defer func() { over <- true }()
				h.ServeHTTP(w, r)
			}))
			conn := dial(t, s)
			io.WriteString(conn, crlf("POST / HTTP/1.1", "Host: a", "Connection: close", "Content-Length: 4", "")+"body")
			io.WriteString(conn, "\n")
			io.Copy(io.Discard, conn)
			receive(t, over, "end of the exchange")
			if n := ended.Load(); n != 1 {
				t.Errorf("Done ran %d times, want once", n)
			}
		})
	}
}

// What guards decide at the end is recorded and changes nothing.
func TestDoneChangesNothing(t *testing.T) {
	seen := &diary{}
	p := build(t, thorough(guard.Done), guard.Settings{Observer: seen})
	w := httptest.NewRecorder()
	p.Handler(writing("text/plain", "a secret")).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 200 || w.Body.String() != "a secret" || w.Header().Get("X-Token") != "" {
		t.Errorf("got %d %q %v, want the handler's answer", w.Code, w.Body, w.Header())
	}
	if ds := seen.all(); len(ds) != 1 || !ds[0].Shadow || ds[0].Refused() || ds[0].Phase != guard.Done {
		t.Errorf("decided %+v, want one shadow", ds)
	}
}

// The context in which counters and logs are written at the end is not over
// because the handler has returned.
func TestDoneHasALiveContext(t *testing.T) {
	for _, tt := range writers {
		var err error
		p := build(t, tt.part, policy{guard.Done, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			err = x.Context().Err()
			return guard.Decision{}
		}})
		ctx := context.WithValue(t.Context(), "key", "value") //nolint:revive,staticcheck // a test's own key
		p.Handler(writing("text/plain", "x")).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
		if err != nil {
			t.Errorf("%s: at the end the context has error %v", tt.name, err)
		}
	}
}
