package guard_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

// A pointer to a Use is a Part by its methods: taken for any Part, its name, modes
// and routes would be lost without a word.
func TestUseAndSettingsCountByPointerToo(t *testing.T) {
	told := &diary{}
	p, err := guard.New(
		&guard.Use{Name: "mine", Mode: guard.ModeMonitor, Pinned: true, Routes: []string{"/x"}, Part: refusing(guard.RequestHead)},
		&guard.Settings{Observer: told, Limits: guard.Limits{Request: 10}},
		guard.Use{Name: "reader", Part: allowing(guard.RequestBody)},
	)
	if err != nil {
		t.Fatal(err)
	}
	uses := p.Uses()
	if len(uses) != 2 || uses[0].Name != "mine" || uses[0].Mode != guard.ModeMonitor || !uses[0].Pinned || len(uses[0].Routes) != 1 {
		t.Errorf("got %+v, want it as it was given", uses)
	}
	s := serve(t, p.Handler(writing("text/plain", "in")))
	send(t, s, "POST", "/", "short").is(t, 200, "in")
	if got, ok := find(told.all(), refused); !ok || !got.Shadow || got.Guard != "mine" {
		t.Errorf("the observer was told %+v, want a refusal in shadow", got)
	}
	send(t, s, "POST", "/", "longer than ten").refuses(t, 413, guard.ReasonTooLarge)
}

// The caller's slice is its own: what becomes of it later moves no guard.
func TestRoutesAreThoseGivenToNew(t *testing.T) {
	list := []string{"/a"}
	mux := http.NewServeMux()
	mux.Handle("/a", writing("text/plain", "in"))
	p := build(t, guard.Use{Name: "a", Routes: list, Part: refusing(guard.RequestHead)})
	list[0] = "/b"
	send(t, serve(t, p.Handler(mux)), "GET", "/a", "").refuses(t, 403, refused)
}

// With all guards off in an outage, handlers that ask for the principal must not
// break.
func TestNoExchangeTellsNothing(t *testing.T) {
	p := build(t, allowing(guard.RequestHead))
	if err := p.Modes().SetAll(guard.ModeOff); err != nil {
		t.Fatal(err)
	}
	h := p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		x := guard.From(r.Context())
		if x != nil {
			t.Errorf("an exchange %p with all guards off", x)
		}
		x.SetValue("key", 1)
		if x.Principal() != nil || x.ID() != "" || x.Route() != "" || x.PathValue("id") != "" ||
			x.Client() != (guard.Client{}) || x.Decisions() != nil || x.Reached() || x.Value("key") != nil {
			t.Error("a nil Exchange tells something")
		}
		io.WriteString(w, "ok")
	}))
	send(t, serve(t, h), "GET", "/", "").is(t, 200, "ok")
}

// An Observer that answers one switch with another would wait for itself.
func TestObserverMaySwitchModes(t *testing.T) {
	var p *guard.Pipeline
	switching := guard.ObserverFunc(func(e guard.Event) {
		if e.Kind == guard.EventMode || e.Kind == guard.EventReload {
			p.Modes().Set("a", guard.ModeMonitor)
		}
	})
	parts := []guard.Part{guard.Settings{Observer: switching}, use("a", allowing(guard.RequestHead))}
	p = build(t, parts...)
	for name, change := range map[string]func() error{
		"Set":    func() error { return p.Modes().Set("a", guard.ModeOff) },
		"SetAll": func() error { return p.Modes().SetAll(guard.ModeOff) },
		"Update": func() error { return p.Update(parts...) },
	} {
		changed := make(chan error, 1)
		go func() { changed <- change() }()
		if err := receive(t, changed, "end of "+name); err != nil {
			t.Error(err)
		}
		if mode, _ := p.Modes().Of("a"); mode != guard.ModeMonitor {
			t.Errorf("%s: mode %v, want what the observer has set", name, mode)
		}
	}
}

