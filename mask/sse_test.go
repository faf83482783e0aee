package mask_test

import (
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/mask"
)

func TestEvents(t *testing.T) {
	tests := []struct {
		name, in, want string
		refused        bool
	}{
		{"one line", "data: " + secret + "\n\n", "data: " + hidden + "\n\n", false},
		{"no space", "data:" + secret + "\n\n", "data:" + hidden + "\n\n", false},
		{"two spaces", "data:  " + secret + "\n\n", "data:  " + hidden + "\n\n", false},
		{"carriage returns", "data:" + secret + "\r\r", "data:" + hidden + "\r\r", false},
		{"both", "id: 1\r\ndata:" + secret + "\r\n\r\n", "id: 1\r\ndata:" + hidden + "\r\n\r\n", false},
		{"half of an end of line before", "\ndata:" + secret + "\n\n", "\ndata:" + hidden + "\n\n", false},
		{"no end", "data:" + secret, "data:" + hidden, false},
		{"no end, several lines", "data:{\ndata: \"card\":{\"number\":1}}", "data: {\ndata: \"card\":{\"number\":\"[redacted]\"}}\n", false},
		{"byte order mark", "\xEF\xBB\xBFdata:" + secret + "\n\n", "\xEF\xBB\xBFdata:" + hidden + "\n\n", false},
		{"several events", "data:" + secret + "\n\ndata:1\n\ndata:" + secret + "\n\n", "data:" + hidden + "\n\ndata:1\n\ndata:" + hidden + "\n\n", false},

		{"other fields", ": hi\nevent: card\nid: 7\nretry: 10\ndata: " + secret + "\n\n", ": hi\nevent: card\nid: 7\nretry: 10\ndata: " + hidden + "\n\n", false},
		{"several lines", "data: {\"card\":\ndata:  {\"number\":\ndata:4111,\ndata: \"x\":1}}\n\n", "data: {\"card\":\ndata:  {\"number\":\ndata: \"[redacted]\",\ndata: \"x\":1}}\n\n", false},
		{"a value on several lines", "data:{\"card\":{\"number\":[\nid: 1\ndata:4111\n: c\ndata:]}}\nevent: e\n\n", "data: {\"card\":{\"number\":\"[redacted]\"}}\nid: 1\n: c\nevent: e\n\n", false},
		{"several lines, nothing there", "data:{\nid:1\ndata:\"a\":1}\n\n", "data:{\nid:1\ndata:\"a\":1}\n\n", false},
		{"JSON a line", "data: " + secret + "\ndata: " + secret + "\n\n", "data: " + hidden + "\ndata: " + hidden + "\n\n", false},
		{"empty data between", "data: " + secret + "\ndata\ndata:\n\n", "data: " + hidden + "\ndata: \ndata: \n\n", false},
		{"ends of lines differ", "data:{\r\ndata:\"card\":{\"number\":1}}\n\n", "data: {\r\ndata: \"card\":{\"number\":\"[redacted]\"}}\r\n\n", false},

		{"text", "data: hello\n\n", "data: hello\n\n", false},
		{"text on several lines", "data: hello\ndata: {}\n\n", "data: hello\ndata: {}\n\n", false},
		{"end of a model's answer", "data: [DONE]\n\n", "data: [DONE]\n\n", false},
		{"no data", "event: x\n\n", "event: x\n\n", false},
		{"only a comment", ":\n\n", ":\n\n", false},
		{"blank", "\n", "\n", false},
		{"empty data", "data\n\n", "data\n\n", false},

		{"not valid", "data: {\"card\":\n\n", "", true},
		{"not valid as a whole", "data: " + secret + "\ndata: oops\n\n", "", true},
		{"a line broken in a string", "data: {\"card\":{\"num\ndata: ber\":1}}\n\n", "", true},
		{"not UTF-8", "data: {\"card\":\"\xff\"}\n\n", "", true},

		{"JSON in a comment", ": " + secret + "\n\n", ": " + hidden + "\n\n", false},
		{"JSON in an id", "id: [" + secret + "]\n\n", "id: [" + hidden + "]\n\n", false},
		{"JSON in an id between data", "data:{\nid:" + secret + "\ndata:\"card\":{\"number\":1}}\n\n", "data: {\ndata: \"card\":{\"number\":\"[redacted]\"}}\nid:" + hidden + "\n\n", false},
		{"a GUID in braces", "id: {3F2504E0-4F89}\n\n", "id: {3F2504E0-4F89}\n\n", false},
		{"another field", "trace: abc\ndata: 1\n\n", "trace: abc\ndata: 1\n\n", false},
		{"another field with JSON", "Data: " + secret + "\n\n", "Data: " + hidden + "\n\n", false},
		{"another field with what begins as JSON", "Data: " + secret[:12] + "\n\n", "", true},
		{"no event at all", secret + "\n\n", hidden + "\n\n", false},
		{"no event at all, nor JSON", secret[:12] + "\n\n", "", true},
	}
	p := pipeline(t, mask.Fields("card.number"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.refused {
				if _, d := judge(t, p, "text/event-stream", tt.in); !d.Refused() || !d.Is(mask.ReasonInvalidJSON) {
					t.Errorf("%q: %s %s, want a refusal", tt.in, d.Effect, d.Reason)
				}
				return
			}
			if got := masked(t, p, "text/event-stream; charset=utf-8", tt.in); got != tt.want {
				t.Errorf("in\n%q\ngot\n%q\nwant\n%q", tt.in, got, tt.want)
			}
		})
	}
}

func TestEventsCount(t *testing.T) {
	p := pipeline(t, mask.Fields("a"))
	_, d := judge(t, p, "text/event-stream", "data:{\"a\":1,\ndata:\"a\":2,\nid:{\"a\":3}\ndata:\"a\":null}\n\n")
	if d.Effect != guard.Transform || d.Detail != "values masked: 3" {
		t.Errorf("got %+v", d)
	}
}
