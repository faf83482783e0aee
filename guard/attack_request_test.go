package guard_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/payload"
)

const formType = "Content-Type: application/x-www-form-urlencoded"

// parsing is middleware that parses the form, as method overrides and CSRF
// checks do.
func parsing(next http.Handler) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		r.PostFormValue("_method")
		next.ServeHTTP(w, r)
	})
}

// restoring is middleware that parses the form and puts the body back.
func restoring(next http.Handler) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(b))
		r.PostFormValue("_method")
		r.Body = io.NopCloser(bytes.NewReader(b))
		next.ServeHTTP(w, r)
	})
}

// A form that middleware has parsed reaches the handler past guards, which find
// an empty body.
func TestFormParsedOutsideIsNotTrusted(t *testing.T) {
	masks := build(t, masking(guard.RequestBody, "*****"))
	allows := build(t, allowing(guard.RequestBody))
	tests := []struct {
		name string
		wrap func(http.Handler) http.Handler
		body string // what the handler gets; "" if it is refused
	}{
		{"parsed outside", func(h http.Handler) http.Handler { return parsing(masks.Handler(h)) }, ""},
		{"parsed between pipelines", func(h http.Handler) http.Handler { return allows.Handler(parsing(masks.Handler(h))) }, ""},
		{"body put back outside", func(h http.Handler) http.Handler { return restoring(masks.Handler(h)) }, "*****"},
		{"body put back between pipelines", func(h http.Handler) http.Handler { return allows.Handler(restoring(masks.Handler(h))) }, "*****"},
		{"parsed inside", func(h http.Handler) http.Handler { return masks.Handler(parsing(h)) }, "*****"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reached := false
			h := tt.wrap(handle(func(w http.ResponseWriter, r *http.Request) {
				reached = true
				io.WriteString(w, r.PostFormValue("a"))
			}))
			a := send(t, serve(t, h), "POST", "/", "a=secret", formType)
			if tt.body != "" {
				a.is(t, 200, tt.body)
				return
			}
			a.refuses(t, 500, guard.ReasonUnread)
			if reached {
				t.Error("the handler was reached")
			}
		})
	}
}

// A parameter that a guard removes from the query stays in a form that was parsed
// before, and in RequestURI, which proxies and loggers read.
func TestEditedQueryIsTheOnlyOne(t *testing.T) {
	removes := build(t, policy{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		x.Request().Stage(guard.Edit{In: guard.InQuery, Name: "admin"})
		return guard.Decision{}
	}})
	h := removes.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.FormValue("admin")+" "+r.RequestURI+" "+r.URL.String())
	}))
	for name, h := range map[string]http.Handler{"not parsed before": h, "parsed outside": parsing(h)} {
		t.Run(name, func(t *testing.T) {
			send(t, serve(t, h), "GET", "/a?admin=yes&b=1", "").is(t, 200, " /a?b=1 /a?b=1")
		})
	}
}

// An outer pipeline with a wider limit has read the body already; the inner one's
// smaller limit holds all the same.
func TestInnerLimitHolds(t *testing.T) {
	short := policy{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		if b, err := x.Request().Body(); err != nil || len(b.Bytes()) > 10 {
			t.Errorf("the guard is shown %d bytes, error %v", len(b.Bytes()), err)
		}
		return guard.Decision{}
	}}
	inner := build(t, short, guard.Settings{Limits: guard.Limits{Request: 10}}).Handler(writing("text/plain", "in"))
	outer := build(t, allowing(guard.RequestBody)).Handler(inner)
	for name, h := range map[string]http.Handler{"alone": inner, "inside another": outer} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, h)
			send(t, s, "POST", "/", strings.Repeat("x", 11)).refuses(t, 413, guard.ReasonTooLarge)
			send(t, s, "POST", "/", strings.Repeat("x", 10)).is(t, 200, "in")
		})
	}
}

// staging stages e for the request or the response, at one phase.
func staging(at guard.Phase, response bool, e guard.Edit) policy {
	return policy{at, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		if response {
			x.Response().Stage(e)
		} else {
			x.Request().Stage(e)
		}
		return guard.Decision{}
	}}
}

