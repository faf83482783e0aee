package guard_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
)

// leaky answers with much that a refusal must not have.
func leaky(body string) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Type":        "application/json",
			"Content-Length":      length(body),
			"Content-Disposition": "attachment; filename=secret",
			"Content-Language":    "secret",
			"Content-Location":    "/secret",
			"Etag":                `"secret"`,
			"Last-Modified":       "Tue, 24 Nov 2026 10:00:00 GMT",
			"Expires":             "Tue, 24 Nov 2026 10:00:00 GMT",
			"Location":            "/secret",
			"Set-Cookie":          "session=secret",
			"Cache-Control":       "public, max-age=3600",
			"Trailer":             "X-Sum",
			"X-Handler":           "secret",
			"X-Request-Id":        "secret",
			"Www-Authenticate":    "Secret",
			"Retry-After":         "1",
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(201)
		io.WriteString(w, body[:len(body)/2])
		w.(http.Flusher).Flush()
		io.WriteString(w, body[len(body)/2:])
		w.Header().Set("X-Sum", "secret")
		w.Header().Set(http.TrailerPrefix+"X-Late", "secret")
	})
}

// outside sets what a middleware around the pipeline sets for every answer,
// refusals too.
func outside(next http.Handler) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "https://app.example.com")
		w.Header().Set("X-Request-Id", "7")
		w.Header().Add("Vary", "Origin")
		next.ServeHTTP(w, r)
	})
}

func TestRefusedResponseLeaksNothing(t *testing.T) {
	tests := []struct {
		name   string
		part   guard.Part
		status int
		code   guard.Reason
	}{
		{"at the head", refusing(guard.ResponseHead), 403, refused},
		{"at the body", refusing(guard.ResponseBody), 403, refused},
		{"a guard panics at the head", panicking(guard.ResponseHead), 500, guard.ReasonPanic},
		{"a guard panics at the body", panicking(guard.ResponseBody), 500, guard.ReasonPanic},
		{"a guard after an edit", policy{guard.ResponseBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			x.Response().Stage(guard.Edit{Body: []byte("secret")})
			x.Response().Stage(guard.Edit{In: guard.InTrailer, Name: "X-Guard", Values: []string{"secret"}})
			return forbidden()
		}}, 403, refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := outside(build(t, tt.part).Handler(leaky(`{"a":"secret","b":"secret"}`)))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				a.refuses(t, tt.status, tt.code)
				wantOnlyOutside(t, a)
			})
		})
	}
}

// wantOnlyOutside fails the test unless the header of a is the pipeline's own
// and that of outside.
func wantOnlyOutside(t *testing.T, a answer) {
	t.Helper()
	want := map[string]string{"Access-Control-Allow-Origin": "https://app.example.com", "X-Request-Id": "7", "Vary": "Origin"}
	for name, value := range want {
		if got := a.header.Values(name); len(got) != 1 || got[0] != value {
			t.Errorf("%s: got %q, want %q, which stood before", name, got, value)
		}
	}
	for name, values := range a.header {
		switch name {
		case "Content-Type", "Content-Length", "Cache-Control", "X-Content-Type-Options", "Date":
		default:
			if _, ok := want[name]; !ok {
				t.Errorf("%s: got %q, want nothing of the handler's", name, values)
			}
		}
	}
	if len(a.trailer) > 0 {
		t.Errorf("trailer %v left", a.trailer)
	}
}

func TestRefusedResponseEndsTheHandler(t *testing.T) {
	for _, at := range []guard.Phase{guard.ResponseHead, guard.ResponseBody} {
		h := build(t, refusing(at), guard.Settings{Limits: guard.Limits{Response: 10}}).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.WriteString(w, "more than is allowed")
			if err == nil {
				t.Errorf("%v: writing to a refused response gave no error", at)
			}
			if r.Context().Err() == nil || context.Cause(r.Context()) == context.Canceled { //nolint:errorlint // the cause itself
				t.Errorf("%v: the context has error %v, cause %v; want a cause that says why", at, r.Context().Err(), context.Cause(r.Context()))
			}
			if _, err := io.WriteString(w, "more"); err == nil {
				t.Errorf("%v: writing on gave no error", at)
			}
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
		}))
		if a := send(t, serve(t, h), "GET", "/", ""); a.status != 403 && a.status != 500 {
			t.Errorf("%v: got %+v, want a refusal", at, a)
		}
	}
}

