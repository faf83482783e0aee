package guardtest_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/guardtest"
)

// echo answers with what a table can say of a request.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s%s %s|%s|%q", r.Method, r.Host, r.URL, body, r.Header.Get("Content-Type"), r.Header["X-Note"])
})

var personas = []guardtest.TableOption{
	guardtest.Persona("bob", guardtest.As(bob)),
	guardtest.Persona("carol", guardtest.As(guard.Principal{Subject: "carol", Roles: []string{"admin"}}), guardtest.From("203.0.113.7")),
}

func TestTable(t *testing.T) {
	h := pipeline(t, gate).Handler(echo)
	guardtest.Table(t, h, "testdata/policy.txt", personas...)
}

func TestTableSends(t *testing.T) {
	const prefix = "@bob "
	for line, want := range map[string]string{
		"GET /a?b=c%20d":                          "GET example.com/a?b=c%20d ||[]",
		`POST /a  {"b": "c => 200 allow"}`:        `POST example.com/a {"b": "c => 200 allow"}|application/json|[]`,
		"PUT http://api.example.net/a":            "PUT api.example.net/a ||[]",
		"X-Note: a: b\nx-note:c\n@bob GET /a":     `GET example.com/a ||["a: b" "c"]`,
		"Content-Type: text/csv\n@bob POST /a 7,": "POST example.com/a 7,|text/csv|[]",
		"Host: api.example.org\n@bob GET /a":      "GET api.example.org/a ||[]",
	} {
		if line[0] != 'X' && line[0] != 'C' && line[0] != 'H' {
			line = prefix + line
		}
		var got bytes.Buffer
		h := pipeline(t, gate).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			echo(writer{w, &got}, r)
		}))
		guardtest.Table(t, h, write(t, line+" => 200 allow\n"), personas...)
		if got.String() != want {
			t.Errorf("%q: got %q, want %q", line, &got, want)
		}
	}
}

type writer struct {
	http.ResponseWriter
	copy io.Writer
}

func (w writer) Write(p []byte) (int, error) { return w.copy.Write(p) }

func TestTableFails(t *testing.T) {
	h := pipeline(t, gate).Handler(echo)
	for _, tt := range []struct{ lines, want string }{
		{"GET /a => 200 allow", ":1: GET /a\n\tgot  401 gate.missing\n\twant 200 allow"},
		{"# why\n\nGET /a => 401", ":3: GET /a\n\tgot  401 gate.missing\n\twant 401\n"},
		{"GET /a", ":1: GET /a\n\tgot 401 gate.missing\n\twant a result: run with -guardtest.update"},
		{`POST /a {"a":" => "} =>`, `{"a":" => "}` + "\n\tgot 401 gate.missing"},
		{"@mallory GET /a => 200 allow", `no Persona is named "mallory"`},
		{"GET => 200 allow", "a line is METHOD path [body]"},
		{"/a => 200 allow", "a line is METHOD path [body]"},
		{"G(T /a => 200 allow", "invalid method"},
		{"# nothing", "holds no request"},
	} {
		file := write(t, tt.lines)
		expect(t, run(func(t *fakeT) { guardtest.Table(t, h, file, personas...) }), tt.want)
		if got := read(t, file); got != tt.lines {
			t.Errorf("%q: rewritten without being asked: %q", tt.lines, got)
		}
	}
	expect(t, run(func(t *fakeT) { guardtest.Table(t, h, "testdata/none.txt") }), "testdata/none.txt")
}

func TestTableUpdates(t *testing.T) {
	const before = `# Who may what?
GET /a => 200 allow

  @bob GET /a   =>  200   allow
	@bob DELETE /a => 200 allow
# a result is still to come
@carol DELETE /a
X-Note: 1
@carol POST /a {"a": " => 7"} =>
@nobody GET /a => 200 allow
`
	const after = `# Who may what?
GET /a => 401 gate.missing

  @bob GET /a   =>  200   allow
@bob DELETE /a => 403 gate.role
# a result is still to come
@carol DELETE /a => 200 allow
X-Note: 1
@carol POST /a {"a": " => 7"} => 200 allow
@nobody GET /a => 200 allow
`
	// A flag of the test's own is what most have.
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "")
	}
	for _, name := range []string{"guardtest.update", "update"} {
		t.Run(name, func(t *testing.T) {
			flag.Set(name, "true")
			t.Cleanup(func() { flag.Set(name, "false") })
			file := write(t, before)
			h := pipeline(t, gate).Handler(echo)
			expect(t, run(func(t *fakeT) { guardtest.Table(t, h, file, personas...) }), "no Persona")
			if got := read(t, file); got != after {
				t.Errorf("got:\n%s\nwant:\n%s", got, after)
			}
		})
	}
}

func write(t *testing.T, lines string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "table.txt")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
