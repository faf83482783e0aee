package guard_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

const secretJSON = `{"a":"secret"}`

// maskedBy returns h behind a guard that masks bodies.
func maskedBy(t *testing.T, mask string, h func(w http.ResponseWriter, r *http.Request)) http.Handler {
	t.Helper()
	return build(t, masking(guard.ResponseBody, mask)).Handler(http.HandlerFunc(h))
}

// Whoever names the media type of an upload calls JSON an image, in any spelling,
// and asks for a part of it.
func TestJSONDoesNotPassUnderOtherNames(t *testing.T) {
	types := []struct {
		lines []string
		body  string // beginning as JSON, where the type is that of an image
	}{
		{nil, `"secret"`},
		{[]string{""}, `"secret"`},
		{[]string{"image/png"}, secretJSON},
		{[]string{"IMAGE/PNG ; a=b"}, secretJSON},
		{[]string{" image/png"}, secretJSON},
		{[]string{"image/png\t"}, secretJSON},
		{[]string{"image/"}, `"secret"`},
		{[]string{"image/x+json"}, `"secret"`},
		{[]string{"image/svg+xml"}, `"secret"`},
		{[]string{"image/png", "application/json"}, `"secret"`},
		{[]string{"image/png, application/json"}, `"secret"`},
		{[]string{"application/octet-stream;application/json"}, secretJSON},
	}
	encodings := []struct {
		lines []string
		plain bool
	}{
		{nil, true},
		{[]string{""}, true},
		{[]string{" "}, true},
		{[]string{"Identity "}, true},
		{[]string{"identity, gzip"}, false},
		{[]string{"", "gzip"}, false},
		{[]string{"x-gzip"}, false},
		{[]string{"none"}, false},
	}
	for _, contentType := range types {
		for _, encoding := range encodings {
			for _, status := range []int{200, 206} {
				w := httptest.NewRecorder()
				maskedBy(t, "*****", func(w http.ResponseWriter, r *http.Request) {
					if contentType.lines != nil {
						w.Header()["Content-Type"] = contentType.lines
					}
					if encoding.lines != nil {
						w.Header()["Content-Encoding"] = encoding.lines
					}
					w.WriteHeader(status)
					io.WriteString(w, contentType.body)
				}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				want := 500
				if encoding.plain && status == 200 {
					want = 200
				}
				if w.Code != want || strings.Contains(w.Body.String(), "secret") {
					t.Errorf("%d of Content-Type %q and Content-Encoding %q: got %d %q, want %d without the secret",
						status, contentType.lines, encoding.lines, w.Code, w.Body, want)
				}
			}
		}
	}
}

// A client chooses how a body of no type begins, "GIF89a" for instance, and with it
// what net/http takes it for.
func TestUntypedBodyIsHeld(t *testing.T) {
	h := maskedBy(t, "*****", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Query().Get("name"))
		w.(http.Flusher).Flush()
		io.WriteString(w, " has no secret")
	})
	s := serve(t, h)
	for _, name := range []string{"Ann", "GIF89a", "%25PDF-", "%01"} {
		if a := send(t, s, "GET", "/?name="+name, ""); a.status != 200 || !strings.HasSuffix(a.body, " has no *****") {
			t.Errorf("%s: got %d %q, want it masked", name, a.status, a.body)
		}
	}
}

// A handler, or a proxy of a careless upstream, writes "x-internal" to the map
// itself, where X-Internal is not found.
func TestFieldsOfAnySpellingAreJudged(t *testing.T) {
	seen := ""
	drop := policy{guard.ResponseHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		seen = x.Response().Header().Get("Content-Type")
		x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "X-Internal"})
		return guard.Decision{}
	}}
	p := build(t, drop, masking(guard.ResponseBody, "*****"))
	raw := func(fields map[string]string, body string) string {
		s := serve(t, p.Handler(handle(func(w http.ResponseWriter, r *http.Request) {
			for name, value := range fields {
				w.Header()[name] = []string{value}
			}
			io.WriteString(w, body)
			w.Header()[http.TrailerPrefix+"x-note"] = []string{"a secret note"}
		})))
		return wire(t, s, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	}
	got := raw(map[string]string{
		"content-type": "text/csv",
		"ETag":         `"sha-of-secret"`,
		"x-internal":   "token",
	}, secretJSON)
	if seen != "text/csv" {
		t.Errorf("guards see Content-Type %q, want text/csv", seen)
	}
	for _, bad := range []string{"secret", "token", "content-type"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q is in\n%s", bad, got)
		}
	}
	if !strings.Contains(got, "X-Note: *****") || strings.Count(got, "Content-Type: ") != 1 {
		t.Errorf("want one Content-Type, and X-Note masked, in\n%s", got)
	}
	if got := raw(map[string]string{"content-length": "14"}, secretJSON); strings.Contains(got, "14") || !strings.Contains(got, "Content-Length: 13") {
		t.Errorf("want one Content-Length of 13 in\n%s", got)
	}
	if got := raw(map[string]string{"content-encoding": "gzip", "Content-Type": "text/plain"}, "secret"); !strings.Contains(got, string(guard.ReasonEncoding)) {
		t.Errorf("encoded: want a refusal, got\n%s", got)
	}
}

