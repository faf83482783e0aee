package mask_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/payload"
	"github.com/palegate/palegate/mask"
)

const (
	secret = `{"card":{"number":"4111"}}`
	hidden = `{"card":{"number":"[redacted]"}}`
)

func TestMediaTypes(t *testing.T) {
	const (
		invalid   = mask.ReasonInvalidJSON
		mediaType = mask.ReasonMediaType
	)
	tests := []struct {
		contentType, body, want string
		reason                  guard.Reason // of a refusal
	}{
		{"application/json", secret, hidden, ""},
		{"application/json;charset=utf-8", secret, hidden, ""},
		{" Application/JSON ; charset=\"utf-8\"", secret, hidden, ""},
		{"application/problem+json", secret, hidden, ""},
		{"application/vnd.api+JSON; v=1", secret, hidden, ""},
		{"text/json", secret, hidden, ""},
		{"application/json", "", "", ""},
		{"application/json", "\n", "", invalid},
		{"application/json", secret + secret, "", invalid},
		{"application/json", secret + "\n" + secret, "", invalid},
		{"application/json", secret + "x", "", invalid},
		{"application/json", secret[:10], "", invalid},
		{"application/json", `{"card":{"number":4111,}}`, "", invalid},
		{"application/json", `{'card':{'number':4111}}`, "", invalid},
		{"application/json", `{card:1}`, "", invalid},
		{"application/json", "hello", "", invalid},
		{"application/json", "NaN", "", invalid},
		{"application/json", "{\"a\":\"\n\"}", "", invalid},
		{"application/json", "{\"a\":\"\xff\"}", "", invalid},
		{"application/json", ")]}',\n" + secret, "", invalid},
		{"application/json", "\xEF\xBB\xBF" + secret, "", invalid},
		{"application/json; charset=utf-16", utf16of(secret, false), "", invalid},
		{"application/json", utf16of("\ufeff"+secret, true), "", invalid},
		{"application/json", strings.Repeat("[", 513) + strings.Repeat("]", 513), "", invalid},

		{"text/plain; charset=utf-8", "not found\n", "not found\n", ""},
		{"text/plain", "", "", ""},
		{"text/plain", " \n", " \n", ""},
		{"text/plain", secret, hidden, ""},
		{"text/plain", " \r\n\t" + secret, " \r\n\t" + hidden, ""},
		{"text/plain", "[" + secret + "]\n", "[" + hidden + "]\n", ""},
		{"text/plain", secret + "\n\r\n" + secret + "\n", hidden + "\n\r\n" + hidden + "\n", ""},
		{"text/plain", secret + "\noops", "", invalid},
		{"text/plain", secret + " " + secret, "", invalid},
		{"text/plain", "[info] started", "", invalid},
		{"text/plain", "{{template}}", "", invalid},
		{"text/plain", "\xEF\xBB\xBF" + secret, "", invalid},
		{"text/plain", "\xEF\xBB\xBFhello", "\xEF\xBB\xBFhello", ""},
		{"text/plain", utf16of(secret, false), "", invalid},
		{"text/plain", utf16of(secret, true), "", invalid},
		{"text/plain", utf16of("\ufeff"+secret, false), "", invalid},
		{"text/plain", utf16of("\ufeff"+secret, true), "", invalid},
		{"text/plain", "\x00\x00\xFE\xFF\x00\x00\x00{", "", invalid},
		{"text/plain", ")]}',\n" + secret, "", invalid},
		{"text/plain", "\x1E" + secret + "\n", "", invalid},
		{"text/plain", `"a string"`, `"a string"`, ""},
		{"text/plain", `"No," she said, {"card":1}`, `"No," she said, {"card":1}`, ""},
		{"text/plain", "\"a string\"\n1.5\nnull\n" + secret, "\"a string\"\n1.5\nnull\n" + hidden, ""},
		{"text/plain", "7\n" + secret + "\nx", "", invalid},
		{"text/plain", "12 monkeys\n" + secret, "12 monkeys\n" + secret, ""},
		{"text/html; charset=utf-8", "<a href=\"/x\">See Other</a>.\n", "<a href=\"/x\">See Other</a>.\n", ""},
		{"TEXT/HTML", secret, hidden, ""},

		{"", "hello", "hello", ""},
		{"", "<!doctype html><p>", "<!doctype html><p>", ""},
		{"", "", "", ""},
		{"", secret, hidden, ""},
		{"", secret + "\n" + secret, hidden + "\n" + hidden, ""},
		{"", secret[:12], "", invalid},
		{"", `<?xml version="1.0"?><card>4111</card>`, "", mediaType},
		{"", "\x0a\x044111\x10\x01", "", mediaType},

		{"application/x-ndjson", secret + "\n", hidden + "\n", ""},
		{"application/x-ndjson; charset=utf-8", secret + "\r\n", hidden + "\r\n", ""},
		{"application/ndjson", secret, hidden, ""},
		{"application/jsonl", "1\n", "1\n", ""},
		{"application/jsonlines", "\r\n", "\r\n", ""},
		{"application/jsonlines", "", "", ""},
		{"application/x-ndjson", secret + "\n\n" + secret + "\n", hidden + "\n\n" + hidden + "\n", ""},
		{"application/x-ndjson", secret + secret + "\n", "", invalid},
		{"application/x-ndjson", secret + "\r" + secret + "\n", "", invalid},
		{"application/x-ndjson", "{\n", "", invalid},
		{"application/x-ndjson", "\xEF\xBB\xBF" + secret + "\n", "", invalid},

		{"application/octet-stream", secret, hidden, ""},
		{"image/png", secret, hidden, ""},
		{"image/png", secret[:12], "", invalid},
		{"image/png", "\x89PNG\r\n\x1a\n", "", mediaType}, // guard would have let it pass
		{"image/svg+xml", "<svg/>", "", mediaType},
		{"text/csv", "number\n4111", "", mediaType},
		{"text/csv", secret, "", mediaType},
		{"text/csv", "", "", ""},
		{"application/xml", "<card/>", "", mediaType},
		{"application/xhtml+xml", "<html/>", "", mediaType},
		{"application/x-www-form-urlencoded", "number=4111", "", mediaType},
		{"multipart/form-data; boundary=x", "--x", "", mediaType},
		{"text/javascript", "f(" + secret + ")", "", mediaType},
		{"application/json-seq", "\x1E" + secret + "\n", "", mediaType},
		{"application/yaml", "number: 4111", "", mediaType},
		{"application/grpc", "\x00\x00\x00\x00\x00", "", mediaType},
		{"application/grpc+proto", "\x0a\x0a4111111111", "", mediaType},
		{"application/x-protobuf", "\x0a\x0a4111111111", "", mediaType},
		{"text/plain, application/json", "hello", "", mediaType},
		{"json", secret, "", mediaType},
		{"+json", secret, "", mediaType},
		{";", "hello", "", mediaType},
	}
	p := pipeline(t, mask.Fields("card.number"))
	for _, tt := range tests {
		got, d := judge(t, p, tt.contentType, tt.body)
		switch {
		case tt.reason == "" && d.Refused():
			t.Errorf("%s %q: refused for %s: %s", tt.contentType, tt.body, d.Reason, d.Detail)
		case tt.reason == "":
			if got != tt.want {
				t.Errorf("%s %q\n got  %q\n want %q", tt.contentType, tt.body, got, tt.want)
			}
		case !d.Refused() || d.Reason != tt.reason || d.Cause != guard.CauseInternal:
			t.Errorf("%s %q: %s %s %s, want a refusal for %s", tt.contentType, tt.body, d.Effect, d.Cause, d.Reason, tt.reason)
		case tt.reason == mediaType && !strings.Contains(d.Detail, "Routes"), strings.Contains(d.Detail, "4111"), len(d.Violations) > 0:
			t.Errorf("%s %q: detail %q, violations %v", tt.contentType, tt.body, d.Detail, d.Violations)
		}
	}
}

