package guard_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

// compress is a middleware that compresses answers, in the way that most do.
func compress(next http.Handler) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			next.ServeHTTP(w, r)
			return
		}
		z := &gzipWriter{ResponseWriter: w}
		next.ServeHTTP(z, r)
		z.close()
	})
}

// gzipWriter compresses what has a body, from the first write on.
type gzipWriter struct {
	http.ResponseWriter

	z      *gzip.Writer
	status int
}

func (w *gzipWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *gzipWriter) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
		if status != 204 && status != 304 {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Add("Vary", "Accept-Encoding")
			w.Header().Del("Content-Length")
			w.z = gzip.NewWriter(w.ResponseWriter)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *gzipWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", http.DetectContentType(p))
		}
		w.WriteHeader(200)
	}
	if w.z == nil {
		return w.ResponseWriter.Write(p)
	}
	return w.z.Write(p)
}

func (w *gzipWriter) FlushError() error {
	if w.z != nil {
		if err := w.z.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *gzipWriter) Flush() { w.FlushError() }

func (w *gzipWriter) close() {
	if w.z != nil {
		w.z.Close()
	}
}

func gunzip(t *testing.T, s string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		t.Errorf("%q is not gzip: %v", s, err)
		return ""
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Errorf("after %q: %v", b, err)
	}
	return string(b)
}

// A compressing middleware inside gets no Accept-Encoding where guards must
// read the answer; one outside compresses what they leave.
func TestGzipMiddleware(t *testing.T) {
	p := build(t, masking(guard.ResponseBody, "*****"))
	h := handle(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
			return
		case "/events":
			w.Header().Set("Content-Type", sse)
		}
		w.WriteHeader(201)
		io.WriteString(w, "data: a sec")
		if err := http.NewResponseController(w).Flush(); err != nil && r.Context().Err() == nil {
			t.Errorf("flush: %v", err)
		}
		io.WriteString(w, "ret\n\n")
	})
	const want = "data: a *****\n\n"
	t.Run("inside", func(t *testing.T) {
		overBoth(t, p.Handler(compress(h)), func(t *testing.T, s *httptest.Server) {
			for _, path := range []string{"/", "/events"} {
				a := send(t, s, "GET", path, "", "Accept-Encoding: gzip")
				a.is(t, 201, want)
				if got := a.header.Get("Content-Encoding"); got != "" {
					t.Errorf("Content-Encoding %q of what is plain", got)
				}
			}
			send(t, s, "GET", "/204", "", "Accept-Encoding: gzip").is(t, 204, "")
		})
	})
	t.Run("outside", func(t *testing.T) {
		overBoth(t, compress(p.Handler(h)), func(t *testing.T, s *httptest.Server) {
			for _, path := range []string{"/", "/events"} {
				a := send(t, s, "GET", path, "", "Accept-Encoding: gzip")
				if got := gunzip(t, a.body); a.status != 201 || got != want || a.header.Get("Content-Encoding") != "gzip" {
					t.Errorf("got %d %q of %q, want 201 %q compressed", a.status, got, a.header, want)
				}
				send(t, s, "GET", path, "").is(t, 201, want)
			}
			send(t, s, "GET", "/204", "", "Accept-Encoding: gzip").is(t, 204, "")
		})
	})
	t.Run("inside, with guards of heads alone", func(t *testing.T) {
		s := serve(t, build(t, allowing(guard.RequestHead|guard.RequestBody|guard.ResponseHead|guard.Done)).Handler(compress(h)))
		a := send(t, s, "GET", "/", "", "Accept-Encoding: gzip")
		if got := gunzip(t, a.body); got != "data: a secret\n\n" {
			t.Errorf("got %q, want it compressed as without a pipeline", got)
		}
	})
	t.Run("one that compresses unasked", func(t *testing.T) {
		unasked := handle(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			r.Header.Set("Accept-Encoding", "gzip")
			compress(h).ServeHTTP(w, r)
		})
		s := serve(t, p.Handler(unasked))
		send(t, s, "GET", "/", "").refuses(t, 500, guard.ReasonEncoding)
		send(t, s, "GET", "/204", "").is(t, 204, "")
	})
	t.Run("a refusal is compressed outside", func(t *testing.T) {
		s := serve(t, compress(build(t, refusing(guard.ResponseBody)).Handler(h)))
		a := send(t, s, "GET", "/", "", "Accept-Encoding: gzip")
		if got := gunzip(t, a.body); a.status != 403 || !strings.Contains(got, string(refused)) || strings.Contains(got, "secret") {
			t.Errorf("got %d %q, want a refusal", a.status, got)
		}
	})
}

