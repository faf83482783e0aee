package guardtest

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/palegate/palegate/guard"
)

// view is what a guard could change in place.
type view struct {
	method, host      string
	url               url.URL
	parsed            bool // the request's form
	request, response http.Header
	trailer           http.Header
	body              []byte
}

// look copies what a guard sees of x at a phase.
func look(x *guard.Exchange, at guard.Phase) view {
	v := view{
		request:  x.Request().Header().Clone(),
		response: x.Response().Header().Clone(),
		trailer:  x.Response().Trailer().Clone(),
	}
	if r := x.Request().HTTP(); r != nil {
		v.method, v.host, v.url = r.Method, r.Host, *r.URL
		v.parsed = r.Form != nil || r.PostForm != nil || r.MultipartForm != nil
	}
	m := x.Request()
	if at == guard.ResponseBody {
		m = x.Response()
	}
	if b, err := m.Body(); err == nil {
		v.body = bytes.Clone(b.Bytes())
	}
	return v
}

// changed names what is another in now.
func (v *view) changed(now view) []string {
	var names []string
	for _, part := range []struct {
		name string
		same bool
	}{
		{"the request's method", v.method == now.method},
		{"the request's host", v.host == now.host},
		{"the request's URL", v.url == now.url},
		{"the request's form, which it parses: that reads the body, too", v.parsed == now.parsed},
		{"the request's header", maps.EqualFunc(v.request, now.request, slices.Equal)},
		{"the response's header", maps.EqualFunc(v.response, now.response, slices.Equal)},
		{"the response's trailer", maps.EqualFunc(v.trailer, now.trailer, slices.Equal)},
		{"bytes of the body", bytes.Equal(v.body, now.body)},
	} {
		if !part.same {
			names = append(names, part.name)
		}
	}
	return names
}
