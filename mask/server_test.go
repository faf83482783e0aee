package mask_test

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/mask"
)

// get asks a server of h behind part, as a client that can unzip would.
func get(t *testing.T, part guard.Part, h http.HandlerFunc) (*http.Response, string) {
	t.Helper()
	s := httptest.NewServer(pipeline(t, part).Handler(h))
	t.Cleanup(s.Close)
	r, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

func TestServer(t *testing.T) {
	r, body := get(t, mask.Fields("card.number"), func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(secret)))
		h.Set("ETag", `"of the body unmasked"`)
		h.Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		h.Set("X-Other", "kept")
		io.WriteString(w, secret)
	})
	if body != hidden || r.StatusCode != http.StatusOK {
		t.Errorf("%d %s, want 200 %s", r.StatusCode, body, hidden)
	}
	if r.ContentLength != int64(len(hidden)) || r.Header.Get("Etag") != "" || r.Header.Get("Last-Modified") != "" || r.Header.Get("X-Other") != "kept" {
		t.Errorf("length %d, header %v", r.ContentLength, r.Header)
	}
}

func TestServerLeavesTheRest(t *testing.T) {
	const body = "{\"card\" : null}\n"
	r, got := get(t, mask.Fields("card.number"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"1"`)
		io.WriteString(w, body)
	})
	if got != body || r.Header.Get("Etag") != `"1"` {
		t.Errorf("%q, header %v", got, r.Header)
	}
}

// net/http calls JSON without a Content-Type text/plain, and so do writers of
// errors.
func TestServerText(t *testing.T) {
	tests := []struct {
		name   string
		h      http.HandlerFunc
		status int
		want   string
	}{
		{"JSON without a type", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, secret) }, 200, hidden},
		{"JSON as an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, 400) }, 400, hidden + "\n"},
		{"error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such card", 404) }, 404, "no such card\n"},
		{"page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!doctype html>hi") }, 200, "<!doctype html>hi"},
		{"no body", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r, got := get(t, mask.Fields("card.number"), tt.h); r.StatusCode != tt.status || got != tt.want {
				t.Errorf("%d %q, want %d %q", r.StatusCode, got, tt.status, tt.want)
			}
		})
	}
}

func TestServerRedirect(t *testing.T) {
	r, body := get(t, mask.Fields("card.number"), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/there", http.StatusSeeOther)
			return
		}
		io.WriteString(w, "there")
	})
	if r.StatusCode != http.StatusOK || body != "there" {
		t.Errorf("%d %q", r.StatusCode, body)
	}
}

func TestServerRefuses(t *testing.T) {
	send := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			io.WriteString(w, body)
		}
	}
	zipped := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, secret)
		z.Close()
	}
	tests := []struct {
		name string
		h    http.HandlerFunc
		code guard.Reason
	}{
		{"invalid JSON", send("application/json", secret+","), mask.ReasonInvalidJSON},
		{"CSV", send("text/csv", "number\n4111"), mask.ReasonMediaType},
		{"a handler that zips, asked or not", zipped, guard.ReasonEncoding},
		{"brackets that overflow gjson's stack", send("application/json", strings.Repeat("[", 8<<20)), mask.ReasonInvalidJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, body := get(t, mask.Fields("card.number"), tt.h)
			if r.StatusCode != 500 || !strings.Contains(body, string(tt.code)) || strings.Contains(body, "4111") {
				t.Errorf("%d %q, want 500 with %s", r.StatusCode, body, tt.code)
			}
		})
	}
}

// A handler that zips for those who accept it is not asked to.
func TestServerZips(t *testing.T) {
	_, body := get(t, mask.Fields("card.number"), func(w http.ResponseWriter, r *http.Request) {
		out := io.Writer(w)
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			out = z
		}
		io.WriteString(out, secret)
	})
	if body != hidden {
		t.Errorf("%q, want %q", body, hidden)
	}
}

func TestServerMonitored(t *testing.T) {
	for _, body := range []string{secret, "not JSON"} {
		r, got := get(t, guard.Use{Mode: guard.ModeMonitor, Part: mask.Fields("card.number")}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("ETag", `"1"`)
			io.WriteString(w, body)
		})
		if got != body || r.StatusCode != 200 || r.Header.Get("Etag") != `"1"` || r.ContentLength != int64(len(body)) {
			t.Errorf("%d %q, header %v", r.StatusCode, got, r.Header)
		}
	}
}

func TestServerRoutes(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/card", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, secret) })
	mux.HandleFunc("/report", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/csv")
		io.WriteString(w, "a,b")
	})
	s := httptest.NewServer(pipeline(t, guard.Use{Routes: []string{"/api/*"}, Part: mask.Fields("card.number")}).Handler(mux))
	defer s.Close()
	for path, want := range map[string]string{"/api/card": hidden, "/report": "a,b"} {
		r, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != 200 || string(body) != want {
			t.Errorf("%s: %d %q, want 200 %q", path, r.StatusCode, body, want)
		}
	}
}

// Each unit of a stream leaves, masked, before the next is written, wherever
// the handler's writes are cut; one that cannot be read breaks the stream.
func TestServerStreams(t *testing.T) {
	tests := []struct {
		contentType, unit, want, broken string
	}{
		{"application/x-ndjson", secret + "\n", hidden + "\n", secret[:12] + "\n"},
		{"text/event-stream", "data: " + secret + "\n\n", "data: " + hidden + "\n\n", "data: " + secret[:12] + "\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.contentType, func(t *testing.T) {
			next := make(chan bool)
			s := httptest.NewServer(pipeline(t, mask.Fields("card.number")).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				for cut := range tt.unit {
					io.WriteString(w, tt.unit[:cut])
					w.(http.Flusher).Flush()
					io.WriteString(w, tt.unit[cut:])
					w.(http.Flusher).Flush()
					<-next
				}
				io.WriteString(w, tt.broken)
				io.WriteString(w, tt.unit)
			})))
			defer s.Close()
			r, err := http.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			in := bufio.NewReader(r.Body)
			for range tt.unit {
				got := make([]byte, len(tt.want))
				if _, err := io.ReadFull(in, got); err != nil || string(got) != tt.want {
					t.Fatalf("%q, error %v, want %q", got, err, tt.want)
				}
				next <- true
			}
			if rest, err := io.ReadAll(in); err == nil || len(rest) > 0 {
				t.Errorf("after what cannot be read: %q, error %v; want a broken connection", rest, err)
			}
		})
	}
}
