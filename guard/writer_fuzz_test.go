package guard_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

// redactor hides "secret" in bodies and trailers of responses, and refuses
// what holds "attack".
type redactor struct{}

func (redactor) Guard(guard.Guard) (guard.Guard, error) { return redactor{}, nil }
func (redactor) Phases() guard.Phase                    { return guard.ResponseHead | guard.ResponseBody }
func (redactor) Reasons() []guard.Reason                { return []guard.Reason{"test.refused"} }

func (redactor) Check(x *guard.Exchange, at guard.Phase) guard.Decision {
	m := x.Response()
	if at == guard.ResponseHead {
		for name, values := range m.Header() {
			if strings.Contains(strings.Join(values, ""), "secret") {
				m.Stage(guard.Edit{In: guard.InHeader, Name: name, Values: []string{"******"}})
			}
		}
		return guard.Decision{}
	}
	body, err := m.Body()
	if err != nil {
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Err: err}
	}
	if bytes.Contains(body.Bytes(), []byte("attack")) {
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Reason: "test.refused"}
	}
	if bytes.Contains(body.Bytes(), []byte("secret")) {
		m.Stage(guard.Edit{In: guard.InBody, Body: bytes.ReplaceAll(body.Bytes(), []byte("secret"), []byte("***"))})
	}
	for name, values := range m.Trailer() {
		if strings.Contains(strings.Join(values, ""), "secret") {
			m.Stage(guard.Edit{In: guard.InTrailer, Name: name, Values: []string{"***"}})
		}
	}
	return guard.Decision{}
}

// script is what a fuzzed handler does: a media type, then a call a byte.
type script []byte

var (
	scriptTypes  = []string{"application/json", "text/event-stream", "application/x-ndjson", "", "image/png", "text/plain", "application/octet-stream"}
	scriptPieces = []string{
		"secret", "sec", "ret", `{"a":1}`, "\n", "\n\n", "\r\n\r\n", "\r", "data: secret\n\n",
		"data: attack\n\n", "x", " ", "\x89PNG\r\n\x1a\n", `["secret"]`, "", strings.Repeat("y", 3000),
	}
	scriptStatus = []int{200, 201, 204, 304, 404, 500, 103, 103}
)

func (s script) mediaType() string {
	if len(s) == 0 {
		return ""
	}
	return scriptTypes[int(s[0])%len(scriptTypes)]
}

// ServeHTTP runs the script. Whoever can unwrap the writer, does.
func (s script) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if t := s.mediaType(); t != "" {
		w.Header().Set("Content-Type", t)
	}
	for _, op := range s[min(1, len(s)):] {
		arg := int(op >> 3)
		switch op & 7 {
		case 0:
			w.WriteHeader(scriptStatus[arg%len(scriptStatus)])
		case 1, 2, 3:
			_, _ = io.WriteString(w, scriptPieces[arg%len(scriptPieces)])
		case 4:
			_ = http.NewResponseController(w).Flush()
		case 5:
			w.Header().Set([]string{"X-A", "Etag", "Trailer", http.TrailerPrefix + "X-Late", "X-Sum", "Link"}[arg%6],
				[]string{"1", "secret", "X-Sum"}[arg%3])
		case 6:
			s.rare(w, arg)
		case 7:
			_, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader(scriptPieces[arg%len(scriptPieces)])})
		}
	}
}

func (s script) rare(w http.ResponseWriter, arg int) {
	switch arg % 4 {
	case 0:
		panic(http.ErrAbortHandler)
	case 1:
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")
		_ = rw.Flush()
		_ = conn.Close()
	case 2:
		if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
			_, _ = io.WriteString(u.Unwrap(), "secret")
		}
	}
}

func (s script) has(kind byte, arg int) bool {
	for _, op := range s[min(1, len(s)):] {
		if op&7 == kind && int(op>>3)%4 == arg {
			return true
		}
	}
	return false
}

// attacks reports whether the script writes what the redactor refuses.
func (s script) attacks() bool {
	for _, op := range s[min(1, len(s)):] {
		if kind := op & 7; (kind <= 3 && kind > 0 || kind == 7) && strings.Contains(scriptPieces[int(op>>3)%len(scriptPieces)], "attack") {
			return true
		}
	}
	return false
}

// outcome is what came over the wire.
type outcome struct {
	raw      []byte
	status   int
	body     []byte
	complete bool
}

