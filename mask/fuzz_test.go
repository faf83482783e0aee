package mask_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/palegate/palegate/mask"
)

// FuzzMask compares with the reference, byte by byte; and, where sjson can be
// trusted, with sjson.
func FuzzMask(f *testing.F) {
	for _, doc := range []string{
		``, ` `, `{}`, `[]`, `null`, `"a"`, `{"a":1}`, `{"a":{"b":1}}`, `[[{"a":{"b":1}}]]`, `{"a":[{"b":1},{"c":[1]}],"A":{"B":2},"a":null}`,
		`{"\u0061":{"b":"x\"\\"}}`, `{"ſ":1,"s":2,"\u212a":3}`, "{ \"a\" :\n{\"b\":\t-1.5e+3 } , \"c\":[true,false,null]}\r\n", `{"a.b":1}`,
		`{"a":1,}`, `{"a":1}{"a":2}`, "\ufeff{}", "{\"a\":\"\xff\"}", `[1,[2,[3,{"x":{"y":{"z":1}}}]]]`, `{"s\ud83d\u0061":1,"\ud83d\ude00":{"b":1}}`,
		strings.Repeat("[", 512) + strings.Repeat("]", 512), strings.Repeat("[", 513) + strings.Repeat("]", 513),
	} {
		for _, paths := range []string{"a", "a.b", "*.b", "a.*", "*.*", "s,k", "a.b,*.c", "*", "*.*.z,x.y", "ſ"} {
			f.Add(doc, paths)
		}
	}
	f.Fuzz(func(t *testing.T, doc, paths string) {
		fields := strings.Split(paths, ",")
		if _, err := mask.Fields(fields...).Guard(nil); err != nil || doc == "" {
			return
		}
		want, starts, ok := referenceCount(doc, fields)
		got, d := judge(t, pipeline(t, mask.Fields(fields...)), "application/json", doc)
		if ok == d.Refused() {
			t.Fatalf("%q: %s %s, want it accepted: %t", doc, d.Effect, d.Reason, ok)
		}
		if got != want {
			t.Fatalf("fields %q\n in   %q\n got  %q\n want %q", fields, doc, got, want)
		}
		if len(starts) == 1 {
			compareWithSJSON(t, doc, fields, starts[0], got)
		}
	})
}

var simplePath = regexp.MustCompile(`^[a-zA-Z_]+(\.[a-zA-Z_]+)*$`)

// compareWithSJSON compares if the only value to mask is the one that gjson
// finds at a path, so that sjson has to edit that one.
func compareWithSJSON(t *testing.T, doc string, fields []string, start int, got string) {
	for _, path := range fields {
		if !simplePath.MatchString(path) || gjson.Get(doc, path).Index != start {
			continue
		}
		want, err := sjson.SetRaw(doc, path, `"[redacted]"`)
		if err != nil || got != want {
			t.Errorf("%s\n in   %q\n got  %q\n sjson says %q, error %v", path, doc, got, want, err)
		}
	}
}

// FuzzCanary writes values that must not survive into documents that hide them
// as well as a hostile or careless service could, in every form that is read.
func FuzzCanary(f *testing.F) {
	for _, seed := range []string{"", "\x01", "\x02\x03\x04\x05\x06\x07", "guardrail", strings.Repeat("\x01\x02\x00\x03", 20), strings.Repeat("\x07\x0b\x11", 30)} {
		for i := range byte(5) {
			f.Add([]byte(seed), i)
		}
	}
	paths := []string{"card.number", "users.*.ssn", "*.*.key", "secrets.*"}
	p := pipeline(f, mask.Fields(paths...))
	f.Fuzz(func(t *testing.T, choices []byte, path byte) {
		w := &canaryWriter{choices: choices}
		w.carrier(strings.Split(paths[int(path)%len(paths)], "."), true, 0)
		doc := w.b.String()
		oneLine := strings.NewReplacer("\n", " ", "\r", " ").Replace(doc)
		for contentType, body := range map[string]string{
			"application/json":     doc,
			"text/plain":           " \n" + doc,
			"":                     doc,
			"image/png":            doc,
			"application/x-ndjson": "1\n" + oneLine + "\n\n" + oneLine,
			"text/html":            "\"x\"\n" + oneLine + "\r\n",
			"text/event-stream":    "id: 1\ndata:" + strings.NewReplacer("\r", " ", "\n", "\nevent: x\r\ndata: ").Replace(doc) + "\n\n",
		} {
			out, d := judge(t, p, contentType, body)
			if d.Refused() || d.Reason != mask.ReasonField {
				t.Errorf("%s %q: %s %s, want it masked", contentType, body, d.Effect, d.Reason)
			}
			if strings.Contains(out, canary) {
				t.Errorf("%s %q\nleaks %q", contentType, body, out)
			}
		}
	})
}

