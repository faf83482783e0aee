package guard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

// poison is what memory that was given back reads as.
const poison = "\xDB"

// Many exchanges are under way at once, all between the judgement of the
// request and that of the response. Each gets its own bytes, masked.
func TestNobodySeesAnothersBytes(t *testing.T) {
	t.Run("1000 in process", func(t *testing.T) {
		h := canaries(t, 1000)
		crowd(t, 1000, func(body string, i int) (string, error) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(body))
			r.Header.Set("X-Canary", strconv.Itoa(i))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Body.String(), nil
		})
	})
	t.Run("200 over the wire", func(t *testing.T) {
		for _, http2 := range []bool{false, true} {
			s := start(t, canaries(t, 200), http2)
			crowd(t, 200, func(body string, i int) (string, error) {
				a := send(t, s, "POST", "/", body, "X-Canary: "+strconv.Itoa(i))
				return a.body, a.err
			})
		}
	})
}

func canary(i int, token string) string {
	return fmt.Sprintf(`{"canary":"canary-%d","token":"%s","padding":"%s"}`, i, token, strings.Repeat(strconv.Itoa(i%10), i*7%6000))
}

// canaries serves n requests at once: it answers none before it has all.
func canaries(t *testing.T, n int) http.Handler {
	t.Helper()
	var all sync.WaitGroup
	all.Add(n)
	p := build(t, masking(guard.RequestBody, "*****"), masking(guard.ResponseBody, "#####"))
	return p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		i, _ := strconv.Atoi(r.Header.Get("X-Canary"))
		id := guard.From(r.Context()).ID()
		all.Done()
		all.Wait()
		b, err := io.ReadAll(r.Body)
		if want := canary(i, token(i, "*****")); err != nil || string(b) != want {
			t.Errorf("handler %d: got %.60q, error %v; want %.60q", i, b, err, want)
		}
		if got := guard.From(r.Context()).ID(); got != id {
			t.Errorf("handler %d: the exchange is %s, was %s", i, got, id)
		}
		w.Header().Set("Content-Type", []string{"application/json", ndjson, ""}[i%3])
		w.Write(b[:len(b)/2])
		runtime.Gosched()
		w.Write(b[len(b)/2:])
		io.WriteString(w, "\n{\"token\":\""+token(i, "secret")+"\"}\n")
	}))
}

// crowd sends n requests at once.
func crowd(t *testing.T, n int, send func(body string, i int) (string, error)) {
	t.Helper()
	var clients sync.WaitGroup
	for i := range n {
		clients.Go(func() {
			got, err := send(canary(i, token(i, "secret")), i)
			if want := canary(i, token(i, "*****")) + "\n{\"token\":\"" + token(i, "#####") + "\"}\n"; err != nil || got != want {
				t.Errorf("client %d: got %.60q, error %v; want %.60q", i, got, err, want)
			}
		})
	}
	clients.Wait()
}

// token is what is to be masked, in every other exchange: one that nothing was
// edited in passes on the bytes that were judged themselves.
func token(i int, masked string) string {
	if i%2 == 0 {
		return "public"
	}
	return masked
}

// settle waits for the number of goroutines to come down to what it was.
func settle(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		n := runtime.NumGoroutine()
		if n <= before {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Errorf("%d goroutines, were %d:\n%.4000s", n, before, stacks[:runtime.Stack(stacks, true)])
			return
		}
	}
}

func TestNoGoroutineStaysBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, tt := range writers {
		p := build(t, tt.part)
		for _, http2 := range []bool{false, true} {
			s := start(t, p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/panic":
					panic(http.ErrAbortHandler)
				case "/events":
					w.Header().Set("Content-Type", sse)
				}
				io.Copy(w, r.Body)
			})), http2)
			for _, path := range []string{"/", "/events", "/panic"} {
				send(t, s, "POST", path, "data: 1\n\n")
			}
			s.CloseClientConnections()
			s.Close()
		}
	}
	settle(t, before)
}

