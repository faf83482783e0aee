package guardtest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// row is one request of a [Table] and its result.
type row struct {
	request string // all of the line before the result
	persona string
	method  string
	target  string
	body    string
	want    string // "status reason", or "" if the line has none yet
}

const arrow = " => "

func parseRow(line string) row {
	var r row
	r.request = line
	if i := strings.LastIndex(line+" ", arrow); i >= 0 {
		r.request = line[:i]
		r.want = strings.Join(strings.Fields(line[i+len(arrow)-1:]), " ")
	}
	r.request = strings.TrimRight(r.request, " \t")
	rest := r.request
	if name, ok := strings.CutPrefix(rest, "@"); ok {
		r.persona, rest = word(name)
	}
	r.method, rest = word(rest)
	r.target, r.body = word(rest)
	return r
}

// word cuts the first word off s.
func word(s string) (first, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

func (r *row) http(header http.Header) (*http.Request, error) {
	if !strings.HasPrefix(r.target, "/") && !strings.Contains(r.target, "://") {
		return nil, errors.New("a line is METHOD path [body] => status reason")
	}
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json")
		}
	}
	req, err := http.NewRequestWithContext(context.Background(), r.method, r.target, body)
	if err != nil {
		return nil, err
	}
	req.Header = header
	if host := header.Get("Host"); host != "" {
		req.Host = host
		header.Del("Host")
	}
	return req, nil
}

var headerForm = regexp.MustCompile("^([0-9A-Za-z!$%&'*+.^_`|~-]+):(.*)$")

// headerLine reads "Name: value". A request is none: a space follows its method.
func headerLine(line string) (name, value string, ok bool) {
	m := headerForm.FindStringSubmatch(line)
	if m == nil {
		return "", "", false
	}
	return m[1], strings.TrimSpace(m[2]), true
}
