package guard_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/palegate/palegate/guard"
)

// half writes, and then fails in its way.
func half(failure any) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("X-Handler", "secret")
		w.WriteHeader(201)
		io.WriteString(w, "a secret half")
		w.(http.Flusher).Flush()
		panic(failure)
	})
}

func TestN5PanicDropsWhatIsHeld(t *testing.T) {
	for name, failure := range map[string]any{"abort": http.ErrAbortHandler, "panic": "oops"} {
		t.Run(name, func(t *testing.T) {
			var ended atomic.Int32
			p := build(t, masking(guard.ResponseBody, "***"), counting(&ended))
			s := serve(t, p.Handler(half(failure)))
			if got := wire(t, s, crlf("GET / HTTP/1.1", "Host: a", "")); got != "" {
				t.Errorf("got %q, want nothing", got)
			}
			if a := send(t, start(t, p.Handler(half(failure)), true), "GET", "/", ""); a.err == nil {
				t.Errorf("HTTP/2: got %+v, want an error", a)
			}
			if n := ended.Load(); n != 2 {
				t.Errorf("Done ran %d times for 2 exchanges", n)
			}
		})
	}
}

// A middleware outside that recovers can answer as if the handler had not
// begun to.
func TestN5RecoveredOutside(t *testing.T) {
	for _, tt := range writers {
		if !tt.held {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			inner := build(t, tt.part).Handler(half("oops"))
			h := handle(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Request-Id", "7")
				defer func() {
					if v := recover(); v != "oops" {
						t.Errorf("recovered %v, want the handler's own panic", v)
					}
					http.Error(w, "sorry", 500)
				}()
				inner.ServeHTTP(w, r)
			})
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				a.is(t, 500, "sorry\n")
				if a.header.Get("X-Handler") != "" || a.header.Get("X-Request-Id") != "7" {
					t.Errorf("got header %v, want none of the handler's and X-Request-Id", a.header)
				}
			})
		})
	}
}

// counting counts the exchanges that have ended.
func counting(n *atomic.Int32) guard.Part {
	return guard.Use{Name: "counting", Part: policy{guard.Done, func(*guard.Exchange, guard.Phase) guard.Decision {
		n.Add(1)
		return guard.Decision{}
	}}}
}

// A status that HTTP does not have panics, as in net/http, and does not become
// another one.
func TestInvalidStatusOfHandler(t *testing.T) {
	for _, tt := range writers {
		for _, status := range []int{-1, 0, 99, 1000} {
			h := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				io.WriteString(w, "secret")
			}))
			if got := wire(t, serve(t, h), crlf("GET / HTTP/1.1", "Host: a", "Connection: close", "")); got != "" {
				t.Errorf("%s: WriteHeader(%d): got %q, want a panic and no answer", tt.name, status, got)
			}
		}
	}
}

// A copy that moves no byte has not written the header: the handler can still
// say what went wrong.
func TestEmptyCopyDoesNotAnswer(t *testing.T) {
	sources := map[string]io.Reader{
		"empty":   struct{ io.Reader }{strings.NewReader("")},
		"failing": failingReader{},
	}
	for name, src := range sources {
		for _, tt := range writers {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				h := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
					n, err := io.Copy(w, src)
					if n != 0 || (err != nil) != (name == "failing") {
						t.Errorf("copied %d bytes, error %v", n, err)
					}
					w.Header().Set("X-Late", "1")
					w.WriteHeader(502)
					io.WriteString(w, "sorry")
				}))
				overBoth(t, h, func(t *testing.T, s *httptest.Server) {
					a := send(t, s, "GET", "/", "")
					a.is(t, 502, "sorry")
					if a.header.Get("X-Late") != "1" {
						t.Errorf("got header %v, want X-Late", a.header)
					}
				})
			})
		}
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("upstream is gone") }

func TestWritesAfterTheEnd(t *testing.T) {
	for _, tt := range writers {
		t.Run(tt.name, func(t *testing.T) {
			kept := make(chan http.ResponseWriter, 1)
			inner := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "x")
				kept <- w
			}))
			h := handle(func(w http.ResponseWriter, r *http.Request) {
				outside := &tap{ResponseWriter: w}
				inner.ServeHTTP(outside, r)
				late := <-kept
				statuses, written := outside.left()
				_, err := late.Write([]byte("secret"))
				_, err2 := io.WriteString(late, "secret")
				_, err3 := io.Copy(late, struct{ io.Reader }{strings.NewReader("secret")})
				err4 := http.NewResponseController(late).Flush()
				late.WriteHeader(500)
				if err == nil || err2 == nil || err3 == nil || err4 == nil {
					t.Errorf("after the end Write, WriteString, Copy and Flush gave %v, %v, %v, %v; want errors", err, err2, err3, err4)
				}
				if s2, w2 := outside.left(); !slices.Equal(statuses, s2) || written != w2 {
					t.Errorf("after the end %v %q left", s2[len(statuses):], w2[len(written):])
				}
			})
			send(t, serve(t, h), "GET", "/", "").is(t, 200, "x")
		})
	}
}
