package guard_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/internal/bufpool"
)

func TestMain(m *testing.M) {
	// Memory given back is overwritten, so that tests see who still reads it.
	bufpool.Poison.Store(true)
	os.Exit(m.Run())
}

// patience bounds what should happen at once.
const patience = 30 * time.Second

// Reasons of the guards that tests make.
const (
	refused guard.Reason = "test.refused"
	masked  guard.Reason = "test.masked"
)

const everyPhase = guard.RequestHead | guard.RequestBody | guard.ResponseHead | guard.ResponseBody | guard.Done

// policy is a guard made of a function, and its own Part.
type policy struct {
	phases guard.Phase
	check  func(x *guard.Exchange, at guard.Phase) guard.Decision
}

func (p policy) Guard(guard.Guard) (guard.Guard, error) { return p, nil }
func (p policy) Phases() guard.Phase                    { return p.phases }
func (policy) Reasons() []guard.Reason                  { return []guard.Reason{refused, masked} }

func (p policy) Check(x *guard.Exchange, at guard.Phase) guard.Decision { return p.check(x, at) }

// allowing judges at phases and lets everything pass.
func allowing(phases guard.Phase) policy {
	return policy{phases, func(*guard.Exchange, guard.Phase) guard.Decision { return guard.Decision{} }}
}

// refusing refuses everything at phases.
func refusing(phases guard.Phase) policy {
	return policy{phases, func(*guard.Exchange, guard.Phase) guard.Decision { return forbidden() }}
}

func forbidden() guard.Decision {
	return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseForbidden, Reason: refused}
}

// panicking panics at phases.
func panicking(phases guard.Phase) policy {
	return policy{phases, func(*guard.Exchange, guard.Phase) guard.Decision { panic("secret of a guard") }}
}

// masking replaces "secret" by mask in bodies and their trailers.
func masking(phases guard.Phase, mask string) policy {
	return policy{phases, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		m := messageAt(x, at)
		b, err := m.Body()
		if err != nil {
			return guard.Decision{Effect: guard.Refuse, Reason: refused, Err: err}
		}
		if bytes.Contains(b.Bytes(), []byte("secret")) {
			m.Stage(guard.Edit{In: guard.InBody, Body: bytes.ReplaceAll(b.Bytes(), []byte("secret"), []byte(mask))})
		}
		for name, values := range m.Trailer() {
			if strings.Contains(strings.Join(values, ","), "secret") {
				m.Stage(guard.Edit{In: guard.InTrailer, Name: name, Values: []string{mask}})
			}
		}
		return guard.Decision{}
	}}
}

// rejecting refuses bodies that contain word.
func rejecting(phases guard.Phase, word string) policy {
	return policy{phases, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		b, err := messageAt(x, at).Body()
		if err != nil || bytes.Contains(b.Bytes(), []byte(word)) {
			return forbidden()
		}
		return guard.Decision{}
	}}
}

func messageAt(x *guard.Exchange, at guard.Phase) *guard.Message {
	if at&(guard.RequestHead|guard.RequestBody) != 0 {
		return x.Request()
	}
	return x.Response()
}

// build builds a pipeline that logs nothing. Policies without a Use are named
// by their place: "test0", "test1".
func build(t testing.TB, parts ...guard.Part) *guard.Pipeline {
	t.Helper()
	parts = slices.Clone(parts)
	observed := false
	for i, part := range parts {
		switch part := part.(type) {
		case policy:
			parts[i] = guard.Use{Name: "test" + strconv.Itoa(i), Part: part}
		case guard.Settings:
			if part.Observer == nil {
				part.Observer = &diary{}
				parts[i] = part
			}
			observed = true
		}
	}
	if !observed {
		parts = append(parts, guard.Settings{Observer: &diary{}})
	}
	p, err := guard.New(parts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// diary is an Observer that remembers what was decided.
type diary struct {
	mu        sync.Mutex
	decisions []guard.Decision
}

func (d *diary) Observe(e guard.Event) {
	if e.Exchange == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.decisions = append(d.decisions, e.Decision)
}

// all returns what was decided since it was last asked.
func (d *diary) all() []guard.Decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.decisions
	d.decisions = nil
	return all
}

// find returns the first decision of ds with that reason.
func find(ds []guard.Decision, reason guard.Reason) (guard.Decision, bool) {
	i := slices.IndexFunc(ds, func(d guard.Decision) bool { return d.Reason == reason })
	if i < 0 {
		return guard.Decision{}, false
	}
	return ds[i], true
}

// handle makes tables of handlers shorter.
func handle(f func(w http.ResponseWriter, r *http.Request)) http.Handler { return http.HandlerFunc(f) }

// writing answers with body as contentType.
func writing(contentType, body string) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		io.WriteString(w, body)
	})
}

