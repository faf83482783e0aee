package guard_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/palegate/palegate/guard"
)

// unreachable is a handler that must not be called.
func unreachable(t *testing.T) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the handler was reached by %s %s", r.Method, r.URL)
	})
}

// A refusal that needs no body costs the client no upload.
func TestN6ExpectContinueRefused(t *testing.T) {
	tests := []struct {
		name   string
		parts  []guard.Part
		header []string
		status int
		code   guard.Reason
	}{
		{"by the head, before body guards", []guard.Part{allowing(everyPhase), refusing(guard.RequestHead)}, []string{"Content-Length: 100"}, 403, refused},
		{"by the head, chunked", []guard.Part{allowing(everyPhase), refusing(guard.RequestHead)}, []string{"Transfer-Encoding: chunked"}, 403, refused},
		{"a panic at the head", []guard.Part{panicking(guard.RequestHead)}, []string{"Content-Length: 100"}, 500, guard.ReasonPanic},
		{"too long", []guard.Part{allowing(guard.RequestBody), guard.Settings{Limits: guard.Limits{Request: 10}}}, []string{"Content-Length: 11"}, 413, guard.ReasonTooLarge},
		{"far too long", []guard.Part{allowing(guard.RequestBody)}, []string{"Content-Length: 9223372036854775807"}, 413, guard.ReasonTooLarge},
		{"unknown encoding", []guard.Part{allowing(guard.RequestBody)}, []string{"Content-Length: 100", "Content-Encoding: x-secret"}, 415, guard.ReasonEncoding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := dial(t, serve(t, build(t, tt.parts...).Handler(unreachable(t))))
			head := append([]string{"POST / HTTP/1.1", "Host: a", "Expect: 100-continue"}, tt.header...)
			io.WriteString(conn, crlf(append(head, "")...))
			// The first answer there is, be it 100 or final.
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			answer{status: res.StatusCode, header: res.Header, body: string(b), err: err}.refuses(t, tt.status, tt.code)
		})
	}
}

func TestN6ExpectContinueAsked(t *testing.T) {
	tests := []struct {
		name      string
		part      guard.Part
		reads     bool // the handler does
		continues bool // the client hears 100
	}{
		{"a guard reads", masking(guard.RequestBody, "*****"), false, true},
		{"the handler reads", allowing(guard.RequestHead), true, true},
		{"nobody reads", allowing(guard.RequestHead), false, false},
		{"a monitored guard would read", guard.Use{Mode: guard.ModeMonitor, Part: refusing(everyPhase)}, false, false},
		{"the handler reads, a monitored guard too", guard.Use{Mode: guard.ModeMonitor, Part: refusing(everyPhase)}, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				if tt.reads {
					io.Copy(io.Discard, r.Body)
				}
				io.WriteString(w, "answer")
			})))
			conn := dial(t, s)
			io.WriteString(conn, crlf("POST / HTTP/1.1", "Host: a", "Connection: close", "Expect: 100-continue", "Content-Length: 6", ""))
			if tt.continues {
				want := crlf("HTTP/1.1 100 Continue", "")
				got := make([]byte, len(want))
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
					t.Fatalf("got %q, error %v; want %q", got, err, want)
				}
				io.WriteString(conn, "secret")
			}
			got, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 OK") || !strings.HasSuffix(string(got), "answer") {
				t.Errorf("got %q, error %v; want the handler's answer", got, err)
			}
		})
	}
}

// described tells what a handler sees of its request's body.
func described(r *http.Request) string {
	before := r.Trailer.Get("X-Sum")
	b, err := io.ReadAll(r.Body)
	n, again := r.Body.Read(make([]byte, 1))
	return fmt.Sprintf("%s, length %d, header %q, coding %q, error %v, again %d %v, trailer %q then %q",
		b, r.ContentLength, r.Header["Content-Length"], r.TransferEncoding, err, n, again, before, r.Trailer.Get("X-Sum"))
}

