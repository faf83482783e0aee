package adaptertest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/palegate/palegate/guard"
)

var responseRows = []row{
	{"refusal-response", "a refused response leaks neither body nor header", refusalResponse},
	{"error-status", "a handler's error keeps its status and is judged", errorStatus},
	{"response-body", "a guard's edit of the body reaches the client, and its length is told truly", responseBody},
	{"response-header", "a guard's header fields come with every answer", responseHeader},
	{"head", "an answer to HEAD has the framework's status and tells no length that is not true", headRequests},
	{"no-body", "204 and 304 stay as they are", noBody},
	{"trailers", "trailers are judged and reach the client", trailers},
	{"handler-panic", "what a handler wrote before it panicked never leaves", handlerPanic},
	{"late-write", "what a handler writes after it has returned harms nobody", lateWrite},
	{"done", "the Done phase runs once, whatever happened, and knows route and status", donePhase},
}

func refusalResponse(p *probe) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Handler", secret)
		says(200, secret)(w, r)
	})
	for _, at := range []guard.Phase{guard.ResponseHead, guard.ResponseBody} {
		s := p.serve([]Route{
			{Pattern: userPattern, Handler: h},
			{Pattern: "GET /fails", Handler: says(409, secret), Fails: &Failure{409, secret}},
		}, refuse(at, guard.CauseInternal))
		for _, target := range []string{"/users/7", "/fails"} {
			a := s.get(target)
			p.refused(at.String()+" of "+target, a, 500, reason)
			if strings.Contains(a.body, secret) || a.header.Get("X-Handler") != "" {
				p.errorf("%s of %s: the handler's %q and %q leaked", at, target, a.body, a.header)
			}
		}
	}
}

func errorStatus(p *probe) {
	routes := []Route{
		{Pattern: "GET /error", Handler: says(409, secret)},
		{Pattern: "GET /fails", Handler: says(409, secret), Fails: &Failure{409, secret}},
	}
	bare := p.serve(routes)
	for what, guards := range map[string][]guard.Part{
		"request guards": {watch(guard.RequestHead, func(*guard.Exchange, guard.Phase) {})},
		"a mask":         {mask()},
	} {
		s := p.serve(routes, guards...)
		for _, target := range []string{"/error", "/fails"} {
			want := bare.get(target)
			if want.status != 409 {
				p.errorf("%s without guards: got %v, want 409", target, want)
			}
			if what == "a mask" {
				want.body = strings.ReplaceAll(want.body, secret, masked)
			}
			p.want(target+" behind "+what, s.get(target), 409, want.body)
		}
	}
}

func responseBody(p *probe) {
	h := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("ETag", `"1"`)
		for _, piece := range []string{"a sec", "ret", "", " and no more"} {
			_, _ = io.WriteString(w, piece)
		}
	}
	const want = "a " + masked + " and no more"
	s := p.serve([]Route{
		{Pattern: userPattern, Handler: http.HandlerFunc(h)},
		{Pattern: "GET /length", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "20")
			h(w, r)
		})},
	}, mask())
	for _, target := range []string{"/users/7", "/length"} {
		a := s.get(target)
		p.want(target, a, 200, want)
		if a.length != int64(len(want)) || len(a.header["Etag"]) > 0 {
			p.errorf("%s: got length %d and ETag %q, want %d and none", target, a.length, a.header["Etag"], len(want))
		}
	}
}

func responseHeader(p *probe) {
	routes := []Route{
		{Pattern: userPattern, Handler: says(200, "ok")},
		{Pattern: "GET /fails", Handler: says(409, "no"), Fails: &Failure{409, "no"}},
	}
	for what, guards := range map[string][]guard.Part{
		"alone": {limit(false)}, "with a mask": {limit(false), mask()}, "refusing": {limit(true)},
	} {
		s := p.serve(routes, guards...)
		for _, target := range []string{"/users/7", "/fails"} {
			if a := s.get(target); a.header.Get("X-Limit") != "guard" {
				p.errorf("%s, %s: X-Limit is %q in %v", what, target, a.header["X-Limit"], a)
			}
		}
	}
}

func headRequests(p *probe) {
	routes := []Route{
		{Pattern: userPattern, Handler: says(200, secret)},
		{Pattern: "GET /length", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "6")
			says(200, secret)(w, r)
		})},
	}
	bare, s := p.serve(routes), p.serve(routes, mask())
	for _, target := range []string{"/users/7", "/length", "/nothing"} {
		want, got := bare.do("HEAD", target, ""), s.do("HEAD", target, "")
		p.want("HEAD "+target, got, want.status, "")
		if n := got.header.Get("Content-Length"); want.status == 200 && n != "" && n != "3" {
			p.errorf("HEAD %s: Content-Length is %s, but GET answers with 3 bytes", target, n)
		}
	}
}

