package guard

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/palegate/palegate/internal/bufpool"
)

// requestBody lets guards judge the body of r, and r give the handler what was
// judged.
//
// If an enforced guard wants it, the body is read here, before the handler
// runs. If only monitored guards do, nothing may change for anybody: then it is
// judged as the handler reads it, if it does.
func (x *Exchange) requestBody(r *http.Request) (*body, Decision) {
	b := &body{x: x, from: r.Body}
	enforced := x.enforces(RequestBody)
	if enforced {
		// What middleware outside has parsed of another reading of the body is
		// not what guards judge.
		r.Form, r.PostForm, r.MultipartForm = nil, nil, nil
	}
	if r.Body == nil || r.Body == http.NoBody {
		if enforced && r.ContentLength > 0 {
			return b, b.consumed()
		}
		return b, x.judgeBody(b, r)
	}
	if !enforced {
		b.buf = bufpool.Get()
		b.watched = true
		b.unreadable = encoded(r.Header)
		r.Body = b
		return b, Decision{}
	}
	// A pipeline around this one may have read it, if nobody between has put
	// another body in its place.
	outer, ok := r.Body.(*body)
	if !ok || !outer.share(b) {
		if d := b.read(r); d.Refused() {
			b.release()
			return b, d
		}
	}
	if int64(len(b.data)) > x.limit(RequestBody) {
		b.release()
		return b, b.fail(ReasonTooLarge, CauseTooLarge)
	}
	return b, x.judgeBody(b, r)
}

// judgeBody lets the guards judge b.data, and r give what they leave of it.
func (x *Exchange) judgeBody(b *body, r *http.Request) Decision {
	m := &x.request
	if b.buf != nil {
		r.Trailer = x.direct.Trailer // complete, now that the body was read
	}
	m.trailer = r.Trailer
	left, edited, d := x.judgeMessage(m, RequestBody, b.data)
	if d.Refused() {
		b.release()
		return d
	}
	if b.buf == nil && !edited {
		return Decision{}
	}
	if int64(len(left)) > x.limit(RequestBody) { // a guard has made it longer
		b.release()
		return b.fail(ReasonTooLarge, CauseTooLarge)
	}
	b.data = left
	r.Body = b
	tellLength(m, int64(len(b.data)))
	return Decision{}
}

// tellLength makes all three places where a request tells its length tell the
// truth: a proxy further in would forward a lie.
func tellLength(m *Message, n int64) {
	r := m.http
	r.ContentLength = n
	r.TransferEncoding = nil
	if old := r.Header["Content-Length"]; len(old) == 1 {
		if said, err := strconv.ParseInt(old[0], 10, 64); err == nil && said == n {
			return
		}
	}
	editRequest(r, &Edit{In: InHeader, Name: "Content-Length", Values: []string{strconv.FormatInt(n, 10)}}, &m.owned)
	m.header = r.Header
}

// encoded reports whether h says that the body is not as it reads.
func encoded(h http.Header) bool {
	for _, line := range h["Content-Encoding"] {
		for v := range strings.SplitSeq(line, ",") {
			if v = strings.TrimSpace(v); v != "" && !strings.EqualFold(v, "identity") {
				return true
			}
		}
	}
	return false
}

// body is a request's body as the handler gets it: what was read before and
// judged, or what is watched on its way. Its mutex keeps a handler that runs on
// in another goroutine (http.TimeoutHandler) away from memory that is given
// back.
type body struct {
	x    *Exchange
	from io.ReadCloser

	mu         sync.Mutex
	buf        *bufpool.Buffer
	data       []byte // judged bytes; in buf unless a guard replaced them
	off        int
	watched    bool // read through and copied, for monitored guards
	unreadable bool // watched, but guards cannot read it
	released   bool
}

// read reads the body whole, within the limit.
func (b *body) read(r *http.Request) Decision {
	limit := b.x.limit(RequestBody)
	if r.ContentLength > limit {
		return b.fail(ReasonTooLarge, CauseTooLarge)
	}
	if encoded(r.Header) {
		return b.fail(ReasonEncoding, CauseMediaType)
	}
	b.buf = bufpool.Get()
	err := fill(b.buf, b.from, limit)
	b.data = b.buf.B
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil && len(b.data) == 0 && r.ContentLength > 0:
		return b.consumed()
	case err == nil:
		return Decision{}
	case errors.As(err, &tooLarge):
		return b.fail(ReasonTooLarge, CauseTooLarge)
	case r.Context().Err() != nil:
		return b.fail(ReasonGone, CauseGone)
	}
	return b.fail(ReasonTruncated, CauseMalformed)
}

// consumed refuses a body that somebody has read before, who may have left what
// was in it elsewhere in the request.
func (b *body) consumed() Decision {
	return b.x.decide(RequestBody, Decision{
		Effect: Refuse, Cause: CauseInternal, Reason: ReasonUnread,
		Detail: "middleware outside the pipeline has read the body: place it inside",
	})
}

func (b *body) fail(reason Reason, cause Cause) Decision {
	return b.x.decide(RequestBody, Decision{Effect: Refuse, Cause: cause, Reason: reason})
}

// fill reads from r until its end. The buffer grows with the bytes that come,
// never with what was announced.
func fill(buf *bufpool.Buffer, r io.Reader, limit int64) error {
	for {
		if len(buf.B) == cap(buf.B) {
			buf.B = append(buf.B, 0)[:len(buf.B)]
		}
		n, err := r.Read(buf.B[len(buf.B):cap(buf.B)])
		buf.B = buf.B[:len(buf.B)+n]
		if int64(len(buf.B)) > limit {
			return &http.MaxBytesError{Limit: limit}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// share gives inner what b has of the body, if that is all of it.
func (b *body) share(inner *body) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watched || b.released || b.off > 0 {
		return false
	}
	inner.buf, inner.data = b.buf.Share(), b.data
	return true
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.watched && !b.released {
		b.mu.Unlock()
		return b.watch(p)
	}
	defer b.mu.Unlock()
	if b.released {
		return 0, http.ErrBodyReadAfterClose
	}
	n := copy(p, b.data[b.off:])
	b.off += n
	if b.off == len(b.data) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer. The server itself closes what the body was.
func (b *body) Close() error {
	if b.watched {
		return b.from.Close()
	}
	return nil
}

// watch reads on for the handler and keeps a copy, which is judged at the end.
func (b *body) watch(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released || b.buf == nil {
		return n, err
	}
	if int64(len(b.buf.B)+n) > b.x.limit(RequestBody) {
		b.unreadable = true
	}
	if !b.unreadable {
		b.buf.B = append(b.buf.B, p[:n]...)
	}
	if err == io.EOF {
		b.judgeWatched()
	}
	return n, err
}

// judgeWatched lets monitored guards judge what the handler has read.
func (b *body) judgeWatched() {
	x := b.x
	if b.unreadable {
		x.decide(RequestBody, Decision{Effect: Refuse, Cause: CauseInternal, Reason: ReasonUnread, Shadow: true})
	} else {
		x.judgeMessage(&x.request, RequestBody, b.buf.B)
	}
	bufpool.Put(b.buf)
	b.buf = nil
}

// release ends the loan of the body's memory.
func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released {
		return
	}
	b.released = true
	if b.watched && b.buf != nil {
		b.unreadable = b.unreadable || b.x.direct.ContentLength != int64(len(b.buf.B))
		b.judgeWatched()
	}
	b.data = nil
	bufpool.Put(b.buf)
	b.buf = nil
}
