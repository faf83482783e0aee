package guard_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/palegate/palegate/guard"
)

// What a handler sets after WriteHeader is too late, also where the header has
// been held back.
func TestN11HeaderIsFixedByWriteHeader(t *testing.T) {
	begin := map[string]func(w http.ResponseWriter){
		"WriteHeader": func(w http.ResponseWriter) { w.WriteHeader(201) },
		"Write":       func(w http.ResponseWriter) { io.WriteString(w, "x") },
		"Flush":       func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"empty Write": func(w http.ResponseWriter) { w.Write(nil) },
	}
	for how, begin := range begin {
		for _, tt := range writers {
			t.Run(how+", "+tt.name, func(t *testing.T) {
				h := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Early", "1")
					w.Header().Add("X-List", "1")
					begin(w)
					w.Header().Set("X-Late", "secret")
					w.Header().Del("X-Early")
					w.Header()["X-List"][0] = "secret"
					w.Header().Add("X-List", "secret")
					w.WriteHeader(500)
					io.WriteString(w, "y")
				}))
				overBoth(t, h, func(t *testing.T, s *httptest.Server) {
					a := send(t, s, "GET", "/", "")
					if a.err != nil || a.status >= 300 {
						t.Errorf("got %+v, want the first status", a)
					}
					if a.header.Get("X-Early") != "1" || a.header.Get("X-Late") != "" {
						t.Errorf("got header %v, want X-Early and no X-Late", a.header)
					}
					if got := a.header.Values("X-List"); len(got) != 1 || got[0] != "1" {
						t.Errorf("X-List: got %q, want what it was before", got)
					}
				})
			})
		}
	}
}

// trailing sends trailers in each way that net/http has.
func trailing(contentType string) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if contentType != "" {
			h.Set("Content-Type", contentType)
		}
		h.Set("Trailer", "X-Sum, x-early")
		h.Add("Trailer", "X-Unset")
		h.Set("X-Early", "secret 0") // announced, and known before the body: net/http sends it in both places
		h.Set(http.TrailerPrefix+"X-First", "secret 1")
		io.WriteString(w, "{\"a\":1}\n\n")
		h.Set("X-Sum", "42")
		h.Set(http.TrailerPrefix+"X-Late", "secret 2")
		h.Set("X-Header", "secret 3") // neither announced nor marked
	})
}

var trailerTypes = map[string]string{
	"held":    "application/json",
	"events":  sse,
	"lines":   ndjson,
	"opaque":  "image/png",
	"no type": "",
}

func TestN11Trailers(t *testing.T) {
	for kind, contentType := range trailerTypes {
		for _, tt := range writers {
			t.Run(kind+", "+tt.name, func(t *testing.T) {
				overBoth(t, build(t, tt.part).Handler(trailing(contentType)), func(t *testing.T, s *httptest.Server) {
					a := send(t, s, "GET", "/", "")
					a.is(t, 200, "{\"a\":1}\n\n")
					wantTrailer(t, a, map[string]string{"X-Sum": "42", "X-Early": "secret 0", "X-First": "secret 1", "X-Late": "secret 2"})
				})
			})
		}
	}
}

// wantTrailer fails the test unless a has that trailer, and what was set for it
// after the header was written not in the header.
func wantTrailer(t *testing.T, a answer, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for name := range a.trailer {
		if v := a.trailer.Get(name); v != "" {
			got[name] = v
		}
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("trailer %s: got %q, want %q", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("trailer %s: %q was not wanted", name, got[name])
		}
	}
	for _, name := range []string{"X-Sum", "X-First", "X-Late", "X-Header", http.TrailerPrefix + "X-First", http.TrailerPrefix + "X-Late"} {
		if v := a.header.Get(name); v != "" {
			t.Errorf("header %s: %q", name, v)
		}
	}
}

// judged are the kinds of body whose trailer guards judge.
var judged = []string{"held", "events", "lines", "no type"}

func TestN11TrailersAreEdited(t *testing.T) {
	for _, kind := range judged {
		t.Run(kind, func(t *testing.T) {
			h := build(t, masking(guard.ResponseBody, "*****")).Handler(trailing(trailerTypes[kind]))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				a.is(t, 200, "{\"a\":1}\n\n")
				wantTrailer(t, a, map[string]string{"X-Sum": "42", "X-Early": "*****", "X-First": "*****", "X-Late": "*****"})
			})
		})
	}
}

func TestN11TrailersAreRemoved(t *testing.T) {
	remove := policy{guard.ResponseBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		for name := range x.Response().Trailer() {
			x.Response().Stage(guard.Edit{In: guard.InTrailer, Name: name})
		}
		return guard.Decision{}
	}}
	for _, kind := range judged {
		t.Run(kind, func(t *testing.T) {
			overBoth(t, build(t, remove).Handler(trailing(trailerTypes[kind])), func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				a.is(t, 200, "{\"a\":1}\n\n")
				wantTrailer(t, a, nil)
			})
		})
	}
}

func TestN11TrailersAreAdded(t *testing.T) {
	add := policy{guard.ResponseBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		x.Response().Stage(guard.Edit{In: guard.InTrailer, Name: "X-Guard", Values: []string{"1"}})
		return guard.Decision{}
	}}
	for _, kind := range judged {
		t.Run(kind, func(t *testing.T) {
			overBoth(t, build(t, add).Handler(trailing(trailerTypes[kind])), func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				a.is(t, 200, "{\"a\":1}\n\n")
				wantTrailer(t, a, map[string]string{
					"X-Sum": "42", "X-Early": "secret 0", "X-First": "secret 1", "X-Late": "secret 2", "X-Guard": "1",
				})
			})
		})
	}
}

// A trailer is judged with the whole body, or after the last unit of a stream.
func TestN11TrailersAreRefused(t *testing.T) {
	refuse := policy{guard.ResponseBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		if x.Response().Trailer().Get("X-Late") == "secret 2" {
			return forbidden()
		}
		return guard.Decision{}
	}}
	for _, kind := range judged {
		t.Run(kind, func(t *testing.T) {
			overBoth(t, build(t, refuse).Handler(trailing(trailerTypes[kind])), func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				if kind == "held" || kind == "no type" {
					a.refuses(t, 403, refused)
				} else if a.err == nil {
					t.Errorf("got %+v, want a broken connection", a)
				}
				for name := range a.trailer {
					if v := a.trailer.Get(name); v != "" {
						t.Errorf("trailer %s: %q left", name, v)
					}
				}
			})
		})
	}
}

// A mask changes the length of the body; trailers still come after it.
func TestN11TrailersAfterEditedBody(t *testing.T) {
	h := build(t, masking(guard.ResponseBody, "[not for you]")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "a secret")
		w.Header().Set("X-Sum", "42")
		w.Header().Set(http.TrailerPrefix+"X-Late", "secret")
	}))
	overBoth(t, h, func(t *testing.T, s *httptest.Server) {
		a := send(t, s, "GET", "/", "")
		a.is(t, 200, "a [not for you]")
		wantTrailer(t, a, map[string]string{"X-Sum": "42", "X-Late": "[not for you]"})
	})
}
