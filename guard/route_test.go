package guard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
)

// routed has a mux with routes of each kind.
func routed(t *testing.T, wrap func(http.Handler) http.Handler) *http.ServeMux {
	t.Helper()
	mux := http.NewServeMux()
	for _, pattern := range []string{
		"GET /users/{id}",
		"POST /users/{id}",
		"/files/{path...}",
		"GET /tree/",
		"/exact/{$}",
		"GET /a/{x}/b/{y}",
		"api.example.com/hosts/{id}",
		"DELETE api.example.com/hosts/{id}",
	} {
		mux.Handle(pattern, wrap(handle(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Pattern)
		})))
	}
	mux.Handle("GET /old/{id}", wrap(http.RedirectHandler("/users/7", http.StatusMovedPermanently)))
	return mux
}

func asIs(h http.Handler) http.Handler { return h }

var routeTests = []struct {
	name, method, host, path string
	status                   int
	route                    string
	values                   string // "name=value" of the wildcards
}{
	{"plain", "GET", "", "/users/7", 200, "GET /users/{id}", "id=7"},
	{"HEAD on a GET route", "HEAD", "", "/users/7", 200, "GET /users/{id}", "id=7"},
	{"another method", "POST", "", "/users/7", 200, "POST /users/{id}", "id=7"},
	{"method not allowed", "PUT", "", "/users/7", 405, "", "id="},
	{"encoded slash", "GET", "", "/users/a%2Fb", 200, "GET /users/{id}", "id=a/b"},
	{"encoded character", "GET", "", "/users/%37", 200, "GET /users/{id}", "id=7"},
	{"encoded percent", "GET", "", "/users/%2537", 200, "GET /users/{id}", "id=%37"},
	{"query", "GET", "", "/users/7?id=8", 200, "GET /users/{id}", "id=7"},
	{"rest of the path", "GET", "", "/files/a/b%2Fc", 200, "/files/{path...}", "path=a/b/c"},
	{"empty rest", "GET", "", "/files/", 200, "/files/{path...}", "path="},
	{"two wildcards", "GET", "", "/a/1/b/2", 200, "GET /a/{x}/b/{y}", "x=1 y=2 z="},
	{"subtree", "GET", "", "/tree/x/y", 200, "GET /tree/", ""},
	{"end of path", "GET", "", "/exact/", 200, "/exact/{$}", ""},
	{"unknown", "GET", "", "/nowhere", 404, "", "id="},
	{"host", "GET", "api.example.com", "/hosts/7", 200, "api.example.com/hosts/{id}", "id=7"},
	{"host with port", "GET", "api.example.com:8080", "/hosts/7", 200, "api.example.com/hosts/{id}", "id=7"},
	{"host and method", "DELETE", "api.example.com", "/hosts/7", 200, "DELETE api.example.com/hosts/{id}", "id=7"},
	{"another host", "GET", "example.com", "/hosts/7", 404, "", "id="},

	// The mux answers these with a redirect of its own: no route serves them.
	{"double slash", "GET", "", "/users//7", 307, "", "id="},
	{"dot segments", "GET", "", "/users/../users/7", 307, "", "id="},
	{"slash missing", "GET", "", "/tree", 307, "", ""},
	{"dots in the rest", "GET", "", "/files/../users/7", 307, "", "id= path="},

	// A redirect that the application has registered is a route.
	{"registered redirect", "GET", "", "/old/7", 301, "GET /old/{id}", "id=7"},
	{"double slash before it", "GET", "", "/old//7", 307, "", "id="},
}

// look keeps the route and path values that guards see at a phase.
func look(at guard.Phase, names string, to *string) policy {
	return policy{at, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		*to = x.Route() + " " + pathValues(x, names)
		return guard.Decision{}
	}}
}

func pathValues(x *guard.Exchange, names string) string {
	var values []string
	for pair := range strings.SplitSeq(names, " ") {
		if name, _, _ := strings.Cut(pair, "="); name != "" {
			values = append(values, name+"="+x.PathValue(name))
		}
	}
	return strings.Join(values, " ")
}

