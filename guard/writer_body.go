package guard

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/palegate/palegate/internal/bufpool"
)

// bodyMode says what becomes of a response's bytes.
type bodyMode uint8

const (
	bodyPass      bodyMode = iota // no guard reads them
	bodyHold                      // kept until all are there
	bodyUnits                     // judged line by line, or event by event
	bodyUndecided                 // kept until the first of them tells what they are
)

// choose says how the body will be judged, by status and header, or why it
// can't be.
func (w *writer) choose(h http.Header) Reason {
	if w.x.phases&ResponseBody == 0 {
		return ""
	}
	switch w.status {
	case http.StatusSwitchingProtocols:
		return ReasonHijacked
	case http.StatusNoContent, http.StatusNotModified:
		return ""
	}
	mediaType := mediaType(h)
	whole := w.status != http.StatusPartialContent && !encoded(h)
	switch {
	case !whole && mediaType != octetStream && isOpaque(mediaType):
		w.flagOpaque()
		return ""
	case encoded(h):
		return ReasonEncoding
	case !whole:
		return ReasonPartial
	case mediaType == "" || isOpaque(mediaType):
		w.mode = bodyUndecided
	default:
		w.mode = bodyHold
		if w.units = unitsOf(mediaType); w.units.kind != 0 {
			w.mode = bodyUnits
		}
	}
	w.buf = bufpool.Get()
	return ""
}

// take adds p to what guards will judge.
func (w *writer) take(p []byte) {
	if w.mode == bodyPass || w.over {
		return
	}
	if w.mode == bodyUnits {
		for piece := range slices.Chunk(p, maxPiece) {
			w.takeUnits(piece)
		}
		return
	}
	if int64(len(w.buf.B)+len(p)) > w.x.plan.settings.Limits.Response {
		w.fail(ReasonTooLarge)
		return
	}
	w.buf.B = append(w.buf.B, p...)
	if w.mode == bodyUndecided {
		w.decide()
	}
}

// maxPiece is how much of a stream is looked at in one go, so that a handler
// that writes all of it at once does not have all of it copied.
const maxPiece = 64 << 10

// decide looks at the first bytes of a body whose media type nobody reads, or
// that has none: what looks like JSON is held all the same.
func (w *writer) decide() {
	json, known := looksLikeJSON(w.buf.B)
	if !known {
		return
	}
	declared := mediaType(w.x.response.header)
	if json || declared == "" && !isOpaque(bareType(http.DetectContentType(w.buf.B))) {
		w.mode = bodyHold
		return
	}
	w.flagOpaque()
	if w.held {
		w.commit()
		w.send(w.buf.B)
	}
	w.drop()
}

func (w *writer) flagOpaque() {
	w.x.decide(ResponseBody, Decision{Effect: Flag, Reason: ReasonOpaque})
}

// takeUnits adds p, judges the units that are complete, and keeps the rest.
func (w *writer) takeUnits(p []byte) {
	if w.mode != bodyUnits { // refused since
		return
	}
	w.buf.B = append(w.buf.B, p...)
	start := 0
	for w.err == nil {
		end := w.units.next(w.buf.B)
		if end < 0 {
			break
		}
		if int64(end-start) > w.x.plan.settings.Limits.Response {
			w.fail(ReasonTooLarge)
			return
		}
		w.judgeUnit(w.buf.B[start:end])
		start = end
	}
	if w.mode != bodyUnits {
		return
	}
	rest := copy(w.buf.B, w.buf.B[start:])
	w.buf.B = w.buf.B[:rest]
	w.units.shift(start)
	if int64(rest) > w.x.plan.settings.Limits.Response {
		w.fail(ReasonTooLarge)
	}
}

// judgeUnit judges one unit and sends it on.
func (w *writer) judgeUnit(unit []byte) {
	x := w.x
	if p := x.Principal(); w.held && p != nil && !p.Expires.IsZero() && !time.Now().Before(p.Expires) {
		w.refuse(x.decide(ResponseBody, Decision{Effect: Refuse, Cause: CauseUnauthenticated, Reason: ReasonExpired}))
		return
	}
	if unit, ok := w.judgeBody(unit); ok && len(unit) > 0 {
		w.send(unit)
	}
}

// judgeBody judges b and returns what guards leave of it, and whether it may
// be sent.
func (w *writer) judgeBody(b []byte) ([]byte, bool) {
	left, edited, d := w.x.judgeMessage(&w.x.response, ResponseBody, b)
	if d.Refused() {
		w.refuse(d)
		return nil, false
	}
	w.edited = w.edited || edited
	return left, true
}

// send writes judged bytes to the client, who has got them already where all
// guards only monitor.
func (w *writer) send(b []byte) {
	if !w.held || w.err != nil {
		return
	}
	if _, err := w.w.Write(b); err != nil {
		w.err = err
	}
}

// fail refuses a body that guards cannot see. Where all of them only monitor,
// that is recorded and the body goes on.
func (w *writer) fail(reason Reason) {
	x := w.x
	if x.enforce&ResponseBody == 0 {
		x.decide(ResponseBody, Decision{Effect: Refuse, Cause: CauseInternal, Reason: ReasonUnread, Detail: string(reason), Shadow: true})
		w.drop()
		return
	}
	w.refuse(x.decide(ResponseBody, Decision{Effect: Refuse, Cause: CauseInternal, Reason: reason}))
}

// finishBody judges what is left of the body, and the trailer, and sends them.
func (w *writer) finishBody() {
	m := &w.x.response
	m.trailer = w.trailer()
	switch w.mode {
	case bodyPass:
		w.finishTrailer()
	case bodyUnits:
		if len(w.buf.B) > 0 {
			w.judgeUnit(w.buf.B)
		}
		w.finishTrailer()
	case bodyHold, bodyUndecided:
		w.finishHeld()
	}
}

func (w *writer) finishHeld() {
	m := &w.x.response
	// The body of an answer to HEAD is not sent, but tells its length. Without
	// one, the length is that of a body that nobody has judged.
	unknown := w.x.direct.Method == http.MethodHead && len(w.buf.B) == 0
	body := w.buf.B
	if !unknown {
		var ok bool
		if body, ok = w.judgeBody(body); !ok {
			return
		}
	}
	if !w.held {
		if w.owned {
			w.setTrailer(w.w.Header(), false)
		}
		return
	}
	if w.edited {
		for _, name := range staleFields {
			delete(w.sent, name)
		}
	}
	switch {
	case unknown:
		delete(w.sent, "Content-Length")
	case len(w.sent["Content-Length"]) > 0 || w.edited && len(m.trailer) == 0:
		w.sent["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.setTrailer(w.sent, true)
	w.unsaid = w.unsaid && len(body) == 0
	w.commit()
	if len(body) > 0 {
		w.send(body)
	}
	w.setTrailer(w.w.Header(), false)
}

// staleFields no longer hold for a body that was edited.
var staleFields = []string{"Accept-Ranges", "Content-Digest", "Content-Md5", "Digest", "Etag", "Last-Modified", "Repr-Digest"}