const canary = "CANARY"

// canaryWriter writes JSON as its choices say.
type canaryWriter struct {
	choices []byte
	b       strings.Builder
}

func (w *canaryWriter) choose(n int) int {
	if len(w.choices) == 0 {
		return 0
	}
	c := int(w.choices[0])
	w.choices = w.choices[1:]
	return c % n
}

func (w *canaryWriter) put(alternatives ...string) {
	w.b.WriteString(alternatives[w.choose(len(alternatives))])
}

func (w *canaryWriter) space() { w.put("", "", " ", "\n", "\r\n\t ") }

// carrier writes a value in which canaries are where names lead. Nothing of
// the path is used up if it is at the top.
func (w *canaryWriter) carrier(names []string, top bool, depth int) {
	if len(names) == 0 {
		w.put(`"CANARY"`, `{"x":"CANARY"}`, `["CANARY",["CANARY"]]`, `{"CANARY":1}`, `"\\\"CANARY\\"`, `[{"}":"CANARY"}]`)
		return
	}
	inArray := w.choose(3) == 1
	switch {
	case inArray && depth < 6 && (names[0] != "*" || top):
		w.list(func() { w.carrier(names, top, depth+1) })
	case inArray && names[0] == "*":
		w.list(func() { w.carrier(names[1:], false, depth+1) })
	default:
		w.object(names, depth)
	}
}

func (w *canaryWriter) list(element func()) {
	w.b.WriteByte('[')
	for w.choose(3) == 1 {
		w.noise()
		w.b.WriteByte(',')
	}
	w.space()
	element()
	w.space()
	for w.choose(3) == 1 {
		w.b.WriteByte(',')
		w.noise()
	}
	w.b.WriteByte(']')
}

func (w *canaryWriter) object(names []string, depth int) {
	w.b.WriteByte('{')
	w.space()
	for w.choose(3) == 1 {
		w.put(`"x":`, `"":`, `"CARD\"":`, `"numbers" :`, `"\\":`)
		w.noise()
		w.b.WriteByte(',')
	}
	for {
		w.key(names[0])
		w.space()
		w.b.WriteByte(':')
		w.space()
		w.carrier(names[1:], false, depth+1)
		w.space()
		if w.choose(4) != 1 {
			break
		}
		w.b.WriteByte(',') // the same again
	}
	if w.choose(3) == 1 {
		w.b.WriteByte(',')
		w.key(names[0])
		w.b.WriteByte(':')
		w.noise()
	}
	w.b.WriteByte('}')
}

func (w *canaryWriter) noise() {
	w.put(`1`, `null`, `"x"`, `{}`, `[]`, `"\""`, `"]}"`, `{"number":[{}]}`, `[[-0.5e-7]]`, `{"a":{"b":"\\"},"card":"x"}`)
}

// key writes a spelling of name that some client takes for it.
func (w *canaryWriter) key(name string) {
	if name == "*" {
		w.put(`"x"`, `""`, `"\\\""`, `"number"`, `"\u002a"`)
		return
	}
	const hex = "0123456789abcdef"
	w.b.WriteByte('"')
	for _, c := range name {
		upper := c - 'a' + 'A'
		escape := func(c rune) string { return `\u00` + string(hex[c>>4]) + strings.ToUpper(string(hex[c&15])) }
		spellings := []string{string(c), string(upper), escape(c), escape(upper)}
		switch c {
		case 's':
			spellings = append(spellings, "\u017f", `\u017F`)
		case 'k':
			spellings = append(spellings, "\u212a", `\u212a`)
		}
		w.put(spellings...)
	}
	w.b.WriteByte('"')
}
