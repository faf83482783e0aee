package guardtest

import "strings"

// sampleAnswers is how many of the answers, from the first on, each sample
// gets.
const sampleAnswers = 4

// answers are of every kind that a pipeline treats in a way of its own.
var answers = []answer{
	{name: "JSON", status: 200, header: asJSON, parts: []string{`{"id":7,"card":{"number":"4111111111111111"},"email":"a@example.com"}`}},
	{name: "NDJSON", status: 200, header: typed("application/x-ndjson"), parts: []string{"{\"id\":1}\n", "{\"id\":2}\n{\"id\"", ":3}\n"}},
	{name: "events", status: 200, header: typed("text/event-stream"), parts: []string{"data: {\"id\":1}\n\n", ": ping\n\nevent: x\ndata: 2\n", "\n", "data: cut off"}},
	{name: "nothing", status: 204},
	{name: "a large body", status: 200, header: asJSON, parts: []string{`{"items":[` + strings.Repeat(`{"sku":"pen","qty":3},`, 600) + `{}]}`}},
	{name: "JSON in pieces, and a trailer", status: 201, header: asJSON, parts: []string{`{"id`, `":`, `7}`}, trailer: "7"},
	{name: "JSON that is none", status: 200, header: asJSON, parts: []string{`{"id":`}},
	{name: "text", status: 200, header: typed("text/plain; charset=utf-8"), parts: []string{"fine"}},
	{name: "a page", status: 404, header: typed("text/html"), parts: []string{"<p>not here</p>"}},
	{name: "a problem", status: 500, header: typed("application/problem+json"), parts: []string{`{"title":"broken"}`}},
	{name: "a redirect", status: 303, header: []string{"Location", "/things/8"}},
	{name: "not modified", status: 304, header: []string{"Etag", `"7"`}},
	{name: "an image", status: 200, header: typed("image/png"), parts: []string{"\x89PNG\r\n\x1a\n", "\x00\x00"}},
	{name: "bytes", status: 200, header: typed("application/octet-stream"), parts: []string{"\x00\x01\x02", "\x03"}},
	{name: "a body without a type", status: 200, parts: []string{`{"id":7}`}},
	{name: "an encoded body", status: 200, header: append(typed("application/json"), "Content-Encoding", "gzip"), parts: []string{"\x1f\x8b\x08"}},
	{name: "a part", status: 206, header: append(typed("application/json"), "Content-Range", "bytes 0-3/9"), parts: []string{`{"id`}},
	{name: "a type nobody reads", status: 200, header: typed("application/x-unheard-of"), parts: []string{"?"}},
}
