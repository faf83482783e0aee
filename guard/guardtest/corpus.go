package guardtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/palegate/palegate/guard"
)

// exchanges returns what Conform sends: the corpus, each request with the next
// of the answers, all answers to one request, and the samples.
func exchanges(samples []*http.Request) ([]exchange, error) {
	var all []exchange
	add := func(a ask, answer answer) error {
		e, err := a.exchange()
		e.answer = answer
		all = append(all, e)
		return err
	}
	for i, a := range corpus {
		if err := add(a, answers[i%len(answers)]); err != nil {
			return nil, err
		}
	}
	for _, answer := range answers {
		if err := add(ask{name: "ordinary", pattern: "GET /things/{id}", target: "/things/7"}, answer); err != nil {
			return nil, err
		}
	}
	for i, r := range samples {
		e, err := sample(i, r)
		if err != nil {
			return nil, err
		}
		for _, answer := range answers[:sampleAnswers] {
			e.answer = answer
			all = append(all, e)
		}
	}
	return all, nil
}

func sample(i int, r *http.Request) (exchange, error) {
	e := exchange{name: fmt.Sprintf("sample %d, %s", i, r.URL), pattern: r.Pattern, chunked: r.ContentLength < 0}
	if x := guard.From(r.Context()); x != nil {
		e.options.principal = x.Principal()
	}
	if r.Body != nil {
		var err error
		if e.body, err = io.ReadAll(r.Body); err != nil {
			return e, fmt.Errorf("sample %d: %w", i, err)
		}
	}
	e.template = r.Clone(context.Background())
	e.template.Pattern = "" // as before a router has seen it
	if e.template.Header == nil {
		e.template.Header = http.Header{}
	}
	return e, nil
}

// ask is a request of the corpus.
type ask struct {
	name      string
	pattern   string // the route; "" for none
	method    string // GET by default
	target    string // "/" by default
	header    []string
	body      string
	chunked   bool
	addr      string
	principal *guard.Principal
}

func (a *ask) exchange() (exchange, error) {
	target := a.target
	if target == "" {
		target = "/"
	}
	r, err := http.NewRequestWithContext(context.Background(), a.method, target, nil)
	if err != nil {
		return exchange{}, fmt.Errorf("corpus: %s: %w", a.name, err)
	}
	for i := 0; i+1 < len(a.header); i += 2 {
		r.Header.Add(a.header[i], a.header[i+1])
	}
	r.RemoteAddr = a.addr
	return exchange{
		name: a.name, pattern: a.pattern, template: r, body: []byte(a.body), chunked: a.chunked,
		options: options{principal: a.principal},
	}, nil
}

// typed is a header that names a media type.
func typed(mediaType string) []string { return []string{"Content-Type", mediaType} }

var (
	asJSON = typed("application/json")

	alice = &guard.Principal{
		Issuer: "https://id.example.com", Subject: "alice", Tenant: "acme", ClientID: "app",
		Scopes: []string{"things:read", "things:write"}, Roles: []string{"admin"},
	}
	expired = &guard.Principal{Subject: "bob", Expires: time.Unix(1, 0)}

	item  = `{"sku":"pen","qty":3,"note":"` + Canary + `","price":1.5,"ok":true,"none":null},`
	items = `{"items":[` + strings.TrimSuffix(strings.Repeat(item, 60), ",") + `]}`
)