func ask(t *testing.T, addr, method string) outcome {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Skip("no connection: ", err) // the fuzzing machine ran out of ports
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", method)
	raw, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, io.EOF) && len(raw) == 0 {
		return outcome{}
	}
	a := outcome{raw: raw}
	r := bufio.NewReader(bytes.NewReader(raw))
	req, _ := http.NewRequest(method, "/", nil)
	for {
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return a
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		a.status = resp.StatusCode
		a.body, err = io.ReadAll(resp.Body)
		a.complete = err == nil
		return a
	}
}

// runBoth returns what asks for a script's answer of the bare handler and of the
// same behind p.
func runBoth(f *testing.F, p *guard.Pipeline) func(t *testing.T, s script, head bool) (want, got outcome) {
	f.Helper()
	var current atomic.Pointer[script]
	run := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { current.Load().ServeHTTP(w, r) })
	bare, behind := quietServer(run), quietServer(p.Handler(run))
	f.Cleanup(bare.Close)
	f.Cleanup(behind.Close)
	return func(t *testing.T, s script, head bool) (want, got outcome) {
		t.Helper()
		current.Store(&s)
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		return ask(t, bare.Listener.Addr().String(), method), ask(t, behind.Listener.Addr().String(), method)
	}
}

// FuzzWriter runs any sequence of calls that a handler can make, bare and
// behind an enforced guard: no byte leaves unjudged, no status becomes another
// one, and a refusal is never an answer of 2xx.
func FuzzWriter(f *testing.F) {
	for kind := range byte(len(scriptTypes)) {
		f.Add([]byte{kind, 8 + 0, 1, 4, 9, 17}, false)
		f.Add([]byte{kind, 1, 6}, false)                             // panic after a write
		f.Add([]byte{kind, 121, 6}, false)                           // panic after a large write
		f.Add([]byte{kind, 1, 14}, false)                            // hijack after a write
		f.Add([]byte{kind, 22, 1}, false)                            // unwrap
		f.Add([]byte{kind, 48, 0, 1}, false)                         // 103, 200, write
		f.Add([]byte{kind, 65, 4, 73, 9, 17, 4, 41, 65}, false)      // events
		f.Add([]byte{kind, 85, 1, 29, 8*4 + 5, 37}, false)           // header and trailers
		f.Add([]byte{kind, 89, 4, 107, 1}, false)                    // space, then JSON
		f.Add([]byte{kind, 97, 1, 1}, true)                          // HEAD
		f.Add([]byte{kind, 13, 45, 1, 4, 41, 17, 9, 33, 4, 1}, true) // stale fields
		f.Add([]byte{kind, 21, 1, 37, 29}, false)                    // announced trailer
		f.Add([]byte{kind, 15, 23, 79, 111}, false)                  // ReadFrom
	}
	p, err := guard.New(redactor{}, guard.Settings{Observer: silent{}})
	if err != nil {
		f.Fatal(err)
	}
	both := runBoth(f, p)

	f.Fuzz(func(t *testing.T, ops []byte, head bool) {
		if len(ops) > 40 {
			return
		}
		s := script(ops)
		want, got := both(t, s, head)
		s.compare(t, want, got)
	})
}

func (s script) compare(t *testing.T, want, got outcome) {
	t.Helper()
	opaque := s.opaque()
	if !opaque && bytes.Contains(got.raw, []byte("secret")) {
		t.Fatalf("%q: an unjudged byte left:\n%s", []byte(s), got.raw)
	}
	if bytes.Contains(got.raw, []byte("attack")) && !opaque {
		t.Fatalf("%q: what was refused left:\n%s", []byte(s), got.raw)
	}
	if !want.complete && s.has(6, 0) && !s.has(6, 1) && s.waits() && got.status/100 == 2 {
		t.Fatalf("%q: what was held left when the handler panicked:\n%s", []byte(s), got.raw)
	}
	if s.has(6, 0) || s.has(6, 1) || got.status == http.StatusInternalServerError || !got.complete {
		if s.has(6, 0) && got.complete && got.status < 400 && !want.complete {
			t.Fatalf("%q: an aborted answer was completed:\n%s", []byte(s), got.raw)
		}
		if !s.has(6, 0) && !s.has(6, 1) && got.status != want.status && !s.attacks() && want.complete {
			t.Fatalf("%q: refused without a reason: got\n%s\nwant\n%s", []byte(s), got.raw, want.raw)
		}
		return // refused, aborted or hijacked
	}
	if got.status != want.status {
		t.Fatalf("%q: status %d became %d:\n%s", []byte(s), want.status, got.status, got.raw)
	}
	if !want.complete {
		return
	}
	body := want.body
	if !opaque {
		body = bytes.ReplaceAll(body, []byte("secret"), []byte("***"))
	}
	if !bytes.Equal(got.body, body) {
		t.Fatalf("%q: body\n got %q\nwant %q", []byte(s), got.body, body)
	}
}

