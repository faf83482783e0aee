package guard_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

// writers has a pipeline for each way in which responses are watched.
var writers = []struct {
	name string
	part guard.Part
	held bool
}{
	{"body enforced", allowing(guard.ResponseBody), true},
	{"head enforced", allowing(guard.ResponseHead), false},
	{"all enforced", allowing(everyPhase), true},
	{"all monitored", guard.Use{Mode: guard.ModeMonitor, Part: allowing(everyPhase)}, false},
	{"done", allowing(guard.Done), false},
}

func TestN1NoUnwrap(t *testing.T) {
	for _, tt := range writers {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				if _, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
					t.Errorf("%T has Unwrap", w)
				}
			}))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				send(t, s, "GET", "/", "").is(t, 200, "")
			})
		})
	}
}

func TestN1UnwrappingFindsNoWayAround(t *testing.T) {
	h := build(t, masking(guard.ResponseBody, "*****")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		for {
			u, ok := w.(interface{ Unwrap() http.ResponseWriter })
			if !ok {
				break
			}
			w = u.Unwrap()
		}
		io.WriteString(w, "a secret")
	}))
	overBoth(t, h, func(t *testing.T, s *httptest.Server) { send(t, s, "GET", "/", "").is(t, 200, "a *****") })
}

func TestN1FlushReleasesNothing(t *testing.T) {
	flushes := map[string]func(w http.ResponseWriter) error{
		"http.ResponseController": func(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() },
		"http.Flusher":            func(w http.ResponseWriter) error { w.(http.Flusher).Flush(); return nil },
		"inside a wrapper": func(w http.ResponseWriter) error {
			return http.NewResponseController(&tap{ResponseWriter: w}).Flush()
		},
	}
	for name, flush := range flushes {
		t.Run(name, func(t *testing.T) {
			var outside *tap
			inner := build(t, masking(guard.ResponseBody, "*****")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				w.WriteHeader(201)
				if err := flush(w); err != nil {
					t.Errorf("flush of a held answer: %v", err)
				}
				io.WriteString(w, "a sec")
				flush(w)
				io.WriteString(w, "ret")
				if statuses, written := outside.left(); len(statuses) > 0 || written != "" {
					t.Errorf("a flush released status %v and body %q", statuses, written)
				}
			}))
			h := handle(func(w http.ResponseWriter, r *http.Request) {
				outside = &tap{ResponseWriter: w}
				inner.ServeHTTP(outside, r)
			})
			overBoth(t, h, func(t *testing.T, s *httptest.Server) { send(t, s, "GET", "/", "").is(t, 201, "a *****") })
		})
	}
}

// A flush before anything was written means status 200, as in net/http.
func TestN1FlushFirst(t *testing.T) {
	for _, tt := range writers {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Errorf("flush: %v", err)
				}
				w.WriteHeader(404)
				io.WriteString(w, "x")
			}))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) { send(t, s, "GET", "/", "").is(t, 200, "x") })
		})
	}
}

func TestN2EarlyHints(t *testing.T) {
	type hint struct {
		status int
		header http.Header
	}
	h := build(t, masking(guard.ResponseBody, "*****")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Handler", "secret")
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Set("Link", "</b.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.WriteHeader(201)
		io.WriteString(w, "a secret")
	}))
	overBoth(t, h, func(t *testing.T, s *httptest.Server) {
		var hints []hint
		r := request(t, s, "GET", "/", "")
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
				hints = append(hints, hint{status, http.Header(h)})
				return nil
			},
		}))
		a := do(s, r)
		a.is(t, 201, "a *****")
		if len(hints) != 2 {
			t.Fatalf("hints %v, want two", hints)
		}
		for i, want := range []string{"</a.css>; rel=preload", "</b.css>; rel=preload"} {
			if h := hints[i]; h.status != 103 || h.header.Get("Link") != want || h.header.Get("X-Handler") != "" {
				t.Errorf("hint %d: %v, want status 103 and of the header only Link: %s", i, h, want)
			}
		}
		if got := a.header.Values("Link"); len(got) > 0 {
			t.Errorf("Link %q was deleted before the final status", got)
		}
		if got := a.header.Get("X-Handler"); got != "secret" {
			t.Errorf("X-Handler: got %q, want it in the final header", got)
		}
	})
}

