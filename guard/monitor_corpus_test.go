package guard_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

// scenario is an exchange that must look the same whether monitored guards
// judge it or not: on the wire, and to its handler.
type scenario struct {
	name    string
	request string // PATH stands for the scenario's path
	// talk speaks for the client after the request, once it has got await.
	await   string
	talk    func(conn net.Conn)
	handler func(w http.ResponseWriter, r *http.Request, note noter)
	around  func(http.Handler) http.Handler // stands outside the pipeline
	calls   int                             // of the handler; 0 stands for 1
	// unjudged are the phases at which guards do not run here.
	unjudged guard.Phase
}

// noter notes what a handler sees.
type noter func(format string, args ...any)

const (
	plainGet = "GET PATH HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: a=b; session=secret\r\nX-Token: secret\r\n\r\n"
	plain10  = "GET PATH HTTP/1.0\r\nHost: a\r\n\r\n"
	head     = "HEAD PATH HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	counted  = "POST PATH?q=secret HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\na secret"
	inChunks = "POST PATH?q=secret HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
		"3\r\na s\r\n5;x=y\r\necret\r\n0\r\nX-Sum: secret\r\n\r\n"
	expecting = "POST PATH HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n"
	next      = "GET PATH HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Second: 1\r\n\r\n"
	upgrading = "GET PATH HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
)

