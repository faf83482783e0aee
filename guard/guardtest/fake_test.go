package guardtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
)

// fakeT is a test whose failures are looked at.
type fakeT struct {
	testing.TB
	errors []string
}

type fatal struct{}

func (t *fakeT) Helper() {}

func (t *fakeT) Errorf(format string, args ...any) {
	t.errors = append(t.errors, fmt.Sprintf(format, args...))
}

func (t *fakeT) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	panic(fatal{})
}

// run calls f and returns what it failed with.
func run(f func(t *fakeT)) []string {
	t := &fakeT{}
	func() {
		defer func() {
			if v := recover(); v != nil && v != (fatal{}) {
				panic(v)
			}
		}()
		f(t)
	}()
	return t.errors
}

// expect compares failures with pieces of what they should say, in order.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d failures %q, want %d", len(got), got, len(want))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("got the failure %q, want one with %q", got[i], want[i])
		}
	}
}

// policy is a guard that is a function.
type policy struct {
	phases  guard.Phase
	reasons []guard.Reason
	check   func(x *guard.Exchange, at guard.Phase) guard.Decision
}

func (p policy) Guard(guard.Guard) (guard.Guard, error) { return p, nil }
func (p policy) Phases() guard.Phase                    { return p.phases }
func (p policy) Reasons() []guard.Reason                { return p.reasons }

func (p policy) Check(x *guard.Exchange, at guard.Phase) guard.Decision { return p.check(x, at) }

// gate asks for a principal, and lets only admins delete.
var gate = policy{guard.RequestHead, []guard.Reason{"gate.missing", "gate.role"}, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
	switch p := x.Principal(); {
	case p == nil:
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseUnauthenticated, Reason: "gate.missing", Detail: "from " + x.Client().String()}
	case len(p.Roles) == 0 && x.Request().HTTP().Method == http.MethodDelete:
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseForbidden, Reason: "gate.role"}
	}
	return guard.Decision{}
}}

// late refuses a response after a part of it has gone on.
var late = policy{guard.ResponseBody, []guard.Reason{"late.no"}, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
	if b, err := x.Response().Body(); err != nil || strings.Contains(string(b.Bytes()), "secret") {
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Reason: "late.no", Err: err}
	}
	return guard.Decision{}
}}

// quiet keeps refusals out of the test's output.
type quiet struct{}

func (quiet) Observe(guard.Event) {}

func pipeline(t testing.TB, parts ...guard.Part) *guard.Pipeline {
	t.Helper()
	p, err := guard.New(append([]guard.Part{guard.Settings{Observer: quiet{}}}, parts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ok answers every request.
var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "fine") })