// An "admin" of another issuer is somebody else.
func TestExemptSubjectsAreOfTheirIssuer(t *testing.T) {
	const ours, theirs = "https://id.example", "https://evil.example"
	for _, tt := range []struct {
		exempt, issuer string
		status         int
	}{
		{ours, ours, 200},
		{"", "", 200},
		{"", theirs, 403},
		{ours, theirs, 403},
		{ours, "", 403},
	} {
		exempt := guard.Exemption{Subjects: []string{"admin"}, Issuer: tt.exempt, Until: time.Now().Add(time.Hour), Why: "test"}
		p := build(t, guard.Use{Name: "a", Part: refusing(guard.RequestHead), Exempt: []guard.Exemption{exempt}})
		r := httptest.NewRequest("GET", "/", nil)
		r = r.WithContext(guard.WithPrincipal(r.Context(), &guard.Principal{Issuer: tt.issuer, Subject: "admin"}))
		if got := status(p.Handler(writing("text/plain", "in")), r); got != tt.status {
			t.Errorf("exempt admin of %q, asked by that of %q: got %d, want %d", tt.exempt, tt.issuer, got, tt.status)
		}
	}
}

// Whether the answer is held makes no difference to who has the last word on its
// header: a pipeline that gets a guard of responses must not lose a field, nor one
// that loses it keep the handler's.
func TestWhoHasTheLastWordOnTheHeader(t *testing.T) {
	field := guard.Edit{In: guard.InHeader, Name: "X-A", Values: []string{"guard"}}
	for name, more := range map[string]guard.Part{
		"alone":                  allowing(guard.RequestHead),
		"with a guard of heads":  allowing(guard.ResponseHead),
		"with a guard of bodies": allowing(guard.ResponseBody),
		"with a monitored guard": guard.Use{Name: "m", Mode: guard.ModeMonitor, Part: allowing(everyPhase)},
	} {
		for _, tt := range []struct {
			at                     guard.Phase
			before, changed, whole string // what the handler sees, what goes out if it changes it, and if not
		}{
			{guard.RequestHead, "guard", "handler", "guard"},
			{guard.RequestBody, "guard", "handler", "guard"},
			{guard.ResponseHead, "", "guard", "guard"},
			{guard.ResponseBody, "", "guard", "guard"},
		} {
			t.Run(name+", at "+tt.at.String(), func(t *testing.T) {
				before := ""
				s := serve(t, build(t, staging(tt.at, true, field), more).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
					before = w.Header().Get("X-A")
					if r.URL.Path == "/changed" {
						w.Header().Set("X-A", "handler")
					}
					w.Header().Set("Content-Type", "text/plain")
					io.WriteString(w, "ok")
				})))
				for path, want := range map[string]string{"/changed": tt.changed, "/": tt.whole} {
					got := send(t, s, "GET", path, "").header.Values("X-A")
					if before != tt.before || len(got) != 1 || got[0] != want {
						t.Errorf("%s: the handler sees %q, the client %q; want %q and %q", path, before, got, tt.before, want)
					}
				}
			})
		}
	}
}

// Who is only monitored changes nothing: the expiry of a principal that such a
// guard has verified ends no stream of an enforced one.
func TestMonitoredExpiryCutsNoStream(t *testing.T) {
	auth := policy{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
		return guard.Decision{Principal: &guard.Principal{Subject: "alice", Expires: time.Now().Add(-time.Hour)}}
	}}
	h := func(mode guard.Mode) http.Handler {
		return build(t, guard.Use{Name: "auth", Mode: mode, Part: auth}, use("reader", allowing(guard.ResponseBody))).Handler(writing(sse, "data: 1\n\n"))
	}
	send(t, serve(t, h(guard.ModeMonitor)), "GET", "/", "").is(t, 200, "data: 1\n\n")
	if a := send(t, serve(t, h(guard.ModeEnforce)), "GET", "/", ""); strings.Contains(a.body, "data") {
		t.Errorf("enforced: got %d %q, want it cut", a.status, a.body)
	}
}
