package guardtest

import (
	"net/http"
	"regexp"
	"strings"
)

// requestsOf returns which requests pattern, an entry of Use.Routes, stands for.
//
// An exchange tells its route to guards and handlers alone, so this is asked of
// the path: that a more special pattern serves it is not seen.
func requestsOf(pattern string) func(method, path string) bool {
	want, rest, ok := strings.Cut(strings.ReplaceAll(pattern, "\t", " "), " ")
	if !ok {
		want, rest = "", pattern
	}
	rest = strings.TrimLeft(rest, " ")
	if i := strings.IndexByte(rest, '/'); i > 0 {
		rest = rest[i:] // without the host
	}
	paths := pathsOf(rest)
	return func(method, path string) bool {
		return (want == "" || want == method || want == http.MethodGet && method == http.MethodHead) && paths.MatchString(path)
	}
}

// wildcards are those of every router that has an adapter: {id}, {path...} and
// {$} of net/http, {id:[0-9]{3}} of chi, /:id and *path of gin and echo, and the
// * that ends an entry.
var wildcards = regexp.MustCompile(`\{(?:[^{}]|\{[^{}]*\})*\}|/:\w+|\*\w*`)

// pathsOf turns the pattern of a path into an expression.
func pathsOf(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`^`)
	end := 0
	for _, at := range wildcards.FindAllStringIndex(pattern, -1) {
		b.WriteString(regexp.QuoteMeta(pattern[end:at[0]]))
		switch w := pattern[at[0]:at[1]]; {
		case w == "{$}":
		case w[0] == '*' || strings.HasSuffix(w, "...}"):
			b.WriteString(`.*`)
		case w[0] == '/':
			b.WriteString(`/[^/]+`)
		default:
			b.WriteString(`[^/]+`)
		}
		end = at[1]
	}
	b.WriteString(regexp.QuoteMeta(pattern[end:]))
	if strings.HasSuffix(pattern, "/") {
		b.WriteString(`.*`) // of net/http: all below
	}
	b.WriteString(`$`)
	return regexp.MustCompile(b.String())
}