func TestResponseOverTheLimit(t *testing.T) {
	for _, contentType := range []string{"application/json", "text/plain", ""} {
		for name, h := range map[string]http.Handler{
			"at once":    writing(contentType, `["`+strings.Repeat("secret", 100)+`"]`),
			"in pieces":  inPieces(contentType, `["`+strings.Repeat("secret", 100)+`"]`, 7),
			"by a copy":  copying(contentType, `["`+strings.Repeat("secret", 100)+`"]`),
			"only space": writing(contentType, strings.Repeat(" ", 600)),
		} {
			t.Run(name+" "+contentType, func(t *testing.T) {
				seen := &diary{}
				p := build(t, allowing(guard.ResponseBody), guard.Settings{Observer: seen, Limits: guard.Limits{Response: 512}})
				overBoth(t, p.Handler(h), func(t *testing.T, s *httptest.Server) {
					send(t, s, "GET", "/", "").refuses(t, 500, guard.ReasonTooLarge)
					if ds := seen.all(); len(ds) != 1 || ds[0].Guard != "body" || ds[0].Phase != guard.ResponseBody || !ds[0].Refused() {
						t.Errorf("decided %+v, want one refusal of the body", ds)
					}
				})
			})
		}
	}
}

func TestResponseAtTheLimit(t *testing.T) {
	body := strings.Repeat("x", 512)
	p := build(t, allowing(guard.ResponseBody), guard.Settings{Limits: guard.Limits{Response: 512}})
	for name, h := range map[string]http.Handler{"at once": writing("text/plain", body), "in pieces": inPieces("text/plain", body, 5), "by a copy": copying("text/plain", body)} {
		t.Run(name, func(t *testing.T) { send(t, serve(t, p.Handler(h)), "GET", "/", "").is(t, 200, body) })
	}
}

func copying(contentType, body string) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		io.Copy(w, struct{ io.Reader }{strings.NewReader(body)})
	})
}

// with answers with a header of "Name: value" lines.
func with(status int, body string, header ...string) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		for _, line := range header {
			name, value, _ := strings.Cut(line, ": ")
			w.Header().Add(name, value)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

func TestResponsesThatGuardsCannotRead(t *testing.T) {
	const png = "\x89PNG\r\n\x1a\nsecret"
	tests := []struct {
		name    string
		handler http.Handler
		code    guard.Reason // "" if it passes
	}{
		{"gzip", with(200, "\x1f\x8bsecret", "Content-Type: application/json", "Content-Encoding: gzip"), guard.ReasonEncoding},
		{"unknown encoding", with(200, "secret", "Content-Type: text/plain", "Content-Encoding: x-secret"), guard.ReasonEncoding},
		{"two encodings", with(200, "secret", "Content-Type: text/plain", "Content-Encoding: identity", "Content-Encoding: br"), guard.ReasonEncoding},
		{"encoded stream", with(200, "secret", "Content-Type: "+sse, "Content-Encoding: gzip"), guard.ReasonEncoding},
		{"encoded without a type", with(200, "secret", "Content-Encoding: gzip"), guard.ReasonEncoding},
		{"encoded bytes of no type", with(200, "secret", "Content-Encoding: gzip", "Content-Type: application/octet-stream"), guard.ReasonEncoding},
		{"encoded error", with(500, "secret", "Content-Type: text/plain", "Content-Encoding: gzip"), guard.ReasonEncoding},
		{"part of JSON", with(206, `"secret"`, "Content-Type: application/json", "Content-Range: bytes 0-7/100"), guard.ReasonPartial},
		{"parts", with(206, `secret`, "Content-Type: multipart/byteranges; boundary=x"), guard.ReasonPartial},
		{"part of no type", with(206, `secret`), guard.ReasonPartial},
		{"identity", with(200, "public", "Content-Type: text/plain", "Content-Encoding: identity"), ""},
		{"part of an image", with(206, png, "Content-Type: image/png"), ""},
		{"encoded image", with(200, "secret", "Content-Type: image/png", "Content-Encoding: gzip"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			overBoth(t, build(t, allowing(guard.ResponseBody)).Handler(tt.handler), func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				if tt.code != "" {
					a.refuses(t, 500, tt.code)
				} else if a.err != nil || a.status >= 300 {
					t.Errorf("got %+v, want the handler's answer", a)
				}
			})
			// Guards that read no body have nothing against it.
			if a := send(t, serve(t, build(t, allowing(guard.ResponseHead)).Handler(tt.handler)), "GET", "/", ""); a.err != nil || a.header.Get("Cache-Control") == "no-store" {
				t.Errorf("with guards of heads alone: got %+v, want the handler's answer", a)
			}
		})
	}
}

func TestOpaquePassesAtOnce(t *testing.T) {
	for _, contentType := range []string{"image/png", "video/mp4", "application/pdf", "application/octet-stream", "Font/WOFF2; x=y"} {
		t.Run(contentType, func(t *testing.T) {
			seen := &diary{}
			arrived := make(chan string)
			p := build(t, refusing(guard.ResponseBody), guard.Settings{Observer: seen, Limits: guard.Limits{Response: 20}})
			h := p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				if contentType != "" {
					w.Header().Set("Content-Type", contentType)
				}
				io.WriteString(w, "\x89PNG\r\n\x1a\n")
				w.(http.Flusher).Flush()
				if got := receive(t, arrived, "first piece"); got != "\x89PNG\r\n\x1a\n" {
					t.Errorf("got %q first", got)
				}
				io.WriteString(w, strings.Repeat("x", 1000))
				io.Copy(w, struct{ io.Reader }{strings.NewReader(strings.Repeat("y", 1000))})
			}))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				res, err := s.Client().Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				first := make([]byte, 8)
				io.ReadFull(res.Body, first)
				arrived <- string(first)
				if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 2000 {
					t.Errorf("then read %d bytes, error %v; want 2000", len(rest), err)
				}
				ds := seen.all()
				if len(ds) != 1 || ds[0].Effect != guard.Flag || ds[0].Reason != guard.ReasonOpaque || ds[0].Guard != "body" {
					t.Errorf("decided %+v, want it flagged as %s", ds, guard.ReasonOpaque)
				}
			})
		})
	}
}