// A client that goes away while it sends frees everything, and nobody is to
// blame but itself.
func TestClientLeavesMidBody(t *testing.T) {
	const n = 20
	before := runtime.NumGoroutine()
	tests := []struct {
		name    string
		part    guard.Part
		reasons []guard.Reason // that the end may have
	}{
		{"enforced", allowing(everyPhase), []guard.Reason{guard.ReasonTruncated, guard.ReasonGone}},
		{"monitored", guard.Use{Mode: guard.ModeMonitor, Part: allowing(everyPhase)}, []guard.Reason{guard.ReasonUnread}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ended := make(chan []guard.Decision, n)
			inner := build(t, tt.part, done(ended)).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err == nil {
					t.Error("the handler read a body that was never sent whole")
				}
			}))
			s := serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
				outside := &tap{ResponseWriter: w}
				inner.ServeHTTP(outside, r)
				if statuses, _ := outside.left(); len(statuses) > 0 && statuses[0] >= 500 {
					t.Errorf("answered %v: the client's fault counts as the service's", statuses)
				}
			}))
			for i := range n {
				conn := dial(t, s)
				framing := []string{"Content-Length: 100000", "Transfer-Encoding: chunked"}[i%2]
				io.WriteString(conn, crlf("POST / HTTP/1.1", "Host: a", framing, "", "fff"))
				io.WriteString(conn, strings.Repeat("secret", 100*i))
				conn.Close()
			}
			for range n {
				for _, d := range receive(t, ended, "Done") {
					ok := false
					for _, reason := range tt.reasons {
						ok = ok || d.Reason == reason
					}
					if !ok || d.Err != nil {
						t.Errorf("decided %+v, want one of %q and no Err", d, tt.reasons)
					}
				}
			}
			s.Close()
		})
	}
	settle(t, before)
}

// late is a handler that goes on after its time is over: it reads some of the
// body, waits for the end of the exchange, and then does what it likes.
func late(ended <-chan bool, then func(w http.ResponseWriter, r *http.Request)) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 10))
		<-ended
		then(w, r)
	})
}

func TestLateHandlerSeesErrors(t *testing.T) {
	// A pipeline outside the time-out, alone or with another one inside.
	pipelines := map[string]func(t *testing.T, h http.Handler) http.Handler{
		"enforced": func(t *testing.T, h http.Handler) http.Handler {
			return build(t, allowing(everyPhase)).Handler(http.TimeoutHandler(h, 20*time.Millisecond, "late"))
		},
		"monitored": func(t *testing.T, h http.Handler) http.Handler {
			return build(t, guard.Use{Mode: guard.ModeMonitor, Part: allowing(everyPhase)}).Handler(http.TimeoutHandler(h, 20*time.Millisecond, "late"))
		},
		"nested": func(t *testing.T, h http.Handler) http.Handler {
			inner := build(t, allowing(everyPhase)).Handler(h)
			return build(t, allowing(everyPhase)).Handler(http.TimeoutHandler(inner, 20*time.Millisecond, "late"))
		},
		"nested, monitored": func(t *testing.T, h http.Handler) http.Handler {
			inner := build(t, guard.Use{Mode: guard.ModeMonitor, Part: allowing(everyPhase)}).Handler(h)
			return build(t, allowing(everyPhase)).Handler(http.TimeoutHandler(inner, 20*time.Millisecond, "late"))
		},
	}
	own := strings.Repeat("own", 10_000)
	for name, pipeline := range pipelines {
		t.Run(name, func(t *testing.T) {
			ended, over := make(chan bool), make(chan bool)
			h := pipeline(t, late(ended, func(w http.ResponseWriter, r *http.Request) {
				defer close(over)
				b, err := io.ReadAll(r.Body)
				// A pipeline inside the time-out has not ended: the body is still its own.
				if !strings.HasPrefix(name, "nested") && err == nil && len(b) > 0 || strings.Trim(string(b), "own") != "" {
					t.Errorf("read %d bytes %.30q of the body after the end, error %v; want an error", len(b), b, err)
				}
				if _, err := io.WriteString(w, "secret"); err == nil && name != "nested" {
					t.Error("writing after the end gave no error")
				}
				for x := guard.From(r.Context()); x != nil; x = guard.From(context.Background()) {
					if _, err := x.Request().Body(); !errors.Is(err, guard.ErrNoBody) {
						t.Errorf("the exchange's body after the end: error %v, want %v", err, guard.ErrNoBody)
					}
				}
			}))
			s := serve(t, h)
			send(t, s, "POST", "/", own).is(t, 503, "late")
			// Others use the memory that the first one has given back.
			others := serve(t, build(t, allowing(everyPhase)).Handler(handle(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })))
			for range 20 {
				send(t, others, "POST", "/", strings.Repeat("another's", 3000))
			}
			close(ended)
			receive(t, over, "end of the late handler")
		})
	}
}

