package guard

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Place is where in a message an [Edit] changes something.
type Place uint8

// The places.
const (
	InBody    Place = iota // the whole body, or message or unit of a stream
	InHeader               // a header field
	InTrailer              // a trailer field
	InQuery                // a query parameter of a request
	InCookie               // a cookie: of a request its value; of a response the whole Set-Cookie field
)

// An Edit is one change to a message. Guards stage it with [Message.Stage].
type Edit struct {
	In   Place
	Body []byte // InBody: the new body. The pipeline takes the slice over

	// Name is, elsewhere, the field, parameter or cookie. A field's name in the
	// spelling of net/http.Header, such as "Ratelimit-Policy", costs no
	// allocation.
	Name string
	// Values replaces all values of Name; nil removes it. The slice is not
	// copied, so a guard that sets the same values on every answer can share
	// one and need not allocate.
	Values []string
}

// staged is an edit and the direction it is for.
type staged struct {
	Edit
	response bool
}

// scratch is a list of edits. It is pooled, so that staging allocates nothing.
type scratch struct{ list []staged }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// free gives s back, which may be nil.
func (s *scratch) free() {
	if s != nil && cap(s.list) <= 64 {
		clear(s.list)
		s.list = s.list[:0]
		scratches.Put(s)
	}
}

// fits reports whether e can take effect at a phase.
func (e *staged) fits(at Phase) bool {
	switch e.In {
	case InBody, InTrailer:
		return e.response && at == ResponseBody || !e.response && at == RequestBody
	case InHeader, InCookie:
		return e.response && at != Done || at&(RequestHead|RequestBody) != 0
	case InQuery:
		return !e.response && at&(RequestHead|RequestBody) != 0
	}
	return false
}

// put adds e in the place of an edit of the same field: a stream has many units.
func (s *scratch) put(e *staged) {
	i := slices.IndexFunc(s.list, func(old staged) bool { return old.In == e.In && old.Name == e.Name })
	if i < 0 {
		s.list = append(s.list, *e)
		return
	}
	s.list[i] = *e
}

// later reports whether e waits for the response's header: it can be staged at
// any phase, and goes with a refusal too.
func (e *staged) later() bool { return e.response && e.In != InBody && e.In != InTrailer }

// editHeader applies a header or cookie edit of a response to h.
func editHeader(h http.Header, e *Edit) {
	if e.In != InCookie {
		setValues(h, e.Name, e.Values)
		return
	}
	kept := slices.DeleteFunc(slices.Clone(h["Set-Cookie"]), func(c string) bool {
		name, _, _ := strings.Cut(c, "=")
		return strings.TrimSpace(name) == e.Name
	})
	setValues(h, "Set-Cookie", append(kept, e.Values...))
}

func setValues(h http.Header, name string, values []string) {
	name = textproto.CanonicalMIMEHeaderKey(name)
	if len(values) == 0 {
		delete(h, name)
		return
	}
	// Capped, so that a later Header.Add copies instead of writing into the
	// guard's slice.
	h[name] = slices.Clip(values)
}

// editRequest applies an edit other than of the body to r, which is the
// pipeline's own copy; what it shares with the original is copied first.
func editRequest(r *http.Request, e *Edit, owned *bool) {
	if !*owned {
		*owned = true
		r.Header = r.Header.Clone()
		if r.Header == nil {
			r.Header = http.Header{}
		}
		u := *r.URL
		r.URL = &u
	}
	switch e.In {
	case InBody: // not of the head
	case InHeader:
		setValues(r.Header, e.Name, e.Values)
	case InTrailer:
		if r.Trailer = r.Trailer.Clone(); r.Trailer == nil {
			r.Trailer = http.Header{}
		}
		setValues(r.Trailer, e.Name, e.Values)
	case InQuery:
		r.Form = nil // whoever has parsed it before has parsed another one
		r.URL.RawQuery = editPairs(r.URL.RawQuery, "&", e.Name, e.Values, url.QueryUnescape, url.QueryEscape)
		r.RequestURI = r.URL.RequestURI()
	case InCookie:
		verbatim := func(s string) (string, error) { return strings.TrimSpace(s), nil }
		line := editPairs(strings.Join(r.Header["Cookie"], "; "), ";", e.Name, e.Values, verbatim, func(s string) string { return s })
		setValues(r.Header, "Cookie", nonEmpty(strings.TrimSpace(line)))
	}
}

// canonize gives the fields of h the names under which guards look for them: a
// handler can write to the map itself, and "content-encoding" goes out as it is
// spelled there.
func canonize(h http.Header) {
	for name, values := range h {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if canonical != name && !strings.HasPrefix(name, http.TrailerPrefix) {
			delete(h, name)
			h[canonical] = append(slices.Clip(h[canonical]), values...)
		}
	}
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// editPairs replaces what name stands for in "a=1&b=2" and leaves every other
// byte as it is. A pair that cannot be decoded goes: it may be another
// spelling of name.
func editPairs(line, sep, name string, values []string, decode func(string) (string, error), encode func(string) string) string {
	var pairs []string
	if line != "" {
		pairs = slices.DeleteFunc(strings.Split(line, sep), func(pair string) bool {
			key, _, _ := strings.Cut(pair, "=")
			key, err := decode(key)
			return err != nil || key == name
		})
	}
	for _, v := range values {
		pair := encode(name) + "=" + encode(v)
		if sep == ";" && len(pairs) > 0 {
			pair = " " + pair
		}
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, sep)
}