func TestN2RefusedAfterEarlyHints(t *testing.T) {
	h := build(t, refusing(guard.ResponseHead)).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(201)
		io.WriteString(w, "a secret")
	}))
	overBoth(t, h, func(t *testing.T, s *httptest.Server) {
		a := send(t, s, "GET", "/", "")
		a.refuses(t, 403, refused)
		if got := a.header.Values("Link"); len(got) > 0 {
			t.Errorf("the refusal has the handler's Link %q", got)
		}
	})
}

func TestN3LengthAfterEdit(t *testing.T) {
	about := map[string]string{
		"Etag":           `"abc"`,
		"Last-Modified":  "Tue, 24 Nov 2026 10:00:00 GMT",
		"Accept-Ranges":  "bytes",
		"Digest":         "sha-256=abc",
		"Content-Digest": "sha-256=:abc:",
		"Repr-Digest":    "sha-256=:abc:",
		"Content-Md5":    "abc",
	}
	tests := []struct {
		name, body, mask, want string
		length                 bool
		stale                  bool
	}{
		{"shorter", "a secret", "***", "a ***", true, true},
		{"longer", "a secret", "[not for you]", "a [not for you]", true, true},
		{"emptied", "secret", "", "", true, true},
		{"longer, length not told", "a secret", "[not for you]", "a [not for you]", false, true},
		{"as it was", "public", "***", "public", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, masking(guard.ResponseBody, tt.mask)).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				w.Header().Set("X-Kept", "1")
				for name, value := range about {
					w.Header().Set(name, value)
				}
				if tt.length {
					w.Header().Set("Content-Length", length(tt.body))
				}
				w.WriteHeader(200)
				// Piece by piece, since a mask can be longer than what it replaces.
				for _, c := range tt.body {
					if _, err := io.WriteString(w, string(c)); err != nil {
						t.Errorf("write: %v", err)
					}
				}
			}))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				a.is(t, 200, tt.want)
				if got := a.header.Values("Content-Length"); len(got) != 1 || got[0] != length(tt.want) {
					t.Errorf("Content-Length: got %q, want %d", got, len(tt.want))
				}
				if a.header.Get("X-Kept") != "1" {
					t.Error("X-Kept is gone")
				}
				for name, value := range about {
					want := value
					if tt.stale {
						want = ""
					}
					if got := a.header.Get(name); got != want {
						t.Errorf("%s: got %q, want %q", name, got, want)
					}
				}
			})
		})
	}
}

func TestN4NoBody(t *testing.T) {
	p := build(t, masking(guard.ResponseBody, "[not for you]"), policy{guard.ResponseHead | guard.ResponseBody, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "X-Guard", Values: []string{"1"}})
		return guard.Decision{}
	}})
	tests := []struct {
		name, method string
		handler      http.Handler
		status       string
		length       string // Content-Length, "" for none
	}{
		{"HEAD, body written", "HEAD", writing("text/plain", "a secret"), "200 OK", length("a [not for you]")},
		{"HEAD, JSON without a type", "HEAD", writing("", `["secret"]`), "200 OK", length(`["[not for you]"]`)},
		{"HEAD, length told of a body nobody judged", "HEAD", handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "8")
		}), "200 OK", ""},
		{"HEAD, nothing", "HEAD", handle(func(w http.ResponseWriter, r *http.Request) {}), "200 OK", ""},
		{"204", "GET", handle(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "a secret"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("writing a body with 204: error %v, want %v", err, http.ErrBodyNotAllowed)
			}
		}), "204 No Content", ""},
		{"304", "GET", handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"abc"`)
			w.WriteHeader(304)
		}), "304 Not Modified", ""},
		{"304 to HEAD", "HEAD", handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"abc"`)
			w.WriteHeader(304)
		}), "304 Not Modified", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, p.Handler(tt.handler))
			got := wire(t, s, crlf(tt.method+" / HTTP/1.1", "Host: a", "Connection: close", ""))
			head, body, ok := strings.Cut(got, "\r\n\r\n")
			if !ok || !strings.HasPrefix(head, "HTTP/1.1 "+tt.status) || body != "" {
				t.Errorf("got %q, want status %s and no body", got, tt.status)
			}
			told := ""
			for line := range strings.SplitSeq(head, "\r\n") {
				if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
					told = v
				}
			}
			if told != tt.length || strings.Contains(head, "Transfer-Encoding") {
				t.Errorf("got %q, want Content-Length %q", head, tt.length)
			}
			if !strings.Contains(head, "X-Guard: 1") {
				t.Errorf("got %q, want the guard's header", head)
			}
			if strings.HasPrefix(tt.status, "304") && !strings.Contains(head, `Etag: "abc"`) {
				t.Errorf("got %q, want the Etag", head)
			}
			s2 := start(t, p.Handler(tt.handler), true)
			if a := send(t, s2, tt.method, "/", ""); a.err != nil || a.body != "" || !strings.HasPrefix(tt.status, strconv.Itoa(a.status)) {
				t.Errorf("HTTP/2: got %+v, want no body", a)
			}
		})
	}
}

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

