package mask

import (
	"bytes"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/palegate/palegate/guard"
)

// body masks all of src, which is of form f. The reason says why that cannot
// be; it is empty if it can.
func (w *walker) body(f form) guard.Reason {
	end := len(w.src)
	ok := false
	switch f {
	case unread:
		return ReasonMediaType
	case document:
		ok = w.document(0, end)
	case lines:
		ok = w.lines(0, end)
	case events:
		ok = w.events()
	case text, unnamed, opaque:
		switch {
		case beginsAsJSON(w.src):
			ok = w.documentOrLines(0, end)
		case f == opaque, f == unnamed && !isText(w.src):
			return ReasonMediaType
		default:
			ok = true
		}
	}
	if !ok {
		return ReasonInvalidJSON
	}
	return ""
}

// document masks one JSON value and reports whether it is valid.
func (w *walker) document(start, end int) bool {
	if !valid(w.src[start:end]) {
		return false
	}
	w.walk(w.space(start), w.top)
	return true
}

// lines masks NDJSON. Blank lines are allowed.
func (w *walker) lines(start, end int) bool {
	for {
		for start < end && isSpace(w.src[start]) {
			start++
		}
		if start == end {
			return true
		}
		next := lineEnd(w.src, start, end)
		if !w.document(start, next) {
			return false
		}
		start = next
	}
}

// documentOrLines masks JSON of which nobody has said whether it is one value
// or one a line.
func (w *walker) documentOrLines(start, end int) bool {
	return w.document(start, end) || w.lines(start, end)
}

// lineEnd returns where the line that begins at i ends, its line feed included.
func lineEnd(b []byte, i, end int) int {
	if n := bytes.IndexByte(b[i:end], '\n'); n >= 0 {
		return i + n + 1
	}
	return end
}

// maxDepth bounds how deep objects and arrays nest. 8 MiB of opening brackets
// overflow the stack in gjson.ValidBytes, which ends the process.
const maxDepth = 512

// valid reports whether b is one JSON value (RFC 8259) in UTF-8 that can be
// walked.
func valid(b []byte) bool {
	return !tooDeep(b) && utf8.Valid(b) && gjson.ValidBytes(b)
}

// tooDeep reports whether b nests deeper than maxDepth. It allows for strings,
// and sees in each byte what a reader of valid JSON would see.
func tooDeep(b []byte) bool {
	// Nearly always there are not even that many, which is faster to see.
	if len(b) <= maxDepth || bytes.Count(b, []byte{'['})+bytes.Count(b, []byte{'{'}) <= maxDepth {
		return false
	}
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			if depth++; depth > maxDepth {
				return true
			}
		case ']', '}':
			depth--
		}
	}
	return false
}

// beginsAsJSON reports whether a text must be taken for JSON: it begins as an
// object or array does, be it in another encoding (byte order marks and zeros
// are skipped), after lines that are JSON themselves, as in NDJSON, or after
// the prefix that keeps scripts from loading JSON. A text that begins with a
// quotation mark or a number is none for that alone.
func beginsAsJSON(b []byte) bool {
	for {
		b = bytes.TrimLeft(b, skipped)
		for _, mark := range marks {
			b = bytes.TrimPrefix(b, []byte(mark))
		}
		b = bytes.TrimLeft(b, skipped)
		switch {
		case len(b) == 0:
			return false
		case b[0] == '{', b[0] == '[', bytes.HasPrefix(b, []byte(")]}'")):
			return true
		}
		end := lineEnd(b, 0, len(b))
		if !valid(b[:end]) {
			return false
		}
		b = b[end:]
	}
}

// skipped is what some readers of JSON skip before it; of UTF-16 the zeros.
const skipped = " \t\r\n\v\f\x00\x1E"

// marks are the byte order marks of UTF-8 and UTF-16; those of UTF-32 are the
// latter with zeros.
var marks = [...]string{"\xEF\xBB\xBF", "\xFE\xFF", "\xFF\xFE"}

// isText reports whether net/http would call b text that mask lets pass. XML
// and the like it would name otherwise.
func isText(b []byte) bool {
	sniffed := http.DetectContentType(b)
	return strings.HasPrefix(sniffed, "text/plain") || strings.HasPrefix(sniffed, "text/html")
}
