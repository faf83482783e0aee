package mask

import "bytes"

// events masks server-sent events, of which src has one or more; the last may
// lack its end. Lines, fields and data are told apart as the HTML standard
// says in §9.2.6, "Interpreting an event stream".
func (w *walker) events() bool {
	w.breaks = "\n"
	if bytes.IndexByte(w.src, '\r') >= 0 {
		w.breaks = "\r\n"
	}
	start := 0
	if bytes.HasPrefix(w.src, []byte("\xEF\xBB\xBF")) {
		start = 3
	}
	for i := start; i < len(w.src); {
		f := w.field(i)
		i = f.next
		if f.end > f.start {
			continue
		}
		if !w.event(start, f.start) {
			return false
		}
		start = f.next
	}
	return w.event(start, len(w.src))
}

// field is a line of an event, as places in the stream.
type field struct {
	start, end, next int    // of the line; next is after its end of line
	name             []byte // "" for a comment
	value            int    // where it begins
}

func (f field) is(name string) bool { return string(f.name) == name }

// field reads the line at start.
func (w *walker) field(start int) field {
	src := w.src
	f := field{start: start, end: len(src), next: len(src)}
	if n := bytes.IndexAny(src[start:], w.breaks); n >= 0 {
		f.end = start + n
		f.next = f.end + 1
		if src[f.end] == '\r' && f.next < len(src) && src[f.next] == '\n' {
			f.next++
		}
	}
	line := src[start:f.end]
	f.name, f.value = line, f.end
	if colon := bytes.IndexByte(line, ':'); colon >= 0 {
		f.name, f.value = line[:colon], start+colon+1
		if f.value < f.end && src[f.value] == ' ' {
			f.value++
		}
	}
	return f
}

// event masks an event, whose lines are src[start:end]. They are read more than
// once: to remember them would take many times their memory.
func (w *walker) event(start, end int) bool {
	dataLines := 0
	for i := start; i < end; {
		f := w.field(i)
		i = f.next
		if f.is("data") {
			dataLines++
		}
	}
	if dataLines > 1 {
		return w.joined(start, end)
	}
	for i := start; i < end; {
		f := w.field(i)
		i = f.next
		if f.is("data") && !w.data(f.value, f.end) || !f.is("data") && !w.other(f) {
			return false
		}
	}
	return true
}

// joined masks an event whose data stands on several lines. If some of it is
// masked, all of it goes where its first line was: a masked value may have
// begun on one line and ended on another, with other fields between.
func (w *walker) joined(start, end int) bool {
	data := walker{top: w.top}
	for i := start; i < end; {
		f := w.field(i)
		i = f.next
		if f.is("data") {
			data.src = append(append(data.src, w.src[f.value:f.end]...), '\n')
		}
	}
	data.src = data.src[:len(data.src)-1]
	if !data.data(0, len(data.src)) {
		return false
	}
	first := true
	for i := start; i < end; {
		f := w.field(i)
		i = f.next
		switch {
		case !f.is("data"):
			if !w.other(f) {
				return false
			}
		case data.count == 0:
		case first:
			first = false
			w.replace(f.start, f.next, dataFields(data.result(), w.src[f.end:f.next]))
		default:
			w.replace(f.start, f.next, nil)
		}
	}
	w.count += data.count
	return true
}

// dataFields returns data as fields of an event, each with that end of line.
func dataFields(data, newline []byte) []byte {
	var out []byte
	for line := range bytes.SplitSeq(data, []byte{'\n'}) {
		out = append(append(append(out, "data: "...), line...), newline...)
	}
	return out
}

// data masks what an event holds if that is JSON. Other text passes; so does
// "[DONE]", with which the streams of language models end.
func (w *walker) data(start, end int) bool {
	b := w.src[start:end]
	return !beginsAsJSON(b) || string(bytes.TrimSpace(b)) == "[DONE]" || w.documentOrLines(start, end)
}

// other masks a line that is no data. The standard's own fields keep a value
// that only begins as JSON does: an id may be a GUID in braces. A line that the
// standard has clients ignore (NDJSON by the wrong name, "Data: …") is refused
// then, since some clients read it.
func (w *walker) other(f field) bool {
	known := len(f.name) == 0 || f.is("event") || f.is("id") || f.is("retry")
	start := f.value
	if !known && beginsAsJSON(w.src[f.start:f.end]) {
		start = f.start
	}
	return !beginsAsJSON(w.src[start:f.end]) || w.document(start, f.end) || known
}
