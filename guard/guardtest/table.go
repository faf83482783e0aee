package guardtest

import (
	"flag"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// Table sends the requests that a file lists through h, in order, and compares
// what becomes of each with what the file says:
//
//	# What leaves, and what does not.
//	GET /orders/7 => 200 allow
//	GET /orders?format=csv => 500 mask.media_type
//
//	Content-Type: text/csv
//	@alice POST /orders 7,pen => 400 allow
//
// A line is a method, a path with its query or a URL, the body if there is one,
// " => ", the status ("aborted" if there is none) and the reason of the
// refusal, or "allow". The last " => " of a line counts, so a body can have
// others. @name sends as a [Persona]. Lines "Name: value" set header fields of
// the request that follows; with a body its Content-Type is application/json
// unless one says otherwise. Empty lines and lines that begin with "#" are
// comments.
//
// With the flag -guardtest.update, or a flag -update of the test's own, the
// file's results are rewritten and all else in it stays: write new requests
// without a result (a body that contains " => " then ends with " =>") and let
// Table fill them in. Name the package: "go test ./orders -guardtest.update";
// those that do not import guardtest do not know the flag.
func Table(t testing.TB, h http.Handler, file string, opts ...TableOption) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("guardtest: Table: %v", err)
	}
	tab := table{personas: map[string][]Option{}}
	for _, opt := range opts {
		opt.applyTable(&tab)
	}
	lines := strings.Split(string(src), "\n")
	found := tab.run(t, h, file, lines)
	if found == 0 {
		t.Errorf("guardtest: %s holds no request", file)
	}
	if want := strings.Join(lines, "\n"); updating() && want != string(src) {
		// The permissions of a file that exists stay.
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatalf("guardtest: Table: %v", err)
		}
	}
}

// A TableOption says more about the requests of [Table]. Every [Option] is one,
// and holds for all of them.
type TableOption interface {
	applyTable(t *table)
}

type table struct {
	options  []Option
	personas map[string][]Option
}

type tableOption func(t *table)

func (f tableOption) applyTable(t *table) { f(t) }

// Persona names who sends a line of a [Table], and from where:
//
//	guardtest.Persona("alice", guardtest.As(guard.Principal{Subject: "alice"}))
func Persona(name string, opts ...Option) TableOption {
	return tableOption(func(t *table) { t.personas[name] = opts })
}

// The name is one that a test's own -update cannot collide with: to define a
// flag twice is a panic, and packages with golden files define it often.
var updateFlag = flag.Bool("guardtest.update", false, "guardtest.Table rewrites the results in its files")

// updating reports whether a flag asks for files to be rewritten.
func updating() bool {
	if *updateFlag {
		return true
	}
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

// run sends each request of lines. It replaces the lines whose result is
// another one if files are rewritten, and fails t for them otherwise.
func (tab *table) run(t testing.TB, h http.Handler, file string, lines []string) (found int) {
	t.Helper()
	header := http.Header{}
	for i, text := range lines {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		if name, value, ok := headerLine(text); ok {
			header.Add(name, value)
			continue
		}
		found++
		row := parseRow(text)
		r, err := row.http(header)
		header = http.Header{}
		if err != nil {
			t.Errorf("%s:%d: %s\n\t%v", file, i+1, row.request, err)
			continue
		}
		opts := tab.options
		if row.persona != "" {
			persona, ok := tab.personas[row.persona]
			if !ok {
				t.Errorf("%s:%d: %s\n\tno Persona is named %q", file, i+1, row.request, row.persona)
				continue
			}
			opts = append(slices.Clip(opts), persona...)
		}
		res := Send(t, h, r, opts...)
		switch got := res.outcome(); {
		case got == row.want:
		case updating():
			lines[i] = row.request + " => " + got
		case row.want == "":
			t.Errorf("%s:%d: %s\n\tgot %s\n\twant a result: run with -guardtest.update and look at it", file, i+1, row.request, got)
		default:
			t.Errorf("%s:%d: %s\n\tgot  %s\n\twant %s\n\t%v", file, i+1, row.request, got, row.want, res)
		}
	}
	return found
}

// outcome is what a table's line says of a Result.
func (r Result) outcome() string {
	if r.Refused.Refused() {
		return r.status() + " " + string(r.Refused.Reason)
	}
	return r.status() + " allow"
}
