package guard_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
)

// upgrades are the two ways in which libraries for WebSocket take over a
// connection.
var upgrades = map[string]http.Handler{
	"raw": handle(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			http.Error(w, "secret: "+err.Error(), 500)
			return
		}
		defer conn.Close()
		rw.WriteString(crlf("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: echo", ""))
		echoLine(rw)
	}),
	"after WriteHeader": handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			io.WriteString(w, "secret: "+err.Error())
			return
		}
		defer conn.Close()
		echoLine(rw)
	}),
}

func echoLine(rw *bufio.ReadWriter) {
	rw.Flush()
	line, _ := rw.ReadString('\n')
	rw.WriteString("secret " + line)
	rw.Flush()
}

// upgrade asks for an upgrade, and sends a line when it has got it.
func upgrade(t *testing.T, s *httptest.Server) (status int, header http.Header, rest string) {
	t.Helper()
	conn := dial(t, s)
	io.WriteString(conn, crlf("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: echo", ""))
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		return res.StatusCode, res.Header, string(b)
	}
	io.WriteString(conn, "ping\n")
	b, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, res.Header, string(b)
}

func TestN9UpgradePasses(t *testing.T) {
	pipelines := map[string][]guard.Part{
		"request guards":          {allowing(guard.RequestHead | guard.RequestBody)},
		"head of the response":    {allowing(guard.RequestHead | guard.ResponseHead | guard.Done)},
		"done":                    {allowing(guard.Done)},
		"monitored response body": {guard.Use{Mode: guard.ModeMonitor, Part: refusing(guard.ResponseHead | guard.ResponseBody)}},
	}
	for name, parts := range pipelines {
		for how, h := range upgrades {
			t.Run(name+", "+how, func(t *testing.T) {
				status, header, rest := upgrade(t, serve(t, build(t, parts...).Handler(h)))
				if status != 101 || header.Get("Upgrade") != "echo" || rest != "secret ping\n" {
					t.Errorf("got %d %v %q, want 101, Upgrade: echo and %q", status, header, rest, "secret ping\n")
				}
			})
		}
	}
}

// What is sent on a connection that was taken over nobody sees; so where a
// guard must see what is answered, it is not given away.
func TestN9UpgradeRefused(t *testing.T) {
	for how, h := range upgrades {
		t.Run(how, func(t *testing.T) {
			seen := &diary{}
			p := build(t, allowing(guard.ResponseBody), guard.Settings{Observer: seen})
			status, header, rest := upgrade(t, serve(t, p.Handler(h)))
			answer{status: status, header: header, body: rest}.refuses(t, 500, guard.ReasonHijacked)
			if got := header.Get("Upgrade"); got != "" {
				t.Errorf("the refusal has Upgrade: %s", got)
			}
			if ds := seen.all(); len(ds) != 1 || !ds[0].Refused() || ds[0].Reason != guard.ReasonHijacked {
				t.Errorf("decided %+v, want one refusal for %s", ds, guard.ReasonHijacked)
			}
		})
	}
}

func TestN9UpgradeRefusedByGuard(t *testing.T) {
	p := build(t, policy{guard.ResponseHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		if x.Response().Status() == http.StatusSwitchingProtocols {
			return forbidden()
		}
		return guard.Decision{}
	}})
	for how, h := range upgrades {
		t.Run(how, func(t *testing.T) {
			status, header, rest := upgrade(t, serve(t, p.Handler(h)))
			answer{status: status, header: header, body: rest}.refuses(t, 403, refused)
		})
	}
}

// A handler that finds that it can't take over the connection answers in the
// usual way, and its answer is judged.
func TestN9AnswerAfterFailedHijack(t *testing.T) {
	h := build(t, allowing(guard.ResponseHead)).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
			t.Error("hijacked over HTTP/2")
		}
		http.Error(w, "no upgrade over HTTP/2", 426)
	}))
	send(t, start(t, h, true), "GET", "/", "").is(t, 426, "no upgrade over HTTP/2\n")
}

func TestN9WritesAfterHijack(t *testing.T) {
	for _, tt := range writers {
		if tt.held {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Errorf("Hijack: %v", err)
					return
				}
				defer conn.Close()
				if _, err := io.WriteString(w, "secret"); !errors.Is(err, http.ErrHijacked) {
					t.Errorf("writing after Hijack: error %v, want %v", err, http.ErrHijacked)
				}
				w.WriteHeader(500)
				io.WriteString(conn, "raw")
			}))
			if got := wire(t, serve(t, h), crlf("GET / HTTP/1.1", "Host: a", "")); got != "raw" {
				t.Errorf("got %q, want %q", got, "raw")
			}
		})
	}
}

// A client that only asks for an upgrade and gets an ordinary answer is
// judged as any other.
func TestN9UpgradeDeclined(t *testing.T) {
	h := build(t, masking(guard.ResponseBody, "*****")).Handler(writing("text/plain", "a secret"))
	status, _, rest := upgrade(t, serve(t, h))
	if status != 200 || !strings.HasPrefix(rest, "a *****") {
		t.Errorf("got %d %q, want 200 %q", status, rest, "a *****")
	}
}
