package guard_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/palegate/palegate/guard"
)

// countedBody counts how often it was read to its end.
type countedBody struct {
	io.Reader

	ends *atomic.Int32
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.ends.Add(1)
	}
	return n, err
}

func (countedBody) Close() error { return nil }

// A pipeline around the mux and one around a group of routes are one exchange.
func TestNestedPipelinesShareTheExchange(t *testing.T) {
	type key struct{}
	var outerID, innerID string
	alice := &guard.Principal{Subject: "alice"}
	outer := build(t, guard.Use{Name: "outer", Part: policy{everyPhase, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		switch at {
		case guard.RequestHead:
			outerID = x.ID()
			x.SetValue(key{}, "from outside")
			return guard.Decision{Effect: guard.Flag, Reason: refused}
		case guard.ResponseBody:
			if x.Principal() != alice {
				t.Errorf("outside, at the response: principal %v, want the one that was verified inside", x.Principal())
			}
			if got := x.Value(key{}); got != "from inside" {
				t.Errorf("outside, at the response: value %v, want what was set inside", got)
			}
		default:
		}
		return guard.Decision{}
	}}})
	inner := build(t, guard.Use{Name: "inner", Part: policy{guard.RequestHead | guard.RequestBody, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		if at == guard.RequestBody {
			return guard.Decision{Effect: guard.Flag, Reason: masked}
		}
		innerID = x.ID()
		if got := x.Value(key{}); got != "from outside" {
			t.Errorf("inside: value %v, want what was set outside", got)
		}
		x.SetValue(key{}, "from inside")
		return guard.Decision{Principal: alice}
	}}})
	mux := http.NewServeMux()
	mux.Handle("POST /users/{id}", inner.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		x := guard.From(r.Context())
		if x.Principal() != alice || x.Route() != "POST /users/{id}" || x.PathValue("id") != "7" || x.ID() != innerID {
			t.Errorf("the handler sees principal %v, route %q, id %q, exchange %s", x.Principal(), x.Route(), x.PathValue("id"), x.ID())
		}
		var ds []string
		for _, d := range x.Decisions() {
			ds = append(ds, d.Guard+" "+string(d.Reason))
		}
		if want := []string{"outer test.refused", "inner ", "inner test.masked"}; !slices.Equal(ds, want) {
			t.Errorf("the handler sees decisions %q, want %q", ds, want)
		}
		io.Copy(w, r.Body)
	})))
	overBoth(t, outer.Handler(mux), func(t *testing.T, s *httptest.Server) {
		send(t, s, "POST", "/users/7", "body").is(t, 200, "body")
		if outerID == "" || outerID != innerID {
			t.Errorf("ids %q outside and %q inside, want one", outerID, innerID)
		}
	})
}

func TestNestedPipelinesReadTheBodyOnce(t *testing.T) {
	monitor := func(part guard.Part) guard.Part { return guard.Use{Mode: guard.ModeMonitor, Part: part} }
	for name, parts := range map[string][2]guard.Part{
		"both enforced":    {allowing(everyPhase), allowing(everyPhase)},
		"outer monitored":  {monitor(allowing(everyPhase)), allowing(everyPhase)},
		"inner monitored":  {allowing(everyPhase), monitor(allowing(everyPhase))},
		"both monitored":   {monitor(allowing(everyPhase)), monitor(allowing(everyPhase))},
		"outer edits":      {masking(guard.RequestBody, "secret"), allowing(everyPhase)},
		"inner edits":      {allowing(everyPhase), masking(guard.RequestBody, "secret")},
		"inner reads none": {allowing(everyPhase), allowing(guard.RequestHead)},
	} {
		t.Run(name, func(t *testing.T) {
			var judged, ends atomic.Int32
			judging := func(name string) guard.Part {
				return guard.Use{Name: name, Mode: guard.ModeMonitor, Part: policy{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
					judged.Add(1)
					if b, err := x.Request().Body(); err != nil || string(b.Bytes()) != "a secret" {
						t.Errorf("%s judges %v, error %v", name, b, err)
					}
					return guard.Decision{}
				}}}
			}
			inner := build(t, parts[1], judging("inner")).Handler(handle(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
			h := build(t, parts[0], judging("outer")).Handler(inner)
			r := httptest.NewRequest("POST", "/", countedBody{strings.NewReader("a secret"), &ends})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 200 || w.Body.String() != "a secret" || judged.Load() != 2 || ends.Load() != 1 {
				t.Errorf("got %d %q, judged %d times, read %d times; want 200 %q, twice, once", w.Code, w.Body, judged.Load(), ends.Load(), "a secret")
			}
		})
	}
}

// Each of nested pipelines has its say about the request and the answer.
func TestNestedPipelinesBothJudge(t *testing.T) {
	outer := build(t, guard.Use{Name: "outer", Part: masking(guard.RequestBody|guard.ResponseBody, "*****")})
	inner := build(t, guard.Use{Name: "inner", Part: masking(guard.RequestBody|guard.ResponseBody, "secret!")})
	overBoth(t, outer.Handler(inner.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "18")
		io.Copy(w, r.Body)
		io.WriteString(w, " and secret")
	}))), func(t *testing.T, s *httptest.Server) {
		send(t, s, "POST", "/", "a secret").is(t, 200, "a ***** and *****!")
	})
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody} {
		h := build(t, allowing(everyPhase)).Handler(build(t, refusing(at)).Handler(writing("text/plain", "secret")))
		overBoth(t, h, func(t *testing.T, s *httptest.Server) { send(t, s, "POST", "/", "body").refuses(t, 403, refused) })
		h = build(t, refusing(at)).Handler(build(t, allowing(everyPhase)).Handler(writing("text/plain", "secret")))
		overBoth(t, h, func(t *testing.T, s *httptest.Server) { send(t, s, "POST", "/", "body").refuses(t, 403, refused) })
	}
}

