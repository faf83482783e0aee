package guard_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/palegate/palegate/guard"
)

// observed is what there is to see of a scenario.
type observed struct {
	wire      string // what the client got
	seen      string // what the handler saw
	decisions []guard.Decision
}

// meddling stages every edit that there is, and asks for all that a guard may
// ask for.
func meddling(phases guard.Phase) policy {
	return policy{phases, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		x.Route()
		x.PathValue("id")
		x.ID()
		x.Client()
		x.Request().HTTP()
		x.SetValue("key", "value")
		for _, m := range []*guard.Message{x.Request(), x.Response()} {
			m.Body()
			for _, place := range []guard.Place{guard.InBody, guard.InHeader, guard.InTrailer, guard.InQuery, guard.InCookie} {
				m.Stage(guard.Edit{In: place, Name: "X-Token", Body: []byte("edited"), Values: []string{"edited"}})
				m.Stage(guard.Edit{In: place, Name: "session"})
			}
			m.Stage(guard.Edit{In: guard.InHeader, Name: "Content-Type", Values: []string{"text/edited"}})
		}
		return guard.Decision{Effect: guard.Transform, Reason: masked}
	}}
}

// thorough asks for all that a guard may ask for, and refuses.
func thorough(phases guard.Phase) policy {
	return policy{phases, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		meddling(phases).check(x, at)
		return forbidden()
	}}
}

// observe plays every scenario, with part monitored, or without a pipeline if
// it is nil.
func observe(t *testing.T, part guard.Part) (all []scenario, seen []observed) {
	t.Helper()
	upstream, err := url.Parse(serve(t, behind).URL)
	if err != nil {
		t.Fatal(err)
	}
	all = scenarios(t, upstream)
	log := &diary{}
	var p *guard.Pipeline
	if part != nil {
		p = build(t, guard.Use{Name: "monitored", Mode: guard.ModeMonitor, Part: part}, guard.Settings{Observer: log})
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/{id}", func(http.ResponseWriter, *http.Request) {})

	var (
		mu    sync.Mutex
		notes strings.Builder
	)
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&notes, format+"\n", args...)
	}
	over := make(chan bool, 2)
	s := serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(strings.Trim(r.URL.Path, "/"))
		if err != nil {
			t.Errorf("path %q", r.URL.Path)
			return
		}
		h := handle(func(w http.ResponseWriter, r *http.Request) {
			note("%s %s %s host %q header %q length %d coding %q trailer %q close %t uri %q",
				r.Method, r.URL, r.Proto, r.Host, r.Header, r.ContentLength, r.TransferEncoding, r.Trailer, r.Close, r.RequestURI)
			defer func() { note("trailer %q", r.Trailer) }()
			all[i].handler(w, r, note)
		})
		if p != nil {
			h = p.Routed(guard.MuxRouter(routes), h)
		}
		guarded := h
		h = handle(func(w http.ResponseWriter, r *http.Request) {
			defer func() { over <- true }()
			guarded.ServeHTTP(w, r)
		})
		if all[i].around != nil {
			h = all[i].around(h)
		}
		h.ServeHTTP(w, r)
	}))
	for i, sc := range all {
		got := play(t, s, sc, "/"+strconv.Itoa(i))
		for range max(sc.calls, 1) {
			receive(t, over, "end of "+sc.name)
		}
		mu.Lock()
		seen = append(seen, observed{got, notes.String(), log.all()})
		notes.Reset()
		mu.Unlock()
	}
	return all, seen
}

// play sends the request of sc and returns what came back.
func play(t *testing.T, s *httptest.Server, sc scenario, path string) string {
	t.Helper()
	conn := dial(t, s)
	sent := make(chan bool)
	go func() {
		io.WriteString(conn, strings.ReplaceAll(sc.request, "PATH", path))
		close(sent)
	}()
	var got []byte
	talked := sc.talk == nil
	for buf := make([]byte, 64<<10); ; {
		if !talked && strings.Contains(string(got), sc.await) {
			<-sent
			sc.talk(conn)
			talked = true
		}
		n, err := conn.Read(buf)
		got = append(got, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%s: %v after %.200q", sc.name, err, got)
			break
		}
	}
	conn.Close()
	return dateLine.ReplaceAllLiteralString(string(got), "Date: then")
}

