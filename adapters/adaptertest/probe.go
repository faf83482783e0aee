package adaptertest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/palegate/palegate/guard"
)

// A probe is what a row tests with. It collects failures instead of reporting
// them, so that the suite can be tested itself.
type probe struct {
	adapter  Adapter
	patience time.Duration
	closers  []func()

	mu       sync.Mutex
	failures []string
}

func (p *probe) errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = append(p.failures, fmt.Sprintf(format, args...))
}

// fatalf ends the row. Handlers must not call it.
func (p *probe) fatalf(format string, args ...any) {
	p.errorf(format, args...)
	runtime.Goexit()
}

func (p *probe) close() {
	for _, f := range p.closers {
		f()
	}
}

// pipeline builds a pipeline that logs nothing.
func (p *probe) pipeline(parts ...guard.Part) *guard.Pipeline {
	pipeline, err := guard.New(append(parts, guard.Settings{Observer: silent{}})...)
	if err != nil {
		p.fatalf("%v", err)
	}
	return pipeline
}

// silent is an observer that hears nothing.
type silent struct{}

func (silent) Observe(guard.Event) {}

// serve starts a server of routes behind parts.
func (p *probe) serve(routes []Route, parts ...guard.Part) *server {
	return p.start(p.adapter.New(p.pipeline(parts...), routes), false)
}

// start starts a server of h, over HTTP/2 and TLS if h2.
func (p *probe) start(h http.Handler, h2 bool) *server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = h2
	if h2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	client := s.Client()
	client.Timeout = p.patience
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p.closers = append(p.closers, func() {
		s.CloseClientConnections()
		s.Close()
	})
	return &server{p, s, client}
}

type server struct {
	*probe
	*httptest.Server
	client *http.Client
}

// An answer is what a client got. Status is 0 if there was none, or if it broke
// off.
type answer struct {
	status  int
	header  http.Header
	trailer http.Header
	length  int64
	body    string
	err     error
}

func (a answer) String() string {
	return fmt.Sprintf("%d %q, error %v", a.status, a.body, a.err)
}

// do sends a request with a body, if not "", and fields of the header given as
// "Name: value".
func (s *server) do(method, target, body string, fields ...string) answer {
	r, err := http.NewRequestWithContext(context.Background(), method, s.URL+target, nil)
	if err != nil {
		s.fatalf("%v", err)
	}
	if body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Type", "text/plain")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Transfer-Encoding" {
			r.ContentLength = -1
			continue
		}
		r.Header.Set(name, value)
	}
	return s.send(r)
}

func (s *server) send(r *http.Request) answer {
	res, err := s.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a := answer{res.StatusCode, res.Header, res.Trailer, res.ContentLength, string(body), err}
	if err != nil {
		a.status = 0
	}
	return a
}

func (s *server) get(target string, fields ...string) answer {
	return s.do(http.MethodGet, target, "", fields...)
}

// dial opens a connection, on which nobody waits longer than patience.
func (s *server) dial() net.Conn {
	conn, err := (&net.Dialer{Timeout: s.patience}).Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		s.fatalf("%v", err)
	}
	_ = conn.SetDeadline(time.Now().Add(s.patience))
	s.closers = append(s.closers, func() { conn.Close() })
	return conn
}

// raw sends a request as it is written, with \n for line ends and a Host added,
// and returns all that comes until the server closes.
func (s *server) raw(request string) []byte {
	head, body, _ := strings.Cut(request, "\n\n")
	line, fields, _ := strings.Cut(head, "\n")
	head = line + "\nHost: example.com\nConnection: close\n" + fields
	conn := s.dial()
	defer conn.Close()
	_, err := io.WriteString(conn, strings.ReplaceAll(strings.TrimSpace(head), "\n", "\r\n")+"\r\n\r\n"+body)
	if err != nil {
		s.errorf("%q: %v", request, err)
	}
	b, _ := io.ReadAll(conn) // a reset connection has told all there is
	return b
}

// target is raw for a request without a body. It reads the answer.
func (s *server) target(method, target string, fields ...string) answer {
	b := s.raw(method + " " + target + " HTTP/1.1\n" + strings.Join(fields, "\n"))
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: method})
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, res.Trailer, res.ContentLength, string(body), err}
}

// wait waits for c, but not forever.
func (p *probe) wait(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-time.After(p.patience):
		return false
	}
}

// want reports that a is not an answer of that status and body.
func (p *probe) want(what string, a answer, status int, body string) {
	if a.status != status || a.body != body || a.err != nil {
		p.errorf("%s: got %v, want %d %q", what, a, status, body)
	}
}
