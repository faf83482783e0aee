package guard

import "bytes"

// splitter finds where the units of a stream end. It looks at each byte once.
type splitter struct {
	kind byte // lines or events; 0 for a body that is judged whole
	pos  int  // how far the buffer was looked at
	line int  // length of the line so far
	cr   bool // the last byte was a carriage return
}

const (
	lines  = 'l' // NDJSON: a unit a line
	events = 'e' // server-sent events: a unit ends at a blank line
)

func unitsOf(mediaType string) splitter {
	switch mediaType {
	case "text/event-stream":
		return splitter{kind: events}
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines":
		return splitter{kind: lines}
	}
	return splitter{}
}

// next returns the end of the next unit in buf, or -1 if it is not there yet.
// Lines end with \n, or in an event with \r\n, \n or \r.
func (s *splitter) next(buf []byte) int {
	if s.kind == lines {
		i := bytes.IndexByte(buf[s.pos:], '\n')
		if i < 0 {
			s.pos = len(buf)
			return -1
		}
		s.pos += i + 1
		return s.pos
	}
	for s.pos < len(buf) {
		c := buf[s.pos]
		s.pos++
		if c != '\n' && c != '\r' {
			s.line++
			s.cr = false
			continue
		}
		if c == '\n' && s.cr { // the second half of \r\n
			s.cr = false
			continue
		}
		blank := s.line == 0
		s.line = 0
		s.cr = c == '\r'
		if !blank {
			continue
		}
		if s.cr && s.pos < len(buf) && buf[s.pos] == '\n' {
			s.pos++
			s.cr = false
		}
		return s.pos
	}
	return -1
}

// shift forgets the first n bytes of the buffer.
func (s *splitter) shift(n int) { s.pos -= n }
