package guardtest

import (
	"net/http"
	"sync"
	"testing"

	"github.com/palegate/palegate/guard"
)

// Canary is a value of a client as [Conform] sends it: in the path, query,
// header and body of its requests, and never as a name. Samples may have it,
// too: a refusal that repeats it leaks.
const Canary = "canary-7Qx2vLk9Tz"

// rule is a part of the contract of a guard, and the name of the subtest that
// checks it.
type rule struct{ name, text string }

const (
	ruleRaces     = "races"
	rulePhases    = "phases"
	ruleReasons   = "reasons"
	ruleCause     = "cause"
	ruleEdits     = "edits"
	ruleKeeps     = "keeps"
	ruleBlocks    = "blocks"
	rulePanics    = "panics"
	ruleLeaks     = "leaks"
	ruleAllocates = "allocates"
	ruleUpdate    = "update"
)

// rules is the contract, in the order of the subtests. All work is done in the
// first one that runs, so that the race detector blames that one.
var rules = []rule{
	{ruleRaces, "Check is called from many goroutines at once; the race detector has found a race if this failed without another message"},
	{rulePhases, "Phases is constant and names phases that there are"},
	{ruleReasons, "every decision but a plain Allow has a reason, and Reasons, which is constant, returns it"},
	{ruleCause, "a refusal has a known Cause"},
	{ruleEdits, "Check changes nothing: edits are staged with Message.Stage"},
	{ruleKeeps, "nothing of an exchange is kept after its end, neither the Exchange nor bytes of its bodies"},
	{ruleBlocks, "Check returns without waiting"},
	{rulePanics, "Check does not panic"},
	{ruleLeaks, "what clients may read repeats neither Detail nor Err nor the client's own values"},
	{ruleAllocates, "a Check that allows allocates nothing"},
	{ruleUpdate, "a Part takes over from a guard that still serves, and makes a new guard"},
}

// Conform checks the guard that part makes against the contract of
// [guard.Guard], one subtest a rule. It sends requests of every kind through
// pipelines with that guard alone, enforced and monitored, one after another
// and from many goroutines, with answers of many media types, over HTTP and as
// another transport would: the guard is built several times.
//
// Samples add requests that this guard is made for: some that it allows and
// some for each of its reasons, since what never comes up is not checked. The
// Pattern of a sample is its route, as [http.ServeMux] has it; without one it
// is unrouted. Its context may come from [guard.WithPrincipal].
//
// Races are found only where the test is built with -race, and allocations are
// counted only where it is not.
func Conform(t *testing.T, part guard.Part, samples ...*http.Request) {
	t.Helper()
	check := sync.OnceValues(func() (*report, error) { return check(part, samples) })
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			rep, err := check()
			if err != nil {
				t.Fatalf("guardtest: Conform: %v", err)
			}
			rep.tell(t, rule)
		})
	}
}
