package guard_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

var violations = []guard.Violation{
	{At: "/items/0/<b>", Rule: "minimum", Text: `must be at least 1 & "small"`},
	{At: "query:page", Rule: "type", Text: "must be a number"},
}

// rich refuses with all that a Decision can have.
var rich = policy{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
	return guard.Decision{
		Effect:     guard.Refuse,
		Cause:      guard.CauseInvalid,
		Reason:     refused,
		Violations: violations,
		Detail:     "secret detail",
		Findings:   []guard.Finding{{Rule: "secret-rule", At: "body:/secret", Shape: "secret", Level: slog.LevelError, Score: 9}},
		Err:        errors.New("secret error"),
		Guard:      "secret guard",
	}
}}

// refusal asks a pipeline for a refusal in a form.
func refusal(t *testing.T, part guard.Part, method string, accept ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "/path?q=secret", nil)
	r.Header["Accept"] = accept
	w := httptest.NewRecorder()
	build(t, part).Handler(writing("text/plain", "secret")).ServeHTTP(w, r)
	return w
}

var idForm = regexp.MustCompile(`[A-Z2-7]{26}`)

func TestRefusalGolden(t *testing.T) {
	tests := []struct{ name, accept, contentType, body string }{
		{"problem", "", "application/problem+json", `{"type":"https://pkg.go.dev/github.com/palegate/palegate/guard#CauseInvalid",` +
			`"title":"Invalid request","status":422,"code":"test.refused","id":"ID","violations":[` +
			`{"at":"/items/0/\u003cb\u003e","rule":"minimum","text":"must be at least 1 \u0026 \"small\""},` +
			`{"at":"query:page","rule":"type","text":"must be a number"}]}` + "\n"},
		{"page", "text/html", "text/html; charset=utf-8", "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Invalid request</title>\n" +
			"<h1>Invalid request</h1>\n<p>422 <code>test.refused</code></p>\n<ul>\n" +
			"<li><code>/items/0/&lt;b&gt;</code> must be at least 1 &amp; &#34;small&#34;</li>\n" +
			"<li><code>query:page</code> must be a number</li>\n</ul>\n<p><small>ID</small></p>\n"},
		{"text", "text/plain", "text/plain; charset=utf-8", "422 Invalid request (test.refused, id ID)\n" +
			"/items/0/<b> must be at least 1 & \"small\"\nquery:page must be a number\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := refusal(t, rich, "GET", tt.accept)
			if w.Code != 422 || w.Header().Get("Content-Type") != tt.contentType {
				t.Errorf("got status %d of type %q, want 422 of %q", w.Code, w.Header().Get("Content-Type"), tt.contentType)
			}
			body := w.Body.String()
			if got := idForm.ReplaceAllLiteralString(body, "ID"); got != tt.body {
				t.Errorf("got\n%s\nwant\n%s", got, tt.body)
			}
			if got := w.Header().Get("Content-Length"); got != length(body) {
				t.Errorf("Content-Length: got %s, want %d", got, len(body))
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("got header %v, want no-store and nosniff", w.Header())
			}
		})
	}
}

func TestRefusalFormByAccept(t *testing.T) {
	const problem, page, text = "application/problem+json", "text/html; charset=utf-8", "text/plain; charset=utf-8"
	browser := "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
	tests := []struct {
		accept []string
		want   string
	}{
		{nil, problem},
		{[]string{""}, problem},
		{[]string{"*/*"}, problem},
		{[]string{browser}, page},
		{[]string{"TEXT/HTML"}, page},
		{[]string{"application/json"}, problem},
		{[]string{"text/plain;q=0.5, application/problem+json;q=0.4"}, text},
		{[]string{"application/json, text/html"}, problem},
		{[]string{"text/html;q=0.9", "application/json"}, problem},
		{[]string{"text/html;level=1;q=1.0"}, page},
		{[]string{"text/html ; q = 0.1"}, page},
		{[]string{"image/png"}, problem},
		{[]string{"text/html;q=0"}, problem},
		{[]string{"text/html;q=NaN"}, problem},
		{[]string{"text/html;q=NaN, text/plain;q=0.1"}, text},
		{[]string{"text/html;q=Inf, text/plain;q=0.1"}, text},
		{[]string{"text/html;q=-1"}, problem},
		{[]string{"text/html;q=1e400"}, problem},
		{[]string{"text/html;q="}, problem},
		{[]string{"text/html;q=<script>"}, problem},
		{[]string{strings.Repeat("text/html,", 10_000)}, problem},
		{[]string{strings.Repeat(",;=", 200) + "text/html"}, problem},
		{[]string{"\x00\xff;\r\n\t"}, problem},
		{strings.Split(strings.Repeat("text/html\n", 5000), "\n"), problem},
	}
	for _, tt := range tests {
		w := refusal(t, rich, "GET", tt.accept...)
		if got := w.Header().Get("Content-Type"); got != tt.want || w.Code != 422 {
			t.Errorf("Accept %.60q: got %d %q, want 422 %q", tt.accept, w.Code, got, tt.want)
		}
	}
}

