package guardtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/palegate/palegate/guard"
)

// report collects how a guard breaks its contract.
type report struct {
	mu       sync.Mutex
	found    map[string][]string // by rule
	given    map[guard.Reason]bool
	declared []guard.Reason
	stopped  string // why the rest was not checked
}

// maxFound is how many violations of one rule are told.
const maxFound = 3

// addf reports that a rule is broken.
func (r *report) addf(rule, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if r.found == nil {
		r.found = map[string][]string{}
	}
	if len(r.found[rule]) < maxFound && !slices.Contains(r.found[rule], text) {
		r.found[rule] = append(r.found[rule], text)
	}
}

// gave notes a reason that the guard gave.
func (r *report) gave(reason guard.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.given == nil {
		r.given = map[guard.Reason]bool{}
	}
	r.given[reason] = true
}

// stop notes why the checks end here.
func (r *report) stop(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = why
}

// tell fails t if the rule is broken.
func (r *report) tell(t *testing.T, rule rule) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range r.found[rule.name] {
		t.Errorf("%s\n\trule: %s", text, rule.text)
	}
	switch {
	case len(r.found[rule.name]) > 0:
	case r.stopped != "":
		t.Skipf("not checked, or not to the end: %s", r.stopped)
	case rule.name == ruleAllocates && raceEnabled:
		t.Skip("not checked: under the race detector a sync.Pool forgets on purpose, so allocations are not counted")
	case rule.name == ruleRaces && !raceEnabled:
		t.Log("the test is built without -race: races were not looked for")
	case rule.name == ruleReasons:
		for _, reason := range r.declared {
			if !r.given[reason] {
				t.Logf("no request provoked %q: a sample that does would have it checked", reason)
			}
		}
	}
}
