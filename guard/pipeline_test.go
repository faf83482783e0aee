package guard_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

// pinned is a policy that no general switch may touch.
type pinned struct{ policy }

func (pinned) Pinned() bool { return true }

// broken is a Part that makes no guard.
type broken struct{ err error }

func (b broken) Guard(guard.Guard) (guard.Guard, error) { return nil, b.err }

// talkative gives a reason that is not of the form.
type talkative struct{ policy }

func (t talkative) Guard(guard.Guard) (guard.Guard, error) { return t, nil }
func (talkative) Reasons() []guard.Reason                  { return []guard.Reason{"Not A Code"} }

func TestNewJoinsErrors(t *testing.T) {
	head := allowing(guard.RequestHead)
	many := make([]guard.Part, 65)
	for i := range many {
		many[i] = guard.Use{Name: strings.Repeat("x", i+1), Part: head}
	}
	soon := time.Now().Add(time.Hour)
	tests := []struct {
		name  string
		parts []guard.Part
		want  []string // each in the error
	}{
		{"nil part", []guard.Part{nil}, []string{"part 0", "nil"}},
		{"use without a part", []guard.Part{guard.Use{Name: "a"}}, []string{`part 0 ("a")`, "nil"}},
		{"use in a use", []guard.Part{guard.Use{Part: guard.Use{Part: head}}}, []string{"a Use in a Use"}},
		{"settings in a use", []guard.Part{guard.Use{Part: guard.Settings{}}}, []string{"Settings makes no guard"}},
		{"settings twice", []guard.Part{guard.Settings{}, guard.Settings{}}, []string{"Settings: given twice"}},
		{"same name", []guard.Part{head, head}, []string{`Use "guard_test": the name is taken`}},
		{"no guard", []guard.Part{guard.Use{Name: "a", Part: broken{}}}, []string{`Use "a": its Part made no guard`}},
		{"no phase", []guard.Part{guard.Use{Name: "a", Part: allowing(0)}}, []string{`Use "a": Phases`}},
		{"unknown phase", []guard.Part{guard.Use{Name: "a", Part: allowing(1 << 6)}}, []string{`Use "a": Phases`}},
		{"unknown mode", []guard.Part{guard.Use{Name: "a", Mode: 9, Part: head}}, []string{`Use "a": Mode: 9`}},
		{"reason", []guard.Part{guard.Use{Name: "a", Part: talkative{head}}}, []string{`Use "a": Reasons: "Not A Code"`}},
		{"route", []guard.Part{guard.Use{Name: "a", Part: head, Routes: []string{"GET "}}}, []string{`Use "a": Routes: "GET "`}},
		{"limits", []guard.Part{guard.Settings{Limits: guard.Limits{Request: -1, Response: -2}}}, []string{"Settings.Limits.Request: -1", "Settings.Limits.Response: -2"}},
		{"trust", []guard.Part{guard.Settings{Trust: guard.Trust{Proxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}}}, []string{"Trust.Proxies"}},
		{"too many", many, []string{"65 guards are more than 64"}},
		{"exemption", []guard.Part{guard.Use{Name: "a", Part: head, Exempt: []guard.Exemption{
			{Clients: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
			{Until: soon, Why: "x"},
			{Until: soon, Why: "x", Reasons: []guard.Reason{"other.reason"}},
		}}}, []string{"Exempt[0]: Until: required", "Why: required", "Exempt[1]: matches everything", `Exempt[2]: Reasons: the guard never gives "other.reason"`}},
		{"all at once", []guard.Part{nil, guard.Use{Name: "a", Part: allowing(0)}, guard.Settings{Limits: guard.Limits{Request: -1}}}, []string{"part 0", `Use "a"`, "Settings.Limits"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := guard.New(test.parts...)
			if err == nil || p != nil {
				t.Fatalf("got %v, %v, want an error", p, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error:\n%v\nlacks %q", err, want)
				}
			}
		})
	}
}

func TestOrderAndFirstRefusal(t *testing.T) {
	var calls []string
	note := func(name string, d guard.Decision) guard.Part {
		return guard.Use{Name: name, Part: policy{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
			calls = append(calls, name)
			return d
		}}}
	}
	p := build(t, note("a", guard.Decision{}), note("b", guard.Decision{Effect: guard.Flag, Reason: refused}), note("c", forbidden()), note("d", guard.Decision{}))
	rec := httptest.NewRecorder()
	p.Handler(writing("text/plain", "hello")).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if got := strings.Join(calls, ""); got != "abc" || rec.Code != http.StatusForbidden {
		t.Errorf("called %q, status %d; want abc, 403", got, rec.Code)
	}
}