// Neither Detail, Findings nor Err leave the process, in any form, at any phase.
func TestRefusalKeepsSecrets(t *testing.T) {
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody} {
		for _, part := range []guard.Part{policy{at, rich.check}, panicking(at)} {
			for _, accept := range []string{"", "text/html", "text/plain"} {
				w := refusal(t, part, "POST", accept)
				if w.Code < 400 || strings.Contains(w.Body.String(), "secret") {
					t.Errorf("at %v as %q: got %d %q", at, accept, w.Code, w.Body)
				}
				for name, values := range w.Header() {
					if strings.Contains(strings.Join(values, ""), "secret") {
						t.Errorf("at %v as %q: %s has %q", at, accept, name, values)
					}
				}
			}
		}
	}
}

func TestRefusalOfHEAD(t *testing.T) {
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody} {
		s := serve(t, build(t, policy{at, rich.check}).Handler(writing("text/plain", "secret")))
		got := wire(t, s, crlf("HEAD / HTTP/1.1", "Host: a", "Connection: close", ""))
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 422") || body != "" {
			t.Errorf("at %v: got %q, want status 422 and no body", at, got)
		}
		get := send(t, s, "GET", "/", "")
		if !strings.Contains(head, "Content-Length: "+length(get.body)+"\r\n") {
			t.Errorf("at %v: got %q, want the Content-Length that GET has, %d", at, head, len(get.body))
		}
	}
}

func TestRetryAfter(t *testing.T) {
	tests := []struct {
		after time.Duration
		want  string
	}{
		{0, ""},
		{-time.Second, ""},
		{time.Nanosecond, "1"},
		{time.Second, "1"},
		{time.Second + 1, "2"},
		{1500 * time.Millisecond, "2"},
		{time.Hour, "3600"},
		{1<<63 - 1, "9223372037"},
	}
	for _, tt := range tests {
		w := refusal(t, policy{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
			return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseExhausted, Reason: refused, RetryAfter: tt.after}
		}}, "GET")
		if got := w.Header().Get("Retry-After"); got != tt.want || w.Code != 429 {
			t.Errorf("after %v: got %d with Retry-After %q, want 429 with %q", tt.after, w.Code, got, tt.want)
		}
	}
}

func TestWWWAuthenticate(t *testing.T) {
	unauthenticated := guard.Decision{Effect: guard.Refuse, Cause: guard.CauseUnauthenticated, Reason: refused}
	bare := policy{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision { return unauthenticated }}
	if w := refusal(t, bare, "GET"); w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("got %d %v, want 401 with a challenge", w.Code, w.Header())
	}
	own := policy{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "WWW-Authenticate", Values: []string{`Bearer error="invalid_token"`}})
		x.Request().Stage(guard.Edit{In: guard.InHeader, Name: "X-Request", Values: []string{"1"}})
		return unauthenticated
	}}
	w := refusal(t, own, "GET")
	if got := w.Header().Values("WWW-Authenticate"); w.Code != 401 || len(got) != 1 || got[0] != `Bearer error="invalid_token"` {
		t.Errorf("got %d with challenge %q, want 401 with the guard's own", w.Code, got)
	}
	if w := refusal(t, refusing(guard.RequestHead), "GET"); w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("403 has a challenge: %v", w.Header())
	}
}

// The id in a refusal is the one that logs and handlers have.
func TestRefusalHasTheExchangesID(t *testing.T) {
	var id string
	part := policy{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		id = x.ID()
		return forbidden()
	}}
	w := refusal(t, part, "GET")
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.ID == "" || p.ID != id {
		t.Errorf("got id %q, error %v; want %q", p.ID, err, id)
	}
}
