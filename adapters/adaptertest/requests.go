package adaptertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/palegate/palegate/guard"
)

var requestRows = []row{
	{"refusal-head", "a refusal of the head stops the handler and is answered with its status", refusalHead},
	{"refusal-body", "a refusal of the body stops the handler and is answered with its status", refusalBody},
	{"refusal-causes", "every cause has its own status, never 2xx", refusalCauses},
	{"request-body", "the handler reads the body that was judged, and its length is told truly", requestBody},
	{"request-edits", "edits of the header and the query reach the handler", requestEdits},
	{"context", "the handler's context leads to the exchange and to what stood in the context before", contexts},
	{"principal", "guards and handlers know the principal, whoever verified it", principals},
	{"guard-panic", "a guard that panics stops the handler with 500 guard.panic", guardPanic},
}

const (
	userPattern  = "GET /users/{id}"
	usersPattern = "POST /users"
)

// refused reports whether a is a refusal of that status and reason.
func (p *probe) refused(what string, a answer, status int, because guard.Reason) {
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" ||
		!strings.Contains(a.body, `"code":"`+string(because)+`"`) {
		p.errorf("%s: got %v, want %d with code %s as problem details", what, a, status, because)
	}
}

func (p *probe) silent(what string, l *list) {
	if got := l.take(); len(got) > 0 {
		p.errorf("%s: %q ran", what, got)
	}
}

func refusalHead(p *probe) {
	var ran list
	s := p.serve([]Route{
		{Pattern: userPattern, Handler: notes(&ran, 200, "ran")},
		{Pattern: usersPattern, Handler: notes(&ran, 200, "ran")},
		{Pattern: "GET /fails", Handler: notes(&ran, 409, "ran"), Fails: &Failure{409, "ran"}},
	}, refuse(guard.RequestHead, guard.CauseForbidden))
	p.refused("GET", s.get("/users/7"), 403, reason)
	p.refused("POST", s.do("POST", "/users", "hello"), 403, reason)
	p.refused("a route that fails", s.get("/fails"), 403, reason)
	p.silent("refused", &ran)
}

func refusalBody(p *probe) {
	var ran list
	s := p.serve([]Route{{Pattern: usersPattern, Handler: notes(&ran, 201, "ran")}},
		guard.Use{Name: "refuses", Part: part{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			if body, err := x.Request().Body(); err != nil || bytes.Contains(body.Bytes(), []byte("attack")) {
				return refusal(guard.CauseInvalid)
			}
			return guard.Decision{}
		}}})
	p.refused("attack", s.do("POST", "/users", "an attack"), 422, reason)
	p.refused("chunked attack", s.do("POST", "/users", "an attack", "Transfer-Encoding: chunked"), 422, reason)
	p.silent("refused", &ran)
	p.want("no attack", s.do("POST", "/users", "hello"), 201, "ran")
}

func refusalCauses(p *probe) {
	for cause := guard.CauseNone; cause <= guard.CauseUnavailable; cause++ {
		s := p.serve([]Route{{Pattern: userPattern, Handler: says(200, "ran")}}, refuse(guard.RequestHead, cause))
		p.refused(cause.String(), s.get("/users/7"), cause.HTTP(), reason)
	}
}

func requestBody(p *probe) {
	const replaced = "another"
	var told list
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		told.add(fmt.Sprintf("%s %v, length %d %q, encoding %q", body, err, r.ContentLength, r.Header["Content-Length"], r.TransferEncoding))
		says(200, "")(w, r)
	})
	routes := []Route{{Pattern: usersPattern, Handler: h}}
	read := part{guard.RequestBody, func(*guard.Exchange, guard.Phase) guard.Decision { return guard.Decision{} }}
	edit := part{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		x.Request().Stage(guard.Edit{In: guard.InBody, Body: []byte(replaced)})
		return guard.Decision{Effect: guard.Transform, Reason: reason}
	}}
	for _, tt := range []struct {
		part guard.Part
		want string
	}{
		{read, "the body"},
		{edit, replaced},
	} {
		s := p.serve(routes, tt.part)
		want := fmt.Sprintf("%s <nil>, length %d %q, encoding []", tt.want, len(tt.want), []string{fmt.Sprint(len(tt.want))})
		for _, field := range []string{"X-Length: known", "Transfer-Encoding: chunked"} {
			a := s.do("POST", "/users", "the body", field)
			if got := told.take(); !slices.Equal(got, []string{want}) {
				p.errorf("%s: the handler got %q, want %q; the client %v", field, got, want, a)
			}
		}
	}
}