// waits reports whether all of the answer waits for the end of the handler.
func (s script) waits() bool {
	for _, op := range s[min(1, len(s)):] {
		if status := scriptStatus[int(op>>3)%len(scriptStatus)]; op&7 == 0 && (status == 204 || status == 304) {
			return false
		}
	}
	switch s.mediaType() {
	case "application/json", "text/plain", "":
		return true
	}
	return false
}

// opaque says, in other words than the writer, whether guards do not get to
// see what the script writes: by its declared type, unless the first bytes that
// are not white space look like JSON.
func (s script) opaque() bool {
	first := ""
	for _, op := range s[min(1, len(s)):] {
		if kind := op & 7; kind <= 3 && kind > 0 || kind == 7 {
			first += scriptPieces[int(op>>3)%len(scriptPieces)]
		}
		if strings.Trim(first, " \t\r\n") != "" {
			break
		}
	}
	mediaType := s.mediaType()
	first = strings.TrimLeft(first, " \t\r\n")
	return (mediaType == "image/png" || mediaType == "application/octet-stream") &&
		first != "" && first[0] != '{' && first[0] != '['
}

// silent is an Observer that says nothing.
type silent struct{}

func (silent) Observe(guard.Event) {}

func quietServer(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	return s
}

// FuzzMonitored runs any sequence of calls bare and behind guards that would
// refuse and edit everything, but are only monitored: the wire carries the
// same bytes.
func FuzzMonitored(f *testing.F) {
	for kind := range byte(len(scriptTypes)) {
		f.Add([]byte{kind, 8 + 0, 1, 4, 9, 17}, false)
		f.Add([]byte{kind, 1, 6}, false)
		f.Add([]byte{kind, 1, 14}, false)
		f.Add([]byte{kind, 48, 0, 1}, false)
		f.Add([]byte{kind, 65, 4, 73, 9, 17, 4, 41, 65}, false)
		f.Add([]byte{kind, 85, 1, 29, 37, 122, 127}, false)
		f.Add([]byte{kind, 127, 122, 121}, true)
	}
	var uses []guard.Part
	for _, phase := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody, guard.Done} {
		uses = append(uses, guard.Use{Name: phase.String(), Mode: guard.ModeMonitor, Part: destroyer{phase}})
	}
	p, err := guard.New(append(uses, guard.Settings{Observer: silent{}})...)
	if err != nil {
		f.Fatal(err)
	}
	both := runBoth(f, p)

	f.Fuzz(func(t *testing.T, ops []byte, head bool) {
		s := script(ops)
		if len(ops) > 40 || s.has(6, 2) { // nothing to unwrap to behind the guard
			return
		}
		want, got := both(t, s, head)
		if !bytes.Equal(undated(want.raw), undated(got.raw)) {
			t.Fatalf("%q:\n got %.400q\nwant %.400q", []byte(s), got.raw, want.raw)
		}
	})
}

// destroyer refuses and edits whatever it sees.
type destroyer struct{ at guard.Phase }

func (d destroyer) Guard(guard.Guard) (guard.Guard, error) { return d, nil }
func (d destroyer) Phases() guard.Phase                    { return d.at }
func (d destroyer) Reasons() []guard.Reason                { return []guard.Reason{"test.refused"} }

func (d destroyer) Check(x *guard.Exchange, at guard.Phase) guard.Decision {
	for _, m := range []*guard.Message{x.Request(), x.Response()} {
		m.Stage(guard.Edit{In: guard.InBody, Body: []byte("destroyed")})
		m.Stage(guard.Edit{In: guard.InHeader, Name: "X-A", Values: []string{"destroyed"}})
		m.Stage(guard.Edit{In: guard.InTrailer, Name: "X-Sum", Values: []string{"destroyed"}})
	}
	return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseForbidden, Reason: "test.refused"}
}

var date = regexp.MustCompile(`Date: [^\r]*`)

// undated takes the time out of an answer.
func undated(raw []byte) []byte { return date.ReplaceAll(raw, []byte("Date: now")) }
