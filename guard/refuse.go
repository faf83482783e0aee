package guard

import (
	"encoding/json"
	"html"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// problem is the body of a refusal, RFC 9457.
type problem struct {
	Type       string      `json:"type"`
	Title      string      `json:"title"`
	Status     int         `json:"status"`
	Code       Reason      `json:"code"`
	ID         string      `json:"id"`
	Violations []Violation `json:"violations,omitempty"`
}

// refuse answers with d. Nothing may have been sent. What stands in the header
// stays: it is of middleware outside (CORS, request ids).
func (x *Exchange) refuse(w http.ResponseWriter, d Decision) {
	cause := d.Cause.known()
	status := cause.HTTP()
	h := w.Header()
	x.judging.Lock()
	x.response.setHead(status, h)
	x.judging.Unlock()
	x.applyLater(h)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if d.RetryAfter > 0 {
		h.Set("Retry-After", seconds(d.RetryAfter))
	}
	if cause == CauseUnauthenticated && len(h["Www-Authenticate"]) == 0 {
		h.Set("WWW-Authenticate", "Bearer") // required with 401, RFC 9110 §15.5.2
	}
	if d.Reason == ReasonEncoding && cause == CauseMediaType {
		h.Set("Accept-Encoding", "identity") // what would do, RFC 9110 §12.5.3
	}
	p := problem{cause.Type(), cause.Title(), status, d.Reason, x.ID(), d.Violations}
	mediaType, body := p.render(x.direct.Header["Accept"])
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if encoded(h) { // by middleware outside, which alone knows how long it will be
		delete(h, "Content-Length")
	}
	w.WriteHeader(status)
	if x.direct.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs no answer
	}
}

// seconds rounds up: a client that comes back earlier would be refused again.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

// render gives p in the form that the client likes best.
func (p *problem) render(accept []string) (mediaType string, body []byte) {
	switch preferred(accept) {
	case "text/html":
		return "text/html; charset=utf-8", p.page()
	case "text/plain":
		return "text/plain; charset=utf-8", p.text()
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers always marshal
		return "text/plain; charset=utf-8", p.text()
	}
	return "application/problem+json", append(body, '\n')
}

func (p *problem) text() []byte {
	var b strings.Builder
	b.WriteString(strconv.Itoa(p.Status) + " " + p.Title + " (" + string(p.Code) + ", id " + p.ID + ")\n")
	for _, v := range p.Violations {
		b.WriteString(v.At + " " + v.Text + "\n")
	}
	return []byte(b.String())
}

func (p *problem) page() []byte {
	var b strings.Builder
	b.WriteString("<!doctype html>\n<meta charset=\"utf-8\">\n<title>" + html.EscapeString(p.Title) + "</title>\n" +
		"<h1>" + html.EscapeString(p.Title) + "</h1>\n<p>" + strconv.Itoa(p.Status) +
		" <code>" + html.EscapeString(string(p.Code)) + "</code></p>\n")
	if len(p.Violations) > 0 {
		b.WriteString("<ul>\n")
		for _, v := range p.Violations {
			b.WriteString("<li><code>" + html.EscapeString(v.At) + "</code> " + html.EscapeString(v.Text) + "</li>\n")
		}
		b.WriteString("</ul>\n")
	}
	b.WriteString("<p><small>" + html.EscapeString(p.ID) + "</small></p>\n")
	return []byte(b.String())
}

// maxAccept bounds how much of Accept is read.
const maxAccept = 1 << 10

// preferred returns which of the three forms of a refusal accept likes best,
// RFC 9110 §12.5.1. In doubt it is JSON: most clients of an API are programs.
func preferred(accept []string) string {
	line := strings.Join(accept, ",")
	if len(line) > maxAccept {
		return "application/problem+json"
	}
	best, bestQ := "application/problem+json", 0.0
	for item := range strings.SplitSeq(line, ",") {
		name, params, _ := strings.Cut(item, ";")
		var form string
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "application/problem+json", "application/json", "application/*", "*/*":
			form = "application/problem+json"
		case "text/html", "application/xhtml+xml":
			form = "text/html"
		case "text/plain", "text/*":
			form = "text/plain"
		default:
			continue
		}
		if q := quality(params); q > bestQ {
			best, bestQ = form, q
		}
	}
	return best
}

func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if ok && strings.EqualFold(name, "q") {
			if q, err := strconv.ParseFloat(value, 64); err == nil && q >= 0 && q <= 1 {
				return q
			}
			return 0
		}
	}
	return 1
}
