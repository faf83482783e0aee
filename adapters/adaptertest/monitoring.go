package adaptertest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"

	"github.com/palegate/palegate/guard"
)

var monitorRows = []row{
	{"monitor", "guards that only monitor change no byte of an answer, whatever they would do", monitoring},
}

// monitored are guards that refuse, edit and panic at every phase, in shadow.
func monitored() []guard.Part {
	edit := func(x *guard.Exchange, at guard.Phase) guard.Decision {
		for _, m := range []*guard.Message{x.Request(), x.Response()} {
			m.Stage(guard.Edit{In: guard.InBody, Body: []byte("edited")})
			for _, in := range []guard.Place{guard.InHeader, guard.InTrailer, guard.InQuery, guard.InCookie} {
				m.Stage(guard.Edit{In: in, Name: "X-Edited", Values: []string{"edited"}})
			}
		}
		if at == guard.RequestHead {
			return guard.Decision{Effect: guard.Transform, Reason: reason}
		}
		return refusal(guard.CauseForbidden)
	}
	panics := func(*guard.Exchange, guard.Phase) guard.Decision { panic("adaptertest") }
	return []guard.Part{
		guard.Use{Name: "edits", Mode: guard.ModeMonitor, Part: part{allPhases, edit}},
		guard.Use{Name: "panics", Mode: guard.ModeMonitor, Part: part{allPhases, panics}},
	}
}

// sites answer in every way that a monitor could disturb.
func sites() []Route {
	piecewise := func(prepare func(h http.Header)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			prepare(w.Header())
			for i := range 3 {
				_, _ = io.WriteString(w, "piece "+strconv.Itoa(i)+"\n\n")
				_ = http.NewResponseController(w).Flush()
			}
			w.Header().Set("X-Sum", r.URL.RawQuery)
		}
	}
	typed := func(mediaType string) func(http.Header) {
		return func(h http.Header) { h.Set("Content-Type", mediaType) }
	}
	return []Route{
		{Pattern: userPattern, Handler: says(200, "ok")},
		{Pattern: usersPattern, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			w.Header()["x-odd-case"] = []string{"kept", "twice"}
			says(201, fmt.Sprintf("%q %v %q %v", body, err, r.URL.RawQuery, r.Header))(w, r)
		})},
		{Pattern: "POST /unread", Handler: says(200, "ok")},
		{Pattern: "GET /untyped", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!doctype html><p>sniffed")
		})},
		{Pattern: "GET /silent", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})},
		{Pattern: "GET /long", Handler: says(200, string(bytes.Repeat([]byte("0123456789"), 10_000)))},
		{Pattern: "GET /fails", Handler: says(409, "no"), Fails: &Failure{409, "no"}},
		{Pattern: "GET /204", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })},
		{Pattern: "GET /304", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) })},
		{Pattern: "GET /chunks", Handler: piecewise(typed("text/plain"))},
		{Pattern: "GET /events", Handler: piecewise(typed("text/event-stream"))},
		{Pattern: "GET /image", Handler: piecewise(typed("image/png"))},
		{Pattern: "GET /encoded", Handler: piecewise(func(h http.Header) { h.Set("Content-Encoding", "br") })},
		{Pattern: "GET /trailers", Handler: piecewise(func(h http.Header) { h.Set("Trailer", "X-Sum") })},
		{Pattern: "GET /hints", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Early", "hint")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("X-Early")
			says(200, "ok")(w, r)
		})},
		{Pattern: "GET /aborted", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			piecewise(typed("text/plain"))(w, r)
			panic(http.ErrAbortHandler)
		})},
		{Pattern: "GET /taken", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = io.WriteString(conn, "not HTTP")
				conn.Close()
			}
		})},
	}
}

// asked are requests to sites and to what is none.
var asked = []string{
	"GET /users/7 HTTP/1.1",
	"GET /users/7 HTTP/1.0",
	"HEAD /users/7 HTTP/1.1",
	"OPTIONS /users/7 HTTP/1.1",
	"DELETE /users/7 HTTP/1.1",
	"GET /nothing HTTP/1.1",
	"GET //users/7 HTTP/1.1",
	"GET /users/7/ HTTP/1.1",
	"GET /users/a%2Fb HTTP/1.1",
	"GET /users/7?a=%zz&a=;b HTTP/1.1",
	"POST /users?q=1 HTTP/1.1\nContent-Type: text/plain\nContent-Length: 5\n\nhello",
	"POST /users HTTP/1.1\nContent-Type: text/plain\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n",
	"POST /users HTTP/1.1\nContent-Type: text/plain\nContent-Length: 5\nExpect: 100-continue\n\nhello",
	"POST /users HTTP/1.1\nContent-Type: text/plain\nTransfer-Encoding: chunked\n\nno chunk\r\n",
	"POST /users HTTP/1.1\nContent-Type: text/plain\nContent-Encoding: br\nContent-Length: 5\n\nhello",
	"POST /unread HTTP/1.1\nContent-Type: text/plain\nContent-Length: 5\n\nhello",
	"POST /unread HTTP/1.1\nContent-Type: text/plain\nContent-Length: 5\nExpect: 100-continue\n",
	"GET /untyped HTTP/1.1",
	"GET /silent HTTP/1.1",
	"GET /long HTTP/1.1",
	"HEAD /long HTTP/1.1",
	"GET /fails HTTP/1.1",
	"GET /204 HTTP/1.1",
	"GET /304 HTTP/1.1",
	"GET /chunks HTTP/1.1",
	"GET /chunks HTTP/1.0",
	"GET /events HTTP/1.1",
	"GET /image HTTP/1.1",
	"GET /encoded HTTP/1.1",
	"GET /trailers?sum HTTP/1.1",
	"GET /hints HTTP/1.1",
	"GET /aborted HTTP/1.1",
	"GET /taken HTTP/1.1",
}

var date = regexp.MustCompile(`\r\nDate: [^\r]*`)

func monitoring(p *probe) {
	bare, s := p.serve(sites()), p.serve(sites(), monitored()...)
	for _, request := range asked {
		want := date.ReplaceAll(bare.raw(request), nil)
		got := date.ReplaceAll(s.raw(request), nil)
		if !bytes.Equal(got, want) {
			p.errorf("%q: got %.2000q\nwithout guards %.2000q", request, got, want)
		}
		if len(want) == 0 {
			p.errorf("%q: without guards nothing came", request)
		}
	}
}
