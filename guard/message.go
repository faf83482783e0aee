package guard

import (
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/palegate/palegate/guard/payload"
)

// ErrNoBody is what [Message.Body] returns where there is no body to see: it
// has not been read yet, no guard asked for it, or the exchange has ended.
var ErrNoBody = errors.New("guard: the body is not there at this phase")

// A Message is one direction of an exchange. Guards read it and stage edits;
// they must not change what its methods return. It is theirs: of its methods
// only Status is safe for concurrent use, by handlers for instance.
type Message struct {
	x          *Exchange
	isResponse bool
	http       *http.Request
	header     http.Header
	trailer    http.Header
	status     atomic.Int32
	body       payload.Body
	hasBody    bool
	edited     bool   // a guard replaced the body
	edit       []byte // by this
	owned      bool   // header and URL of http are the pipeline's own
}

// HTTP returns the request as net/http has it. Its Body is not for guards, nor
// are ParseForm and what calls it: see [Message.Body]. For other transports it is
// made up of what [Call] says. It is nil for a response.
func (m *Message) HTTP() *http.Request {
	if c := m.x.call; c != nil && m.http == nil && !m.isResponse {
		m.http = (&http.Request{
			Method:     http.MethodPost,
			URL:        &url.URL{Path: c.Route},
			Proto:      "HTTP/2.0",
			ProtoMajor: 2,
			Header:     m.Header(),
			Host:       c.Host,
			Body:       http.NoBody,
			RemoteAddr: c.Peer.String(),
			RequestURI: c.Route,
			TLS:        c.TLS,
		}).WithContext(&m.x.ctx)
	}
	return m.http
}

// Status returns the response's status code as HTTP has it, from ResponseHead
// on. It is 0 before, and for a request.
func (m *Message) Status() int { return int(m.status.Load()) }

// Header returns the header. Keys are canonical, as in net/http.
func (m *Message) Header() http.Header {
	if m.header == nil {
		m.header = http.Header{}
	}
	return m.header
}

// Trailer returns the trailer, as far as it has arrived: with the whole body,
// or after the last unit of a stream.
func (m *Message) Trailer() http.Header { return m.trailer }

// Body returns the body at RequestBody or ResponseBody: the whole of it, or
// the message or unit of a stream that is being judged. An empty body is no
// error. At other phases, and outside Check, it returns [ErrNoBody].
func (m *Message) Body() (*payload.Body, error) {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	if !m.hasBody || !m.x.checks {
		return nil, ErrNoBody
	}
	if err := m.body.Load(); err != nil {
		return nil, err
	}
	return &m.body, nil
}

// Stage stages an edit for the guard whose Check is running. The pipeline
// applies it after Check returns, and drops it if the guard is not enforced or
// refuses, exempted or not; only edits of the response's header and cookies go
// with an enforced refusal.
//
// Those can be staged until the header goes on: at a request's phases they
// stand before the handler runs, which can change them; at ResponseHead and
// ResponseBody they have the last word. Other edits have their phases: a
// request's header, cookies and query RequestHead and RequestBody, its body and
// trailer RequestBody, a response's body and trailer ResponseBody. Later guards
// see the message with the edit. A body that an edit makes longer than
// [Limits] allows is refused.
//
// Edits of a response's body make the pipeline mend its length and drop the
// header fields that no longer hold (ETag, digests, Last-Modified,
// Accept-Ranges).
func (m *Message) Stage(e Edit) {
	x := m.x
	x.mu.Lock()
	checks := x.checks
	x.mu.Unlock()
	if !checks {
		return // not called in Check
	}
	if x.edits == nil {
		x.edits = scratches.Get().(*scratch)
	}
	x.edits.list = append(x.edits.list, staged{Edit: e, response: m.isResponse})
}

func (m *Message) setHead(status int, h http.Header) {
	m.status.Store(int32(status)) //nolint:gosec // HTTP's have three digits
	m.header = h
}

func (m *Message) setBody(b payload.Body) {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	m.body, m.hasBody, m.edited = b, true, false
}

func (m *Message) clearBody() {
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	m.body, m.hasBody, m.edited, m.edit = payload.Body{}, false, false, nil
}

// apply makes an edit that a guard staged take effect.
func (m *Message) apply(e *staged) {
	switch {
	case e.In == InBody:
		m.setBody(payload.New(e.Body))
		m.edited, m.edit = true, e.Body
	case !m.isResponse:
		if m.HTTP() != nil {
			editRequest(m.http, &e.Edit, &m.owned)
			m.header, m.trailer = m.http.Header, m.http.Trailer
		}
	case e.In == InTrailer:
		if m.trailer == nil {
			m.trailer = http.Header{}
		}
		setValues(m.trailer, e.Name, e.Values)
	default:
		editHeader(m.Header(), &e.Edit)
	}
}