func noBody(p *probe) {
	s := p.serve([]Route{
		{Pattern: "GET /204", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })},
		{Pattern: "GET /304", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"1"`)
			w.WriteHeader(304)
		})},
	}, mask())
	a := s.get("/204")
	p.want("204", a, 204, "")
	if len(a.header["Content-Length"]) > 0 {
		p.errorf("204 has Content-Length %q", a.header["Content-Length"])
	}
	a = s.get("/304")
	p.want("304", a, 304, "")
	if a.header.Get("ETag") != `"1"` {
		p.errorf("304 has ETag %q, want the handler's", a.header["Etag"])
	}
}

func trailers(p *probe) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, secret)
		w.Header().Set("X-Sum", secret)
		w.Header().Set(http.TrailerPrefix+"X-Late", "late")
	})
	s := p.serve([]Route{{Pattern: userPattern, Handler: h}}, mask(),
		part{guard.ResponseBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			if x.Response().Trailer().Get("X-Sum") == secret {
				x.Response().Stage(guard.Edit{In: guard.InTrailer, Name: "X-Sum", Values: []string{masked}})
			}
			return guard.Decision{}
		}})
	a := s.get("/users/7")
	p.want("the body", a, 200, masked)
	if sum, late := a.trailer.Get("X-Sum"), a.trailer.Get("X-Late"); sum != masked || late != "late" {
		p.errorf("X-Sum is %q and X-Late %q in the trailer %q, want %q and \"late\"", sum, late, a.trailer, masked)
	}
}

func handlerPanic(p *probe) {
	for _, value := range []any{"adaptertest", http.ErrAbortHandler} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			says(200, "half of a "+secret)(w, r)
			_ = http.NewResponseController(w).Flush()
			panic(value)
		})
		s := p.serve([]Route{{Pattern: userPattern, Handler: h}}, mask())
		got := s.raw("GET /users/7 HTTP/1.1")
		if bytes.Contains(got, []byte("half")) || bytes.HasPrefix(got, []byte("HTTP/1.1 2")) {
			p.errorf("panic(%v): the client got %q", value, got)
		}
	}
}

func lateWrite(p *probe) {
	returned, written := make(chan struct{}), make(chan struct{})
	late := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		says(200, "in time")(w, r)
		go func() {
			defer close(written)
			<-returned
			_, _ = io.WriteString(w, secret)
			_ = http.NewResponseController(w).Flush()
		}()
	})
	during := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(returned)
		if !p.wait(written) {
			p.errorf("the late write hangs")
		}
		says(200, "during")(w, r)
	})
	s := p.serve([]Route{
		{Pattern: userPattern, Handler: late},
		{Pattern: "GET /during", Handler: during},
		{Pattern: "GET /after", Handler: says(200, "after")},
	}, mask())
	p.want("the answer", s.get("/users/7"), 200, "in time")
	p.want("one during the late write", s.get("/during"), 200, "during")
	p.want("one after it", s.get("/after"), 200, "after")
}

func donePhase(p *probe) {
	type end struct {
		route  string
		status int
	}
	ends := make(chan end, 10)
	var refuses bool
	s := p.serve([]Route{
		{Pattern: userPattern, Handler: says(201, "ok")},
		{Pattern: "GET /fails", Handler: says(409, "no"), Fails: &Failure{409, "no"}},
	}, part{guard.RequestHead | guard.Done, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		switch {
		case at == guard.Done:
			ends <- end{x.Route(), x.Response().Status()}
		case refuses:
			return refusal(guard.CauseForbidden)
		}
		return guard.Decision{}
	}})
	check := func(what, target string, want end) {
		s.get(target)
		s.get(target) // so that a second end of the first would have come
		for range 2 {
			select {
			case got := <-ends:
				if got != want {
					p.errorf("%s: got %v, want %v", what, got, want)
				}
			case <-time.After(p.patience):
				p.errorf("%s: Done did not run", what)
			}
		}
		if n := len(ends); n > 0 {
			p.errorf("%s: Done ran %d times more", what, n)
		}
	}
	check("answered", "/users/7", end{p.adapter.Name(userPattern), 201})
	check("failed", "/fails", end{p.adapter.Name("GET /fails"), 409})
	refuses = true
	check("refused", "/users/7", end{p.adapter.Name(userPattern), 403})
}
