package guardchi_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/palegate/palegate/adapters/guardchi"
	"github.com/palegate/palegate/guard"
)

// guarded is a pipeline that masks "secret", and refuses and panics on demand.
func guarded(t *testing.T) *guard.Pipeline {
	t.Helper()
	p, err := guard.New(
		guard.Use{Name: "judge", Part: part{guard.RequestHead, func(x *guard.Exchange) guard.Decision {
			switch x.Request().Header().Get("X-Do") {
			case "refuse":
				return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseForbidden, Reason: "test.refused"}
			case "panic":
				panic("guard")
			}
			return guard.Decision{}
		}}},
		guard.Use{Name: "mask", Part: part{guard.ResponseBody, func(x *guard.Exchange) guard.Decision {
			body, err := x.Response().Body()
			if err != nil {
				return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Reason: "test.refused", Err: err}
			}
			if b := bytes.ReplaceAll(body.Bytes(), []byte("secret"), []byte("***")); !bytes.Equal(b, body.Bytes()) {
				x.Response().Stage(guard.Edit{In: guard.InBody, Body: b})
			}
			return guard.Decision{}
		}}},
		guard.Settings{Observer: silent{}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type silent struct{}

func (silent) Observe(guard.Event) {}

// serve answers one request through a real server, with the body uncompressed.
func serve(t *testing.T, h http.Handler, target, do string) (status int, body string, compressed bool) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	defer s.Close()
	r, err := http.NewRequest("GET", s.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Do", do)
	r.Header.Set("Accept-Encoding", "gzip")
	res, err := s.Client().Do(r)
	if err != nil {
		return 0, err.Error(), false
	}
	defer res.Body.Close()
	var from io.Reader = res.Body
	if compressed = res.Header.Get("Content-Encoding") == "gzip"; compressed {
		if from, err = gzip.NewReader(res.Body); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(from)
	if err != nil {
		return 0, err.Error(), compressed
	}
	return res.StatusCode, string(b), compressed
}

// chi's own middleware, on either side of the pipeline.
func TestMiddleware(t *testing.T) {
	middleware.DefaultLogger = middleware.RequestLogger(&middleware.DefaultLogFormatter{Logger: log.New(io.Discard, "", 0)})
	quietly := func(next http.Handler) http.Handler { // Recoverer prints its stack only where no logger takes it
		return middleware.RequestLogger(quiet{})(next)
	}
	for name, mw := range map[string]use{
		"Recoverer": func(next http.Handler) http.Handler { return quietly(middleware.Recoverer(next)) },
		"Logger":    middleware.Logger,
		"Compress":  middleware.Compress(5),
		"Timeout":   middleware.Timeout(time.Minute),
		"Throttle":  middleware.Throttle(10),
	} {
		for place, order := range map[string][]use{
			"before": {mw, guardchi.New(guarded(t))},
			"behind": {guardchi.New(guarded(t)), mw},
		} {
			t.Run(name+" "+place, func(t *testing.T) {
				r := chi.NewRouter()
				r.Use(order...)
				r.Get("/text", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/plain")
					_, _ = io.WriteString(w, strings.Repeat("a secret ", 100))
				})
				r.Get("/error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "a secret", http.StatusConflict) })
				r.Get("/panic", func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, "a secret")
					panic("handler")
				})
				for _, tt := range []struct {
					target, do string
					status     int
					body       string
				}{
					{"/text", "", 200, strings.Repeat("a *** ", 100)},
					{"/error", "", 409, "a ***\n"},
					{"/nothing", "", 404, "404 page not found\n"},
				} {
					status, body, compressed := serve(t, r, tt.target, tt.do)
					if status != tt.status || body != tt.body {
						t.Errorf("%s: got %d %q, want %d %q", tt.target, status, body, tt.status, tt.body)
					}
					if want := name+place == "Compressbefore"; compressed != want {
						t.Errorf("%s: compressed: %t, want %t", tt.target, compressed, want)
					}
				}
				if status, body, _ := serve(t, r, "/text", "refuse"); status != 403 || !strings.Contains(body, "test.refused") {
					t.Errorf("refused: got %d %q, want 403 test.refused", status, body)
				}
				if status, body, _ := serve(t, r, "/text", "panic"); status != 500 || !strings.Contains(body, "guard.panic") {
					t.Errorf("a guard panics: got %d %q, want 500 guard.panic", status, body)
				}
				if _, body, _ := serve(t, r, "/panic", ""); strings.Contains(body, "secret") {
					t.Errorf("the handler panics: got %q", body)
				}
			})
		}
	}
}

// quiet is a log of nothing.
type quiet struct{}

func (quiet) NewLogEntry(*http.Request) middleware.LogEntry         { return quiet{} }
func (quiet) Write(_, _ int, _ http.Header, _ time.Duration, _ any) {}
func (quiet) Panic(any, []byte)                                     {}

// Recoverer outside answers for a handler that panicked; nothing of what it
// wrote before was sent.
func TestRecovererOutside(t *testing.T) {
	r := chi.NewRouter()
	r.Use(middleware.RequestLogger(quiet{}), middleware.Recoverer, guardchi.New(guarded(t)))
	r.Get("/panic", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("handler")
	})
	if status, body, _ := serve(t, r, "/panic", ""); status != 500 || body != "" {
		t.Errorf("got %d %q, want 500 and nothing", status, body)
	}
}

// A handler that gives up when its time is over is answered for by Timeout.
func TestTimeout(t *testing.T) {
	timeout := middleware.Timeout(10 * time.Millisecond)
	for place, order := range map[string][]use{
		"alone": {timeout}, "behind": {guardchi.New(guarded(t)), timeout},
	} {
		r := chi.NewRouter()
		r.Use(order...)
		r.Get("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		if status, _, _ := serve(t, r, "/slow", ""); status != http.StatusGatewayTimeout {
			t.Errorf("%s: got %d, want 504", place, status)
		}
	}
}

// What logs outside sees what clients get.
func TestLoggerOutsideSeesRefusals(t *testing.T) {
	var got int
	r := chi.NewRouter()
	r.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			next.ServeHTTP(ww, r)
			got = ww.Status()
		})
	}, guardchi.New(guarded(t)))
	r.Get("/text", func(http.ResponseWriter, *http.Request) {})
	serve(t, r, "/text", "refuse")
	if got != 403 {
		t.Errorf("the logger saw %d, want 403", got)
	}
}