func requestEdits(p *probe) {
	var told list
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told.add(r.Header.Get("X-Edited") + " " + r.URL.RawQuery)
		says(200, "")(w, r)
	})
	s := p.serve([]Route{{Pattern: userPattern, Handler: h}},
		part{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			x.Request().Stage(guard.Edit{In: guard.InHeader, Name: "X-Edited", Values: []string{"yes"}})
			x.Request().Stage(guard.Edit{In: guard.InQuery, Name: "token"})
			return guard.Decision{Effect: guard.Transform, Reason: reason}
		}})
	s.get("/users/7?a=1&token=x&b=2")
	if got, want := told.take(), []string{"yes a=1&b=2"}; !slices.Equal(got, want) {
		p.errorf("the handler got %q, want %q", got, want)
	}
}

type outerKey struct{}

func contexts(p *probe) {
	var told list
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := guard.From(r.Context())
		if x == nil {
			told.add("no exchange")
			return
		}
		told.add(fmt.Sprint(x.ID(), " ", x.Reached(), " ", r.Context().Value(outerKey{})))
		says(200, "")(w, r)
	})
	var id string
	h = p.adapter.New(p.pipeline(watch(guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) { id = x.ID() })),
		[]Route{{Pattern: userPattern, Handler: h}}).ServeHTTP
	s := p.start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h(w, r.WithContext(context.WithValue(r.Context(), outerKey{}, "outer")))
	}), false)
	s.get("/users/7")
	if got, want := told.take(), []string{id + " true outer"}; !slices.Equal(got, want) {
		p.errorf("the handler knows %q of its exchange, want %q", got, want)
	}
}

func principals(p *probe) {
	var told list
	tell := func(who string, x *guard.Exchange) {
		if x == nil || x.Principal() == nil {
			told.add(who + " nobody")
			return
		}
		told.add(who + " " + x.Principal().Subject)
	}
	routes := []Route{{Pattern: userPattern, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tell("handler", guard.From(r.Context()))
		says(200, "")(w, r)
	})}}
	late := watch(guard.ResponseHead, func(x *guard.Exchange, _ guard.Phase) { tell("guard", x) })
	expect := func(what, subject string) {
		if got, want := told.take(), []string{"handler " + subject, "guard " + subject}; !slices.Equal(got, want) {
			p.errorf("verified by %s: got %q, want %q", what, got, want)
		}
	}

	p.serve(routes, part{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
		return guard.Decision{Principal: guard.NewPrincipal(guard.Principal{Subject: "ada"}, nil)}
	}}, late).get("/users/7")
	expect("a guard", "ada")

	h := p.adapter.New(p.pipeline(late), routes)
	p.start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := guard.WithPrincipal(r.Context(), guard.NewPrincipal(guard.Principal{Subject: "bob"}, nil))
		h.ServeHTTP(w, r.WithContext(ctx))
	}), false).get("/users/7")
	expect("middleware outside", "bob")
}

func guardPanic(p *probe) {
	var ran list
	routes := []Route{{Pattern: usersPattern, Handler: notes(&ran, 200, secret)}}
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody} {
		s := p.serve(routes, part{at, func(*guard.Exchange, guard.Phase) guard.Decision { panic("adaptertest") }})
		p.refused(at.String(), s.do("POST", "/users", "hello"), 500, guard.ReasonPanic)
		if at <= guard.RequestBody {
			p.silent(at.String(), &ran)
		}
	}
}