// serve serves h over HTTP/1.1.
func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	return start(t, h, false)
}

// overBoth runs a test over HTTP/1.1 and over HTTP/2.
func overBoth(t *testing.T, h http.Handler, test func(t *testing.T, s *httptest.Server)) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, start(t, h, false)) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, start(t, h, true)) })
}

func start(t testing.TB, h http.Handler, http2 bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if http2 {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	client := s.Client()
	client.Timeout = patience
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Transport.(*http.Transport).DisableCompression = true
	return s
}

// answer is what a client got.
type answer struct {
	status          int
	proto           string
	length          int64
	header, trailer http.Header
	body            string
	err             error // of the exchange, or of reading the body
}

// send sends a request; header holds lines such as "Accept: text/html".
func send(t testing.TB, s *httptest.Server, method, path, body string, header ...string) answer {
	t.Helper()
	return do(s, request(t, s, method, path, body, header...))
}

func request(t testing.TB, s *httptest.Server, method, path, body string, header ...string) *http.Request {
	t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, s.URL+path, from)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func do(s *httptest.Server, r *http.Request) answer {
	res, err := s.Client().Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Proto, res.ContentLength, res.Header, res.Trailer, string(b), err}
}

// is fails the test unless a is a whole answer of that status and body.
func (a answer) is(t testing.TB, status int, body string) {
	t.Helper()
	if a.err != nil || a.status != status || a.body != body {
		t.Errorf("got %d %.999q (error %v), want %d %.999q", a.status, a.body, a.err, status, body)
	}
}

// problem is a refusal as a client reads it.
type problem struct {
	Type       string
	Title      string
	Status     int
	Code       guard.Reason
	ID         string
	Violations []guard.Violation
}

// refuses fails the test unless a refuses with that status and code, and with
// nothing of what handlers and guards of these tests keep to themselves.
func (a answer) refuses(t testing.TB, status int, code guard.Reason) {
	t.Helper()
	var p problem
	if a.err != nil || json.Unmarshal([]byte(a.body), &p) != nil {
		t.Errorf("got %d %q (error %v), want a problem of status %d and code %q", a.status, a.body, a.err, status, code)
		return
	}
	if a.status != status || p.Status != status || p.Code != code || p.ID == "" {
		t.Errorf("got %d %q, want status %d, code %q and an id", a.status, a.body, status, code)
	}
	if strings.Contains(a.body, "secret") {
		t.Errorf("the refusal %q has a secret", a.body)
	}
	for name, want := range map[string]string{
		"Content-Type":           "application/problem+json",
		"Content-Length":         strconv.Itoa(len(a.body)),
		"Cache-Control":          "no-store",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s of a refusal: got %q, want %q", name, got, want)
		}
	}
}

// crlf joins lines as they are on the wire.
func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

var dateLine = regexp.MustCompile(`(?m)^Date: [^\r\n]*GMT`)

// wire sends bytes on a connection of its own and returns what comes back
// until the server closes it, with the date made the same for all.
func wire(t testing.TB, s *httptest.Server, bytes string) string {
	t.Helper()
	conn := dial(t, s)
	if _, err := io.WriteString(conn, bytes); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("after %q: %v", got, err)
	}
	return dateLine.ReplaceAllLiteralString(string(got), "Date: then")
}

// dial connects to s, for the time that something should take at once.
func dial(t testing.TB, s *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// tap stands outside a pipeline and counts what leaves it.
type tap struct {
	http.ResponseWriter

	mu       sync.Mutex
	statuses []int
	written  []byte
}

func (w *tap) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *tap) WriteHeader(status int) {
	w.mu.Lock()
	w.statuses = append(w.statuses, status)
	w.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

func (w *tap) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.written = append(w.written, p...)
	w.mu.Unlock()
	return w.ResponseWriter.Write(p)
}

// left returns what has left so far.
func (w *tap) left() (statuses []int, written string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.statuses), string(w.written)
}

// receive returns what comes on c, at once.
func receive[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
	}
	return v
}

func length(s string) string { return strconv.Itoa(len(s)) }