// logged is an access logger outside, as most are: it embeds the writer, has
// Unwrap, and keeps status and length.
type logged struct {
	http.ResponseWriter

	status, length int
}

func (w *logged) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *logged) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *logged) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = 200
	}
	n, err := w.ResponseWriter.Write(p)
	w.length += n
	return n, err
}

func TestAccessLogger(t *testing.T) {
	answers := handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hints" {
			w.WriteHeader(103)
		}
		w.WriteHeader(201)
		io.WriteString(w, "a sec")
		http.NewResponseController(w).Flush()
		io.Copy(w, struct{ io.Reader }{strings.NewReader("ret")})
	})
	mask := masking(guard.ResponseBody, "[not for you]")
	tests := []struct {
		name    string
		part    guard.Part
		handler http.Handler
		status  int
		body    string // "" for a refusal
		inside  int    // what a logger inside sees
	}{
		{"masked", mask, answers, 201, "a [not for you]", 201},
		{"monitored", guard.Use{Mode: guard.ModeMonitor, Part: mask}, answers, 201, "a secret", 201},
		{"refused at the head", refusing(guard.RequestHead), answers, 403, "", 0},
		{"refused response", refusing(guard.ResponseBody), answers, 403, "", 201},
		{"error", mask, handle(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "secret", 502) }), 502, "[not for you]\n", 502},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			logs := make(chan logged, 2)
			logger := func(next http.Handler) http.Handler {
				return handle(func(w http.ResponseWriter, r *http.Request) {
					l := &logged{ResponseWriter: w}
					next.ServeHTTP(l, r)
					logs <- *l
				})
			}
			p := build(t, tt.part)
			for _, path := range []string{"/", "/hints"} {
				overBoth(t, logger(p.Handler(tt.handler)), func(t *testing.T, s *httptest.Server) {
					a := send(t, s, "GET", path, "")
					if tt.body == "" {
						a.refuses(t, tt.status, refused)
					} else {
						a.is(t, tt.status, tt.body)
					}
					if l := receive(t, logs, "log"); l.status != tt.status || l.length != len(a.body) {
						t.Errorf("outside logged status %d of %d bytes, want %d of %d", l.status, l.length, tt.status, len(a.body))
					}
				})
				overBoth(t, p.Handler(logger(tt.handler)), func(t *testing.T, s *httptest.Server) {
					a := send(t, s, "GET", path, "")
					if tt.body == "" {
						a.refuses(t, tt.status, refused)
					} else {
						a.is(t, tt.status, tt.body)
					}
					if tt.inside != 0 {
						if l := receive(t, logs, "log"); l.status != tt.inside {
							t.Errorf("inside logged status %d, want %d", l.status, tt.inside)
						}
					}
				})
			}
		})
	}
}

func TestTimeoutHandlerOutside(t *testing.T) {
	p := build(t, masking(guard.RequestBody|guard.ResponseBody, "*****"))
	answers := handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Handler", "1")
		w.WriteHeader(201)
		io.Copy(w, r.Body)
	})
	t.Run("in time", func(t *testing.T) {
		overBoth(t, http.TimeoutHandler(p.Handler(answers), time.Minute, "late"), func(t *testing.T, s *httptest.Server) {
			a := send(t, s, "POST", "/", "a secret")
			a.is(t, 201, "a *****")
			if a.header.Get("X-Handler") != "1" {
				t.Errorf("got header %v, want X-Handler", a.header)
			}
		})
	})
	t.Run("refused in time", func(t *testing.T) {
		for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody} {
			s := serve(t, http.TimeoutHandler(build(t, refusing(at)).Handler(answers), time.Minute, "late"))
			send(t, s, "POST", "/", "a secret").refuses(t, 403, refused)
		}
	})
	t.Run("late", func(t *testing.T) {
		ended := make(chan []guard.Decision, 2)
		p := build(t, masking(guard.ResponseBody, "*****"), done(ended))
		h := http.TimeoutHandler(p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Handler", "secret")
			io.WriteString(w, "secret")
			<-r.Context().Done()
			io.WriteString(w, "secret")
		})), 20*time.Millisecond, "late")
		overBoth(t, h, func(t *testing.T, s *httptest.Server) {
			a := send(t, s, "GET", "/", "")
			a.is(t, 503, "late")
			if a.header.Get("X-Handler") != "" {
				t.Errorf("got header %v, want none of the handler's", a.header)
			}
			for _, d := range receive(t, ended, "Done") {
				if d.Err != nil || d.Refused() && d.Cause != guard.CauseGone {
					t.Errorf("decided %+v: a time-out is no guard's failure", d)
				}
			}
		})
	})
}

