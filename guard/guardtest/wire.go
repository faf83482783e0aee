package guardtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/palegate/palegate/guard"
)

// deadline is for an answer from the server. What blocks at all has been found
// by then, so it only has to end.
const deadline = 5 * patience

// wire sends every exchange to a server twice, without the guard and with it
// monitored, and compares what the handler and the client get, byte for byte.
func (s *subject) wire() bool {
	p, err := s.pipeline(guard.ModeMonitor, s.part)
	if err != nil {
		s.report.addf(ruleUpdate, "the guard cannot be made again: %v", err)
		return true
	}
	srv := newServer()
	for i := range s.exchanges {
		e := &s.exchanges[i]
		without, err := srv.send(e, nil)
		if err == nil {
			var with heard
			if with, err = srv.send(e, p); err == nil {
				s.compare(e, without, with)
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.report.addf(ruleBlocks, "%s, monitored: no answer in %v", e, deadline)
			go srv.http.Close() // it waits for the handler
			return false
		}
		if err != nil {
			s.report.addf(ruleEdits, "%s, monitored: no answer: %v", e, err)
		}
	}
	srv.http.Close()
	return true
}

func (s *subject) compare(e *exchange, without, with heard) {
	for what, got := range map[string][2]string{
		"the handler gets": {without.handler, with.handler},
		"the client gets":  {without.client, with.client},
	} {
		if a, b := difference(got[0], got[1]); a != b {
			s.report.addf(ruleEdits, "%s: %s %q with the guard monitored, and %q without it", e, what, b, a)
		}
	}
}

// difference returns the first lines of a and b that differ.
func difference(a, b string) (inA, inB string) {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(as), len(bs)) {
		inA, inB = at(as, i), at(bs, i)
		if inA != inB {
			return inA, inB
		}
	}
	return "", ""
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// heard is what both ends of an exchange get.
type heard struct{ handler, client string }

// server has another handler for each exchange.
type server struct {
	http    *httptest.Server
	handler atomic.Pointer[http.HandlerFunc]
}

func newServer() *server {
	s := &server{}
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*s.handler.Load())(w, r)
	}))
	return s
}

// send sends e to the server, with p in front of the handler if there is one.
func (s *server) send(e *exchange, p *guard.Pipeline) (heard, error) {
	var handler atomic.Pointer[string]
	inner := e.behind(p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := dump(r)
		handler.Store(&text)
		e.answer.ServeHTTP(w, r)
	}))
	template := e.request(context.Background())
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil // none is sent
		r = r.WithContext(guard.WithPrincipal(r.Context(), e.options.principal))
		r.RemoteAddr = template.RemoteAddr
		inner.ServeHTTP(w, r)
	})
	s.handler.Store(&serve)

	template.Close = true
	var request bytes.Buffer
	if err := template.Write(&request); err != nil {
		return heard{}, err
	}
	client, err := s.roundTrip(request.Bytes())
	h := heard{client: client}
	if text := handler.Load(); text != nil {
		h.handler = *text
	}
	return h, err
}

// exchange sends bytes and returns all that comes back.
func (s *server) roundTrip(request []byte) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "tcp", s.http.Listener.Addr().String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		return "", err
	}
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// dump writes all that a handler sees of r.
func dump(r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s %q\nhost %s, from %s\nlength %d %q\n",
		r.Method, r.RequestURI, r.Proto, r.URL, r.Pattern, r.Host, r.RemoteAddr, r.ContentLength, r.TransferEncoding)
	_ = r.Header.Write(&b)
	_ = r.Trailer.Write(&b)
	fmt.Fprintf(&b, "form %v %v %v\nbody %d %v\n%s", r.Form, r.PostForm, r.MultipartForm, len(body), err, body)
	return b.String()
}