// JSON is judged under whatever name it goes.
func TestJSONByAnotherName(t *testing.T) {
	types := []string{"image/png", "application/octet-stream", "application/pdf", "video/mp4", "", "image/svg+xml", "text/html", "x", "application/vnd.api+json"}
	bodies := map[string]string{
		"object":      `{"a":"secret"}`,
		"array":       `["secret"]`,
		"after space": " \r\n\t" + `["secret"]`,
		"after BOM":   "\xEF\xBB\xBF" + `["secret"]`,
	}
	for _, contentType := range types {
		for name, body := range bodies {
			for _, size := range []int{1, 3, 1000} {
				h := build(t, masking(guard.ResponseBody, "*****")).Handler(inPieces(contentType, body, size))
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				if want := strings.ReplaceAll(body, "secret", "*****"); w.Code != 200 || w.Body.String() != want {
					t.Errorf("%s as %q, %d bytes at a time: got %d %q, want %q", name, contentType, size, w.Code, w.Body, want)
				}
			}
		}
	}
}

// A response body nobody has seen does not pass because it is short, or empty.
func TestUndecidedBodies(t *testing.T) {
	for _, body := range []string{"", " ", "\n\n\t "} {
		for _, contentType := range []string{"image/png", "", "application/json"} {
			w := httptest.NewRecorder()
			build(t, refusing(guard.ResponseBody)).Handler(writing(contentType, body)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Code != 403 {
				t.Errorf("%q as %q: got %d %q, want it judged", body, contentType, w.Code, w.Body)
			}
		}
	}
}

func TestEditsOfHeaderAndBody(t *testing.T) {
	first := policy{guard.ResponseHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "x-handler", Values: []string{"*****"}})
		x.Response().Stage(guard.Edit{In: guard.InCookie, Name: "session", Values: []string{"session=*****; HttpOnly"}})
		return guard.Decision{}
	}}
	second := policy{guard.ResponseHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		h := x.Response().Header()
		if got := h.Get("X-Handler"); got != "*****" {
			t.Errorf("a later guard sees X-Handler: %q, want it with the edit of the guard before", got)
		}
		if got := strings.Join(h.Values("Set-Cookie"), " "); strings.Contains(got, "secret") {
			t.Errorf("a later guard sees Set-Cookie: %q, want it with the edit of the guard before", got)
		}
		return guard.Decision{}
	}}
	overBoth(t, build(t, first, second).Handler(with(200, "x", "X-Handler: secret", "Set-Cookie: session=secret", "Set-Cookie: theme=dark")), func(t *testing.T, s *httptest.Server) {
		a := send(t, s, "GET", "/", "")
		a.is(t, 200, "x")
		if got := strings.Join(a.header.Values("Set-Cookie"), ", "); got != "theme=dark, session=*****; HttpOnly" {
			t.Errorf("Set-Cookie: got %q", got)
		}
		if got := a.header.Get("X-Handler"); got != "*****" {
			t.Errorf("X-Handler: got %q", got)
		}
	})
}

// What a guard does wrong, the client does not take for success.
func TestRefusalsWithoutACauseAreNoSuccess(t *testing.T) {
	decisions := map[string]guard.Decision{
		"no cause":          {Effect: guard.Refuse, Reason: refused},
		"no reason":         {Effect: guard.Refuse, Cause: guard.CauseForbidden},
		"unknown cause":     {Effect: guard.Refuse, Cause: 200, Reason: refused},
		"unknown effect":    {Effect: 77, Cause: guard.CauseForbidden, Reason: refused},
		"both unknown":      {Effect: 255, Cause: 255, Reason: refused},
		"said to be shadow": {Effect: guard.Refuse, Cause: guard.CauseForbidden, Reason: refused, Shadow: true},
		"with an error":     {Effect: guard.Refuse, Reason: refused, Err: errors.New("secret")},
	}
	for name, d := range decisions {
		for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody} {
			p := build(t, policy{at, func(*guard.Exchange, guard.Phase) guard.Decision { return d }})
			w := httptest.NewRecorder()
			p.Handler(writing("text/plain", "secret")).ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader("x")))
			if w.Code < 400 || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s at %v: got %d %q, want a refusal", name, at, w.Code, w.Body)
			}
			if want := d.Cause.HTTP(); w.Code != want {
				t.Errorf("%s at %v: got status %d, want %d", name, at, w.Code, want)
			}
		}
	}
}