func status(h http.Handler, r *http.Request) int {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Code
}

func TestModes(t *testing.T) {
	p := build(t,
		guard.Use{Name: "a", Part: refusing(guard.RequestHead)},
		guard.Use{Name: "b", Mode: guard.ModeOff, Part: pinned{refusing(guard.RequestHead)}},
	)
	h := p.Handler(writing("text/plain", "hello"))
	want := func(what string, code int, modes ...guard.Mode) {
		t.Helper()
		var got []guard.Mode
		for _, m := range p.Modes().All() {
			got = append(got, m)
		}
		if s := status(h, httptest.NewRequest("GET", "/", nil)); s != code || !slices.Equal(got, modes) {
			t.Errorf("%s: status %d, modes %v; want %d, %v", what, s, got, code, modes)
		}
	}
	set := func(name string, to guard.Mode) {
		t.Helper()
		if err := p.Modes().Set(name, to); err != nil {
			t.Fatal(err)
		}
	}
	want("as built", 403, guard.ModeEnforce, guard.ModeOff)
	set("a", guard.ModeMonitor)
	want("a monitored", 200, guard.ModeMonitor, guard.ModeOff)
	set("b", guard.ModeEnforce)
	want("b enforced", 403, guard.ModeMonitor, guard.ModeEnforce)
	if err := p.Modes().SetAll(guard.ModeOff); err != nil {
		t.Fatal(err)
	}
	want("all off: b is pinned", 403, guard.ModeOff, guard.ModeEnforce)
	set("b", guard.ModeOff)
	want("its own name switches b", 200, guard.ModeOff, guard.ModeOff)
	for _, err := range []error{p.Modes().Set("nobody", guard.ModeOff), p.Modes().Set("a", 9), p.Modes().SetAll(9)} {
		if err == nil {
			t.Error("no error for an unknown guard or mode")
		}
	}
	if m, ok := p.Modes().Of("b"); !ok || m != guard.ModeOff {
		t.Errorf("Of(b) = %v, %v", m, ok)
	}
	if _, ok := p.Modes().Of("nobody"); ok {
		t.Error("Of(nobody) is there")
	}
}

// remembering remembers across updates how many exchanges it has seen.
type remembering struct {
	policy
	n *int
}

func (c remembering) Guard(prev guard.Guard) (guard.Guard, error) {
	c.n = new(int)
	if old, ok := prev.(remembering); ok {
		c.n = old.n
	}
	c.check = func(*guard.Exchange, guard.Phase) guard.Decision { *c.n++; return guard.Decision{} }
	return c, nil
}