// The handler gets what was judged, and its request tells the truth about it.
func TestN7RequestBody(t *testing.T) {
	replace := func(with string) policy {
		return policy{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			x.Request().Stage(guard.Edit{Body: []byte(with)})
			return guard.Decision{}
		}}
	}
	framings := map[string]string{
		"counted": crlf("POST / HTTP/1.1", "Host: a", "Connection: close", "Content-Length: 8", "") + "a secret",
		"chunked": crlf("POST / HTTP/1.1", "Host: a", "Connection: close", "Transfer-Encoding: chunked", "Trailer: X-Sum", "",
			"3", "a s", "5;x=y", "ecret", "0", "X-Sum: 42", ""),
	}
	tests := []struct {
		name string
		part guard.Part
		want string
	}{
		{"as it was", allowing(guard.RequestBody), "a secret"},
		{"shorter", replace("short"), "short"},
		{"longer", masking(guard.RequestBody, strings.Repeat("*", 10_000)), "a " + strings.Repeat("*", 10_000)},
		{"emptied", replace(""), ""},
	}
	for _, tt := range tests {
		for framing, sent := range framings {
			t.Run(tt.name+", "+framing, func(t *testing.T) {
				got := make(chan string, 1)
				s := serve(t, build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) { got <- described(r) })))
				wire(t, s, sent)
				sum := ""
				if framing == "chunked" {
					sum = "42" // the body was read, so the trailer is there before the handler reads
				}
				want := fmt.Sprintf("%s, length %d, header [%q], coding [], error <nil>, again 0 EOF, trailer %q then %q", tt.want, len(tt.want), length(tt.want), sum, sum)
				if got := receive(t, got, "request"); got != want {
					t.Errorf("the handler saw %.200s\nwant %.200s", got, want)
				}
			})
		}
	}
}

// Middleware outside the pipeline keeps its own request as it was.
func TestN7RequestOutsideStaysAsItWas(t *testing.T) {
	inner := build(t, masking(guard.RequestBody, "*")).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Inside", "1")
	}))
	s := serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		body := r.Body
		inner.ServeHTTP(w, r)
		if got := r.Header.Get("Content-Length"); got != "8" || r.ContentLength != 8 || r.Body != body {
			t.Errorf("outside, after: Content-Length %q, ContentLength %d", got, r.ContentLength)
		}
	}))
	send(t, s, "POST", "/", "a secret").is(t, 200, "")
}

func TestN7GuardsSeeTheBody(t *testing.T) {
	check := func(x *guard.Exchange, at guard.Phase) guard.Decision {
		b, err := x.Request().Body()
		switch at {
		case guard.RequestBody:
			if err != nil || string(b.Bytes()) != "body" {
				t.Errorf("at %v: error %v, want the body", at, err)
			}
		default:
			if !errors.Is(err, guard.ErrNoBody) {
				t.Errorf("the request's body at %v: error %v, want %v", at, err, guard.ErrNoBody)
			}
		}
		if _, err := x.Response().Body(); (err == nil) != (at == guard.ResponseBody) {
			t.Errorf("the response's body at %v: error %v", at, err)
		}
		return guard.Decision{}
	}
	for _, mode := range []guard.Mode{guard.ModeEnforce, guard.ModeMonitor} {
		p := build(t, guard.Use{Mode: mode, Part: policy{everyPhase, check}})
		overBoth(t, p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
			if _, err := guard.From(r.Context()).Request().Body(); !errors.Is(err, guard.ErrNoBody) {
				t.Errorf("the body that the handler can get from the exchange: error %v, want %v", err, guard.ErrNoBody)
			}
			io.Copy(w, r.Body)
		})), func(t *testing.T, s *httptest.Server) { send(t, s, "POST", "/", "body").is(t, 200, "body") })
	}
}

