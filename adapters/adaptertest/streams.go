package adaptertest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/palegate/palegate/guard"
)

var streamRows = []row{
	{"flush", "what a handler flushes comes at once where no guard reads the body", flush},
	{"events", "server-sent events are masked and come one by one", func(p *probe) { events(p, false) }},
	{"http2", "so they do over HTTP/2", func(p *probe) { events(p, true) }},
	{"early-hints", "an informational response comes before the answer and is not taken for it", earlyHints},
	{"websocket", "a connection can be taken over where no guard must see the body", webSocket},
	{"websocket-refused", "a connection can't be taken over where a guard must see the body", webSocketRefused},
	{"controller", "http.ResponseController can set deadlines and full duplex", controller},
	{"client-gone", "the handler's context ends when the client goes away", clientGone},
}

// steps is a handler that writes pieces and flushes, and goes on when next
// says so.
func steps(mediaType string, pieces []string, next <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		for _, piece := range pieces {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}
}

// follow reads the pieces that want names, and lets the handler go on only
// after each has come.
func (s *server) follow(target string, want []string, next chan<- struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+target, nil)
	if err != nil {
		s.fatalf("%v", err)
	}
	res, err := s.client.Do(r)
	if err != nil {
		s.fatalf("GET %s: %v", target, err)
	}
	defer res.Body.Close()
	for _, piece := range want {
		got := make([]byte, len(piece))
		if n, err := io.ReadFull(res.Body, got); string(got) != piece {
			s.errorf("GET %s: got %q, error %v, want %q before the handler goes on", target, got[:n], err, piece)
			return
		}
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		s.errorf("GET %s: got %q, error %v at the end", target, rest, err)
	}
}

func flush(p *probe) {
	pieces := []string{"one " + secret, "two " + secret, "three"}
	for what, at := range map[string]guard.Phase{
		"request guards": guard.RequestHead, "a guard of the head": guard.ResponseHead, "a guard that counts": guard.Done,
	} {
		next := make(chan struct{}, len(pieces))
		s := p.serve([]Route{{Pattern: userPattern, Handler: steps("text/plain", pieces, next)}},
			watch(at, func(*guard.Exchange, guard.Phase) {}))
		s.follow("/users/"+strings.ReplaceAll(what, " ", "-"), pieces, next)
	}
}

func events(p *probe, h2 bool) {
	var pieces, want []string
	for i := range 3 {
		pieces = append(pieces, fmt.Sprintf("data: %s %d\n\n", secret, i))
		want = append(want, fmt.Sprintf("data: %s %d\n\n", masked, i))
	}
	next := make(chan struct{}, len(pieces))
	routes := []Route{{Pattern: userPattern, Handler: steps("text/event-stream", pieces, next)}}
	p.start(p.adapter.New(p.pipeline(mask()), routes), h2).follow("/users/7", want, next)
}

func earlyHints(p *probe) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		says(201, secret)(w, r)
	})
	got := string(p.serve([]Route{{Pattern: userPattern, Handler: h}}, mask()).raw("GET /users/7 HTTP/1.1"))
	early, answer, _ := strings.Cut(got, "\r\n\r\n")
	if !strings.HasPrefix(early, "HTTP/1.1 103 ") || !strings.Contains(early, "\r\nLink: </a.css>") {
		p.errorf("first came %q, want 103 with Link", early)
	}
	if !strings.HasPrefix(answer, "HTTP/1.1 201 ") || !strings.HasSuffix(answer, "\r\n\r\n"+masked) {
		p.errorf("then came %q, want 201 with %q", answer, masked)
	}
}

const upgrade = "GET /users/7 HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// echo takes the connection over and echoes one line.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		says(501, err.Error())(w, r)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	line, _ := rw.ReadString('\n')
	_, _ = io.WriteString(conn, line)
}

// upgrade asks for another protocol and returns the connection and the answer
// to that.
func (s *server) upgrade() (io.ReadWriter, *bufio.Reader, *http.Response) {
	conn := s.dial()
	_, _ = io.WriteString(conn, upgrade)
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		s.fatalf("no answer to the upgrade: %v", err)
	}
	return conn, br, res
}

func webSocket(p *probe) {
	s := p.serve([]Route{{Pattern: userPattern, Handler: http.HandlerFunc(echo)}},
		watch(guard.RequestHead|guard.RequestBody|guard.ResponseHead|guard.Done, func(*guard.Exchange, guard.Phase) {}))
	conn, br, res := s.upgrade()
	defer res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		p.fatalf("got %s, want 101", res.Status)
	}
	const line = "a line\n"
	_, _ = io.WriteString(conn, line)
	if got, err := br.ReadString('\n'); got != line {
		p.errorf("the connection echoes %q, error %v, want %q", got, err, line)
	}
}

func webSocketRefused(p *probe) {
	s := p.serve([]Route{{Pattern: userPattern, Handler: http.HandlerFunc(echo)}}, mask())
	_, _, res := s.upgrade()
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, res.ContentLength))
	p.refused("the upgrade", answer{res.StatusCode, res.Header, nil, res.ContentLength, string(body), err}, 500, guard.ReasonHijacked)
}

func controller(p *probe) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		at := time.Now().Add(time.Hour)
		says(200, fmt.Sprint(c.SetReadDeadline(at), c.SetWriteDeadline(at), c.EnableFullDuplex()))(w, r)
	})
	for what, parts := range map[string][]guard.Part{"without guards": nil, "with a mask": {mask()}} {
		p.want(what, p.serve([]Route{{Pattern: userPattern, Handler: h}}, parts...).get("/users/7"), 200, "<nil> <nil> <nil>")
	}
}

func clientGone(p *probe) {
	started, ended := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		select {
		case <-r.Context().Done():
			close(ended)
		case <-time.After(p.patience):
		}
	})
	s := p.serve([]Route{{Pattern: userPattern, Handler: h}}, mask())
	conn := s.dial()
	_, _ = io.WriteString(conn, "GET /users/7 HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if !p.wait(started) {
		p.fatalf("the handler did not run")
	}
	conn.Close()
	if !p.wait(ended) {
		p.errorf("the handler's context goes on")
	}
}