// corpus is what any guard may meet, well-formed or not. Values of clients hold
// the canary; names never do, since a guard may tell where it found something.
var corpus = []ask{
	{name: "plain", pattern: "/"},
	{name: "unrouted", target: "/nowhere?q=" + Canary},
	{name: "HEAD", pattern: "/", method: "HEAD"},
	{name: "preflight", pattern: "/", method: "OPTIONS", header: []string{"Origin", "https://app.example.com", "Access-Control-Request-Method", "PUT"}},
	{name: "path value", pattern: "GET /things/{id}", target: "/things/" + Canary},
	{name: "escaped path", pattern: "GET /things/{id}", target: "/things/a%2Fb%00" + Canary},
	{name: "path that is not clean", pattern: "/", target: "/a/../b//c/./" + Canary},
	{name: "query", pattern: "/", target: "/?q=" + Canary + "&q=2&page=-1&empty=&flag&%zz=1;a=b"},
	{name: "long query", pattern: "/", target: "/?q=" + strings.Repeat("a%20", 1500)},
	{name: "injections", pattern: "/", target: "/?q=1%27%20OR%20%271%27=%271&x=%3Cscript%3Ealert(1)%3C/script%3E&f=../../etc/passwd&t=$%7Bjndi:ldap://x%7D"},
	{name: "JSON", pattern: "POST /things", method: "POST", target: "/things", header: asJSON, body: `{"sku":"pen","qty":3,"note":"` + Canary + `"}`},
	{name: "JSON by a principal", pattern: "POST /things", method: "POST", target: "/things", header: asJSON, body: items, principal: alice},
	{name: "an expired principal", pattern: "/", principal: expired},
	{name: "JSON in chunks", pattern: "/", method: "POST", header: asJSON, body: items, chunked: true},
	{name: "JSON of the wrong types", pattern: "/", method: "PUT", header: asJSON, body: `{"sku":["` + Canary + `"],"qty":"` + Canary + `","items":7}`},
	{name: "a JSON string", pattern: "/", method: "PATCH", header: asJSON, body: `"` + Canary + Canary + `"`},
	{name: "JSON that is cut off", pattern: "/", method: "POST", header: asJSON, body: `{"sku":"` + Canary},
	{name: "JSON with doubled keys", pattern: "/", method: "POST", header: asJSON, body: `{"qty":1,"qty":2,"QTY":3,"q\u0074y":"` + Canary + `"}`},
	{name: "JSON that is deep", pattern: "/", method: "POST", header: asJSON, body: strings.Repeat("[", 600) + strings.Repeat("]", 600)},
	{name: "no JSON", pattern: "/", method: "POST", header: asJSON, body: "\xff\xfe\x00 no JSON at all: " + Canary},
	{name: "empty JSON", pattern: "/", method: "POST", header: asJSON},
	{name: "empty in chunks", pattern: "/", method: "POST", header: asJSON, chunked: true},
	{name: "a body without a type", pattern: "/", method: "POST", body: `{"sku":"` + Canary + `"}`},
	{name: "a type that is none", pattern: "/", method: "POST", header: typed("; charset=\"" + Canary), body: "x=" + Canary},
	{name: "form", pattern: "/", method: "POST", header: typed("application/x-www-form-urlencoded"), body: "sku=pen&note=" + Canary + "&note=%zz&=&&"},
	{name: "multipart", pattern: "/", method: "POST", header: typed("multipart/form-data; boundary=b"), body: "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n" + Canary + "\r\n--b--\r\n"},
	{name: "multipart without an end", pattern: "/", method: "POST", header: typed("multipart/form-data; boundary=b"), body: "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + Canary + "\"\r\n\r\n\x00\x01"},
	{name: "XML", pattern: "/", method: "POST", header: typed("application/xml"), body: `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "` + Canary + `">]><a b="` + Canary + `">&x;</a>`},
	{name: "NDJSON", pattern: "/", method: "POST", header: typed("application/x-ndjson"), body: "{\"note\":\"" + Canary + "\"}\n{\"note\":2}\n"},
	{name: "encoded", pattern: "/", method: "POST", header: append(typed("application/json"), "Content-Encoding", "gzip"), body: "\x1f\x8b\x08 not really " + Canary},
	{name: "DELETE with a body", pattern: "/", method: "DELETE", header: asJSON, body: `{"why":"` + Canary + `"}`},
	{name: "an odd method", pattern: "/", method: "PROPFIND"},
	{name: "a method nobody knows", pattern: "/", method: "X-" + strings.Repeat("ODD", 10), body: Canary},
	{name: "long header", pattern: "/", header: []string{"X-Note", strings.Repeat(Canary+" ", 400)}},
	{name: "many headers", pattern: "/", header: slices.Concat(slices.Repeat([]string{"X-Many", Canary}, 100), []string{"X-Empty", "", "X-Bytes", "\xff\xfe" + Canary})},
	{name: "bearer", pattern: "/", header: []string{"Authorization", "Bearer " + Canary + "." + Canary + ".x"}},
	{name: "basic, twice", pattern: "/", header: []string{"Authorization", "Basic " + Canary, "Authorization", Canary, "X-Api-Key", Canary}},
	{name: "cookies", pattern: "/", header: []string{"Cookie", "session=" + Canary + "; theme=dark; bad cookie; =x"}},
	{name: "forwarded", pattern: "/", addr: "10.0.0.7:4711", header: []string{"X-Forwarded-For", "203.0.113.9, " + Canary + ", 10.0.0.1", "Forwarded", "for=\"[2001:db8::1]\";by=" + Canary}},
	{name: "IPv6", pattern: "/", addr: "[2001:db8::7%eth0]:4711"},
	{name: "an address that is none", pattern: "/", addr: "@"},
	{name: "a browser", pattern: "/", header: []string{"Accept", "text/html,*/*;q=0.8", "User-Agent", "Mozilla/5.0 " + Canary, "Accept-Encoding", "gzip, br"}},
	{name: "a terminal", pattern: "/", header: []string{"Accept", "text/plain", "Range", "bytes=0-3", "If-None-Match", `"` + Canary + `"`}},
}