func utf16of(s string, bigEndian bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if bigEndian {
			b = append(b, byte(u>>8), byte(u))
			continue
		}
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func TestSeveralContentTypes(t *testing.T) {
	p := pipeline(t, mask.Fields("card.number"))
	h := http.Header{"Content-Type": {"text/plain", "application/json"}}
	if _, d := judgeHeader(t, p, h, "hello"); !d.Is(mask.ReasonMediaType) {
		t.Errorf("got %s %s, want a refusal for %s", d.Effect, d.Reason, mask.ReasonMediaType)
	}
}

// Protobuf of one short string is text as far as net/http can tell.
func TestMessagesWithoutContentType(t *testing.T) {
	const message = "\x0a\x204111 1111 1111 1111 0000 0000 000"
	p := pipeline(t, mask.Fields("card.number"))
	tests := []struct {
		name   string
		call   guard.Call
		status int
		body   string
		want   guard.Reason
	}{
		{"no status", guard.Call{}, 0, message, mask.ReasonMediaType},
		{"a gRPC request", guard.Call{Header: http.Header{"Content-Type": {"Application/gRPC+proto"}}}, 200, message, mask.ReasonMediaType},
		{"JSON", guard.Call{}, 0, secret, mask.ReasonField},
		{"text", guard.Call{}, 200, "hello", ""},
	}
	for _, tt := range tests {
		s := p.Begin(t.Context(), tt.call)
		if tt.status != 0 {
			s.SetHead(tt.status, http.Header{})
		}
		s.JudgeBody(guard.ResponseBody, payload.New([]byte(tt.body)))
		var got guard.Reason
		if all := s.Exchange().Decisions(); len(all) > 0 {
			got = all[0].Reason
		}
		s.End()
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestBodyThatCannotBeHad(t *testing.T) {
	s := pipeline(t, mask.Fields("a")).Begin(t.Context(), guard.Call{})
	defer s.End()
	if d := s.Judge(guard.ResponseBody); !d.Refused() || d.Err == nil || d.Cause != guard.CauseInternal {
		t.Errorf("got %+v, want a refusal with an error", d)
	}
}

func TestDecision(t *testing.T) {
	p := pipeline(t, mask.Fields("a", "b"))
	_, d := judge(t, p, "application/x-ndjson", `{"a":"4111","b":null,"c":1}`+"\n"+`[{"a":2},{"b":"4111"}]`)
	if d.Effect != guard.Transform || d.Reason != mask.ReasonField || d.Detail != "values masked: 3" || len(d.Violations)+len(d.Findings) > 0 {
		t.Errorf("got %+v", d)
	}
}
