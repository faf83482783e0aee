package mask_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/payload"
	"github.com/palegate/palegate/mask"
)

func TestAllocations(t *testing.T) {
	events := "id: 1\ndata: " + order + "\n\n"
	tests := []struct {
		name, contentType, body string
		want                    float64
	}{
		{"nothing to mask", "application/json", order, 0},
		{"null", "application/json", `{"card":{"number":null}}`, 0},
		{"large, nothing to mask", "application/json", "[" + strings.Repeat(order+",", 500) + "1]", 0},
		{"text", "text/plain; charset=utf-8", "not found", 0},
		{"JSON without a type", "", order, 0},
		{"a line", "application/x-ndjson", order + "\n", 0},
		{"an event", "text/event-stream", events, 0},
		// The new body, the text of the Transform, and a place for it now and then.
		{"one value", "application/json", `{"card":{"number":1}}`, 3},
	}
	for _, tt := range tests {
		p := pipeline(t, mask.Fields("card.number", "users.*.ssn", "*.secret"))
		s := p.Begin(t.Context(), guard.Call{})
		h := http.Header{}
		if tt.contentType != "" {
			h.Set("Content-Type", tt.contentType)
		}
		s.SetHead(200, h)
		body := []byte(tt.body)
		got := testing.AllocsPerRun(50, func() {
			if _, _, d := s.JudgeBody(guard.ResponseBody, payload.New(body)); d.Refused() {
				t.Fatalf("%s: refused for %s", tt.name, d.Reason)
			}
		})
		s.End()
		if got > tt.want {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, got, tt.want)
		}
	}
}

// Cost grows with the length of the body alone, whatever it holds.
func TestScaling(t *testing.T) {
	nest := func(n int, open, inside, shut string) string {
		return strings.Repeat(open, n) + inside + strings.Repeat(shut, n)
	}
	repeat := func(unit string, n int) string { return strings.Repeat(unit, n/len(unit)) }
	tests := []struct {
		name, contentType string
		body              func(n int) string
	}{
		{"deep arrays", "application/json", func(n int) string { return nest(511, "[", "["+repeat(`{"a":{"b":1}},`, n)+"1]", "]") }},
		{"deep objects", "application/json", func(n int) string { return nest(511, `{"a":`, "["+repeat("1,", n)+"1]", "}") }},
		{"many deep", "application/json", func(n int) string { return "[" + repeat(nest(500, "[", "1", "]")+",", n) + "1]" }},
		{"too deep", "application/json", func(n int) string { return repeat("[", n) }},
		{"many masked", "application/json", func(n int) string { return "[" + repeat(`{"a":{"b":1}},`, n) + "1]" }},
		{"many members", "application/json", func(n int) string { return `{` + repeat(`"a":{"b":1},`, n) + `"a":1}` }},
		{"escaped names", "application/json", func(n int) string { return `{` + repeat(`"\u0061":1,`, n) + `"a":1}` }},
		{"one long name", "application/json", func(n int) string { return `{"` + repeat(`\u0061`, n) + `":1}` }},
		{"backslashes", "application/json", func(n int) string { return `{"c":"` + repeat(`\\`, n) + `"}` }},
		{"spaces", "application/json", func(n int) string { return "[" + repeat(" ", n) + "]" }},
		{"open string after brackets", "application/json", func(n int) string { return repeat("[", 600) + `"` + repeat("x", n) }},
		{"lines", "application/x-ndjson", func(n int) string { return repeat(`{"a":{"b":1}}`+"\n", n) }},
		{"lines as text", "text/plain", func(n int) string { return repeat("1\n", n) + `{"a":1}` }},
		{"blank lines", "application/x-ndjson", func(n int) string { return repeat("\n", n) + `{"a":1}` + repeat("\r\n", n) }},
		{"blank lines of text", "text/plain", func(n int) string { return repeat("\n", n) + "1" + repeat(" \n", n) }},
		{"marks", "text/plain", func(n int) string { return repeat("\uFEFF\n", n) + "x" }},
		{"lines of data", "text/event-stream", func(n int) string { return "data:[\n" + repeat("data:1,\n", n) + "data:{\"a\":{\"b\":1}}]\n\n" }},
		{"events", "text/event-stream", func(n int) string { return repeat("data:{\"a\":{\"b\":1}}\n\n", n) }},
		{"lines that are no data", "text/event-stream", func(n int) string { return repeat("a\n", n) }},
		{"blank lines of events", "text/event-stream", func(n int) string { return repeat("\r", n) }},
	}
	// Square growth would make it factor² = 64 times. The least of many runs is
	// compared, and as soon as it will do: the machine may be busy.
	const size, factor, limit, rounds = 16 << 10, 8, 24, 50
	p := pipeline(t, mask.Fields("a.b", "*.*.b", "*.*.*.*.*.x"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"Content-Type": {tt.contentType}}
			once := func(body string) time.Duration {
				start := time.Now()
				judgeHeader(t, p, h, body)
				return time.Since(start)
			}
			small, large := tt.body(size), tt.body(size*factor)
			costSmall, costLarge := time.Hour, time.Hour
			for range rounds {
				costSmall, costLarge = min(costSmall, once(small)), min(costLarge, once(large))
				if costLarge <= limit*costSmall {
					return
				}
			}
			t.Errorf("%v for %d KiB, %v for %d times as much", costSmall, size>>10, costLarge, factor)
		})
	}
}

// order is an answer of about 1 KiB with nothing to mask by the paths below.
var order = func() string {
	var items []string
	for i := range 9 {
		items = append(items, fmt.Sprintf(`{"sku":"abc-%03d","qty":%d,"price":19.95,"note":"a \"fine\" thing","gift":false}`, i, i+1))
	}
	return `{"id":"7f9c24e5","customer":{"name":"Ann Example","vip":true},"card":{"brand":"visa","last4":"1111"},"items":[` +
		strings.Join(items, ",") + `],"total":179.55,"paid":null}`
}()

// BenchmarkMask is read against V, gjson.ValidBytes on the same document.
func BenchmarkMask(b *testing.B) {
	withCard := strings.Replace(order, `"last4":`, `"number":"4111111111111111","last4":`, 1)
	large := "[" + strings.Repeat(order+",", 1000) + "1]"
	b.Run("V/1KiB", func(b *testing.B) {
		doc := []byte(order)
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			gjson.ValidBytes(doc)
		}
	})
	run := func(name, contentType, body string, paths ...string) {
		b.Run(name, func(b *testing.B) {
			s := pipeline(b, mask.Fields(paths...)).Begin(b.Context(), guard.Call{})
			defer s.End()
			s.SetHead(200, http.Header{"Content-Type": {contentType}})
			doc := []byte(body)
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				s.JudgeBody(guard.ResponseBody, payload.New(doc))
			}
		})
	}
	run("allow/1KiB", "application/json", order, "card.number", "customer.email")
	run("masked/1KiB", "application/json", withCard, "card.number", "customer.email")
	run("star/1KiB", "application/json", order, "items.*.secret")
	run("line/1KiB", "application/x-ndjson", order+"\n", "card.number", "customer.email")
	run("event/1KiB", "text/event-stream", "data: "+order+"\n\n", "card.number", "customer.email")
	b.Run("V/1MiB", func(b *testing.B) {
		doc := []byte(large)
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			gjson.ValidBytes(doc)
		}
	})
	run("allow/1MiB", "application/json", large, "card.number", "customer.email")
}
