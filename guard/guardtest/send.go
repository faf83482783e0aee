// Package guardtest tests policies beside the application's own tests, and
// guards against their contract. It needs no server and no framework:
//
//	func TestOrders(t *testing.T) {
//		r := httptest.NewRequest("POST", "/orders", strings.NewReader(`{"qty":-1}`))
//		res := guardtest.Send(t, handler(), r, guardtest.From("203.0.113.7"))
//		if res.Refused.Reason != "ratelimit.exceeded" || res.Reached {
//			t.Fatal(res)
//		}
//	}
//
// [Send] sends one request, [Table] a file of them, and [Cover] tells what no
// test has reached. Whoever writes a guard tests it with [Conform].
package guardtest

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
)

// Send sends r through h, a handler wrapped by a pipeline or by several, and
// returns what became of it. There is no server: the response is recorded.
//
// r may be one for a server ([httptest.NewRequest]) or for a client
// ([http.NewRequest]). It is copied, but its body is read. A principal that its
// context has from [guard.WithPrincipal] stays, unless [As] names another.
//
// The test fails if a refusal was answered with a 2xx status. A handler that
// panics with [http.ErrAbortHandler] is reported in the Result; other panics go
// on.
//
// Safe for concurrent use if h is.
func Send(t testing.TB, h http.Handler, r *http.Request, opts ...Option) Result {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt.apply(&o)
	}
	if o.err != nil {
		t.Fatalf("guardtest: %v", o.err)
	}
	res := serve(h, o.request(r))
	reached.record(r.Method, res.Route, res.Decisions)
	if res.Refused.Refused() && res.Status/100 == 2 && !res.Aborted && !alwaysOK(res.Header) {
		t.Errorf("guardtest: %s %s: a refusal was answered %v", r.Method, r.URL, res)
	}
	return res
}

// alwaysOK reports whether h is that of a protocol that tells its errors after
// a status of 200: gRPC, gRPC-Web and the streams of Connect.
func alwaysOK(h http.Header) bool {
	mediaType := h.Get("Content-Type")
	return strings.HasPrefix(mediaType, "application/grpc") || strings.HasPrefix(mediaType, "application/connect+")
}

// request returns the request that a server would have got for r.
func (o *options) request(r *http.Request) *http.Request {
	principal := o.principal
	if x := guard.From(r.Context()); x != nil && principal == nil {
		principal = x.Principal()
	}
	// The exchange that WithPrincipal puts into the context is the outermost
	// one: pipelines share with it what they decide.
	r = r.Clone(guard.WithPrincipal(apart{r.Context()}, principal))
	if o.addr != "" {
		r.RemoteAddr = o.addr
	}
	if r.RemoteAddr == "" {
		r.RemoteAddr = defaultAddr
	}
	r.Host = cmp.Or(r.Host, r.URL.Host, "example.com")
	if r.RequestURI == "" { // a client's: its URL says where to send it, too
		r.RequestURI = r.URL.RequestURI()
		r.URL.Scheme, r.URL.Host = "", ""
	}
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	return r
}

// apart hides the exchange of a context: a request that is sent twice is two
// exchanges.
type apart struct{ context.Context }

func (c apart) Value(key any) any {
	v := c.Context.Value(key)
	if _, ok := v.(*guard.Exchange); ok {
		return nil
	}
	return v
}

// serve lets h answer r, whose context comes from guard.WithPrincipal.
func serve(h http.Handler, r *http.Request) Result {
	w := recorder{httptest.NewRecorder()}
	w.Code = 0 // nothing was written
	aborted := serveInto(w, h, r)
	if w.Code == 0 && !aborted {
		w.WriteHeader(http.StatusOK)
	}
	root := guard.From(r.Context())
	res := Result{
		Route:     root.Route(),
		Reached:   root.Reached(),
		Aborted:   aborted,
		Decisions: root.Decisions(),
		Status:    w.Code,
		Header:    w.Result().Header,
		Body:      w.Body.Bytes(),
	}
	for _, d := range res.Decisions {
		if d.Refused() {
			res.Refused = d
			// Of two pipelines the outer one has reached its handler, which is
			// the inner one that refuses.
			res.Reached = res.Reached && d.Phase&(guard.RequestHead|guard.RequestBody) == 0
			break
		}
	}
	return res
}

func serveInto(w http.ResponseWriter, h http.Handler, r *http.Request) (aborted bool) {
	// As net/http does when an exchange is over: what waits for the context
	// must not outlive the test.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			aborted = true
		default:
			panic(v)
		}
	}()
	h.ServeHTTP(w, r.WithContext(ctx))
	return false
}

// recorder is a ResponseRecorder that takes no informational response for the
// final one.
type recorder struct{ *httptest.ResponseRecorder }

func (w recorder) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.ResponseRecorder.WriteHeader(status)
}