func TestMonitoredGuardsChangeNothing(t *testing.T) {
	_, bare := observe(t, nil)
	tests := []struct {
		name   string
		make   func(guard.Phase) policy
		phases []guard.Phase
		shadow func(d guard.Decision) bool // what is recorded
	}{
		{
			"refusing", thorough,
			[]guard.Phase{everyPhase, guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody, guard.Done},
			func(d guard.Decision) bool { return d.Effect == guard.Refuse && d.Reason == refused },
		},
		{
			"editing", meddling,
			[]guard.Phase{everyPhase},
			func(d guard.Decision) bool { return d.Effect == guard.Transform && d.Reason == masked },
		},
		{
			"panicking", panicking,
			[]guard.Phase{everyPhase},
			func(d guard.Decision) bool {
				return d.Effect == guard.Refuse && d.Reason == guard.ReasonPanic && d.Err != nil
			},
		},
		{"allowing", allowing, []guard.Phase{everyPhase}, nil},
	}
	for _, tt := range tests {
		for _, phases := range tt.phases {
			t.Run(tt.name+" "+phases.String(), func(t *testing.T) {
				t.Parallel() // a corpus waits for time-outs, and for connections that net/http closes slowly
				all, got := observe(t, tt.make(phases))
				for i, sc := range all {
					t.Run(sc.name, func(t *testing.T) {
						if got[i].wire != bare[i].wire {
							t.Errorf("on the wire: got %s", difference(got[i].wire, bare[i].wire))
						}
						if got[i].seen != bare[i].seen {
							t.Errorf("the handler saw %s", difference(got[i].seen, bare[i].seen))
						}
						recorded := guard.Phase(0)
						for _, d := range got[i].decisions {
							if d.Refused() {
								t.Errorf("refused: %+v", d)
							}
							if d.Guard != "monitored" {
								continue
							}
							if !d.Shadow || tt.shadow == nil || !tt.shadow(d) && !d.Is(guard.ReasonEdit) {
								t.Errorf("recorded %+v", d)
							}
							recorded |= d.Phase
						}
						if want := phases &^ sc.unjudged; tt.shadow != nil && recorded != want {
							t.Errorf("recorded shadow decisions at %q, want them at %q", recorded, want)
						}
					})
				}
			})
		}
	}
}

// overHTTP2 plays the scenarios as far as a client of HTTP/2 can.
func overHTTP2(t *testing.T, part guard.Part) (all []scenario, got []string) {
	t.Helper()
	upstream, err := url.Parse(serve(t, behind).URL)
	if err != nil {
		t.Fatal(err)
	}
	all = scenarios(t, upstream)
	for i, sc := range all {
		var notes strings.Builder
		over := make(chan bool, 1)
		note := func(format string, args ...any) { fmt.Fprintf(&notes, format+"\n", args...) }
		h := handle(func(w http.ResponseWriter, r *http.Request) {
			note("%s %s header %q length %d coding %q", r.Method, r.URL, r.Header, r.ContentLength, r.TransferEncoding)
			all[i].handler(w, r, note)
		})
		if part != nil {
			h = build(t, guard.Use{Name: "monitored", Mode: guard.ModeMonitor, Part: part}).Handler(h)
		}
		guarded := h
		h = handle(func(w http.ResponseWriter, r *http.Request) {
			defer func() { over <- true }()
			guarded.ServeHTTP(w, r)
		})
		if sc.around != nil {
			h = sc.around(h)
		}
		s := start(t, h, true)
		method, _, _ := strings.Cut(sc.request, " ")
		body := map[string]string{"POST": "a secret"}[method]
		a := send(t, s, method, "/", body, "X-Token: secret", "Cookie: session=secret")
		receive(t, over, "end of "+sc.name)
		s.Close()
		a.header.Del("Date")
		if a.err != nil {
			a.body = "" // how much of it came is the network's doing
		}
		got = append(got, fmt.Sprintf("%s%d %d %q %q %q broken %t", notes.String(), a.status, a.length, a.header, a.trailer, a.body, a.err != nil))
	}
	return all, got
}

func TestMonitoredGuardsChangeNothingOverHTTP2(t *testing.T) {
	all, bare := overHTTP2(t, nil)
	for name, part := range map[string]guard.Part{"refusing": thorough(everyPhase), "panicking": panicking(everyPhase)} {
		t.Run(name, func(t *testing.T) {
			_, got := overHTTP2(t, part)
			for i, sc := range all {
				if got[i] != bare[i] {
					t.Errorf("%s: got %s", sc.name, difference(got[i], bare[i]))
				}
			}
		})
	}
}

// difference tells where got differs from want.
func difference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-60)
	return fmt.Sprintf("%.300q, want %.300q (of %d and %d bytes, from the %dth on)", got[from:], want[from:], len(got), len(want), from)
}

// A guard that asks for path values before the router has matched leaves no
// match of its own behind for what stands in between.
func TestMonitoredGuardsLeaveTheMatchToTheRouter(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/users/{id}", func(http.ResponseWriter, *http.Request) {})
	between := handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Pattern != "" || r.PathValue("id") != "" {
			t.Errorf("before the router: pattern %q, id %q; want none", r.Pattern, r.PathValue("id"))
		}
		mux.ServeHTTP(w, r)
	})
	h := build(t, guard.Use{Mode: guard.ModeMonitor, Part: policy{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		if got := x.PathValue("id"); got != "7" {
			t.Errorf("the guard sees id %q, want 7", got)
		}
		return guard.Decision{}
	}}}).Routed(guard.MuxRouter(mux), between)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/users/7", nil))
}
