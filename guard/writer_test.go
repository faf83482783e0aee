package guard_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"testing"

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