func TestN12RouteOutsideMux(t *testing.T) {
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody, guard.Done} {
		for _, tt := range routeTests {
			t.Run(at.String()+", "+tt.name, func(t *testing.T) {
				var got string
				mux := routed(t, asIs)
				handlers := map[string]http.Handler{
					"Handler": build(t, look(at, tt.values, &got)).Handler(mux),
					"Routed": build(t, look(at, tt.values, &got)).Routed(guard.MuxRouter(mux), handle(func(w http.ResponseWriter, r *http.Request) {
						mux.ServeHTTP(w, r.Clone(r.Context())) // as middleware in between does
					})),
				}
				for how, h := range handlers {
					got = "not judged"
					r := httptest.NewRequest(tt.method, tt.path, nil)
					r.Host = tt.host
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					if w.Code != tt.status {
						t.Errorf("%s: status %d, want %d", how, w.Code, tt.status)
					}
					want := tt.route + " " + tt.values
					if got != want {
						t.Errorf("%s: guards see route and values %q, want %q", how, got, want)
					}
					if r.Pattern != "" || r.PathValue("id") != "" {
						t.Errorf("%s: the request outside was changed: pattern %q, id %q", how, r.Pattern, r.PathValue("id"))
					}
				}
			})
		}
	}
}

func TestN12RouteInsideMux(t *testing.T) {
	for _, tt := range routeTests {
		t.Run(tt.name, func(t *testing.T) {
			got := "not judged"
			p := build(t, look(guard.RequestHead, tt.values, &got))
			mux := routed(t, func(h http.Handler) http.Handler { return p.Handler(h) })
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.Host = tt.host
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			want := tt.route + " " + tt.values
			if tt.route == "" {
				want = "not judged" // the mux answers itself
			}
			if w.Code != tt.status || got != want {
				t.Errorf("status %d, guards see route and values %q; want %d, %q", w.Code, got, tt.status, want)
			}
		})
	}
}

// The handler inside a mux behind the pipeline has its own match.
func TestN12HandlerHasItsOwnMatch(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		x := guard.From(r.Context())
		fmt.Fprint(w, r.Pattern, r.PathValue("id"), x.Route(), x.PathValue("id"))
	})
	var seen string
	overBoth(t, build(t, look(guard.RequestHead|guard.Done, "id", &seen)).Handler(mux), func(t *testing.T, s *httptest.Server) {
		send(t, s, "GET", "/users/7", "").is(t, 200, "GET /users/{id}7GET /users/{id}7")
	})
}

// A handler that changes its request, as routers in between do, changes
// nothing for guards that ask later.
func TestN12LateGuardsAskForTheFirstRequest(t *testing.T) {
	var seen string
	mux := http.NewServeMux()
	mux.HandleFunc("/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path, r.Method, r.Pattern, r.Host = "/users/8", "DELETE", "/secret", "other"
		r.SetPathValue("id", "8")
	})
	h := build(t, look(guard.Done, "id", &seen)).Handler(mux)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/users/7", nil))
	if want := "/users/{id} id=7"; seen != want {
		t.Errorf("guards see %q at the end, want %q", seen, want)
	}
}

// Without a route nothing is known to be out of a guard's concern: it judges,
// whatever its Routes.
func TestN12UnroutedIsJudgedByAll(t *testing.T) {
	p := build(t, guard.Use{Name: "one", Routes: []string{"POST /users/{id}"}, Part: refusing(guard.RequestHead)})
	h := p.Handler(routed(t, asIs))
	for _, tt := range routeTests {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Host = tt.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		want := tt.status
		if tt.route == "" || tt.route == "POST /users/{id}" {
			want = 403
		}
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", tt.name, w.Code, want)
		}
	}
}

func TestN12NoRouter(t *testing.T) {
	seen := "not judged"
	h := build(t, look(guard.RequestHead, "id=", &seen)).Handler(writing("text/plain", "x"))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/users/7", nil))
	if seen != " id=" {
		t.Errorf("without a router guards see %q, want no route", seen)
	}
}

// Asking for routes must not fill memory with what clients write.
func TestN12ManyPaths(t *testing.T) {
	var seen string
	h := build(t, look(guard.RequestHead, "id", &seen)).Handler(routed(t, asIs))
	for i := range 1000 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/users/%d", i), nil))
		if want := fmt.Sprintf("GET /users/{id} id=%d", i); seen != want {
			t.Fatalf("got %q, want %q", seen, want)
		}
	}
}
