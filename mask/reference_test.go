package mask_test

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// reference masks doc as Fields says, slowly, with the tokens of encoding/json.
// It reports whether doc is JSON that may be masked at all.
func reference(doc string, paths []string) (string, bool) {
	out, _, ok := referenceCount(doc, paths)
	return out, ok
}

// referenceCount also returns where the masked values began.
func referenceCount(doc string, paths []string) (out string, starts []int, ok bool) {
	if !json.Valid([]byte(doc)) || !utf8.ValidString(doc) || nesting(doc) > 512 {
		return "", nil, false
	}
	r := &referenceMasker{doc: doc, dec: json.NewDecoder(strings.NewReader(doc))}
	r.dec.UseNumber()
	var rest []leftover
	for _, path := range paths {
		rest = append(rest, leftover{strings.Split(path, "."), true})
	}
	r.value(rest)
	r.out.WriteString(doc[r.done:])
	return r.out.String(), r.starts, true
}

type referenceMasker struct {
	doc    string
	dec    *json.Decoder
	done   int
	out    strings.Builder
	starts []int
}

// leftover is what is left of a path; whole says that nothing of it is used up.
type leftover struct {
	names []string
	whole bool
}

// value reads the next value, to which rest leads.
func (r *referenceMasker) value(rest []leftover) {
	start := int(r.dec.InputOffset())
	start += strings.IndexFunc(r.doc[start:], func(c rune) bool { return !strings.ContainsRune(" \t\r\n,:", c) })
	token, _ := r.dec.Token()
	for _, path := range rest {
		if len(path.names) == 0 {
			r.mask(token, start)
			return
		}
	}
	switch token {
	case json.Delim('{'):
		for r.dec.More() {
			key, _ := r.dec.Token()
			var next []leftover
			for _, path := range rest {
				if path.names[0] == "*" || strings.EqualFold(path.names[0], key.(string)) {
					next = append(next, leftover{path.names[1:], false})
				}
			}
			r.value(next)
		}
		_, _ = r.dec.Token()
	case json.Delim('['):
		var next []leftover
		for _, path := range rest {
			star := path.names[0] == "*"
			if star {
				next = append(next, leftover{path.names[1:], false})
			}
			if !star || path.whole {
				next = append(next, path)
			}
		}
		for r.dec.More() {
			r.value(next)
		}
		_, _ = r.dec.Token()
	}
}

// mask replaces the value that has begun with token.
func (r *referenceMasker) mask(token json.Token, start int) {
	for depth := level(token); depth > 0; {
		inside, _ := r.dec.Token()
		depth += level(inside)
	}
	if token == nil {
		return
	}
	r.out.WriteString(r.doc[r.done:start] + `"[redacted]"`)
	r.done = int(r.dec.InputOffset())
	r.starts = append(r.starts, start)
}

func level(token json.Token) int {
	switch token {
	case json.Delim('{'), json.Delim('['):
		return 1
	case json.Delim('}'), json.Delim(']'):
		return -1
	}
	return 0
}

// nesting returns how deep valid JSON nests.
func nesting(doc string) int {
	deepest, depth := 0, 0
	for dec := json.NewDecoder(strings.NewReader(doc)); ; {
		token, err := dec.Token()
		if err != nil {
			return deepest
		}
		depth += level(token)
		deepest = max(deepest, depth)
	}
}