// scenarios returns the corpus. upstream is a service to be a proxy of.
func scenarios(t *testing.T, upstream *url.URL) []scenario {
	t.Helper()
	large := strings.Repeat("secret 0123456789", 100<<10/17)
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, []byte(large), 0o600); err != nil {
		t.Fatal(err)
	}
	copyFile := func(w io.Writer) error {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}
	all := []scenario{
		{name: "nothing", request: plainGet, handler: func(http.ResponseWriter, *http.Request, noter) {}},
		{name: "plain", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Set-Cookie", "session=secret")
			w.WriteHeader(201)
			n, err := io.WriteString(w, `{"a":"secret"}`)
			note("%d %v", n, err)
		}},
		{name: "no type", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.WriteString(w, "<html>a secret")
		}},
		{name: "length told", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Header().Set("Content-Length", "8")
			w.Header().Set("Etag", `"secret"`)
			n, err := w.Write([]byte("a secret and more than was told"))
			note("%d %v", n, err)
		}},
		{name: "length told, less written", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "a secret")
		}},
		{name: "header after Write", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.WriteString(w, "a secret")
			w.Header().Set("X-Late", "secret")
			w.WriteHeader(500)
		}},
		{name: "HTTP/1.0", request: plain10, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.WriteString(w, strings.Repeat("a secret", 1000))
		}},
		{name: "HEAD", request: head, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			n, err := io.WriteString(w, "a secret")
			note("%d %v", n, err)
		}},
		{name: "HEAD, length told", request: head, unjudged: guard.ResponseBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
		}},
		{name: "204", request: plainGet, unjudged: guard.ResponseBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.WriteHeader(204)
			n, err := io.WriteString(w, "a secret")
			note("%d %v", n, err)
		}},
		{name: "304", request: plainGet, unjudged: guard.ResponseBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Header().Set("Etag", `"secret"`)
			w.WriteHeader(304)
		}},
		{name: "103", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.Header().Set("X-Early", "secret")
			w.WriteHeader(103)
			w.WriteHeader(102)
			w.Header().Del("Link")
			w.WriteHeader(201)
			io.WriteString(w, "a secret")
		}},
		{name: "events", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Header().Set("Content-Type", sse)
			for range 3 {
				io.WriteString(w, "data: a sec")
				note("%v", http.NewResponseController(w).Flush())
				io.WriteString(w, "ret\n\n")
				w.(http.Flusher).Flush()
			}
		}},
		{name: "flush first", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.(http.Flusher).Flush()
			io.WriteString(w, "a secret")
		}},
		{name: "trailers", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			trailing("application/json").ServeHTTP(w, r)
		}},
		{name: "trailer too late", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.WriteString(w, "a secret")
			w.Header().Set(http.TrailerPrefix+"X-Late", "secret")
		}},
		{name: "large, written", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			for from := large; from != ""; {
				n := min(len(from), 5000)
				io.WriteString(w, from[:n])
				from = from[n:]
			}
		}},
		{name: "large, written at once", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Write([]byte(large))
		}},
		{name: "large, copied", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			n, err := io.Copy(w, struct{ io.Reader }{strings.NewReader(large)})
			note("%d %v", n, err)
		}},
		{name: "large, copied after a write", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.WriteString(w, "a secret")
			io.Copy(w, struct{ io.Reader }{strings.NewReader(large)})
			io.WriteString(w, "a secret")
		}},
		{name: "large, written by its source", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.Copy(w, strings.NewReader(large))
		}},
		{name: "file", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			note("%v", copyFile(w))
		}},
		{name: "file, length told", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", length(large))
			note("%v", copyFile(w))
		}},
		{name: "file server", request: plainGet, unjudged: guard.ResponseBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			http.ServeContent(w, r, "large.bin", time.Time{}, strings.NewReader(large))
		}},
		{
			name: "range", request: strings.Replace(plainGet, "Cookie", "Range: bytes=3-9\r\nCookie", 1), unjudged: guard.ResponseBody,
			handler: func(w http.ResponseWriter, r *http.Request, note noter) {
				http.ServeContent(w, r, "large.json", time.Time{}, strings.NewReader(large))
			},
		},
		{name: "image", request: plainGet, unjudged: guard.ResponseBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Header().Set("Content-Type", "image/png")
			io.WriteString(w, "\x89PNG\r\n")
			io.Copy(w, struct{ io.Reader }{strings.NewReader(large)})
		}},
		{name: "empty copy, then an error", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			n, err := io.Copy(w, struct{ io.Reader }{strings.NewReader("")})
			note("%d %v", n, err)
			_, err = io.Copy(w, failingReader{})
			note("%v", err)
			http.Error(w, "secret", 502)
		}},
		{
			name: "gzip", request: strings.Replace(plainGet, "Cookie", "Accept-Encoding: gzip\r\nCookie", 1), unjudged: guard.ResponseBody,
			handler: func(w http.ResponseWriter, r *http.Request, note noter) {
				if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
					io.WriteString(w, "nobody asked for gzip")
					return
				}
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				io.WriteString(z, large)
				z.Close()
			},
		},
		{name: "controller", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			c := http.NewResponseController(w)
			note("%v", c.SetReadDeadline(time.Now().Add(time.Minute)))
			note("%v", c.SetWriteDeadline(time.Now().Add(time.Minute)))
			note("%v", c.EnableFullDuplex())
			_, isFlusher := w.(http.Flusher)
			_, isHijacker := w.(http.Hijacker)
			_, isStringWriter := w.(io.StringWriter)
			note("flusher %t, hijacker %t, string writer %t", isFlusher, isHijacker, isStringWriter)
		}},
		{name: "invalid status", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			defer func() { note("%v", recover()) }()
			w.WriteHeader(0)
		}},

		{name: "panic", request: plainGet, unjudged: guard.ResponseHead | guard.ResponseBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			w.Header().Set("X-Handler", "secret")
			panic("secret")
		}},
		{name: "panic after a write", request: plainGet, unjudged: guard.ResponseBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.WriteString(w, "a secret")
			panic("secret")
		}},
		{name: "panic after a flush", request: plainGet, unjudged: guard.ResponseBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.WriteString(w, "a secret")
			w.(http.Flusher).Flush()
			panic("secret")
		}},
		{name: "abort", request: plainGet, unjudged: guard.ResponseBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.WriteString(w, large)
			panic(http.ErrAbortHandler)
		}},
		{
			name: "panic, recovered outside", request: plainGet, unjudged: guard.ResponseBody,
			around: func(h http.Handler) http.Handler {
				return handle(func(w http.ResponseWriter, r *http.Request) {
					defer func() {
						recover()
						http.Error(w, "sorry", 500)
					}()
					h.ServeHTTP(w, r)
				})
			},
			handler: func(w http.ResponseWriter, r *http.Request, note noter) {
				w.Header().Set("X-Handler", "secret")
				w.WriteHeader(201)
				panic("secret")
			},
		},

		{name: "counted body", request: counted, handler: echo},
		{name: "chunked body with trailer", request: inChunks, handler: echo},
		{name: "chunked body with a trailer nobody announced", request: strings.Replace(inChunks, "Trailer: X-Sum\r\n", "", 1), handler: echo},
		{name: "body unread", request: counted, unjudged: guard.RequestBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.WriteString(w, "a secret")
		}},
		{name: "body half read", request: counted, unjudged: guard.RequestBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			b := make([]byte, 4)
			n, err := io.ReadFull(r.Body, b)
			note("%q %d %v", b, n, err)
			io.WriteString(w, "a secret")
		}},
		{
			name: "body half read, then another request", calls: 2,
			request: strings.Replace(inChunks, "Connection: close\r\n", "", 1) + next,
			handler: func(w http.ResponseWriter, r *http.Request, note noter) {
				b := make([]byte, 4)
				n, err := io.ReadFull(r.Body, b)
				note("%q %d %v", b, n, err)
			},
		},
		{name: "two requests", calls: 2, request: strings.Replace(counted, "Connection: close\r\n", "", 1) + next, handler: echo},
		{name: "body read by the length", request: counted, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			b := make([]byte, r.ContentLength)
			n, err := io.ReadFull(r.Body, b)
			note("%q %d %v", b, n, err)
		}},
		{name: "body closed, then read", request: counted, unjudged: guard.RequestBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			note("%v", r.Body.Close())
			n, err := r.Body.Read(make([]byte, 9))
			note("%d %v", n, err)
		}},
		{
			name: "body cut off", request: strings.Replace(counted, "Length: 8", "Length: 9", 1), unjudged: guard.RequestBody,
			talk:    func(conn net.Conn) { conn.(*net.TCPConn).CloseWrite() },
			handler: echo,
		},
		{name: "malformed chunks", request: strings.Replace(inChunks, "5;x=y", "zz", 1), unjudged: guard.RequestBody, handler: echo},
		{name: "body over the limit", request: strings.Replace(counted, "Length: 8\r\n\r\na secret", "Length: "+length(strings.Repeat(large, 12))+"\r\n\r\n"+strings.Repeat(large, 12), 1), unjudged: guard.RequestBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			n, err := io.Copy(io.Discard, r.Body)
			note("%d %v", n, err)
		}},
		{name: "compressed body", request: strings.Replace(counted, "Content-Type", "Content-Encoding: x-secret\r\nContent-Type", 1), unjudged: guard.RequestBody, handler: echo},
		{
			name:    "form",
			request: strings.Replace(strings.Replace(counted, "text/plain", "application/x-www-form-urlencoded", 1), "a secret", "a=secret", 1),
			handler: func(w http.ResponseWriter, r *http.Request, note noter) {
				note("%v %v %v", r.ParseForm(), r.Form, r.PostForm)
			},
		},
		{name: "expecting, unread", request: expecting, unjudged: guard.RequestBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			io.WriteString(w, "a secret")
		}},
		{
			name: "expecting, read", request: expecting, handler: echo,
			await: "100 Continue\r\n\r\n",
			talk:  func(conn net.Conn) { io.WriteString(conn, "a secret") },
		},
		{name: "answered, then read", request: counted, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			http.NewResponseController(w).EnableFullDuplex()
			io.WriteString(w, "a secret")
			w.(http.Flusher).Flush()
			echo(w, r, note)
		}},

		{name: "hijacked", request: upgrading, unjudged: guard.ResponseBody, handler: takeOver("raw"), await: "101 Switching Protocols", talk: ping},
		{name: "hijacked after WriteHeader", request: upgrading, unjudged: guard.ResponseBody, handler: takeOver("after WriteHeader"), await: "101 Switching Protocols", talk: ping},

		{
			name: "time-out outside", request: plainGet, unjudged: guard.ResponseBody,
			around: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, 30*time.Millisecond, "late") },
			handler: func(w http.ResponseWriter, r *http.Request, note noter) {
				io.WriteString(w, "a secret")
				<-r.Context().Done()
				io.WriteString(w, "a secret")
				panic(http.ErrAbortHandler)
			},
		},
		{
			name: "time-out outside that does not come", request: counted,
			around:  func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "late") },
			handler: echo,
		},
		{name: "time-out inside", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			http.TimeoutHandler(handle(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), 20*time.Millisecond, "late").ServeHTTP(w, r)
		}},
		{name: "proxy", request: inChunks, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			httputil.NewSingleHostReverseProxy(upstream).ServeHTTP(w, r)
		}},
		{name: "proxy of a stream", request: plainGet, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			r.Header.Set("Accept", sse)
			httputil.NewSingleHostReverseProxy(upstream).ServeHTTP(w, r)
		}},
		{name: "proxy of an upgrade", request: upgrading, await: "101 Switching Protocols", talk: ping, unjudged: guard.ResponseBody, handler: func(w http.ResponseWriter, r *http.Request, note noter) {
			httputil.NewSingleHostReverseProxy(upstream).ServeHTTP(w, r)
		}},
	}
	return all
}

// behind is the service that the proxies of the corpus stand before.
var behind = handle(func(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Upgrade") != "":
		upgrades["raw"].ServeHTTP(w, r)
	case r.Header.Get("Accept") == sse:
		writing(sse, "data: a secret\n\ndata: b\n\n").ServeHTTP(w, r)
	default:
		w.Header().Set("Trailer", "X-Sum")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %q %q", b, r.ContentLength, r.TransferEncoding, r.Header)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
	}
})

func echo(w http.ResponseWriter, r *http.Request, note noter) {
	var b bytes.Buffer
	_, err := b.ReadFrom(r.Body)
	note("%q %v %t", b.Bytes(), err, errors.Is(err, io.ErrUnexpectedEOF))
	w.Header().Set("Content-Type", "text/plain")
	w.Write(b.Bytes())
}

func takeOver(how string) func(http.ResponseWriter, *http.Request, noter) {
	return func(w http.ResponseWriter, r *http.Request, _ noter) { upgrades[how].ServeHTTP(w, r) }
}

func ping(conn net.Conn) { io.WriteString(conn, "ping\n") }