func TestUpdate(t *testing.T) {
	var last *int
	keep := func(name string) guard.Part {
		return guard.Use{Name: name, Part: partFunc(func(prev guard.Guard) (guard.Guard, error) {
			g, err := remembering{policy: allowing(guard.RequestHead)}.Guard(prev)
			last = g.(remembering).n
			return g, err
		})}
	}
	d := &diary{}
	p := build(t, keep("a"), guard.Settings{Observer: d})
	h := p.Handler(writing("text/plain", "hello"))
	status(h, httptest.NewRequest("GET", "/", nil))
	if err := p.Update(keep("a"), guard.Settings{Observer: d}); err != nil {
		t.Fatal(err)
	}
	status(h, httptest.NewRequest("GET", "/", nil))
	if *last != 2 {
		t.Errorf("the guard of the same name counts %d, want 2", *last)
	}
	if err := p.Update(guard.Use{Name: "a", Part: refusing(guard.RequestHead)}, guard.Use{Name: "b", Part: broken{}}); err == nil {
		t.Fatal("no error")
	}
	if s := status(h, httptest.NewRequest("GET", "/", nil)); s != 200 || *last != 3 {
		t.Errorf("after a failed update: status %d, count %d; want the old guards", s, *last)
	}
	if err := p.Update(keep("other")); err != nil {
		t.Fatal(err)
	}
	if *last != 0 {
		t.Errorf("a guard of another name counts %d, want 0", *last)
	}
}

type partFunc func(guard.Guard) (guard.Guard, error)

func (f partFunc) Guard(prev guard.Guard) (guard.Guard, error) { return f(prev) }

func TestModeOutlivesUpdate(t *testing.T) {
	use := func(m guard.Mode) guard.Part {
		return guard.Use{Name: "a", Mode: m, Part: refusing(guard.RequestHead)}
	}
	p := build(t, use(guard.ModeEnforce))
	steps := []struct {
		what string
		do   func() error
		want guard.Mode
	}{
		{"switched", func() error { return p.Modes().Set("a", guard.ModeMonitor) }, guard.ModeMonitor},
		{"same configuration", func() error { return p.Update(use(guard.ModeEnforce)) }, guard.ModeMonitor},
		{"configured anew", func() error { return p.Update(use(guard.ModeOff)) }, guard.ModeOff},
		{"configured back", func() error { return p.Update(use(guard.ModeEnforce)) }, guard.ModeEnforce},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		if got, _ := p.Modes().Of("a"); got != s.want {
			t.Errorf("%s: mode %v, want %v", s.what, got, s.want)
		}
	}
}

func TestExemptions(t *testing.T) {
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	alice := &guard.Principal{Subject: "alice"}
	tests := []struct {
		name string
		guard.Exemption
		passes bool
	}{
		{"client", guard.Exemption{Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Until: soon}, true},
		{"other client", guard.Exemption{Clients: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, Until: soon}, false},
		{"expired", guard.Exemption{Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Until: past}, false},
		{"subject", guard.Exemption{Subjects: []string{"alice"}, Until: soon}, true},
		{"other subject", guard.Exemption{Subjects: []string{"bob"}, Until: soon}, false},
		{"route", guard.Exemption{Routes: []string{"GET /orders/{id}"}, Until: soon}, true},
		{"route of another method", guard.Exemption{Routes: []string{"POST /orders/{id}"}, Until: soon}, false},
		{"reason", guard.Exemption{Reasons: []guard.Reason{refused}, Until: soon}, true},
		{"other reason", guard.Exemption{Reasons: []guard.Reason{masked}, Until: soon}, false},
		{"all of them", guard.Exemption{Reasons: []guard.Reason{refused}, Subjects: []string{"alice"}, Routes: []string{"/orders/*"}, Until: soon}, true},
		{"not all of them", guard.Exemption{Reasons: []guard.Reason{refused}, Subjects: []string{"bob"}, Routes: []string{"/orders/*"}, Until: soon}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.Why = "migration"
			d := &diary{}
			p := build(t, guard.Settings{Observer: d}, guard.Use{Name: "a", Exempt: []guard.Exemption{test.Exemption}, Part: refusing(guard.RequestHead)})
			mux := http.NewServeMux()
			mux.Handle("GET /orders/{id}", writing("text/plain", "hello"))
			r := httptest.NewRequest("GET", "/orders/7", nil)
			r = r.WithContext(guard.WithPrincipal(r.Context(), alice))
			want := http.StatusForbidden
			if test.passes {
				want = http.StatusOK
			}
			if got := status(p.Handler(mux), r); got != want {
				t.Errorf("status %d, want %d", got, want)
			}
			got, ok := find(d.all(), refused)
			if !ok || got.Shadow != test.passes {
				t.Errorf("decision %+v, want one with Shadow %v", got, test.passes)
			}
		})
	}
}

