package guard_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/palegate/palegate/guard"
)

const (
	sse    = "text/event-stream"
	ndjson = "application/x-ndjson"
)

// units is a guard that keeps the units it judges, and masks them.
type units struct {
	mu   sync.Mutex
	seen []string
}

func (u *units) policy() policy {
	return policy{guard.ResponseBody, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		b, err := x.Response().Body()
		if err != nil {
			return guard.Decision{Effect: guard.Refuse, Reason: refused, Err: err}
		}
		u.mu.Lock()
		u.seen = append(u.seen, string(b.Bytes()))
		u.mu.Unlock()
		return masking(guard.ResponseBody, "*****").check(x, at)
	}}
}

func (u *units) all() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

// Each unit arrives before the handler goes on to the next.
func TestN8UnitByUnit(t *testing.T) {
	tests := []struct {
		name, contentType string
		units, want       []string
	}{
		{"events", sse, []string{"data: secret 1\n\n", "data: 2\n\n", "id: 3\ndata: secret\n\n"}, []string{"data: ***** 1\n\n", "data: 2\n\n", "id: 3\ndata: *****\n\n"}},
		{"events with CRLF", sse + "; charset=utf-8", []string{"data: secret\r\n\r\n", ": comment\r\n\r\n"}, []string{"data: *****\r\n\r\n", ": comment\r\n\r\n"}},
		{"events with CR", sse, []string{"data: secret\r\r", "data: 2\r\r"}, []string{"data: *****\r\r", "data: 2\r\r"}},
		{"lines", ndjson, []string{"{\"a\":\"secret\"}\n", "{}\n"}, []string{"{\"a\":\"*****\"}\n", "{}\n"}},
		{"lines with CRLF", "Application/JSONL", []string{"{\"a\":\"secret\"}\r\n", "{}\r\n"}, []string{"{\"a\":\"*****\"}\r\n", "{}\r\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			arrived := make(chan string)
			h := build(t, masking(guard.ResponseBody, "*****")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				for i, unit := range tt.units {
					// In pieces, flushed each, as encoders do.
					for _, piece := range []string{unit[:1], unit[1 : len(unit)-2], unit[len(unit)-2:]} {
						if _, err := io.WriteString(w, piece); err != nil {
							t.Errorf("write: %v", err)
						}
						w.(http.Flusher).Flush()
					}
					if got := receive(t, arrived, "unit"); got != tt.want[i] {
						t.Errorf("unit %d: got %q, want %q", i, got, tt.want[i])
					}
				}
			}))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				res, err := s.Client().Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				for _, want := range tt.want {
					buf := make([]byte, len(want))
					if _, err := io.ReadFull(res.Body, buf); err != nil {
						t.Fatalf("read %q, error %v; want %q", buf, err, want)
					}
					arrived <- string(buf)
				}
				if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
					t.Errorf("at the end read %q, error %v; want nothing", rest, err)
				}
			})
		})
	}
}

// However a handler cuts its writes, guards see the same units.
func TestN8UnitsOverManyWrites(t *testing.T) {
	tests := []struct {
		name, contentType string
		units             []string
	}{
		{"events", sse, []string{"data: a\n\n", "event: b\ndata: {\ndata: }\n\n", ":\n\n", "data: c\n\n"}},
		{"events with CR", sse, []string{"data: a\r\r", "event: b\rdata: c\r\r"}},
		{"events without an end", sse, []string{"data: a\n\n", "data: b\n"}},
		{"lines", ndjson, []string{"{\"a\":1}\n", "\n", "{\"b\":\"\\n\"}\n", "[]\n"}},
		{"lines with CRLF", ndjson, []string{"{\"a\":1}\r\n", "{}\r\n"}},
		{"a line without an end", ndjson, []string{"{\"a\":1}\n", "{\"b\":2}"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stream := strings.Join(tt.units, "")
			for size := 1; size <= len(stream); size++ {
				seen := &units{}
				w := httptest.NewRecorder()
				build(t, seen.policy()).Handler(inPieces(tt.contentType, stream, size)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				if got := w.Body.String(); got != stream {
					t.Errorf("written %d bytes at a time: got %q, want %q", size, got, stream)
				}
				if got := seen.all(); !slices.Equal(got, tt.units) {
					t.Errorf("written %d bytes at a time: judged %q, want %q", size, got, tt.units)
				}
			}
		})
	}
}

// A write can end between the \r and the \n of a blank line. Guards then see
// the \n with the next event, where it means nothing; no event is cut.
func TestN8EventsWithCRLFOverManyWrites(t *testing.T) {
	events := []string{"data: a", "id: 1\r\ndata: b\r\ndata: c", "data: d\nid: 2\rdata: e"}
	stream := strings.Join(events, "\r\n\r\n") + "\r\n\r\n"
	for size := 1; size <= len(stream); size++ {
		seen := &units{}
		w := httptest.NewRecorder()
		build(t, seen.policy()).Handler(inPieces(sse, stream, size)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := w.Body.String(); got != stream {
			t.Errorf("written %d bytes at a time: got %q, want %q", size, got, stream)
		}
		var got []string
		for _, unit := range seen.all() {
			if unit = strings.Trim(unit, "\r\n"); unit != "" {
				got = append(got, unit)
			}
		}
		if !slices.Equal(got, events) {
			t.Errorf("written %d bytes at a time: judged %q, want %q", size, got, events)
		}
	}
}

func inPieces(contentType, stream string, size int) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for piece := range slices.Chunk([]byte(stream), size) {
			w.Write(piece)
			w.(http.Flusher).Flush()
		}
	})
}

