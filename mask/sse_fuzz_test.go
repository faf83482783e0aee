package mask_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/palegate/palegate/mask"
)

// FuzzSSE reads what went in and what came out as the HTML standard says, and
// compares: data masked as the reference does it, everything else as it was.
func FuzzSSE(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "data: x\n\n", "data: {\"a\":1}\n\n", "data:{\r\ndata: \"a\"\r\ndata::1}\r\n\r\n", "data:{\rdata:\"a\":[\rid:1\rdata:2]}\r\r",
		"id: {\"a\":1}\ndata:{\ndata:\"a\":1}", ": {\"a\":1\n\n", "Data:{\"a\":1}\n\n", "{\"a\":1}\n", "\ufeffdata:{\"a\":1}\n\ndata\ndata:\n\n",
		"data: 1\ndata: {\"a\":1}\n\n", "data: [DONE]\n\n", "data\ndata: {\"A\":1}\n\n\n", "data:{\"a\":1}\n\r\ndata : {}\n\n", "data:  {\ndata:  \"a\" : 1}\n\n",
	} {
		f.Add(seed)
	}
	fields := []string{"a", "*.b"}
	p := pipeline(f, mask.Fields(fields...))
	f.Fuzz(func(t *testing.T, in string) {
		out, d := judge(t, p, "text/event-stream", in)
		want, ok := referenceEvents(readEvents(in), fields)
		if ok == d.Refused() {
			t.Fatalf("%q: %s %s, want it accepted: %t", in, d.Effect, d.Reason, ok)
		}
		if !ok {
			return
		}
		if got := readEvents(out); !reflect.DeepEqual(got, want) {
			t.Fatalf("in\n%q\nout\n%q\nread as\n%q\nwant\n%q", in, out, got, want)
		}
		if reflect.DeepEqual(readEvents(in), want) && in != out {
			t.Errorf("nothing masked, but\n%q\nbecame\n%q", in, out)
		}
	})
}

// event is what a client makes of an event: its data, and its other lines.
type event struct {
	data   []string
	others []string
}

// readEvents reads a stream. The last event may be incomplete.
func readEvents(stream string) []event {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	events := []event{{}}
	for line := range strings.SplitSeq(strings.TrimSuffix(stream, "\n"), "\n") {
		last := &events[len(events)-1]
		name, value, _ := strings.Cut(line, ":")
		switch {
		case line == "":
			events = append(events, event{})
		case name == "data":
			last.data = append(last.data, strings.TrimPrefix(value, " "))
		default:
			last.others = append(last.others, line)
		}
	}
	return events
}

// referenceEvents masks events and reports whether all of them may pass.
func referenceEvents(events []event, fields []string) ([]event, bool) {
	for i := range events {
		e := &events[i]
		data, ok := referenceText(strings.Join(e.data, "\n"), fields)
		if !ok {
			return nil, false
		}
		if len(e.data) > 0 {
			e.data = strings.Split(data, "\n")
		}
		for j, line := range e.others {
			if e.others[j], ok = referenceLine(line, fields); !ok {
				return nil, false
			}
		}
	}
	return events, true
}

func referenceText(text string, fields []string) (string, bool) {
	if !looksLikeJSON(text) || strings.TrimSpace(text) == "[DONE]" {
		return text, true
	}
	if out, ok := reference(text, fields); ok {
		return out, true
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.Trim(line, " \t") == "" {
			continue
		}
		var ok bool
		if lines[i], ok = reference(line, fields); !ok {
			return "", false
		}
	}
	return strings.Join(lines, "\n"), true
}

func referenceLine(line string, fields []string) (string, bool) {
	name, value, hasColon := strings.Cut(line, ":")
	known := hasColon && name == "" || name == "event" || name == "id" || name == "retry"
	prefix := line[:len(line)-len(value)]
	if strings.HasPrefix(value, " ") {
		prefix, value = prefix+" ", value[1:]
	}
	if !known && looksLikeJSON(line) {
		prefix, value = "", line
	}
	if !looksLikeJSON(value) {
		return line, true
	}
	if out, ok := reference(value, fields); ok {
		return prefix + out, true
	}
	return line, known
}

func looksLikeJSON(text string) bool {
	const skipped = " \t\r\n\v\f\x00\x1e"
	for _, line := range strings.SplitAfter(text, "\n") {
		line = strings.TrimLeft(line, skipped)
		for _, mark := range []string{"\xef\xbb\xbf", "\xfe\xff", "\xff\xfe"} {
			line = strings.TrimPrefix(line, mark)
		}
		line = strings.TrimLeft(line, skipped)
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "{") || strings.HasPrefix(line, "[") || strings.HasPrefix(line, ")]}'") {
			return true
		}
		if _, ok := reference(line, nil); !ok {
			return false
		}
	}
	return false
}