func TestNestedStreams(t *testing.T) {
	h := build(t, masking(guard.ResponseBody, "*****")).Handler(build(t, allowing(everyPhase)).Handler(inPieces(sse, "data: secret\n\ndata: 2\n\n", 5)))
	overBoth(t, h, func(t *testing.T, s *httptest.Server) {
		send(t, s, "GET", "/", "").is(t, 200, "data: *****\n\ndata: 2\n\n")
	})
	for name, h := range map[string]http.Handler{
		"outer refuses": build(t, rejecting(guard.ResponseBody, "2")).Handler(build(t, allowing(everyPhase)).Handler(inPieces(sse, "data: 1\n\ndata: 2 secret\n\n", 5))),
		"inner refuses": build(t, allowing(everyPhase)).Handler(build(t, rejecting(guard.ResponseBody, "2")).Handler(inPieces(sse, "data: 1\n\ndata: 2 secret\n\n", 5))),
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				if a := send(t, s, "GET", "/", ""); a.err == nil || a.body != "data: 1\n\n" {
					t.Errorf("got %q, error %v; want the first event and a broken connection", a.body, a.err)
				}
			})
		})
	}
}

// authenticating takes the header X-User for a proof.
var authenticating = guard.Use{Name: "authenticating", Part: policy{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
	if user := x.Request().Header().Get("X-User"); user != "" {
		return guard.Decision{Principal: guard.NewPrincipal(guard.Principal{Subject: user}, nil)}
	}
	return guard.Decision{}
}}}

// batch answers a list of users with what each of them gets from api. The
// requests run at once, or one after another, in the context of the batch.
func batch(api http.Handler, together bool) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		var users []string
		if err := json.NewDecoder(r.Body).Decode(&users); err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		answers := make([]string, len(users))
		var all sync.WaitGroup
		for i, user := range users {
			one := func() {
				sub := httptest.NewRequestWithContext(r.Context(), "POST", "/", strings.NewReader("secret of "+user))
				if user != "" {
					sub.Header.Set("X-User", user)
				}
				answer := httptest.NewRecorder()
				api.ServeHTTP(answer, sub)
				answers[i] = answer.Body.String()
			}
			if together {
				all.Go(one)
			} else {
				one()
			}
		}
		all.Wait()
		json.NewEncoder(w).Encode(answers)
	})
}

// A batch that fans out in its own context: each request of it has its own
// principal and its own body, and one that brings no credentials does not get
// those of another.
func TestBatch(t *testing.T) {
	api := build(t, authenticating, masking(guard.RequestBody|guard.ResponseBody, "*****")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		subject := "nobody"
		if p := guard.From(r.Context()).Principal(); p != nil {
			subject = p.Subject
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s as %s", b, subject)
	}))
	for _, together := range []bool{false, true} {
		for _, caller := range []string{"", "carol"} {
			t.Run(fmt.Sprintf("together %t, caller %q", together, caller), func(t *testing.T) {
				ended := make(chan []guard.Decision, 1)
				outer := build(t, authenticating, allowing(everyPhase), done(ended))
				var users, want []string
				for i := range 50 {
					user := fmt.Sprintf("user%d", i)
					as := user
					if i%2 == 1 {
						user, as = "", map[bool]string{true: "nobody", false: caller}[caller == ""]
					}
					users = append(users, user)
					want = append(want, fmt.Sprintf("***** of %s as %s", user, as))
				}
				body, _ := json.Marshal(users)
				var header []string
				if caller != "" {
					header = []string{"X-User: " + caller}
				}
				a := send(t, serve(t, outer.Handler(batch(api, together))), "POST", "/", string(body), header...)
				var got []string
				if err := json.Unmarshal([]byte(a.body), &got); err != nil || len(got) != len(want) {
					t.Fatalf("got %+v, error %v", a, err)
				}
				for i := range want {
					if got[i] != want[i] {
						t.Fatalf("request %d: got %q, want %q", i, got[i], want[i])
					}
				}
				if ds := receive(t, ended, "Done"); len(ds) < 25 {
					t.Errorf("the exchange has %d decisions, want those of its parts", len(ds))
				}
			})
		}
	}
}

// What middleware outside has verified is where exchanges begin.
func TestWithPrincipal(t *testing.T) {
	inner := build(t, allowing(everyPhase)).Handler(build(t, authenticating).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		if p := guard.From(r.Context()).Principal(); p != nil {
			io.WriteString(w, p.Subject)
		}
	})))
	h := handle(func(w http.ResponseWriter, r *http.Request) {
		var p *guard.Principal
		if user := r.URL.Query().Get("user"); user != "" {
			p = guard.NewPrincipal(guard.Principal{Subject: user}, nil)
		}
		inner.ServeHTTP(w, r.WithContext(guard.WithPrincipal(r.Context(), p)))
	})
	s := serve(t, h)
	send(t, s, "GET", "/", "").is(t, 200, "")
	send(t, s, "GET", "/?user=alice", "").is(t, 200, "alice")
	send(t, s, "GET", "/?user=alice", "", "X-User: bob").is(t, 200, "bob")
}