func TestTimeoutHandlerInside(t *testing.T) {
	inside := func(wait bool) http.Handler {
		return http.TimeoutHandler(handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Handler", "1")
			b, _ := io.ReadAll(r.Body)
			w.WriteHeader(201)
			w.Write(b)
			if wait {
				<-r.Context().Done()
			}
		}), map[bool]time.Duration{false: time.Minute, true: 20 * time.Millisecond}[wait], "late secret")
	}
	p := build(t, masking(guard.RequestBody|guard.ResponseBody, "*****"))
	overBoth(t, p.Handler(inside(false)), func(t *testing.T, s *httptest.Server) {
		a := send(t, s, "POST", "/", "a secret")
		a.is(t, 201, "a *****")
		if a.header.Get("X-Handler") != "1" {
			t.Errorf("got header %v, want X-Handler", a.header)
		}
	})
	overBoth(t, p.Handler(inside(true)), func(t *testing.T, s *httptest.Server) {
		send(t, s, "POST", "/", "a secret").is(t, 503, "late *****")
	})
	s := serve(t, build(t, refusing(guard.ResponseBody)).Handler(inside(false)))
	send(t, s, "POST", "/", "a secret").refuses(t, 403, refused)
}

func TestMaxBytesHandler(t *testing.T) {
	reads := handle(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "too much", 413)
			return
		}
		w.Write(b)
	})
	p := build(t, masking(guard.RequestBody|guard.ResponseBody, "*****"))
	long := strings.Repeat("secret", 100)
	for name, h := range map[string]http.Handler{
		"outside": http.MaxBytesHandler(p.Handler(reads), 20),
		"inside":  p.Handler(http.MaxBytesHandler(reads, 20)),
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				send(t, s, "POST", "/", "a secret").is(t, 200, "a *****")
				if name == "inside" {
					send(t, s, "POST", "/", long).is(t, 413, "too much\n")
					return
				}
				send(t, s, "POST", "/", long).refuses(t, 413, guard.ReasonTooLarge)
			})
		})
	}
}

// Middleware between two pipelines sees the request as the outer one left it,
// and the outer one sees the answer as middleware made it.
func TestMiddlewareBetweenPipelines(t *testing.T) {
	var reads atomic.Int32
	rewrite := func(next http.Handler) http.Handler {
		return handle(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			if string(b) != "a *****" {
				t.Errorf("between: got %q, want it masked", b)
			}
			r2 := r.Clone(r.Context())
			r2.Body = io.NopCloser(bytes.NewReader([]byte("a new secret")))
			r2.ContentLength = -1
			w.Header().Set("X-Between", "1")
			next.ServeHTTP(w, r2)
			io.WriteString(w, ", secret between")
		})
	}
	outer := build(t, masking(guard.RequestBody|guard.ResponseBody, "*****"))
	inner := build(t, masking(guard.RequestBody|guard.ResponseBody, "#####"))
	h := outer.Handler(rewrite(inner.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		reads.Add(1)
		io.Copy(w, r.Body)
		io.WriteString(w, ", secret inside")
	}))))
	overBoth(t, h, func(t *testing.T, s *httptest.Server) {
		a := send(t, s, "POST", "/", "a secret")
		a.is(t, 200, "a new #####, ##### inside, ***** between")
		if a.header.Get("X-Between") != "1" {
			t.Errorf("got header %v, want X-Between", a.header)
		}
	})
}

// A context that middleware outside has ended is the client's affair.
func TestContextEndedBefore(t *testing.T) {
	ended := make(chan []guard.Decision, 1)
	p := build(t, allowing(everyPhase), done(ended))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("half"), failingReader{})).WithContext(ctx)
	w := httptest.NewRecorder()
	p.Handler(unreachable(t)).ServeHTTP(w, r)
	ds := receive(t, ended, "Done")
	if d, ok := find(ds, guard.ReasonGone); !ok || d.Cause != guard.CauseGone || d.Err != nil || w.Code == 503 {
		t.Errorf("got %d, decided %+v; want %s and no failure", w.Code, ds, guard.ReasonGone)
	}
}