func TestN8NoPartOfAUnitLeaves(t *testing.T) {
	inner := func(outside **tap) http.Handler {
		return build(t, masking(guard.ResponseBody, "*****")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", sse)
			for _, c := range "data: secret\n" {
				io.WriteString(w, string(c))
				w.(http.Flusher).Flush()
				if _, written := (*outside).left(); written != "" {
					t.Errorf("%q left before the event was complete", written)
				}
			}
			io.WriteString(w, "\n")
			if _, written := (*outside).left(); written != "data: *****\n\n" {
				t.Errorf("%q left when the event was complete, want it masked", written)
			}
		}))
	}
	var outside *tap
	h := inner(&outside)
	s := serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		outside = &tap{ResponseWriter: w}
		h.ServeHTTP(outside, r)
	}))
	send(t, s, "GET", "/", "").is(t, 200, "data: *****\n\n")
}

// A refused unit breaks the connection, so that the client does not take what
// it got for the whole.
func TestN8RefusedUnit(t *testing.T) {
	for name, stream := range map[string]struct{ contentType, before, bad string }{
		"event":               {sse, "data: 1\n\n", "data: attack secret\n\n"},
		"line":                {ndjson, "1\n", "\"attack secret\"\n"},
		"event without end":   {sse, "data: 1\n\n", "data: attack secret"},
		"first event":         {sse, "", "data: attack secret\n\n"},
		"too long a line":     {ndjson, "1\n", `"` + strings.Repeat("secret", 1000) + "\"\n"},
		"too long, never end": {ndjson, "1\n", `"` + strings.Repeat("secret", 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan []guard.Decision, 1)
			h := build(t, rejecting(guard.ResponseBody, "attack"), done(ended), guard.Settings{Limits: guard.Limits{Response: 4096}}).
				Handler(handle(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", stream.contentType)
					io.WriteString(w, stream.before)
					w.(http.Flusher).Flush()
					_, err := io.WriteString(w, stream.bad)
					if strings.HasSuffix(stream.bad, "\n") && err == nil {
						t.Error("writing a refused unit gave no error")
					}
					if err != nil && context.Cause(r.Context()) == nil {
						t.Error("the handler's context goes on after the refusal")
					}
					if _, err2 := io.WriteString(w, "data: more secret\n\n"); err != nil && err2 == nil {
						t.Error("writing after a refused unit gave no error")
					}
					w.(http.Flusher).Flush()
				}))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				if a.err == nil || a.status != 0 && a.status != 200 {
					t.Errorf("got status %d, error %v; want a broken connection", a.status, a.err)
				}
				if a.body != stream.before {
					t.Errorf("got %.99q, want %q", a.body, stream.before)
				}
				ds := receive(t, ended, "Done")
				if len(ds) != 1 || !ds[0].Refused() {
					t.Errorf("decided %+v, want one refusal", ds)
				}
			})
		})
	}
}

// done sends the decisions of each exchange that has ended.
func done(to chan<- []guard.Decision) guard.Part {
	return guard.Use{Name: "done", Part: policy{guard.Done, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		to <- x.Decisions()
		return guard.Decision{}
	}}}
}

// A handler that ignores errors of its writes ends by its context.
func TestN8RefusalEndsTheContext(t *testing.T) {
	h := build(t, rejecting(guard.ResponseBody, "attack")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", sse)
		io.WriteString(w, "data: attack\n\n")
		select {
		case <-r.Context().Done():
		case <-time.After(patience):
			t.Error("the context did not end")
		}
	}))
	if a := send(t, serve(t, h), "GET", "/", ""); a.err == nil {
		t.Errorf("got %+v, want a broken connection", a)
	}
}

