package mask_test

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/palegate/palegate/mask"
)

func TestFields(t *testing.T) {
	const r = `"[redacted]"`
	tests := []struct {
		name, paths string // joined by commas
		in, want    string
	}{
		{"a member", "number", `{"number":"4111","cvv":1}`, `{"number":` + r + `,"cvv":1}`},
		{"a path", "card.number", `{"card":{"number":"4111"},"number":"1"}`, `{"card":{"number":` + r + `},"number":"1"}`},
		{"nothing there", "card.number", `{"card":{"no":"4111"}}`, `{"card":{"no":"4111"}}`},
		{"a path ends at a scalar before", "card.number", `{"card":"4111"}`, `{"card":"4111"}`},
		{"several paths", "a,b.c,b.d", `{"a":1,"b":{"c":2,"d":3,"e":4}}`, `{"a":` + r + `,"b":{"c":` + r + `,"d":` + r + `,"e":4}}`},
		{"a path within another", "a.b,a", `{"a":{"b":1}}`, `{"a":` + r + `}`},
		{"a scalar at the top", "a", `"4111"`, `"4111"`},

		{"number", "a", `{"a":-1.50e+3,"b":-1.50e+3}`, `{"a":` + r + `,"b":-1.50e+3}`},
		{"literals", "a", `[{"a":true},{"a":false}]`, `[{"a":` + r + `},{"a":` + r + `}]`},
		{"null stays", "a", `{"a":null}`, `{"a":null}`},
		{"object", "a", `{"a":{"x":"}","y":[{}]},"b":1}`, `{"a":` + r + `,"b":1}`},
		{"array", "a", `{"a":["]",[[1]]],"b":1}`, `{"a":` + r + `,"b":1}`},
		{"empty values", "*", `{"a":"","b":{},"c":[]}`, `{"a":` + r + `,"b":` + r + `,"c":` + r + `}`},
		{"string with escapes", "a", `{"a":"x\"\\","b":"\\\""}`, `{"a":` + r + `,"b":"\\\""}`},

		{"array on the way", "card.number", `{"card":[{"number":1},{"number":2},3]}`, `{"card":[{"number":` + r + `},{"number":` + r + `},3]}`},
		{"arrays in arrays", "card.number", `{"card":[[[{"number":1}]]]}`, `{"card":[[[{"number":` + r + `}]]]}`},
		{"array at the top", "card.number", `[{"card":{"number":1}},[{"card":{"number":2}}]]`, `[{"card":{"number":` + r + `}},[{"card":{"number":` + r + `}}]]`},

		{"star in an array", "users.*.ssn", `{"users":[{"ssn":1},{"ssn":2}]}`, `{"users":[{"ssn":` + r + `},{"ssn":` + r + `}]}`},
		{"star in an object", "users.*.ssn", `{"users":{"ann":{"ssn":1},"bob":{"ssn":2}}}`, `{"users":{"ann":{"ssn":` + r + `},"bob":{"ssn":` + r + `}}}`},
		{"star is one level", "users.*.ssn", `{"users":[{"spouse":{"ssn":1}}],"ssn":2}`, `{"users":[{"spouse":{"ssn":1}}],"ssn":2}`},
		{"star is one level beside a name", "users.*.ssn,users.id", `{"users":[{"spouse":{"ssn":1},"id":2}]}`, `{"users":[{"spouse":{"ssn":1},"id":` + r + `}]}`},
		{"star is no level less", "users.*.ssn", `{"users":{"ssn":1}}`, `{"users":{"ssn":1}}`},
		{"star at the end", "tags.*", `{"tags":["a",{"b":1},null]}`, `{"tags":[` + r + `,` + r + `,null]}`},
		{"star at the front", "*.ssn", `{"ann":{"ssn":1}}`, `{"ann":{"ssn":` + r + `}}`},
		{"star at the front, elements", "*.ssn", `[{"ssn":1}]`, `[{"ssn":` + r + `}]`},
		{"star at the front, a list of what it describes", "*.ssn", `[{"ann":{"ssn":1}}]`, `[{"ann":{"ssn":` + r + `}}]`},
		{"star beside a name", "*.x,a.y", `{"a":{"x":1,"y":2},"b":{"x":3,"y":4}}`, `{"a":{"x":` + r + `,"y":` + r + `},"b":{"x":` + r + `,"y":4}}`},
		{"star after star", "*.*.c", `{"a":[{"c":1}],"b":{"d":{"c":2}}}`, `{"a":[{"c":` + r + `}],"b":{"d":{"c":` + r + `}}}`},

		{"escaped name", "number", `{"n\u0075mber":1,"\u006E\u0075\u006d\u0062\u0065\u0072":2}`, `{"n\u0075mber":` + r + `,"\u006E\u0075\u006d\u0062\u0065\u0072":` + r + `}`},
		{"other case", "Number", `{"number":1,"NUMBER":2,"NumBer":3}`, `{"number":` + r + `,"NUMBER":` + r + `,"NumBer":` + r + `}`},
		{"folds to ASCII", "ssn.key", `{"ſsn":{"\u212Aey":1,"` + "\u212A" + `EY":2}}`, `{"ſsn":{"\u212Aey":` + r + `,"` + "\u212A" + `EY":` + r + `}}`},
		{"folds from beyond ASCII", "ſum", `{"sum":1,"SUM":2}`, `{"sum":` + r + `,"SUM":` + r + `}`},
		{"other scripts", "größe", `{"GRÖSSE":1,"GRÖßE":2,"gr\u00f6\u00DFe":3}`, `{"GRÖSSE":1,"GRÖßE":` + r + `,"gr\u00f6\u00DFe":` + r + `}`},
		{"name with a space", "card number", `{"Card Number":1}`, `{"Card Number":` + r + `}`},
		{"longer and shorter names", "number", `{"numbe":1,"numbers":2,"":3,"number ":4}`, `{"numbe":1,"numbers":2,"":3,"number ":4}`},
		{"long names", strings.Repeat("n", 70), `{"` + strings.Repeat("n", 70) + `":1,"` + strings.Repeat("n", 71) + `":2}`, `{"` + strings.Repeat("n", 70) + `":` + r + `,"` + strings.Repeat("n", 71) + `":2}`},
		{"a dot in a name is no path", "card.number", `{"card.number":1}`, `{"card.number":1}`},
		{"surrogates are whole or nothing", "sn", `{"s\ud800n":1,"\ud83d\ude00":2}`, `{"s\ud800n":1,"\ud83d\ude00":2}`},

		{"duplicates", "ssn", `{"ssn":1,"x":2,"ssn":3,"SSN":4}`, `{"ssn":` + r + `,"x":2,"ssn":` + r + `,"SSN":` + r + `}`},
		{"duplicate parents", "a.ssn", `{"a":{"ssn":1},"a":{"ssn":2},"a":3}`, `{"a":{"ssn":` + r + `},"a":{"ssn":` + r + `},"a":3}`},

		{"other bytes stay", "a", " {\r\n\t\"b\" : 1.10 ,\n \"a\"\t: [ 1 ] ,\"c\":12345678901234567890,\"d\":\"\\u003c<\\/\" } \n", " {\r\n\t\"b\" : 1.10 ,\n \"a\"\t: " + r + " ,\"c\":12345678901234567890,\"d\":\"\\u003c<\\/\" } \n"},
		{"empty containers", "a.b", `{"a":{},"c":[ ],"d":{ }}`, `{"a":{},"c":[ ],"d":{ }}`},
		{"delimiters in strings", "a.b", `{"}":"{[","a":{"]\"":"\\","b":1}}`, `{"}":"{[","a":{"]\"":"\\","b":` + r + `}}`},
		{"as deep as may be", "a", strings.Repeat("[", 511) + `{"a":1}` + strings.Repeat("]", 511), strings.Repeat("[", 511) + `{"a":` + r + `}` + strings.Repeat("]", 511)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			paths := strings.Split(tt.paths, ",")
			p := pipeline(t, mask.Fields(paths...))
			if got := masked(t, p, "application/json", tt.in); got != tt.want {
				t.Errorf("paths %q\n in   %s\n got  %s\n want %s", paths, tt.in, got, tt.want)
			}
			if want, ok := reference(tt.in, paths); !ok || want != tt.want {
				t.Errorf("paths %q\n in   %s\n the reference says %s (%t)\n want %s", paths, tt.in, want, ok, tt.want)
			}
		})
	}
}

// Where sjson is right, which is for one edit of a member that is there, once,
// it and mask agree byte by byte.
func TestAgreesWithSJSON(t *testing.T) {
	const doc = `{"id" : 12345678901234567890, "card":{"number":"4111","exp":{"m":1.0,"y":[2031]}},` + "\n" + ` "tags":["<a>",{"b":null}], "ok":true}`
	for _, path := range []string{"id", "card", "card.number", "card.exp", "card.exp.m", "card.exp.y", "tags", "ok"} {
		want, err := sjson.SetRawBytes([]byte(doc), path, []byte(`"[redacted]"`))
		if err != nil || !gjson.GetBytes(want, path).Exists() {
			t.Fatalf("sjson, %s: %s, error %v", path, want, err)
		}
		if got := masked(t, pipeline(t, mask.Fields(path)), "application/json", doc); got != string(want) {
			t.Errorf("%s\n got  %s\n want %s", path, got, want)
		}
	}
}