func TestN7NoBody(t *testing.T) {
	var judged atomic.Int32
	p := build(t, policy{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		judged.Add(1)
		if b, err := x.Request().Body(); err != nil || len(b.Bytes()) > 0 {
			t.Errorf("error %v, want an empty body", err)
		}
		return guard.Decision{}
	}})
	h := p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.ContentLength, r.TransferEncoding)
	}))
	overBoth(t, h, func(t *testing.T, s *httptest.Server) {
		send(t, s, "GET", "/", "").is(t, 200, "0 []")
		send(t, s, "DELETE", "/", "", "Content-Length: 0").is(t, 200, "0 []")
		do(s, chunked(t, s, "")).is(t, 200, "0 []")
	})
	if n := judged.Load(); n != 6 {
		t.Errorf("judged %d of 6 requests without a body", n)
	}
}

// A guard can give a request that had none a body.
func TestN7BodyAdded(t *testing.T) {
	p := build(t, policy{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		x.Request().Stage(guard.Edit{Body: []byte("added")})
		return guard.Decision{}
	}})
	overBoth(t, p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %d %s", b, err, r.ContentLength, r.Header["Content-Length"])
	})), func(t *testing.T, s *httptest.Server) { send(t, s, "POST", "/", "").is(t, 200, "added <nil> 5 [5]") })
}

func TestN7EditsOfTheHead(t *testing.T) {
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody} {
		edit := policy{at, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			for _, e := range []guard.Edit{
				{In: guard.InHeader, Name: "x-token", Values: []string{"*"}},
				{In: guard.InHeader, Name: "X-Gone"},
				{In: guard.InQuery, Name: "q", Values: []string{"* &"}},
				{In: guard.InCookie, Name: "session", Values: []string{"*"}},
			} {
				x.Request().Stage(e)
			}
			return guard.Decision{}
		}}
		after := policy{at, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			if got := x.Request().Header().Get("X-Token"); got != "*" {
				t.Errorf("at %v the guard after sees X-Token: %q, want the edit", at, got)
			}
			if got := x.Request().HTTP().URL.Query().Get("q"); got != "* &" {
				t.Errorf("at %v the guard after sees q=%q, want the edit", at, got)
			}
			return guard.Decision{}
		}}
		h := build(t, edit, after).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			c, _ := r.Cookie("session")
			fmt.Fprint(w, r.Header.Get("X-Token"), r.Header.Values("X-Gone"), r.URL.Query().Get("q"), r.URL.Query().Get("p"), c.Value, string(b))
		}))
		overBoth(t, h, func(t *testing.T, s *httptest.Server) {
			send(t, s, "POST", "/?p=1&q=secret", "body", "X-Token: secret", "X-Gone: secret", "Cookie: a=b; session=secret").
				is(t, 200, "*[]* &1*body")
		})
	}
}

func TestN7RequestTrailersAreEdited(t *testing.T) {
	p := build(t, policy{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		if got := x.Request().Trailer().Get("X-Sum"); got != "secret" {
			t.Errorf("the guard sees X-Sum: %q", got)
		}
		x.Request().Stage(guard.Edit{In: guard.InTrailer, Name: "X-Sum", Values: []string{"*"}})
		return guard.Decision{}
	}})
	overBoth(t, p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
		io.WriteString(w, r.Trailer.Get("X-Sum"))
	})), func(t *testing.T, s *httptest.Server) {
		r := request(t, s, "POST", "/", "")
		r.Body = io.NopCloser(strings.NewReader("body"))
		r.ContentLength = -1
		r.Trailer = http.Header{"X-Sum": {"secret"}}
		do(s, r).is(t, 200, "body*")
	})
}

// A MaxBytesReader of a middleware outside says the same as the limit.
func TestN7MaxBytesOutside(t *testing.T) {
	inner := build(t, allowing(guard.RequestBody)).Handler(unreachable(t))
	outer := map[string]http.Handler{
		"http.MaxBytesHandler": http.MaxBytesHandler(inner, 10),
		"http.MaxBytesReader": handle(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 10)
			inner.ServeHTTP(w, r)
		}),
	}
	for name, h := range outer {
		t.Run(name, func(t *testing.T) {
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				send(t, s, "POST", "/", strings.Repeat("x", 100)).refuses(t, 413, guard.ReasonTooLarge)
				do(s, chunked(t, s, strings.Repeat("x", 100))).refuses(t, 413, guard.ReasonTooLarge)
			})
		})
	}
}