func TestN10Controller(t *testing.T) {
	for _, tt := range writers {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				c := http.NewResponseController(w)
				for what, err := range map[string]error{
					"SetReadDeadline":  c.SetReadDeadline(time.Now().Add(time.Minute)),
					"SetWriteDeadline": c.SetWriteDeadline(time.Now().Add(time.Minute)),
					"EnableFullDuplex": c.EnableFullDuplex(),
				} {
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
				if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
					t.Errorf("SetReadDeadline: %v", err)
				}
			}))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) { send(t, s, "GET", "/", "").is(t, 200, "") })
		})
	}
}

func TestN10ReadDeadlineWorks(t *testing.T) {
	h := build(t, allowing(guard.ResponseBody)).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := io.ReadAll(r.Body)
		var late interface{ Timeout() bool }
		if !errors.As(err, &late) || !late.Timeout() {
			t.Errorf("reading after the deadline: error %v, want a timeout", err)
		}
		io.WriteString(w, "late")
	}))
	got := wire(t, serve(t, h), crlf("POST / HTTP/1.1", "Host: a", "Content-Length: 9", ""))
	if !strings.HasSuffix(got, "\r\n\r\nlate") {
		t.Errorf("got %q, want an answer", got)
	}
}

// With full duplex a handler answers before it has read the request.
func TestN10FullDuplexWorks(t *testing.T) {
	h := build(t, allowing(guard.ResponseBody)).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Type", "application/x-ndjson")
		io.WriteString(w, "1\n")
		w.(http.Flusher).Flush()
		b, err := io.ReadAll(r.Body)
		if err != nil || string(b) != "ping" {
			t.Errorf("read %q, error %v, after answering; want %q", b, err, "ping")
		}
		io.WriteString(w, "2\n")
	}))
	conn := dial(t, serve(t, h))
	io.WriteString(conn, crlf("POST / HTTP/1.1", "Host: a", "Connection: close", "Content-Length: 4", ""))
	var got strings.Builder
	for buf := make([]byte, 1); !strings.HasSuffix(got.String(), "1\n"); {
		if _, err := conn.Read(buf); err != nil {
			t.Fatalf("got %q before the request was sent whole, error %v; want the first line", got.String(), err)
		}
		got.Write(buf)
	}
	io.WriteString(conn, "ping")
	rest, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(rest), "2\n") {
		t.Errorf("got %q, error %v, after the request; want the second line", rest, err)
	}
}

func TestN13HTTP2(t *testing.T) {
	for _, tt := range writers {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				if _, ok := w.(http.Hijacker); ok != (r.ProtoMajor == 1) {
					t.Errorf("over %s, http.Hijacker offered: %t", r.Proto, ok)
				}
				if _, ok := w.(http.Flusher); !ok {
					t.Errorf("over %s, http.Flusher is not offered", r.Proto)
				}
				if r.ProtoMajor == 2 {
					if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
						t.Errorf("Hijack over HTTP/2: error %v, want %v", err, http.ErrNotSupported)
					}
				}
				io.WriteString(w, r.Proto)
			}))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				a.is(t, 200, a.proto)
				if want := strings.TrimPrefix(t.Name(), "TestN13HTTP2/"+strings.ReplaceAll(tt.name, " ", "_")+"/"); !strings.HasPrefix(a.proto, want) {
					t.Errorf("served over %s, want %s", a.proto, want)
				}
			})
		})
	}
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
