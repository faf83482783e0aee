package guardtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/guardtest"
)

var bob = guard.Principal{Subject: "bob"}

func TestSend(t *testing.T) {
	monitored := pipeline(t, guard.Use{Name: "gate", Mode: guard.ModeMonitor, Part: gate})
	gated := pipeline(t, guard.Use{Name: "gate", Part: gate})
	open := pipeline(t, guard.Use{Name: "late", Part: late})
	streams := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		io.WriteString(w, "1\n")
		io.WriteString(w, "secret\n")
	})
	for _, tt := range []struct {
		name    string
		handler http.Handler
		method  string
		opts    []guardtest.Option
		want    guardtest.Result
		reason  guard.Reason
		shadow  bool // the last decision
	}{
		{"refused", gated.Handler(ok), "GET", nil, guardtest.Result{Status: 401}, "gate.missing", false},
		{"allowed", gated.Handler(ok), "GET", []guardtest.Option{guardtest.As(bob)}, guardtest.Result{Status: 200, Reached: true, Body: []byte("fine")}, "", false},
		{"refused to bob", gated.Handler(ok), "DELETE", []guardtest.Option{guardtest.As(bob)}, guardtest.Result{Status: 403}, "gate.role", false},
		{"monitored", monitored.Handler(ok), "GET", nil, guardtest.Result{Status: 200, Reached: true, Body: []byte("fine")}, "", true},
		{"inside another", open.Handler(gated.Handler(ok)), "GET", nil, guardtest.Result{Status: 401}, "gate.missing", false},
		{"too late", open.Handler(streams), "GET", nil, guardtest.Result{Status: 200, Reached: true, Aborted: true, Body: []byte("1\n")}, "late.no", false},
		{"aborts before the answer", open.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		})), "GET", nil, guardtest.Result{Reached: true, Aborted: true}, "", false},
		{"says nothing", gated.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), "GET", []guardtest.Option{guardtest.As(bob)}, guardtest.Result{Status: 200, Reached: true}, "", false},
		{"early hints", gated.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
		})), "GET", []guardtest.Option{guardtest.As(bob)}, guardtest.Result{Status: 202, Reached: true}, "", false},
		{"a mux without the route", gated.Handler(http.NewServeMux()), "GET", []guardtest.Option{guardtest.As(bob)}, guardtest.Result{Status: 404, Reached: true, Body: []byte("404 page not found\n")}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := guardtest.Send(t, tt.handler, httptest.NewRequest(tt.method, "/", nil), tt.opts...)
			got := fmt.Sprint(res.Status, res.Aborted, res.Refused.Reason, len(res.Decisions) > 0 && res.Decisions[len(res.Decisions)-1].Shadow)
			want := fmt.Sprint(tt.want.Status, tt.want.Aborted, tt.reason, tt.shadow)
			if got != want {
				t.Errorf("got %s, want %s: %v", got, want, res)
			}
			if tt.reason == "" && string(res.Body) != string(tt.want.Body) {
				t.Errorf("got the body %q, want %q", res.Body, tt.want.Body)
			}
			if res.Reached != tt.want.Reached {
				t.Errorf("got Reached %t, want %t", res.Reached, tt.want.Reached)
			}
		})
	}
}

func TestSendFromClientRequest(t *testing.T) {
	var got string
	h := pipeline(t, gate).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got = fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Host, " ", r.RemoteAddr, " ", string(body), " ", err, " ", r.Context().Err())
	}))
	r, err := http.NewRequest("PUT", "http://api.example.com/things?q=1", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ addr, want string }{
		{"203.0.113.7", "203.0.113.7:1234"},
		{"203.0.113.7:80", "203.0.113.7:80"},
		{"2001:db8::1", "[2001:db8::1]:1234"},
		{"[2001:db8::1]:80", "[2001:db8::1]:80"},
		{"", "192.0.2.1:1234"},
	} {
		opts := []guardtest.Option{guardtest.As(bob)}
		if tt.addr != "" {
			opts = append(opts, guardtest.From(tt.addr))
		}
		r.Body = io.NopCloser(strings.NewReader("x"))
		guardtest.Send(t, h, r, opts...)
		if want := "PUT /things?q=1 api.example.com " + tt.want + " x <nil> <nil>"; got != want {
			t.Errorf("From(%q): got %q, want %q", tt.addr, got, want)
		}
	}
}

func TestSendTwice(t *testing.T) {
	h := pipeline(t, gate).Handler(ok)
	r := httptest.NewRequest("DELETE", "/", nil)
	r = r.WithContext(guard.WithPrincipal(r.Context(), &bob))
	for range 2 {
		if res := guardtest.Send(t, h, r); res.Refused.Reason != "gate.role" || len(res.Decisions) != 1 {
			t.Errorf("got %v, want one refusal of bob", res)
		}
	}
	admin := guard.Principal{Subject: "carol", Roles: []string{"admin"}}
	if res := guardtest.Send(t, h, r, guardtest.As(admin)); res.Status != 200 || len(res.Decisions) != 0 {
		t.Errorf("got %v, want the admin let through", res)
	}
}

func TestSendFails(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	// Middleware that answers 200 whatever happens inside.
	hides := func(mediaType string) http.Handler {
		inner := pipeline(t, gate).Handler(ok)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(httptest.NewRecorder(), r)
			w.Header().Set("Content-Type", mediaType)
			w.WriteHeader(http.StatusOK)
		})
	}
	expect(t, run(func(t *fakeT) { guardtest.Send(t, hides("text/plain"), r) }), "a refusal was answered 200, refused by guardtest_test: gate.missing")
	expect(t, run(func(t *fakeT) { guardtest.Send(t, hides("application/grpc-web+proto"), r) }))
	expect(t, run(func(t *fakeT) { guardtest.Send(t, ok, r, guardtest.From("localhost")) }), `From("localhost"): neither an address nor one with a port`)
}

func TestSendLetsPanicsGoOn(t *testing.T) {
	defer func() {
		if v := recover(); v != "mine" {
			t.Errorf("got the panic %v, want the handler's", v)
		}
	}()
	guardtest.Send(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("mine") }), httptest.NewRequest("GET", "/", nil))
}

func TestResultString(t *testing.T) {
	res := guardtest.Result{
		Refused: guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInvalid, Reason: "schema.minimum", Guard: "schema", Phase: guard.RequestBody},
		Status:  422,
		Body:    []byte(strings.Repeat("x", 600)),
		Decisions: []guard.Decision{
			{Effect: guard.Flag, Reason: "inspect.odd", Guard: "inspect", Phase: guard.RequestHead, Shadow: true, Err: io.ErrUnexpectedEOF},
			{
				Effect: guard.Refuse, Cause: guard.CauseInvalid, Reason: "schema.minimum", Guard: "schema", Phase: guard.RequestBody,
				Detail: "line 7", Violations: []guard.Violation{{At: "/qty", Rule: "minimum", Text: "must be at least 1"}},
			},
		},
	}
	want := `422, refused by schema: schema.minimum
	inspect at request-head: flag (shadow) inspect.odd; error: unexpected EOF
	schema at request-body: refuse schema.minimum (Invalid); /qty minimum: must be at least 1; detail: line 7
	body: ` + strings.Repeat("x", 512) + " … (600 bytes)"
	if got := res.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
