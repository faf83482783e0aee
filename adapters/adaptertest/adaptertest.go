// Package adaptertest tests that an adapter of a web framework keeps what
// palegate promises, as testing/slogtest does for handlers of log/slog:
//
//	func TestConformance(t *testing.T) {
//		adaptertest.Run(t, adaptertest.Adapter{New: newServer})
//	}
//
// Each row is a subtest with a server of its own on the loopback interface.
package adaptertest

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
)

// An Adapter tells [Run] how a server of the framework is built.
type Adapter struct {
	// New returns a server of routes with p mounted as the adapter's
	// documentation says. It is called once or more in each row.
	New func(p *guard.Pipeline, routes []Route) http.Handler

	// Name returns what guards know the route of that pattern as. The default
	// is the pattern.
	Name func(pattern string) string

	// Skip has the reason why the framework or the place of the pipeline
	// cannot pass a row, by the row's name.
	Skip map[string]string
}

// A Route is one that New registers.
type Route struct {
	// Pattern is in the syntax of http.ServeMux, "GET /users/{id}". It always
	// has a method, and no wildcard but {name}.
	Pattern string

	// Handler answers. It must get what the framework's own handlers would
	// write to and read from.
	Handler http.Handler

	// Fails asks for a handler that fails in the framework's own way, by an
	// error that it returns or an abort. Handler does the same as net/http
	// has it, for frameworks whose handlers cannot fail.
	Fails *Failure

	// Under names the prefixes of the pattern's path that are groups or
	// routers of their own, outermost first: "/orgs/{org}", "/items". They
	// are whole segments. A framework without such takes the pattern whole.
	Under []string
}

// A Failure is how a handler fails.
type Failure struct {
	Status int
	Text   string // what it tells the client
}

// Split splits the pattern in two: "GET" and "/users/{id}".
func (r Route) Split() (method, path string) {
	method, path, _ = strings.Cut(r.Pattern, " ")
	return method, path
}

// Run tests a, a row a subtest.
func Run(t *testing.T, a Adapter) {
	t.Helper()
	for name := range a.Skip {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			t.Errorf("adaptertest: Skip: there is no row %q", name)
		}
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if reason := a.Skip[r.name]; reason != "" {
				t.Skip(reason)
			}
			for _, failure := range r.failures(a, 20*time.Second) {
				t.Errorf("%s\nThe rule: %s.", failure, r.rule)
			}
		})
	}
}

// A row is one promise.
type row struct {
	name string
	rule string
	test func(p *probe)
}

var rows = slices.Concat(requestRows, responseRows, streamRows, routeRows, strangerRows, monitorRows)

// failures runs the row and returns what is wrong. No single answer is waited
// for longer than patience.
func (r row) failures(a Adapter, patience time.Duration) []string {
	if a.Name == nil {
		a.Name = func(pattern string) string { return pattern }
	}
	p := &probe{adapter: a, patience: patience}
	done := make(chan struct{})
	go func() { // so that fatalf can end it
		defer close(done)
		defer p.close()
		r.test(p)
	}()
	<-done
	return p.failures
}
