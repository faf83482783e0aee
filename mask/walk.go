package mask

import "github.com/tidwall/gjson"

// redacted is what a masked value becomes.
var redacted = []byte(`"[redacted]"`)

// walker finds fields in src and puts redacted in their place. It looks at
// each byte a fixed number of times whatever the paths and the nesting: gjson's
// own ForEach looks for the end of every value once for each level above it,
// and sjson copies the document for each edit.
type walker struct {
	src    []byte
	top    *state
	breaks string // characters that end a line of an event; one is faster

	out   []byte // src up to done, with what was replaced; nil if nothing was
	done  int
	count int // of masked values
}

// walk masks the value at i, which is valid JSON and has the state s, and
// returns where it ends.
func (w *walker) walk(i int, s *state) int {
	switch {
	case s == nil:
		return w.skip(i)
	case s.end:
		end := w.skip(i)
		if w.src[i] != 'n' { // null
			w.replace(i, end, redacted)
			w.count++
		}
		return end
	case w.src[i] == '{':
		return w.object(i, s)
	case w.src[i] == '[' && s.elements != nil:
		return w.array(i, s.elements)
	}
	return w.skip(i)
}

func (w *walker) object(i int, s *state) int {
	i = w.space(i + 1)
	for w.src[i] != '}' {
		end, plain := w.str(i)
		to := s.member(w.src[i:end], plain)
		i = w.space(w.space(end) + 1) // over the colon
		i = w.space(w.walk(i, to))
		if w.src[i] == ',' {
			i = w.space(i + 1)
		}
	}
	return i + 1
}

func (w *walker) array(i int, elements *state) int {
	i = w.space(i + 1)
	for w.src[i] != ']' {
		i = w.space(w.walk(i, elements))
		if w.src[i] == ',' {
			i = w.space(i + 1)
		}
	}
	return i + 1
}

// member returns where the member with that key, quoted, leads. The key is
// plain if it is ASCII without escapes.
func (s *state) member(key []byte, plain bool) *state {
	switch {
	case len(s.names) == 0:
		return s.others
	case !plain:
		name := fold(gjson.ParseBytes(key).Str)
		for i := range s.names {
			if name == s.names[i].name {
				return s.names[i].to
			}
		}
		return s.others
	}
	name := key[1 : len(key)-1]
	if s.lengths&lengthBit(len(name)) == 0 {
		return s.others
	}
	for i := range s.names {
		if foldsTo(name, s.names[i].name) {
			return s.names[i].to
		}
	}
	return s.others
}

// foldsTo reports whether an ASCII name is folded but for its letters' case.
func foldsTo(name []byte, folded string) bool {
	if len(name) != len(folded) {
		return false
	}
	for i, c := range name {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != folded[i] {
			return false
		}
	}
	return true
}

// replace puts with in the place of src[start:end], which is behind all that
// was replaced before.
func (w *walker) replace(start, end int, with []byte) {
	if w.out == nil {
		w.out = make([]byte, 0, len(w.src)+2*len(redacted))
	}
	w.out = append(append(w.out, w.src[w.done:start]...), with...)
	w.done = end
}

// result returns src with what was replaced.
func (w *walker) result() []byte { return append(w.out, w.src[w.done:]...) }
