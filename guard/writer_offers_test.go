package guard_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

func TestN10Controller(t *testing.T) {
	for _, tt := range writers {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				c := http.NewResponseController(w)
				for what, err := range map[string]error{
					"SetReadDeadline":  c.SetReadDeadline(time.Now().Add(time.Minute)),
					"SetWriteDeadline": c.SetWriteDeadline(time.Now().Add(time.Minute)),
					"EnableFullDuplex": c.EnableFullDuplex(),
				} {
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
				if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
					t.Errorf("SetReadDeadline: %v", err)
				}
			}))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) { send(t, s, "GET", "/", "").is(t, 200, "") })
		})
	}
}

func TestN10ReadDeadlineWorks(t *testing.T) {
	h := build(t, allowing(guard.ResponseBody)).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := io.ReadAll(r.Body)
		var late interface{ Timeout() bool }
		if !errors.As(err, &late) || !late.Timeout() {
			t.Errorf("reading after the deadline: error %v, want a timeout", err)
		}
		io.WriteString(w, "late")
	}))
	got := wire(t, serve(t, h), crlf("POST / HTTP/1.1", "Host: a", "Content-Length: 9", ""))
	if !strings.HasSuffix(got, "\r\n\r\nlate") {
		t.Errorf("got %q, want an answer", got)
	}
}

// With full duplex a handler answers before it has read the request.
func TestN10FullDuplexWorks(t *testing.T) {
	h := build(t, allowing(guard.ResponseBody)).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Type", "application/x-ndjson")
		io.WriteString(w, "1\n")
		w.(http.Flusher).Flush()
		b, err := io.ReadAll(r.Body)
		if err != nil || string(b) != "ping" {
			t.Errorf("read %q, error %v, after answering; want %q", b, err, "ping")
		}
		io.WriteString(w, "2\n")
	}))
	conn := dial(t, serve(t, h))
	io.WriteString(conn, crlf("POST / HTTP/1.1", "Host: a", "Connection: close", "Content-Length: 4", ""))
	var got strings.Builder
	for buf := make([]byte, 1); !strings.HasSuffix(got.String(), "1\n"); {
		if _, err := conn.Read(buf); err != nil {
			t.Fatalf("got %q before the request was sent whole, error %v; want the first line", got.String(), err)
		}
		got.Write(buf)
	}
	io.WriteString(conn, "ping")
	rest, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(rest), "2\n") {
		t.Errorf("got %q, error %v, after the request; want the second line", rest, err)
	}
}

func TestN13HTTP2(t *testing.T) {
	for _, tt := range writers {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, tt.part).Handler(handle(func(w http.ResponseWriter, r *http.Request) {
				if _, ok := w.(http.Hijacker); ok != (r.ProtoMajor == 1) {
					t.Errorf("over %s, http.Hijacker offered: %t", r.Proto, ok)
				}
				if _, ok := w.(http.Flusher); !ok {
					t.Errorf("over %s, http.Flusher is not offered", r.Proto)
				}
				if r.ProtoMajor == 2 {
					if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
						t.Errorf("Hijack over HTTP/2: error %v, want %v", err, http.ErrNotSupported)
					}
				}
				io.WriteString(w, r.Proto)
			}))
			overBoth(t, h, func(t *testing.T, s *httptest.Server) {
				a := send(t, s, "GET", "/", "")
				a.is(t, 200, a.proto)
				if want := strings.TrimPrefix(t.Name(), "TestN13HTTP2/"+strings.ReplaceAll(tt.name, " ", "_")+"/"); !strings.HasPrefix(a.proto, want) {
					t.Errorf("served over %s, want %s", a.proto, want)
				}
			})
		})
	}
}
