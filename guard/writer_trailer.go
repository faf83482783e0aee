package guard

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// finishTrailer judges a trailer that comes after a body which has gone on.
func (w *writer) finishTrailer() {
	m := &w.x.response
	if len(m.trailer) > 0 && w.x.phases&ResponseBody != 0 && w.err == nil {
		w.judgeUnit(nil)
	}
	if w.err == nil && w.owned {
		w.setTrailer(w.w.Header(), false)
	}
}

// trailer returns the fields that the handler meant to come after the body:
// those it announced, and those it marked with [http.TrailerPrefix].
func (w *writer) trailer() http.Header {
	var t http.Header
	add := func(name string, values []string) {
		if len(values) == 0 {
			return
		}
		if t == nil {
			t = http.Header{}
		}
		t[name] = values
	}
	for _, name := range w.announced() {
		add(name, w.header[name])
	}
	for name, values := range w.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			add(textproto.CanonicalMIMEHeaderKey(name), values)
		}
	}
	return t
}

// announced returns the fields that the header names under Trailer.
func (w *writer) announced() []string {
	h := w.sent
	if !w.owned {
		h = w.header
	}
	var names []string
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			names = append(names, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
	return names
}

// setTrailer makes h have what guards have left of the trailer, and no other.
// Early, which is before the header is sent, those not announced must be there
// already, since net/http chooses the framing by them; those announced must not.
func (w *writer) setTrailer(h http.Header, early bool) {
	t := w.x.response.trailer
	announced := w.announced()
	for _, name := range announced {
		delete(h, name)
	}
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			delete(h, name)
		}
	}
	for name, values := range t {
		switch known := slices.Contains(announced, name); {
		case !known:
			h[http.TrailerPrefix+name] = values
		case !early:
			h[name] = values
		}
	}
}
