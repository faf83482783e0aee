package mask

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/palegate/palegate/guard"
)

// masker is the guard that a Config makes. It has no state.
type masker struct{ top *state }

// Phases implements [guard.Guard].
func (m *masker) Phases() guard.Phase { return guard.ResponseBody }

// Reasons implements [guard.Guard].
func (m *masker) Reasons() []guard.Reason {
	return []guard.Reason{ReasonField, ReasonInvalidJSON, ReasonMediaType}
}

// Check implements [guard.Guard].
func (m *masker) Check(x *guard.Exchange, _ guard.Phase) guard.Decision {
	response := x.Response()
	body, err := response.Body()
	if err != nil {
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Reason: ReasonInvalidJSON, Err: err}
	}
	if len(body.Bytes()) == 0 {
		return guard.Decision{}
	}
	w := walker{src: body.Bytes(), top: m.top}
	if reason := w.body(format(x)); reason != "" {
		return guard.Decision{
			Effect: guard.Refuse,
			Cause:  guard.CauseInternal,
			Reason: reason,
			Detail: details[reason] + contentType(response.Header()),
		}
	}
	if w.count == 0 {
		return guard.Decision{}
	}
	response.Stage(guard.Edit{In: guard.InBody, Body: w.result()})
	return guard.Decision{
		Effect: guard.Transform,
		Reason: ReasonField,
		Detail: "values masked: " + strconv.Itoa(w.count),
	}
}

// details are for operators, with the Content-Type behind them.
var details = map[guard.Reason]string{
	ReasonInvalidJSON: "the response is not valid JSON, or begins as JSON does and is none; it is declared as ",
	ReasonMediaType: "give the Use of mask only Routes that answer JSON, NDJSON, server-sent events, text or HTML; " +
		"this response is declared as ",
}

// contentType returns what h declares, without parameters and cut to what
// media types are long.
func contentType(h http.Header) string {
	declared, _, _ := strings.Cut(strings.Join(h["Content-Type"], ", "), ";")
	return strconv.Quote(declared[:min(len(declared), 80)])
}

// form says how a body is read.
type form uint8

const (
	unread   form = iota // refused
	document             // one JSON value
	lines                // NDJSON
	events               // server-sent events
	text                 // passes unless it begins as JSON does
	unnamed              // as text, if it is what net/http would call text
	opaque               // no guard sees it, unless it begins as JSON does
)

// forms names the media types that are read but for those with the suffix
// +json (RFC 6839). The lines are those that guard takes apart as such.
var forms = map[string]form{
	"application/json":         document,
	"text/json":                document,
	"application/x-ndjson":     lines,
	"application/ndjson":       lines,
	"application/jsonl":        lines,
	"application/jsonlines":    lines,
	"text/event-stream":        events,
	"text/plain":               text,
	"text/html":                text,
	"application/octet-stream": opaque,
}

// format returns the form of x's response.
func format(x *guard.Exchange) form {
	switch declared := x.Response().Header()["Content-Type"]; {
	case len(declared) > 1:
		return unread // clients differ in which one they believe
	case len(declared) == 1 && declared[0] != "":
		return formOf(declared[0])
	case x.Response().Status() == 0 || isGRPC(x.Request().Header()):
		return opaque // not HTTP: messages of a form of their own
	}
	return unnamed
}

// formOf returns the form for a Content-Type.
func formOf(contentType string) form {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if f, ok := forms[mediaType]; ok {
		return f
	}
	top, sub, _ := strings.Cut(mediaType, "/")
	switch {
	case strings.HasSuffix(sub, "+json"):
		return document
	case strings.HasSuffix(sub, "+xml"):
		return unread
	case top == "image", top == "audio", top == "video", top == "font":
		return opaque
	}
	return unread
}

func isGRPC(h http.Header) bool {
	v := h["Content-Type"]
	return len(v) > 0 && strings.HasPrefix(strings.ToLower(v[0]), "application/grpc")
}
