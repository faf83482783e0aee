package guard

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/palegate/palegate/internal/bufpool"
)

// writer is the http.ResponseWriter that handlers get where guards watch the
// response. It has no Unwrap: whoever unwraps it could write past the guards.
// What http.ResponseController can do safely it offers by name instead.
//
// If an enforced guard judges the response, the handler writes its header to a
// map of the writer's own, and nothing goes on before it was judged. If only
// monitored guards do, everything goes on at once, to the same map and in the
// same pieces, and the writer keeps a copy for them.
type writer struct {
	x *Exchange
	w http.ResponseWriter

	mu      sync.Mutex
	header  http.Header // the handler's
	sent    http.Header // what header was at WriteHeader, if owned
	outside []string    // the Content-Encoding that middleware outside will give what it gets from here
	status  int         // 0 until WriteHeader
	owned   bool        // header is the writer's own: an enforced guard judges the response
	held    bool        // bytes wait until they were judged: an enforced guard judges the body
	pending bool        // owned, and the header has not gone on
	mode    bodyMode
	units   splitter
	buf     *bufpool.Buffer
	err     error // what Write returns from now on
	looked  int   // how much of an undecided body was looked at
	partly  bool  // the body is a part or encoded, and so of no use to guards
	unsaid  bool  // the handler returned without a word
	edited  bool  // a guard has put another body in the place of the handler's
	abort   bool  // refused after bytes have gone on: break the connection
	over    bool  // hijacked or finished
}

// responseWriter is one of the writers with a set of optional interfaces that
// suits the connection.
type responseWriter interface {
	http.ResponseWriter
	base() *writer
}

type (
	flushWriter  struct{ *writer }
	hijackWriter struct{ flushWriter }
)

// newWriter returns a writer in front of w that offers http.Flusher if w does
// and http.Hijacker if the connection can be taken over at all: HTTP/2 cannot,
// and code that looks for the interface would believe it.
func newWriter(x *Exchange, w http.ResponseWriter) responseWriter {
	b := &writer{x: x, w: w, header: w.Header(), held: x.enforces(ResponseBody)}
	if b.owned = x.enforces(ResponseHead | ResponseBody); b.owned {
		b.pending = true
		if b.header = b.header.Clone(); b.header == nil {
			b.header = http.Header{}
		}
		x.applyLater(b.header)
	}
	b.outside = b.header["Content-Encoding"]
	switch {
	case x.direct.ProtoMajor == 1 && can[http.Hijacker](w):
		return hijackWriter{flushWriter{b}}
	case can[http.Flusher](w):
		return flushWriter{b}
	}
	return b
}

// can reports whether w or a writer that it wraps is a T.
func can[T any](w http.ResponseWriter) bool {
	for {
		if _, ok := w.(T); ok {
			return true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = u.Unwrap()
	}
}

func (w *writer) base() *writer { return w }

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ready(); err != nil {
		return 0, err
	}
	if w.held && w.bodiless() {
		return 0, http.ErrBodyNotAllowed
	}
	if w.held && w.mode != bodyPass {
		w.take(p)
		return w.taken(len(p))
	}
	n, err := w.w.Write(p)
	w.take(p[:n])
	return n, err
}

// WriteString implements [io.StringWriter]. What goes on at once goes on as a
// string: net/http cuts strings into other chunks than bytes.
func (w *writer) WriteString(s string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ready(); err != nil {
		return 0, err
	}
	if w.held && w.mode != bodyPass {
		w.take([]byte(s))
		return w.taken(len(s))
	}
	if w.held && w.bodiless() {
		return 0, http.ErrBodyNotAllowed
	}
	n, err := io.WriteString(w.w, s)
	if w.mode != bodyPass {
		w.take([]byte(s[:n]))
	}
	return n, err
}

// bodiless reports that the status has no body, whatever a writer further out
// makes of the status.
func (w *writer) bodiless() bool {
	return w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

func (w *writer) taken(n int) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	return n, nil
}

// ReadFrom implements [io.ReaderFrom], so that files still go from the disk to
// the connection without a copy where no guard reads them.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	w.mu.Lock()
	err := w.err
	fresh := w.status == 0
	through := !w.owned || !fresh && (!w.held || w.mode == bodyPass)
	watched := fresh || w.mode != bodyPass
	w.mu.Unlock()
	if err == nil && w.held && !fresh && w.bodiless() {
		err = http.ErrBodyNotAllowed
	}
	if err != nil {
		return 0, err
	}
	to, ok := w.w.(io.ReaderFrom)
	if !ok || !through {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	if watched {
		src = io.TeeReader(src, (*copyWriter)(w))
	}
	return to.ReadFrom(src)
}

// copyWriter is a writer for bytes that go on without it.
type copyWriter writer

func (c *copyWriter) Write(p []byte) (int, error) {
	w := (*writer)(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.judgeHead(http.StatusOK)
	}
	w.take(p)
	return len(p), nil
}

// FlushError implements what [http.ResponseController] calls. What is held back
// stays so.
func (w *writer) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ready(); err != nil {
		return err
	}
	if w.pending {
		return nil
	}
	return http.NewResponseController(w.w).Flush()
}

