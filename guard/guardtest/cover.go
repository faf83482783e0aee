package guardtest

import (
	"strings"
	"sync"
	"testing"

	"github.com/palegate/palegate/guard"
)

// Cover fails for what p has and no test of this process has reached through
// [Send] or [Table] so far:
//
//   - each reason of each guard that is on, reached when a decision names it,
//     enforced or in shadow;
//   - each entry of a Use's Routes, reached when a request was sent on a route
//     that it names. One that is misspelled is never reached.
//
// So it belongs last: into a test that stands below all others, in the file
// whose name sorts last. Parallel tests end after it unless they are subtests
// of one that stands above. Where only some tests run (-run), it fails for
// what the others reach.
//
// What was reached is kept by the name of the Use until the process ends,
// and never reset: pipelines that are built anew for each test share it, and so
// do two different ones whose guards have the same names. The pipeline's own
// guard "body" is not covered. Safe for concurrent use.
func Cover(t testing.TB, p *guard.Pipeline, opts ...CoverOption) {
	t.Helper()
	var c cover
	for _, opt := range opts {
		opt(&c)
	}
	used := make([]bool, len(c.except))
	for _, u := range p.Uses() {
		if u.Mode == guard.ModeOff || u.Name == "body" {
			continue
		}
		for _, reason := range p.Reasons(u.Name) {
			if !c.excepted(reason, used) && !reached.reason(u.Name, reason) {
				t.Errorf("guardtest: no test reached reason %q of guard %q", reason, u.Name)
			}
		}
		for _, route := range u.Routes {
			if !reached.route(route) {
				t.Errorf("guardtest: no test reached route %q of guard %q", route, u.Name)
			}
		}
	}
	for i, ok := range used {
		if !ok {
			t.Errorf("guardtest: Except(%q): no guard gives such a reason", c.except[i])
		}
	}
}

// A CoverOption says more about what [Cover] asks for.
type CoverOption func(c *cover)

type cover struct{ except []guard.Reason }

// Except excepts reasons that no test can provoke. One that ends in "*" stands
// for all that begin so; one that no guard gives is an error.
func Except(reasons ...guard.Reason) CoverOption {
	return func(c *cover) { c.except = append(c.except, reasons...) }
}

func (c *cover) excepted(reason guard.Reason, used []bool) (yes bool) {
	for i, e := range c.except {
		prefix, wild := strings.CutSuffix(string(e), "*")
		if e == reason || wild && strings.HasPrefix(string(reason), prefix) {
			used[i], yes = true, true
		}
	}
	return yes
}

// hits is what tests have reached.
type hits struct {
	mu      sync.Mutex
	reasons map[hit]bool
	routes  map[visit]bool
}

type (
	hit struct {
		guard  string
		reason guard.Reason
	}
	visit struct{ method, route string }
)

// reached is what tests of this process have reached: state of the package,
// since nothing else connects one test with another.
var reached = hits{reasons: map[hit]bool{}, routes: map[visit]bool{}}

func (h *hits) record(method, route string, decisions []guard.Decision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if route != "" {
		h.routes[visit{method, route}] = true
	}
	for _, d := range decisions {
		h.reasons[hit{d.Guard, d.Reason}] = true
	}
}

func (h *hits) reason(guard string, reason guard.Reason) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reasons[hit{guard, reason}]
}

func (h *hits) route(pattern string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	use := guard.Use{Routes: []string{pattern}}
	for v := range h.routes {
		if use.Covers(v.route, v.method) {
			return true
		}
	}
	return false
}