// A guard that panics is not exempt, however wide the exemption.
func TestNoExemptionForPanic(t *testing.T) {
	p := build(t, guard.Use{Name: "a", Part: panicking(guard.RequestHead), Exempt: []guard.Exemption{{
		Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Until: time.Now().Add(time.Hour), Why: "x",
	}}})
	if got := status(p.Handler(writing("text/plain", "hello")), httptest.NewRequest("GET", "/", nil)); got != 500 {
		t.Errorf("status %d, want 500", got)
	}
}

// Whatever a broken guard says, its refusal is one.
func TestRefusalIsNeverSuccess(t *testing.T) {
	for _, d := range []guard.Decision{
		{Effect: guard.Refuse},
		{Effect: guard.Refuse, Cause: 200},
		{Effect: 77},
		{Effect: guard.Refuse, Cause: guard.CauseNone, Reason: refused},
	} {
		p := build(t, policy{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision { return d }})
		if got := status(p.Handler(writing("text/plain", "hello")), httptest.NewRequest("GET", "/", nil)); got != 500 {
			t.Errorf("%+v: status %d, want 500", d, got)
		}
	}
	for c := range guard.Cause(255) {
		if s := c.HTTP(); s < 400 || s > 599 {
			t.Errorf("cause %d answers %d", c, s)
		}
		if c.GRPC() == 0 || c.GRPC() > 16 {
			t.Errorf("cause %d is gRPC code %d", c, c.GRPC())
		}
	}
}

// A panic in a guard must not keep the guards behind it from being asked when
// it is only monitored.
func TestMonitoredPanicGoesOn(t *testing.T) {
	p := build(t,
		guard.Use{Name: "a", Mode: guard.ModeMonitor, Part: panicking(guard.RequestHead)},
		guard.Use{Name: "b", Mode: guard.ModeMonitor, Part: panicking(guard.RequestHead)},
		guard.Use{Name: "c", Part: refusing(guard.RequestHead)},
	)
	if got := status(p.Handler(writing("text/plain", "hello")), httptest.NewRequest("GET", "/", nil)); got != 403 {
		t.Errorf("status %d, want 403", got)
	}
}

