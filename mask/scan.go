package mask

// What follows takes valid JSON for granted, and so needs no check for its end
// inside a value.

// space returns the first place from i on that is no white space.
func (w *walker) space(i int) int {
	for i < len(w.src) && isSpace(w.src[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// str returns the end of the string at i, and whether it is ASCII without
// escapes.
func (w *walker) str(i int) (end int, plain bool) {
	plain = true
	for i++; w.src[i] != '"'; i++ {
		switch c := w.src[i]; {
		case c == '\\':
			plain = false
			i++
		case c >= 0x80:
			plain = false
		}
	}
	return i + 1, plain
}

// skip returns the end of the value at i.
func (w *walker) skip(i int) int {
	src := w.src
	switch src[i] {
	case '"':
		end, _ := w.str(i)
		return end
	case '{', '[':
	default:
		for i < len(src) && !ends[src[i]] {
			i++
		}
		return i
	}
	depth := 0
	for ; ; i++ {
		switch src[i] {
		case '"':
			for i++; src[i] != '"'; i++ {
				if src[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// ends has the characters that end a number or literal.
var ends = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, ',': true, ']': true, '}': true}
