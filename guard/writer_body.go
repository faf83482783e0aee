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
	opaque := isOpaque(mediaType)
	coded := encoded(h) && !w.isOutside(w.header["Content-Encoding"])
	w.partly = w.status == http.StatusPartialContent || coded
	switch {
	case w.partly && (!opaque || mediaType == octetStream):
		if coded {
			return ReasonEncoding
		}
		return ReasonPartial
	case opaque:
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

// isOutside reports whether a Content-Encoding is still the very one that
// middleware outside has set. One that the handler has set to the same value
// says that it encodes itself.
func (w *writer) isOutside(values []string) bool {
	return len(values) > 0 && len(values) == len(w.outside) && &values[0] == &w.outside[0]
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
	if int64(len(w.buf.B)+len(p)) > w.x.limit(ResponseBody) {
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

// decide looks at the first bytes of a body whose media type nobody reads: what
// looks like JSON is held all the same.
func (w *writer) decide() {
	json, known := looksLikeJSON(w.buf.B[w.looked:])
	if !known {
		w.looked = len(w.buf.B)
		return
	}
	switch {
	case json && w.partly: // it cannot be judged as what it is
		w.fail(ReasonPartial)
		return
	case json:
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
		if int64(end-start) > w.x.limit(ResponseBody) {
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
	if int64(rest) > w.x.limit(ResponseBody) {
		w.fail(ReasonTooLarge)
	}
}

// judgeUnit judges one unit and sends it on.
func (w *writer) judgeUnit(unit []byte) {
	x := w.x
	if w.held && x.expired(time.Now()) {
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
	if edited && int64(len(left)) > w.x.limit(ResponseBody) {
		w.fail(ReasonTooLarge)
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
	w.x.judging.Lock() // a monitored guard may judge the request meanwhile
	w.x.response.trailer = w.trailer()
	w.x.judging.Unlock()
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
	head := w.x.direct.Method == http.MethodHead
	unknown := head && len(w.buf.B) == 0
	body := w.buf.B
	if n, ok := declaredLength(m.header); w.held && ok && n != int64(len(body)) && !head {
		w.fail(ReasonTruncated) // bare, the client would see the connection break
		return
	}
	if unknown {
		w.x.judging.Lock()
		m.trailer = nil // nor is one sent
		w.x.judging.Unlock()
	} else {
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
	switch {
	case w.edited || unknown:
		dropFields(w.sent, staleFields)
	case len(body) == 0:
		dropFields(w.sent, digestFields) // of something else
	}
	switch {
	case unknown:
		delete(w.sent, "Content-Length")
	case w.edited && len(w.sent["Content-Length"]) > 0:
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

func declaredLength(h http.Header) (n int64, ok bool) {
	if v := h["Content-Length"]; len(v) == 1 {
		n, err := strconv.ParseInt(v[0], 10, 64)
		return n, err == nil
	}
	return 0, false
}

func dropFields(h http.Header, names []string) {
	for _, name := range names {
		delete(h, name)
	}
}

// staleFields no longer hold for a body that was edited.
var staleFields = []string{"Accept-Ranges", "Content-Digest", "Content-Md5", "Digest", "Etag", "Last-Modified", "Repr-Digest"}

var digestFields = []string{"Content-Digest", "Content-Md5", "Digest", "Repr-Digest"}

// telltales are the fields in which an answer of that status, which has not the
// body that it is about, tells something of it that guards have not judged: with
// a digest a short secret can be guessed.
var telltales = map[int][]string{
	http.StatusNoContent:                    digestFields,
	http.StatusNotModified:                  digestFields, // it must have the ETag
	http.StatusPreconditionFailed:           staleFields,
	http.StatusRequestedRangeNotSatisfiable: append([]string{"Content-Range"}, staleFields...),
}