func TestPrincipal(t *testing.T) {
	scopes := []string{"a"}
	p := guard.NewPrincipal(guard.Principal{Subject: "alice", Scopes: scopes}, []byte(
		`{"org_id":"o1","n":12.50,"ok":true,"https://example.com/tenant":"t","a|@reverse":"x","list":[1],"null":null,"esc\u0061pe":"y"}`))
	scopes[0] = "changed"
	if p.Scopes[0] != "a" {
		t.Error("the principal shares the caller's slice")
	}
	for name, want := range map[string]string{
		"org_id": "o1", "n": "12.50", "ok": "true", "https://example.com/tenant": "t", "a|@reverse": "x", "list": "[1]", "null": "null", "escape": "y",
	} {
		if got, ok := p.Claim(name); !ok || got != want {
			t.Errorf("Claim(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "ORG_ID", "list.0", "@this", "*", "#"} {
		if got, ok := p.Claim(name); ok {
			t.Errorf("Claim(%q) = %q, want none", name, got)
		}
	}
	for _, claims := range []string{"", "[1]", `{"a":1`, `"a"`} {
		if _, ok := guard.NewPrincipal(guard.Principal{}, []byte(claims)).Claim("a"); ok {
			t.Errorf("claims %q: there is one", claims)
		}
	}
	if _, ok := (*guard.Principal)(nil).Claim("a"); ok {
		t.Error("nobody has a claim")
	}
}

func TestRouteMatching(t *testing.T) {
	tests := []struct {
		routes        []string
		route, method string
		want          bool
	}{
		{[]string{"POST /orders"}, "POST /orders", "POST", true},
		{[]string{"POST /orders"}, "/orders", "POST", true},
		{[]string{"POST /orders"}, "/orders", "GET", false},
		{[]string{"/orders"}, "POST /orders", "POST", true},
		{[]string{"GET /orders"}, "GET /orders", "HEAD", true},
		{[]string{"HEAD /orders"}, "GET /orders", "HEAD", true},
		{[]string{"HEAD /orders"}, "GET /orders", "GET", false},
		{[]string{"GET /orders"}, "GET example.com/orders", "GET", true},
		{[]string{"GET example.com/orders"}, "GET example.com/orders", "GET", true},
		{[]string{"GET example.com/orders"}, "GET /orders", "GET", false},
		{[]string{"/admin/*"}, "DELETE /admin/users/{id}", "DELETE", true},
		{[]string{"GET /admin/*"}, "DELETE /admin/users/{id}", "DELETE", false},
		{[]string{"*"}, "GET /x", "GET", true},
		{[]string{"/pkg.Service/*"}, "/pkg.Service/Method", "", true},
		{[]string{"/pkg.Service/Method"}, "/pkg.Service/Other", "", false},
		{[]string{"/a", "/b"}, "/b", "GET", true},
		{[]string{"/a"}, "/a/b", "GET", false},
	}
	for _, test := range tests {
		called := false
		use := guard.Use{Name: "a", Routes: test.routes, Part: policy{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
			called = true
			return guard.Decision{}
		}}}
		h := build(t, use).Routed(fixedRoute(test.route), writing("text/plain", ""))
		status(h, &http.Request{Method: test.method, URL: httptest.NewRequest("GET", "/", nil).URL, Header: http.Header{}})
		if called != test.want {
			t.Errorf("Routes %q, route %q, method %q: called %v, want %v", test.routes, test.route, test.method, called, test.want)
		}
	}
}

// A route that the mux does not have is told once, at the first request.
func TestUnknownRoutesAreHinted(t *testing.T) {
	var hints []string
	o := listener(func(e guard.Event) {
		if e.Kind == guard.EventHint {
			hints = append(hints, e.Decision.Guard+": "+e.Decision.Detail)
		}
	})
	p := build(t, guard.Settings{Observer: o}, guard.Use{Name: "a", Part: allowing(guard.RequestHead), Routes: []string{
		"GET /orders/{id}", "/orders/{id}", "GET /files/{path...}", "GET /{$}", "GET api.example.com/hosts", "POST /any", "/admin/*", // there
		"GET /orders/{orderID}", "POST /orders/{id}", "GET /order", "GET /files/", // not there
	}})
	mux := http.NewServeMux()
	h := p.Handler(mux)
	for _, pattern := range []string{"GET /orders/{id}", "GET /files/{path...}", "GET /{$}", "GET api.example.com/hosts", "/any"} {
		mux.Handle(pattern, writing("text/plain", ""))
	}
	for range 3 {
		status(h, httptest.NewRequest("GET", "/", nil))
	}
	want := []string{`"GET /orders/{orderID}"`, `"POST /orders/{id}"`, `"GET /order"`, `"GET /files/"`}
	if len(hints) != len(want) {
		t.Fatalf("hints %q, want one for each of %q", hints, want)
	}
	for i := range want {
		if !strings.Contains(hints[i], want[i]) || !strings.HasPrefix(hints[i], "a: ") {
			t.Errorf("hint %q, want one of guard a for %s", hints[i], want[i])
		}
	}
}

type listener func(guard.Event)

func (o listener) Observe(e guard.Event) { o(e) }

type fixedRoute string

func (r fixedRoute) Route(*http.Request) string        { return string(r) }
func (fixedRoute) SetPathValues(*http.Request, string) {}