// A digest of the body as it was lets a short secret be guessed, and its length
// tells something too. Answers without the body cannot be masked.
func TestAnswersWithoutABodyTellNothingOfIt(t *testing.T) {
	s := serve(t, maskedBy(t, "*", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"etag"`)
		w.Header().Set("Digest", "sha-256=of-secret")
		w.Header().Set("Content-Digest", "sha-256=:of-secret:")
		w.Header().Set("Repr-Digest", "sha-256=:of-secret:")
		http.ServeContent(w, r, "", time.Unix(1e9, 0), strings.NewReader(secretJSON))
	}))
	for _, tt := range []struct {
		name, method, condition string
		status                  int
		kept                    []string
	}{
		{"whole", "GET", "Accept: */*", 200, []string{"Content-Length"}},
		{"HEAD", "HEAD", "Accept: */*", 200, nil},
		{"not modified", "GET", "If-None-Match: *", 304, []string{"Etag"}}, // RFC 9110 §15.4.5
		{"precondition failed", "GET", `If-Match: "x"`, 412, nil},
		{"range not satisfiable", "GET", "Range: bytes=999-", 416, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := send(t, s, tt.method, "/", "", tt.condition)
			if a.err != nil || a.status != tt.status {
				t.Fatalf("got %+v, want %d", a, tt.status)
			}
			for _, name := range []string{"Etag", "Digest", "Content-Digest", "Repr-Digest", "Content-Range"} {
				if got := a.header.Get(name); (got != "") != slices.Contains(tt.kept, name) {
					t.Errorf("%s: got %q, want it: %t", name, got, slices.Contains(tt.kept, name))
				}
			}
			if got := a.header.Get("Content-Length"); got == length(secretJSON) {
				t.Errorf("Content-Length %s is that of the body as it was", got)
			}
		})
	}
}

// Middleware that recovers from every panic swallows the abort, and net/http would
// end the answer as if it were whole.
func TestRefusedStreamIsNeverWhole(t *testing.T) {
	h := build(t, rejecting(guard.ResponseBody, "secret")).Handler(writing(ndjson, "1\nsecret\n2\n"))
	recovering := handle(func(w http.ResponseWriter, r *http.Request) {
		defer func() { _ = recover() }()
		h.ServeHTTP(w, r)
	})
	overBoth(t, recovering, func(t *testing.T, s *httptest.Server) {
		if a := send(t, s, "GET", "/", ""); a.err == nil || strings.Contains(a.body, "secret") {
			t.Errorf("got %d %q, error %v; want it broken off", a.status, a.body, a.err)
		}
	})
}

// An answer of another length than it declares breaks the connection without
// guards; held and then sent bare, it would look whole.
func TestHeldBodyOfAnotherLengthIsRefused(t *testing.T) {
	for _, tt := range []struct {
		method, declared, body string
		whole                  bool
	}{
		{"GET", "7", "public", false},
		{"GET", "5", "public", false},
		{"GET", "5", "", false},
		{"GET", "6", "public", true},
		{"HEAD", "6", "", true},
	} {
		s := serve(t, build(t, allowing(guard.ResponseBody)).Handler(with(200, tt.body, "Content-Type: text/plain", "Content-Length: "+tt.declared)))
		switch a := send(t, s, tt.method, "/", ""); {
		case !tt.whole:
			a.refuses(t, 500, guard.ReasonTruncated)
		case tt.method == "HEAD":
			a.is(t, 200, "")
		default:
			a.is(t, 200, tt.body)
		}
	}
}

// okWriter is of middleware that makes every status 200.
type okWriter struct{ http.ResponseWriter }

func (w okWriter) WriteHeader(int) { w.ResponseWriter.WriteHeader(200) }

// A status without a body is judged as such, but middleware outside makes of it one
// that has a body.
func TestNoBodyWhateverTheStatusBecomes(t *testing.T) {
	for _, status := range []int{204, 304} {
		for name, write := range map[string]func(w http.ResponseWriter) error{
			"Write":       func(w http.ResponseWriter) error { _, err := w.Write([]byte(secretJSON)); return err },
			"WriteString": func(w http.ResponseWriter) error { _, err := io.WriteString(w, secretJSON); return err },
			"ReadFrom":    func(w http.ResponseWriter) error { _, err := io.Copy(w, strings.NewReader(secretJSON)); return err },
		} {
			var err error
			h := maskedBy(t, "*****", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				err = write(w)
			})
			s := serve(t, handle(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(okWriter{w}, r) }))
			send(t, s, "GET", "/", "").is(t, 200, "")
			if err == nil {
				t.Errorf("%s after %d: no error", name, status)
			}
		}
	}
}

// compressAll is middleware that says Content-Encoding before the handler runs.
func compressAll(next http.Handler) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		next.ServeHTTP(struct {
			io.Writer
			header
		}{z, w}, r)
	})
}

// header is the part of an http.ResponseWriter that does not write the body.
type header interface {
	Header() http.Header
	WriteHeader(status int)
}

// What middleware outside will compress, guards get as the handler wrote it; and
// a refusal that told the length of its plain text could not be read.
func TestInsideCompression(t *testing.T) {
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody} {
		s := serve(t, compressAll(build(t, refusing(at)).Handler(writing("text/plain", "in"))))
		a := send(t, s, "GET", "/", "", "Accept-Encoding: gzip")
		if a.err != nil || a.status < 400 || a.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: got %+v, want a refusal in gzip", at, a)
		}
		if got := gunzip(t, a.body); !strings.Contains(got, string(refused)) {
			t.Errorf("%s: got %q, want %s", at, got, refused)
		}
	}
	s := serve(t, compressAll(build(t, masking(guard.ResponseBody, "*****")).Handler(writing("text/plain", "a secret"))))
	if a := send(t, s, "GET", "/", "", "Accept-Encoding: gzip"); a.status != 200 || gunzip(t, a.body) != "a *****" {
		t.Errorf("got %+v, want it masked in gzip", a)
	}
}