func TestN8EditedUnits(t *testing.T) {
	rewrite := policy{guard.ResponseBody, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		b, err := x.Response().Body()
		switch {
		case err != nil:
			return forbidden()
		case strings.Contains(string(b.Bytes()), "longer"):
			x.Response().Stage(guard.Edit{Body: []byte("data: " + strings.Repeat("x", 5000) + "\n\n")})
		case strings.Contains(string(b.Bytes()), "drop"):
			x.Response().Stage(guard.Edit{Body: []byte{}})
		}
		return guard.Decision{}
	}}
	seen := &units{}
	stream := "data: 1\n\ndata: longer\n\ndata: drop\n\ndata: 4\n\n"
	want := "data: 1\n\ndata: " + strings.Repeat("x", 5000) + "\n\ndata: 4\n\n"
	overBoth(t, build(t, rewrite, seen.policy()).Handler(writing(sse, stream)), func(t *testing.T, s *httptest.Server) {
		send(t, s, "GET", "/", "").is(t, 200, want)
	})
	if got := seen.all(); len(got) != 8 || !strings.HasPrefix(got[1], "data: xxx") || got[2] != "" {
		t.Errorf("the guard after saw %d units %.20q, want the edited ones", len(got), got)
	}
}

// A stream does not outlive the credentials that it was opened with.
func TestN8StreamOutlivesPrincipal(t *testing.T) {
	for name, contentType := range map[string]string{"events": sse, "lines": ndjson} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan []guard.Decision, 1)
				inner := build(t, allowing(guard.ResponseBody), done(ended)).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", contentType)
					io.WriteString(w, "1\n\n")
					time.Sleep(time.Minute - time.Nanosecond)
					if _, err := io.WriteString(w, "2\n\n"); err != nil {
						t.Errorf("writing while the principal lives: %v", err)
					}
					time.Sleep(time.Nanosecond)
					if _, err := io.WriteString(w, "secret\n\n"); err == nil {
						t.Error("writing after the principal expired gave no error")
					}
					if r.Context().Err() == nil {
						t.Error("the context goes on after the principal expired")
					}
				}))
				p := guard.NewPrincipal(guard.Principal{Subject: "alice", Expires: time.Now().Add(time.Minute)}, nil)
				r := httptest.NewRequest("GET", "/", nil)
				w := httptest.NewRecorder()
				func() {
					defer func() {
						if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // the very value that net/http looks for
							t.Errorf("recovered %v, want the connection broken", v)
						}
					}()
					inner.ServeHTTP(w, r.WithContext(guard.WithPrincipal(t.Context(), p)))
				}()
				if got := w.Body.String(); got != "1\n\n2\n\n" {
					t.Errorf("got %q, want %q", got, "1\n\n2\n\n")
				}
				ds := <-ended
				if d, ok := find(ds, guard.ReasonExpired); !ok || !d.Refused() {
					t.Errorf("decided %+v, want a refusal for %s", ds, guard.ReasonExpired)
				}
			})
		})
	}
}

// Where guards only monitor, a stream goes on as if they were not there.
func TestN8MonitoredStreamOutlivesPrincipal(t *testing.T) {
	inner := build(t, guard.Use{Mode: guard.ModeMonitor, Part: refusing(everyPhase)}).Handler(writing(sse, "data: 1\n\n"))
	h := handle(func(w http.ResponseWriter, r *http.Request) {
		p := guard.NewPrincipal(guard.Principal{Subject: "alice", Expires: time.Now().Add(-time.Hour)}, nil)
		inner.ServeHTTP(w, r.WithContext(guard.WithPrincipal(r.Context(), p)))
	})
	send(t, serve(t, h), "GET", "/", "").is(t, 200, "data: 1\n\n")
}

// A client that leaves a stream ends it, and is nobody's failure.
func TestN8ClientLeaves(t *testing.T) {
	ended := make(chan []guard.Decision, 1)
	h := build(t, allowing(guard.ResponseBody), done(ended)).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", sse)
		for r.Context().Err() == nil {
			io.WriteString(w, "data: x\n\n")
			if err := http.NewResponseController(w).Flush(); err != nil {
				break
			}
		}
	}))
	overBoth(t, h, func(t *testing.T, s *httptest.Server) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		res, err := s.Client().Do(request(t, s, "GET", "/", "").WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := io.Copy(io.Discard, res.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("reading on: %v", err)
		}
		for _, d := range receive(t, ended, "Done") {
			if d.Refused() && d.Cause != guard.CauseGone {
				t.Errorf("decided %+v", d)
			}
		}
	})
}
