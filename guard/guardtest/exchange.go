package guardtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/payload"
)

// exchange is a request and its answer as [Conform] sends them.
type exchange struct {
	name     string
	pattern  string        // the route; "" for none
	template *http.Request // without its body
	body     []byte
	chunked  bool // of a length that is not told
	options  options
	answer   answer
}

func (e *exchange) String() string {
	return fmt.Sprintf("%s (%s), answered with %s", e.name, e.template.Method, e.answer.name)
}

// request returns e's request as a server gets it.
func (e *exchange) request(ctx context.Context) *http.Request {
	r := e.template.WithContext(ctx)
	r.Body, r.ContentLength = http.NoBody, int64(len(e.body))
	if len(e.body) > 0 || e.chunked {
		r.Body = io.NopCloser(bytes.NewReader(e.body))
	}
	if e.chunked {
		r.ContentLength = -1
	}
	return e.options.request(r)
}

// handler returns the handler that answers e behind p, if there is a p.
func (e *exchange) handler(p *guard.Pipeline) http.Handler { return e.behind(p, e.answer) }

func (e *exchange) behind(p *guard.Pipeline, next http.Handler) http.Handler {
	if e.pattern != "" {
		mux := http.NewServeMux()
		mux.Handle(e.pattern, next)
		next = mux
	}
	if p == nil {
		return next
	}
	return p.Handler(next)
}

// call makes a call of e as the adapter of another transport does. body makes
// the bytes that guards get.
func (e *exchange) call(ctx context.Context, p *guard.Pipeline, body func([]byte) []byte) {
	r := e.request(ctx)
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		peer = netip.AddrPort{} // unknown, as on a Unix socket
	}
	s := p.Begin(r.Context(), guard.Call{Route: e.pattern, Host: r.Host, Header: r.Header, Peer: peer})
	defer s.End()
	if s.Judge(guard.RequestHead).Refused() {
		return
	}
	for range 2 { // a stream of two messages
		if _, _, d := s.JudgeBody(guard.RequestBody, payload.New(body(e.body))); d.Refused() {
			return
		}
	}
	s.SetHead(e.answer.status, e.answer.head())
	if s.Judge(guard.ResponseHead).Refused() {
		return
	}
	for _, part := range e.answer.parts {
		if _, _, d := s.JudgeBody(guard.ResponseBody, payload.New(body([]byte(part)))); d.Refused() {
			return
		}
	}
}

// answer is what the handler answers.
type answer struct {
	name    string
	status  int
	header  []string // name, value, …
	parts   []string // each is flushed
	trailer string   // the value of X-Sum
}

func (a answer) head() http.Header {
	h := http.Header{}
	for i := 0; i+1 < len(a.header); i += 2 {
		h.Add(a.header[i], a.header[i+1])
	}
	if a.trailer != "" {
		h.Set("Trailer", "X-Sum")
	}
	return h
}

func (a answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // what is wrong with it is not the answer's matter
	maps.Copy(w.Header(), a.head())
	w.WriteHeader(a.status)
	for i, part := range a.parts {
		if i > 0 {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, part)
	}
	if a.trailer != "" {
		w.Header().Set("X-Sum", a.trailer)
	}
}