// A mask that is staged too late would be recorded as put on, while the message
// goes on as it was.
func TestEditThatCannotTakeEffectRefuses(t *testing.T) {
	body := guard.Edit{In: guard.InBody, Body: []byte("clean")}
	field := guard.Edit{In: guard.InHeader, Name: "X-A", Values: []string{"1"}}
	trailer := guard.Edit{In: guard.InTrailer, Name: "X-A", Values: []string{"1"}}
	query := guard.Edit{In: guard.InQuery, Name: "a"}
	cookie := guard.Edit{In: guard.InCookie, Name: "a"}
	tests := []struct {
		name     string
		at       guard.Phase
		response bool
		edit     guard.Edit
	}{
		{"request body at its head", guard.RequestHead, false, body},
		{"request trailer at its head", guard.RequestHead, false, trailer},
		{"request body at the response", guard.ResponseBody, false, body},
		{"request header at the response", guard.ResponseHead, false, field},
		{"request query at the response", guard.ResponseHead, false, query},
		{"request cookie at the response", guard.ResponseBody, false, cookie},
		{"response body at the request", guard.RequestBody, true, body},
		{"response body at its head", guard.ResponseHead, true, body},
		{"response trailer at its head", guard.ResponseHead, true, trailer},
		{"query of a response", guard.ResponseHead, true, query},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &diary{}
			p := build(t, guard.Settings{Observer: d}, staging(tt.at, tt.response, tt.edit))
			s := serve(t, p.Handler(handle(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })))
			send(t, s, "POST", "/", "dirty").refuses(t, 500, guard.ReasonEdit)
			if err := p.Modes().Set("test1", guard.ModeMonitor); err != nil {
				t.Fatal(err)
			}
			d.all()
			send(t, s, "POST", "/", "dirty").is(t, 200, "dirty")
			if got, ok := find(d.all(), guard.ReasonEdit); !ok || !got.Shadow || got.Effect != guard.Refuse {
				t.Errorf("monitored: decided %+v, want a refusal in shadow", got)
			}
		})
	}
}

// A small message that a guard makes long passes no limit, as one that was sent
// so long does not: masks can be longer than what they replace.
func TestEditBeyondTheLimitIsRefused(t *testing.T) {
	limits := guard.Settings{Limits: guard.Limits{Request: 100, Response: 100}}
	echo := handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		io.Copy(w, r.Body)
	})
	for at, status := range map[guard.Phase]int{guard.RequestBody: 413, guard.ResponseBody: 500} {
		for _, mediaType := range []string{"text/plain", ndjson} {
			within, beyond := strings.Repeat("x", 99), strings.Repeat("x", 100) // and a line feed
			s := serve(t, build(t, limits, masking(at, within)).Handler(echo))
			send(t, s, "POST", "/", "secret\n", "Content-Type: "+mediaType).is(t, 200, within+"\n")
			s = serve(t, build(t, limits, masking(at, beyond)).Handler(echo))
			a := send(t, s, "POST", "/", "secret\n", "Content-Type: "+mediaType)
			if at == guard.ResponseBody && mediaType == ndjson { // its header has gone on
				if a.err == nil || strings.Contains(a.body, "x") {
					t.Errorf("unit of a stream: got %+v, want it broken off", a)
				}
				continue
			}
			a.refuses(t, status, guard.ReasonTooLarge)
		}
		session := build(t, limits, masking(at, strings.Repeat("x", 101))).Begin(t.Context(), guard.Call{})
		if _, _, d := session.JudgeBody(at, payload.New([]byte("secret"))); !d.Refused() || d.Reason != guard.ReasonTooLarge {
			t.Errorf("%s of another transport: decided %+v, want %s", at, d, guard.ReasonTooLarge)
		}
		session.End()
	}
}

// A monitored guard of the body runs while the handler reads, which may have made
// another request of its own: route and client are those of the one that came.
func TestLateGuardsSeeTheRequestThatCame(t *testing.T) {
	var route, client string
	late := policy{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		route, client = x.Route(), x.Client().String()
		return guard.Decision{}
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /a", func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/b"
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		io.Copy(io.Discard, r.Body)
	})
	mux.HandleFunc("POST /b", func(w http.ResponseWriter, r *http.Request) {})
	p := build(t, guard.Use{Name: "late", Mode: guard.ModeMonitor, Part: late}, guard.Settings{Trust: guard.Trust{Hops: 1}})
	send(t, serve(t, p.Handler(mux)), "POST", "/a", "x", "X-Forwarded-For: 192.0.2.1").is(t, 200, "")
	if route != "POST /a" || client != "192.0.2.1" {
		t.Errorf("route %q of client %s, want POST /a of 192.0.2.1", route, client)
	}
}
