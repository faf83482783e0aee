package guard

import (
	"strings"
)

// Limits of what is read of a forwarding header, from its right end. A client
// can put any amount in front of what the proxies append; it costs nothing and
// changes nothing.
const (
	maxHops      = 32
	maxForwarded = 4 << 10
	maxNode      = 128 // an address with brackets, zone and port
)

// syntax is how a forwarding header is written.
type syntax uint8

const (
	syntaxSingle        syntax = iota // one address
	syntaxXForwardedFor               // 1*( node ) separated by commas
	syntaxForwarded                   // RFC 7239 §4
)

// entries reads a list header from its right end: the last field line first
// (RFC 9110 §5.3 makes the lines one list, in order), and of each line the last
// entry first.
//
// Each entry depends only on the bytes at and right of its comma, never on what
// stands left of that. So a client that sends an opening quote cannot draw the
// entry that a proxy appends into its own quoted string, neither in the same
// line nor in another, as it can with a parser that starts at the left.
type entries struct {
	lines  []string // not begun
	line   string   // what is left of the line begun
	begun  bool
	syntax syntax
	left   int // bytes that may still be read
}

// prev returns the node of the next entry to the left: what a proxy wrote for
// the host that it got the request from, perhaps no address. It is false at the
// left end, at the limit, and at an entry that cannot be read.
func (e *entries) prev() (node string, ok bool) {
	if !e.begun {
		if len(e.lines) == 0 {
			return "", false
		}
		end := len(e.lines) - 1
		e.lines, e.line, e.begun = e.lines[:end], e.lines[end], true
	}

	// One byte more than the limit, for the comma.
	from := max(0, len(e.line)-e.left-1)
	comma := strings.LastIndexByte(e.line[from:], ',')
	if e.syntax == syntaxForwarded {
		comma = lastComma(e.line[from:])
	}
	entry := e.line[from+comma+1:]
	if len(entry) > e.left {
		return "", false
	}
	e.left -= len(entry) + 1
	e.begun = comma >= 0
	if e.begun {
		e.line = e.line[:from+comma]
	}

	if e.syntax == syntaxForwarded {
		return forwardedFor(entry)
	}
	return trimOWS(entry), true
}

// lastComma returns the index of the last comma in s that is not in a
// quoted-string (RFC 9110 §5.6.4), or -1, reading from the right.
//
// Of a well-formed element this finds the start, for the first quote met ends a
// string, and the next one without an odd number of backslashes before it opens
// that string. What it finds of any other element is malformed too, which
// forwardedFor tells.
func lastComma(s string) int {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == ',' && !quoted:
			return i
		case s[i] == '"':
			slashes := i - len(strings.TrimRight(s[:i], `\`))
			if slashes%2 == 0 {
				quoted = !quoted
			}
		}
	}
	return -1
}

// forwardedFor returns the value of the "for" parameter of one element of
// Forwarded, or "" if there is none, which hides the host as "unknown" does:
//
//	element = [ pair ] *( ";" [ pair ] )
//	pair    = token "=" ( token / quoted-string )
//
// Two things are read that RFC 7239 does not allow but proxies write: white
// space around ";", and addresses with colons or brackets outside quotes. It is
// false for a malformed element, and for one with two "for": the client may
// have smuggled in one of them.
func forwardedFor(element string) (node string, ok bool) {
	found := false
	for rest := trimOWS(element); rest != ""; {
		if rest[0] == ';' {
			rest = trimOWS(rest[1:])
			continue
		}
		name, after, ok := strings.Cut(rest, "=")
		if !ok || !isFieldName(name) {
			return "", false
		}
		value, after, ok := cutValue(after)
		rest = trimOWS(after)
		if !ok || rest != "" && rest[0] != ';' {
			return "", false
		}
		if !strings.EqualFold(name, "for") {
			continue
		}
		if found {
			return "", false
		}
		node, found = unescape(value), true
	}
	return node, true
}

// cutValue cuts a parameter's value from the front of s. Quoted-pairs stay.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		for i := range len(s) {
			switch s[i] {
			case ';', ' ', '\t':
				return s[:i], s[i:], true
			case '"', '\\', ',':
				return "", "", false
			}
		}
		return s, "", true
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return s[1:i], s[i+1:], true
		case '\\':
			i++
		}
	}
	return "", "", false
}

// unescape resolves the quoted-pairs of a value (RFC 9110 §5.6.4). Nothing in
// an address needs them, so this allocates only for proxies that write them all
// the same.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// isFieldName reports whether s is a token (RFC 9110 §5.6.2).
func isFieldName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// trimOWS removes optional white space (RFC 9110 §5.6.3).
func trimOWS(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