func (w flushWriter) Flush() { _ = w.FlushError() }

// Hijack implements [http.Hijacker]. What is sent and received on the connection
// afterwards nobody judges: WebSocket frames are no bodies. It is refused if an
// enforced guard must see the response's body.
func (w hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, nil, w.err
	}
	if w.held {
		w.fail(ReasonHijacked)
		return nil, nil, w.err
	}
	if w.status == 0 {
		w.judgeHead(http.StatusSwitchingProtocols)
		if w.err != nil {
			return nil, nil, w.err
		}
		w.status = 0 // nothing was written, if it turns out that it can't be hijacked
	}
	conn, rw, err := http.NewResponseController(w.w).Hijack()
	if err == nil {
		w.over, w.err = true, http.ErrHijacked
	}
	return conn, rw, err
}

// SetReadDeadline, SetWriteDeadline and EnableFullDuplex are offered by name to
// [http.ResponseController]. They take no lock: a deadline must reach a write
// that hangs.
func (w *writer) SetReadDeadline(t time.Time) error {
	return http.NewResponseController(w.w).SetReadDeadline(t)
}

func (w *writer) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(w.w).SetWriteDeadline(t)
}

func (w *writer) EnableFullDuplex() error {
	return http.NewResponseController(w.w).EnableFullDuplex()
}

// ready makes sure that the header was written, and says why nothing more can
// be.
func (w *writer) ready() error {
	if w.over {
		return w.err
	}
	if w.status == 0 && w.err == nil {
		w.writeHeader(http.StatusOK)
	}
	return w.err
}

func (w *writer) writeHeader(status int) {
	switch {
	case w.over || w.err != nil:
		return
	case status < 100 || status > 999:
		w.w.WriteHeader(status) // panics in the handler, as it would without guards
		return
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		w.writeEarly(status)
		return
	case w.status != 0:
		if !w.owned {
			w.w.WriteHeader(status) // superfluous; net/http says so
		}
		return
	}
	w.judgeHead(status)
	if w.err != nil {
		return
	}
	switch {
	case !w.owned:
		w.w.WriteHeader(status)
	case !w.held || w.mode == bodyPass || w.mode == bodyUnits:
		w.commit()
	}
}

// writeEarly passes on an informational response. It comes before the header
// that guards judge, so where they are enforced only Link goes with it, which
// is what Early Hints (RFC 8297) are for.
func (w *writer) writeEarly(status int) {
	if !w.owned {
		w.w.WriteHeader(status)
		return
	}
	h := w.w.Header()
	before, had := h["Link"]
	if links, ok := w.header["Link"]; ok {
		h["Link"] = links
	}
	w.w.WriteHeader(status)
	delete(h, "Link")
	if had {
		h["Link"] = before
	}
}

// judgeHead fixes the header and lets the guards judge it.
func (w *writer) judgeHead(status int) {
	x := w.x
	w.status = status
	h := w.header
	if w.owned {
		w.sent = w.header.Clone()
		h = w.sent
		canonize(h)
	}
	reason := w.choose(h)
	if d := x.judgeHead(status, h); d.Refused() {
		w.refuse(d)
		return
	}
	if reason != "" {
		w.fail(reason)
	}
}

// commit sends the header on.
func (w *writer) commit() {
	w.pending = false
	h := w.w.Header()
	clear(h)
	maps.Copy(h, w.sent)
	w.x.sent = true
	switch {
	case w.held && w.mode == bodyUnits:
		delete(h, "Content-Length") // an edit of a unit will change it
		dropFields(h, staleFields)
	case w.held:
		dropFields(h, telltales[w.status])
	}
	if !w.unsaid {
		w.w.WriteHeader(w.status)
	}
}

// refuse answers with d instead of what the handler says or, if some of that
// is on its way, has the connection broken.
func (w *writer) refuse(d Decision) {
	w.err = errRefused
	w.drop()
	if w.pending {
		w.pending = false
		w.x.refuse(w.w, d)
	} else {
		w.abort = true
	}
	w.x.stop(errRefused)
}

// finish completes the answer after the handler has returned. It panics with
// [http.ErrAbortHandler] if the connection must break.
func (w *writer) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	if w.status == 0 && w.err == nil {
		// net/http answers 200 by itself, unless middleware outside has another
		// answer for a handler that gave none.
		w.unsaid = true
		if w.owned {
			w.writeHeader(http.StatusOK)
		} else {
			w.judgeHead(http.StatusOK)
		}
	}
	if w.err == nil {
		w.finishBody()
	}
	w.over = true
	if w.err == nil {
		w.err = errEnded
	}
	if w.abort {
		// Should middleware outside recover from it, the end must not look like
		// that of a whole answer.
		_ = w.SetWriteDeadline(time.Unix(1, 0))
		panic(http.ErrAbortHandler)
	}
}

// release gives back what the writer holds, whatever has happened: what a
// handler wrote before it panicked never leaves.
func (w *writer) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.err == nil {
		w.err = errEnded
	}
	w.drop()
}

func (w *writer) drop() {
	bufpool.Put(w.buf)
	w.buf = nil
	w.mode = bodyPass
}