// chunked is a request that does not tell its length.
func chunked(t *testing.T, s *httptest.Server, body string) *http.Request {
	r := request(t, s, "POST", "/", "")
	r.Body = io.NopCloser(strings.NewReader(body))
	r.ContentLength = -1
	return r
}

func TestN7Limit(t *testing.T) {
	reached := 0
	p := build(t, allowing(guard.RequestBody), guard.Settings{Limits: guard.Limits{Request: 100}})
	s := serve(t, p.Handler(handle(func(w http.ResponseWriter, r *http.Request) { reached++; io.Copy(w, r.Body) })))
	for _, n := range []int{0, 1, 99, 100} {
		body := strings.Repeat("x", n)
		send(t, s, "POST", "/", body).is(t, 200, body)
		do(s, chunked(t, s, body)).is(t, 200, body)
	}
	if reached != 8 {
		t.Errorf("the handler was reached %d times, want 8", reached)
	}
	for _, n := range []int{101, 1 << 20} {
		body := strings.Repeat("x", n)
		send(t, s, "POST", "/", body).refuses(t, 413, guard.ReasonTooLarge)
		do(s, chunked(t, s, body)).refuses(t, 413, guard.ReasonTooLarge)
	}
	if reached != 8 {
		t.Error("a refused body reached the handler")
	}
}

// A request that ends early is nobody's failure but the client's, and does not
// reach the handler.
func TestN7TruncatedBody(t *testing.T) {
	requests := map[string]string{
		"counted":   crlf("POST / HTTP/1.1", "Host: a", "Content-Length: 100", "") + "half",
		"chunked":   crlf("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "", "4", "half", "10", "x"),
		"malformed": crlf("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "", "4", "half", "zz", "x"),
	}
	for name, bytes := range requests {
		t.Run(name, func(t *testing.T) {
			ended := make(chan []guard.Decision, 1)
			s := serve(t, build(t, allowing(guard.RequestBody), done(ended)).Handler(unreachable(t)))
			conn := dial(t, s)
			io.WriteString(conn, bytes)
			conn.(*net.TCPConn).CloseWrite()
			got, _ := io.ReadAll(conn)
			if len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 4") {
				t.Errorf("got %q, want a refusal that blames the client", got)
			}
			ds := receive(t, ended, "Done")
			if len(ds) != 1 || !ds[0].Refused() || ds[0].Reason != guard.ReasonTruncated && ds[0].Reason != guard.ReasonGone || ds[0].Err != nil {
				t.Errorf("decided %+v, want %s or %s", ds, guard.ReasonTruncated, guard.ReasonGone)
			}
		})
	}
}

// Guards judge the same bytes one after another, each with the edits of those
// before; the first that refuses ends it.
func TestN7OneGuardAfterAnother(t *testing.T) {
	var saw []string
	step := func(name string, to []byte) policy {
		return policy{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			b, err := x.Request().Body()
			if err != nil {
				t.Error(err)
				return forbidden()
			}
			saw = append(saw, name+":"+string(b.Bytes()))
			if bytes.Equal(b.Bytes(), []byte("3")) {
				return forbidden()
			}
			x.Request().Stage(guard.Edit{Body: to})
			return guard.Decision{}
		}}
	}
	s := serve(t, build(t, step("a", []byte("2")), step("b", []byte("3")), step("c", []byte("4")), step("d", nil)).Handler(unreachable(t)))
	send(t, s, "POST", "/", "1").refuses(t, 403, refused)
	if want := []string{"a:1", "b:2", "c:3"}; !slices.Equal(saw, want) {
		t.Errorf("guards saw %q, want %q", saw, want)
	}
}