// A guard of a pipeline inside a time-out can be at work when the pipeline
// outside has ended. What it judges must stay what it was.
func TestLateGuardSeesItsOwnBytes(t *testing.T) {
	own := strings.Repeat("own", 10_000)
	ended, over := make(chan bool), make(chan bool)
	slow := policy{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		defer close(over)
		b, err := x.Request().Body()
		if err != nil {
			t.Error(err)
			return forbidden()
		}
		<-ended
		if !bytes.Equal(b.Bytes(), []byte(own)) {
			t.Errorf("a guard judges %.30q, want %.30q", b.Bytes(), own)
		}
		return guard.Decision{}
	}}
	inner := build(t, slow).Handler(handle(func(http.ResponseWriter, *http.Request) {}))
	s := serve(t, build(t, allowing(everyPhase)).Handler(http.TimeoutHandler(inner, 20*time.Millisecond, "late")))
	send(t, s, "POST", "/", own).is(t, 503, "late")
	close(ended)
	receive(t, over, "end of the late guard")
}

// A handler that reads on while the exchange ends gets its own bytes or an
// error, at every moment.
func TestReadingWhileTheExchangeEnds(t *testing.T) {
	own := strings.Repeat("own", 100_000)
	for _, mode := range []guard.Mode{guard.ModeEnforce, guard.ModeMonitor} {
		p := build(t, guard.Use{Mode: mode, Part: allowing(everyPhase)})
		over := make(chan bool, 1)
		s := serve(t, p.Handler(http.TimeoutHandler(handle(func(w http.ResponseWriter, r *http.Request) {
			defer func() { over <- true }()
			b := make([]byte, 100)
			for {
				n, err := r.Body.Read(b)
				if strings.Contains(string(b[:n]), poison) {
					t.Errorf("%v: read %q", mode, b[:n])
				}
				if _, werr := w.Write(b[:n]); err != nil && werr != nil {
					return
				}
				if errors.Is(err, io.EOF) {
					time.Sleep(time.Millisecond)
				}
			}
		}), 5*time.Millisecond, "late")))
		for range 10 {
			send(t, s, "POST", "/", own).is(t, 503, "late")
			receive(t, over, "end of the handler")
		}
	}
}

// The writer of an exchange and its request can be used at the same time, as
// full duplex has it, while monitored guards judge both.
func TestReadingWhileWriting(t *testing.T) {
	nosy := policy{everyPhase, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		for _, m := range []*guard.Message{x.Request(), x.Response()} {
			if b, err := m.Body(); err == nil && bytes.Contains(b.Bytes(), []byte(poison)) {
				t.Errorf("at %v: body %q", at, b.Bytes())
			}
			m.Status()
			m.Header()
		}
		return guard.Decision{}
	}}
	h := build(t, guard.Use{Mode: guard.ModeMonitor, Part: nosy}).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		var reading sync.WaitGroup
		reading.Go(func() { io.Copy(io.Discard, r.Body) })
		w.Header().Set("Content-Type", ndjson)
		for range 200 {
			io.WriteString(w, "{\"a\":1}\n")
		}
		reading.Wait()
	}))
	overBoth(t, h, func(t *testing.T, s *httptest.Server) {
		for range 20 {
			send(t, s, "POST", "/", strings.Repeat("body", 1000)).is(t, 200, strings.Repeat("{\"a\":1}\n", 200))
		}
	})
}
